//! Writes an Ingress as a dry run. Its flag is one that certgate can do nothing with and says so, whatever the policy.

use std::time::Instant;

use http::{Request, header};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Namespace};
use kube::{Api, Resource as _, ResourceExt as _, api::ListParams, client::Body};
use serde_json::{Value, json};

use super::Look;
use crate::{
    api::{list, partial::metadata::Metadata, read::Read},
    core::{names, policy::Policy},
    doctor::{observed::Trial, webhook::selects},
};

/// Where it is written if certgate looks there.
const FIRST_CHOICE: &str = "default";

impl Look {
    /// Writes it where certgate would look at it.
    pub(super) async fn trial(&self, configuration: Option<&MutatingWebhookConfiguration>, policy: &Policy) -> Trial {
        let tried = async {
            let Some(namespace) = self.open_namespace(configuration, policy).await? else {
                return Ok::<_, kube::Error>(Trial::Nowhere);
            };
            let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses?dryRun=All");
            let request = Request::post(path)
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(ingress().to_string().into_bytes()));
            let request = request.map_err(kube::Error::HttpError)?;
            let begun = Instant::now();
            let response = self.client.send(request).await?;
            let status = response.status().as_u16();
            let said = response.headers().get_all(header::WARNING);
            let warnings = said.iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
            let body = response.into_body().collect_bytes().await?;
            let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let message = body.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
            Ok(Trial::Answered { namespace, status, message, warnings, millis })
        };
        match tokio::time::timeout(self.patience, tried).await {
            Ok(Ok(trial)) => trial,
            Ok(Err(error)) => Trial::Failed(error.to_string()),
            Err(_) => Trial::Failed(format!("no answer within {:?}", self.patience)),
        }
    }

    /// A namespace for which the webhook is called, and that policy does not exempt.
    async fn open_namespace(
        &self,
        configuration: Option<&MutatingWebhookConfiguration>,
        policy: &Policy,
    ) -> kube::Result<Option<String>> {
        let webhook = configuration.and_then(|configuration| configuration.webhooks.as_ref()?.first());
        let selector = webhook.and_then(|webhook| webhook.namespace_selector.as_ref());
        let api: Api<Read<Metadata<Namespace>>> = Api::all(self.client.clone());
        let listed = list::all(&api, &ListParams::default()).await?;
        let mut open: Vec<String> = listed
            .iter()
            .filter(|namespace| {
                let labels: Vec<(&str, &str)> =
                    namespace.labels().iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
                namespace.meta().deletion_timestamp.is_none()
                    && selects(selector, &labels)
                    && !policy.excludes(&namespace.name_any())
            })
            .map(|namespace| namespace.name_any())
            .collect();
        open.sort_by_key(|name| name != FIRST_CHOICE);
        Ok(open.into_iter().next())
    }
}

fn ingress() -> Value {
    let backend = json!({ "service": { "name": "certgate-doctor", "port": { "number": 80 } } });
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "generateName": "certgate-doctor-", "annotations": { names::AUTO_ISSUE: "doctor" } },
        "spec": {
            "ingressClassName": "certgate-doctor",
            "rules": [{
                "host": "doctor.example.com",
                "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] },
            }],
        },
    })
}
