//! The chart's admission policies, in a real API server: with no certgate running, and with it at work.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

#[path = "admission_policies/ask.rs"]
mod ask;
#[path = "support/cluster.rs"]
#[allow(dead_code, reason = "each test binary uses its part of it")]
mod cluster;
#[path = "support/helm.rs"]
#[allow(dead_code, reason = "shared with the tests of the chart")]
mod helm;
#[path = "admission_policies/injection.rs"]
mod injection;
#[path = "admission_policies/live.rs"]
mod live;
#[path = "admission_policies/rows.rs"]
mod rows;
#[path = "admission_policies/ungated.rs"]
mod ungated;

use std::time::Duration;

use anyhow::{Result, ensure};
use ask::{Asker, Who};
use certgate_lab::{
    Lab, LabOptions,
    parts::{Part, Parts},
};
use rows::{Expect, Row};
use serde_json::{Value, json};

/// The namespaces of the matrix; each is named by what the policies do in it.
const MODES: [&str; 3] = ["off", "warn", "deny"];

#[tokio::test]
async fn who_may_do_what_where() -> Result<()> {
    Lab::with(LabOptions::bare(), async |lab| {
        install(lab).await?;
        let asker = Asker::new(lab).await?;
        in_force(lab, &asker).await?;
        let rows = rows::all();
        ensure!(rows.len() >= 40, "{} rows", rows.len());
        let mut wrong = Vec::new();
        for row in &rows {
            for mode in MODES {
                if let Err(why) = hold(row, mode, &asker).await? {
                    wrong.push(format!("{} in {mode}: {why}", row.what));
                }
            }
        }
        ensure!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
        Ok(())
    })
    .await
}

/// Whether a row comes true in a namespace.
async fn hold(row: &Row, mode: &str, asker: &Asker) -> Result<Result<(), String>> {
    let answer = asker.ask(&row.who, &row.ask, mode).await?;
    let told = answer.warnings.join(" / ");
    Ok(match (row.expect, mode) {
        (Expect::Held(text), "deny") if answer.status != 403 || !answer.message.contains(text) => {
            Err(format!("not denied with {text:?}: {} {}", answer.status, answer.message))
        }
        (Expect::Held(_), "deny") => Ok(()),
        _ if answer.status >= 300 => Err(format!("refused: {} {}", answer.status, answer.message)),
        (Expect::Held(text), "warn") if !told.contains(text) => Err(format!("no warning with {text:?}: {told:?}")),
        (Expect::Held(_), "warn") => Ok(()),
        _ if told.contains("ValidatingAdmissionPolicy") => Err(format!("warned: {told}")),
        _ => Ok(()),
    })
}

/// Definitions, policies and what the rows find in place. Policies of every mode stand side by side, each in its namespace.
async fn install(lab: &Lab) -> Result<()> {
    let parts = Parts::ensure(&[Part::Core])?;
    for definition in parts.crds(Part::Core)? {
        lab.apply_value(definition).await?;
    }
    lab.namespace("certgate-system").await?;
    for mode in ["warn", "deny"] {
        let switches = ["verifiedHosts", "reservedFields", "certificates"]
            .map(|policy| format!("admissionPolicy.{policy}={mode}"))
            .join(",");
        let rendered = helm::template(&[
            "--skip-tests",
            "--set",
            &format!("nameOverride=certgate-{mode},{switches}"),
            "--set",
            &format!("admissionPolicy.namespaceSelector.matchLabels.mode={mode}"),
            "--set",
            "admissionPolicy.exemptUsers={gitops}",
        ])
        .map_err(anyhow::Error::msg)?;
        let objects = helm::documents(&rendered).into_iter().filter(|object| {
            let kind = object["kind"].as_str().unwrap_or_default();
            kind == "CustomResourceDefinition" || kind.contains("AdmissionPolicy")
        });
        lab.apply_value(objects.collect()).await?;
    }
    for mode in MODES {
        let labels = json!({ "mode": mode });
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": mode, "labels": labels },
        });
        lab.apply_value(namespace).await?;
        lab.apply_value(rows::in_place(mode)).await?;
    }
    lab.apply_value(ask::all_rights()).await?;
    Ok(())
}

/// Policies take a moment to reach the API server's own watches.
async fn in_force(lab: &Lab, asker: &Asker) -> Result<()> {
    let held: Vec<Row> = rows::all().into_iter().filter(Row::is_first_of_its_policy).collect();
    lab.wait_for("the policies are in force", Duration::from_secs(60), async || {
        for row in &held {
            for mode in ["warn", "deny"] {
                if hold(row, mode, asker).await?.is_err() {
                    return Ok(None);
                }
            }
        }
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn an_ingress_of_a_namespace_that_certgate_does_not_know_is_let_be() -> Result<()> {
    Lab::with(LabOptions::bare(), async |lab| {
        let rendered = helm::template(&["--skip-tests", "--set", "admissionPolicy.verifiedHosts=deny"])
            .map_err(anyhow::Error::msg)?;
        let objects = helm::documents(&rendered).into_iter().filter(|object| {
            let kind = object["kind"].as_str().unwrap_or_default();
            kind == "CustomResourceDefinition" || kind.contains("AdmissionPolicy")
        });
        lab.apply_value(objects.collect()).await?;
        lab.apply_value(ask::all_rights()).await?;
        for namespace in ["known", "unknown"] {
            lab.namespace(namespace).await?;
        }
        lab.apply_value(rows::verified_hosts("known")).await?;
        let asker = Asker::new(lab).await?;
        let row = rows::all().into_iter().find(Row::is_first_of_its_policy).expect("a row");
        lab.wait_for("the policy is in force", Duration::from_secs(60), async || {
            Ok((asker.ask(&Who::Tenant, &row.ask, "known").await?.status == 403).then_some(()))
        })
        .await?;
        let answer = asker.ask(&Who::Tenant, &row.ask, "unknown").await?;
        ensure!(answer.status == 201, "{} {}", answer.status, answer.message);
        Ok(())
    })
    .await
}

/// A small application's Ingress.
fn ingress(name: &str, annotations: &Value, tls: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": name },
        "spec": { "defaultBackend": { "service": { "name": "web", "port": { "number": 80 } } } },
    });
    if !annotations.is_null() {
        object["metadata"]["annotations"] = annotations.clone();
    }
    if !tls.is_null() {
        object["spec"]["tls"] = tls.clone();
    }
    object
}
