//! Renders the chart with the real helm.

use std::{path::PathBuf, process::Command, sync::LazyLock};

use certgate_lab::parts::{Part, Parts};
use serde_json::Value;

/// The Kubernetes version that is rendered for where nothing else is said.
pub(crate) const KUBERNETES: &str = "1.36.0";

static HELM: LazyLock<PathBuf> =
    LazyLock::new(|| Parts::ensure(&[Part::Core]).expect("the lab's parts").program("helm").expect("helm"));

/// The chart's directory.
pub(crate) fn chart() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("charts/certgate")
}

/// Runs helm; its standard output, or else its standard error.
pub(crate) fn helm(args: &[&str]) -> Result<String, String> {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let output = Command::new(&*HELM)
        .args(args)
        // Nothing of the user's own helm.
        .env("HELM_CONFIG_HOME", scratch.path())
        .env("HELM_CACHE_HOME", scratch.path())
        .env("HELM_DATA_HOME", scratch.path())
        .env("KUBECONFIG", scratch.path().join("none"))
        .output()
        .expect("helm runs");
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).expect("UTF-8"))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The chart rendered as text.
pub(crate) fn template(more: &[&str]) -> Result<String, String> {
    let chart = chart();
    let mut args = vec![
        "template",
        "certgate",
        chart.to_str().expect("UTF-8"),
        "--namespace",
        "certgate-system",
        "--kube-version",
        KUBERNETES,
    ];
    args.extend(more);
    helm(&args)
}

/// The documents of a YAML text, as JSON.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple::<Option<Value>>(text).expect("YAML").into_iter().flatten().collect()
}

/// The one object of that kind and name.
pub(crate) fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found: Vec<_> = objects.iter().filter(|o| o["kind"] == kind && o["metadata"]["name"] == name).collect();
    assert_eq!(found.len(), 1, "{kind} {name}");
    found[0]
}
