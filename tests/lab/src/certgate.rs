//! certgate installed in a lab from its own chart, with what a lab needs in its policy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::{App, Chart, Lab};

/// The namespace that certgate is installed in.
pub const NAMESPACE: &str = "certgate-system";
/// The release's and the webhook configuration's name.
pub const RELEASE: &str = "certgate";
/// The Deployment of the webhook.
pub const WEBHOOK: &str = "certgate-webhook";
/// The Deployment of the controller.
pub const CONTROLLER: &str = "certgate-controller";
const READY_WITHIN: Duration = Duration::from_secs(90);

/// The project's root directory.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// A policy under which every host is flagged and must lead to the lab's gateway.
///
/// A lab's addresses are reserved ones; its DNS changes at any moment, so hosts are looked at every second.
pub fn policy(lab: &Lab, issuer: &str) -> Value {
    json!({
        "issuer": {"kind": "ClusterIssuer", "name": issuer},
        "autoIssue": "all",
        "gateway": {"addresses": [lab.ip()], "allowReserved": true},
        "dns": {"servers": [format!("{}:53", lab.ip())], "minRecheckSeconds": 1, "authoritative": false},
    })
}

/// The chart with a policy, the `certgate` program standing for the image.
pub fn chart(program: impl Into<PathBuf>, policy: &Value) -> Chart {
    // Two of three seconds that a real one waits for endpoints to forget it would be spent for nothing.
    Chart::new(RELEASE, root().join("charts/certgate"), NAMESPACE, program)
        .values(json!({"policy": policy}))
        .env("RUST_LOG", "info,certgate=debug")
}

/// Installs and waits until everything is ready.
pub async fn install(lab: &Lab, chart: Chart) -> Result<App> {
    let app = lab.install(chart).await?;
    if let Err(error) = app.wait_ready(READY_WITHIN).await {
        lab.print_log_tails();
        return Err(error);
    }
    Ok(app)
}
