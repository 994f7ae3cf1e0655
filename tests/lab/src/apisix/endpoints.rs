//! Endpoints for Services, made up.
//!
//! The controller refuses an Ingress whose Service has none. A lab has no Pods with addresses, and EndpointSlices refuse
//! loopback addresses, so every Service gets one from the range for documentation, which nobody connects to.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::view::ClusterView;

const LOOK: Duration = Duration::from_millis(50);
const MADE_UP: &str = "192.0.2.1";

pub(super) async fn invent(client: Client, view: ClusterView) {
    let mut ticks = tokio::time::interval(LOOK);
    let mut done = HashSet::new();
    loop {
        ticks.tick().await;
        for service in view.services.state() {
            let id = (service.uid(), service.metadata.generation);
            if done.contains(&id) {
                continue;
            }
            match write(&client, &service).await {
                Ok(()) => {
                    done.insert(id);
                }
                // The Service may be gone already; else there is another look.
                Err(error) => tracing::debug!(%error, service = service.name_any(), "no endpoints yet"),
            }
        }
    }
}

async fn write(client: &Client, service: &Service) -> Result<()> {
    let name = service.name_any();
    let ports: Vec<_> = (service.spec.iter())
        .flat_map(|spec| spec.ports.iter().flatten())
        .map(|port| {
            let number = match &port.target_port {
                Some(IntOrString::Int(number)) => *number,
                _ => port.port,
            };
            json!({"name": port.name.as_deref().unwrap_or_default(), "port": number, "protocol": "TCP"})
        })
        .collect();
    let owner = json!({"apiVersion": "v1", "kind": "Service", "name": name, "uid": service.uid()});
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}, "ownerReferences": [owner]},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [MADE_UP], "conditions": {"ready": true}}],
        "ports": ports,
    });
    let api: Api<EndpointSlice> = Api::namespaced(client.clone(), &service.namespace().unwrap_or_default());
    api.patch(&name, &PatchParams::apply("lab").force(), &Patch::Apply(slice)).await?;
    Ok(())
}
