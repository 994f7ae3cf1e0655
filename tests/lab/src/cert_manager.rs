//! cert-manager: its definitions, its controllers and the issuers of a lab.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use kube::api::DynamicObject;
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::objects::Objects;
use crate::parts::Part;
use crate::pebble::Pebble;
use crate::process::Program;
use crate::site::Site;
use crate::wait::wait_for;

pub(crate) const NAME: &str = "cert-manager";
const HEALTH_PORT: u16 = 9403;
const READY_WITHIN: Duration = Duration::from_secs(90);

/// Which cert-manager runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertManager {
    /// The current one.
    V1_21,
    /// The one that Rainbond's documentation installs.
    V1_17,
}

impl CertManager {
    pub(crate) fn part(self) -> Part {
        match self {
            Self::V1_21 => Part::Core,
            Self::V1_17 => Part::CertManager117,
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::V1_21 => "cert-manager-1.21",
            Self::V1_17 => "cert-manager-1.17",
        }
    }

    pub(crate) fn start(self, site: &Site, arguments: &[String]) -> Result<()> {
        let dns = site.socket(53);
        let mut program = Program::new(NAME, site.parts.program(self.program())?).args([
            format!("--kubeconfig={}", site.kubeconfig().display()),
            format!("--internal-healthz-listen-address={}", site.socket(HEALTH_PORT)),
            format!("--acme-http01-solver-nameservers={dns}"),
            format!("--dns01-recursive-nameservers={dns}"),
            "--dns01-recursive-nameservers-only".to_owned(),
            "--dns01-check-retry-period=1s".to_owned(),
        ]);
        if self == Self::V1_21 {
            // An hour by default; 1.17 has no flag for it.
            program = program.args(["--certificate-request-minimum-backoff-duration=5s"]);
        }
        site.processes.start(program.args(arguments))
    }

    /// The issuers of a lab: `pebble`, and from 1.21, given a `pause`, `pebble-fast`, which waits for that in place of the
    /// five self-checks that are two seconds apart.
    pub(crate) fn issuers(self, pebble: &Pebble<'_>, solver: &Value, pause: Option<&str>) -> Vec<Value> {
        let mut issuers = vec![pebble.cluster_issuer("pebble", json!([solver]))];
        if let (Self::V1_21, Some(pause)) = (self, pause) {
            let mut fast = solver.clone();
            if let Some(fields) = fast.as_object_mut() {
                fields.insert("waitInsteadOfSelfCheck".into(), json!(pause));
            }
            issuers.push(pebble.cluster_issuer("pebble-fast", json!([fast])));
        }
        issuers
    }
}

pub(crate) async fn wait_ready(site: &Site) -> Result<()> {
    let probe = async || site.answers(HEALTH_PORT, "/livez", false, &[]).await;
    site.processes.wait_ready(NAME, READY_WITHIN, probe).await
}

/// Applies definitions and waits until they are served.
pub(crate) async fn install_definitions(objects: &Objects, definitions: Vec<Value>) -> Result<()> {
    let installed = definitions.into_iter().map(async |definition| {
        for object in objects.apply(definition).await? {
            wait_for_condition(objects, &object, "Established").await?;
        }
        Ok::<_, anyhow::Error>(())
    });
    try_join_all(installed).await?;
    Ok(())
}

/// Waits until an object has a condition with the status `True`.
pub(crate) async fn wait_for_condition(objects: &Objects, object: &DynamicObject, condition: &str) -> Result<()> {
    let types = object.types.as_ref().context("an object without kind")?;
    let name = object.metadata.name.as_deref().context("an object without name")?;
    let gvk = GroupVersionKind::try_from(types)?;
    let api = objects.api(&gvk, object.metadata.namespace.as_deref()).await?;
    let what = format!("{} {name} is {condition}", types.kind);
    wait_for(&what, READY_WITHIN, async || {
        let now = api.get(name).await?;
        let conditions = now.data.pointer("/status/conditions").cloned().unwrap_or_default();
        let is_true = conditions.as_array().into_iter().flatten().any(|c| {
            c.get("type").and_then(Value::as_str) == Some(condition)
                && c.get("status").and_then(Value::as_str) == Some("True")
        });
        if is_true { Ok(Some(())) } else { Err(anyhow::anyhow!("its conditions are {conditions}")) }
    })
    .await
}
