//! What passes no gate of certgate's is held by the API server, where the chart is told to.

use std::time::Duration;

use anyhow::{Result, ensure};
use certgate_lab::{
    Lab, LabOptions,
    parts::{Part, Parts},
};
use serde_json::{Value, json};

use super::{
    MODES,
    ask::{self, Ask, Asker, Who},
    helm, hold,
    rows::{
        Expect::{Free, Held},
        Row,
    },
};

const ACME: &str = "acme.cert-manager.io/v1";
const GATEWAYS: &str = "gateway.networking.k8s.io/v1";

fn order(name: &str, host: &str) -> Value {
    json!({"apiVersion": ACME, "kind": "Order", "metadata": {"name": name},
        "spec": {"request": "LS0=", "issuerRef": {"name": "le"}, "dnsNames": [host]}})
}

fn challenge(name: &str) -> Value {
    json!({"apiVersion": ACME, "kind": "Challenge", "metadata": {"name": name},
        "spec": {"authorizationURL": "https://ca.example/a", "dnsName": "new.example.com", "issuerRef": {"name": "le"},
            "key": "k", "solver": {}, "token": "t", "type": "HTTP-01", "url": "https://ca.example/c"}})
}

fn gateway(name: &str, annotations: &Value, host: &str) -> Value {
    json!({"apiVersion": GATEWAYS, "kind": "Gateway", "metadata": {"name": name, "annotations": annotations},
        "spec": {"gatewayClassName": "any", "listeners": [{"hostname": host}]}})
}

/// As much of the Gateway API's definition as its objects here need.
fn definition() -> Value {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gateways.gateway.networking.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/2997"}},
        "spec": {"group": "gateway.networking.k8s.io", "scope": "Namespaced",
            "names": {"kind": "Gateway", "plural": "gateways", "singular": "gateway", "listKind": "GatewayList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
}

fn rows() -> Vec<Row> {
    let row = |what, who, ask, expect| Row { what, who, ask, expect };
    let tenant = |what, ask, expect| Row { what, who: Who::Tenant, ask, expect };
    let orders = |name, change| Ask::Change(ACME, "orders", name, change);
    let gateways = |name, change| Ask::Change(GATEWAYS, "gateways", name, change);
    let le = json!({"cert-manager.io/cluster-issuer": "le"});
    let alone = Held("written by cert-manager alone");
    let unchecked = Held("orders without a check");
    let valid = json!({"status": {"state": "valid", "url": "https://ca.example/o", "certificate": "QUJD"}});
    vec![
        tenant("an Order made", Ask::Create(order("own", "new.example.com")), alone),
        tenant("a Challenge made", Ask::Create(challenge("own")), alone),
        tenant("another issuer for an Order", orders("standing", json!({"spec": {"issuerRef": {"name": "x"}}})), alone),
        tenant("other names for an Order", orders("standing", json!({"spec": {"dnsNames": ["x.example.com"]}})), alone),
        tenant("an Order's status forged", orders("standing/status", valid.clone()), alone),
        tenant(
            "a Challenge's status forged",
            Ask::Change(ACME, "challenges", "standing/status", json!({"status": {"state": "valid"}})),
            alone,
        ),
        tenant("an Order labelled", orders("standing", json!({"metadata": {"labels": {"a": "b"}}})), Free),
        tenant("an Order deleted, to be made anew", Ask::Delete(ACME, "orders", "standing"), alone),
        tenant("a Challenge deleted", Ask::Delete(ACME, "challenges", "standing"), Free),
        row("an Order made by cert-manager", Who::CertManager, Ask::Create(order("own", "new.example.com")), Free),
        row("an Order's status by cert-manager", Who::CertManager, orders("standing/status", valid), Free),
        row("an Order collected", Who::GarbageCollector, Ask::Delete(ACME, "orders", "standing"), Free),
        row("an Order made by an administrator", Who::Admin, Ask::Create(order("own", "new.example.com")), Free),
        tenant("a Gateway with an issuer", Ask::Create(gateway("own", &le, "new.example.com")), unchecked),
        tenant(
            "a Gateway with an issuer of its namespace",
            Ask::Create(gateway("own", &json!({"cert-manager.io/issuer": "i"}), "new.example.com")),
            unchecked,
        ),
        tenant("a Gateway without", Ask::Create(gateway("own", &json!({"a": "b"}), "new.example.com")), Free),
        tenant("an issuer added to one", gateways("plain", json!({"metadata": {"annotations": le}})), unchecked),
        tenant(
            "another listener where an issuer stands",
            gateways("ordered", json!({"spec": {"listeners": [{"hostname": "new.example.com"}]}})),
            unchecked,
        ),
        tenant("what stands labelled", gateways("ordered", json!({"metadata": {"labels": {"a": "b"}}})), Free),
        tenant("the issuer taken off", gateways("ordered", json!({"metadata": {"annotations": null}})), Free),
        row("a Gateway by an exempt user", Who::GitOps, Ask::Create(gateway("own", &le, "new.example.com")), Free),
    ]
}

#[tokio::test]
async fn what_passes_no_gate_is_held_where_the_chart_is_told_to() -> Result<()> {
    Lab::with(LabOptions::bare(), async |lab| {
        for definition in Parts::ensure(&[Part::Core])?.crds(Part::Core)?.into_iter().chain([definition()]) {
            lab.apply_value(definition).await?;
        }
        lab.namespace("certgate-system").await?;
        lab.apply_value(ask::all_rights()).await?;
        for mode in MODES {
            lab.apply_value(json!({"apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": mode, "labels": {"mode": mode}}}))
                .await?;
            let le = json!({"cert-manager.io/cluster-issuer": "le"});
            let mut objects = [
                order("standing", "old.example.com"),
                challenge("standing"),
                gateway("plain", &json!({"a": "b"}), "old.example.com"),
                gateway("ordered", &le, "old.example.com"),
            ];
            for object in &mut objects {
                object["metadata"]["namespace"] = json!(mode);
            }
            lab.wait_for("the kinds are served", Duration::from_secs(60), async || {
                lab.apply_value(json!(objects)).await.map(|_| Some(()))
            })
            .await?;
        }
        for mode in ["warn", "deny"] {
            let rendered = helm::template(&[
                "--skip-tests",
                "--set",
                &format!("nameOverride=certgate-{mode},admissionPolicy.ungated={mode}"),
                "--set",
                &format!("admissionPolicy.namespaceSelector.matchLabels.mode={mode}"),
                "--set",
                "admissionPolicy.exemptUsers={gitops}",
            ])
            .map_err(anyhow::Error::msg)?;
            let policies = helm::documents(&rendered).into_iter();
            let policies = policies.filter(|one| one["kind"].as_str().is_some_and(|k| k.contains("AdmissionPolicy")));
            lab.apply_value(policies.collect()).await?;
        }
        let asker = Asker::new(lab).await?;
        let rows = rows();
        lab.wait_for("every row comes true", Duration::from_secs(90), async || {
            let mut wrong = Vec::new();
            for row in &rows {
                for mode in MODES {
                    if let Err(why) = hold(row, mode, &asker).await? {
                        wrong.push(format!("{} in {mode}: {why}", row.what));
                    }
                }
            }
            ensure!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
            Ok(Some(()))
        })
        .await
    })
    .await
}
