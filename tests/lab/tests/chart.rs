//! A chart's replicas get what a kubelet would give them, and its Service goes by their readiness.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use certgate_lab::{App, Chart, Lab, LabOptions};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(60);

fn chart(values: Value) -> Chart {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart");
    Chart::new("app", path, "apps", env!("CARGO_BIN_EXE_lab-app")).values(values).env("EXTRA", "1")
}

/// What the Service answers now.
async fn ask(lab: &Lab, app: &App) -> Result<Value> {
    Ok(serde_json::from_str(&lab.http_get_from(app.service_address("app")?, "/").await?.body)?)
}

/// The names of all that answer behind the Service.
async fn answering(lab: &Lab, app: &App) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for _ in 0..6 {
        names.insert(ask(lab, app).await?.get("name").and_then(Value::as_str).context("no name")?.to_owned());
    }
    Ok(names)
}

async fn until_answering(lab: &Lab, app: &App, names: &[&str]) -> Result<()> {
    let expected: BTreeSet<String> = names.iter().map(|n| (*n).to_owned()).collect();
    lab.wait_for(&format!("{names:?} answer"), WITHIN, async || {
        let found = answering(lab, app).await?;
        if found == expected { Ok(Some(())) } else { anyhow::bail!("{found:?} do") }
    })
    .await
}

#[tokio::test]
async fn replicas_live_as_in_a_cluster() -> Result<()> {
    Lab::with(LabOptions::bare(), async |lab| {
        let app = lab.install(chart(json!({}))).await?;
        app.wait_ready(WITHIN).await?;
        assert_eq!(app.replicas(), ["app-0", "app-1"]);
        assert_eq!(app.replicas_of("app").len(), 2);
        until_answering(lab, &app, &["app-0", "app-1"]).await?;

        environment_is_the_pods(lab, &app).await?;
        service_follows_readiness(lab, &app).await?;
        volumes_follow_config_maps(lab, &app).await?;
        upgrades_roll(lab, &app).await?;
        let pids: Vec<u32> = lab.processes().running().into_iter().map(|(_, pid)| pid).collect();
        app.uninstall().await?;
        assert_eq!(lab.processes().running().len(), pids.len() - 2);
        Ok(())
    })
    .await
}

async fn environment_is_the_pods(lab: &Lab, app: &App) -> Result<()> {
    let answer = ask(lab, app).await?;
    let name = answer.get("name").and_then(Value::as_str).context("no name")?;
    let variable = |name: &str| answer.pointer(&format!("/environment/{name}")).and_then(Value::as_str);
    assert_eq!(variable("POD_NAME"), Some(name));
    assert_eq!(variable("POD_NAMESPACE"), Some("apps"));
    assert_eq!(variable("POD_IP"), Some(app.address(name)?.to_string().as_str()));
    assert_eq!(
        (variable("GREETING"), variable("EXTRA"), variable("CARGO_MANIFEST_DIR")),
        (Some("hello"), Some("1"), None)
    );
    assert_eq!(answer.get("greeting"), Some(&json!("hello")));

    // Its kubeconfig is its account's: allowed what its Role says and nothing else.
    let kubeconfig = Kubeconfig::read_from(variable("KUBECONFIG").context("no kubeconfig")?)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = kube::Client::try_from(config)?;
    Api::<ConfigMap>::namespaced(client.clone(), "apps").get("app").await?;
    let denied = Api::<Secret>::namespaced(client, "apps").get("app").await;
    assert!(matches!(denied, Err(kube::Error::Api(status)) if status.code == 403));
    Ok(())
}

async fn service_follows_readiness(lab: &Lab, app: &App) -> Result<()> {
    app.kill("app-0")?;
    until_answering(lab, app, &["app-1"]).await?;
    assert!(!app.is_ready("app-0")?);
    app.restart("app-0", WITHIN).await?;
    until_answering(lab, app, &["app-0", "app-1"]).await?;
    app.terminate("app-1").await?;
    assert_eq!(answering(lab, app).await?.len(), 1, "a terminated replica got connections");
    app.restart("app-1", WITHIN).await
}

async fn volumes_follow_config_maps(lab: &Lab, app: &App) -> Result<()> {
    let greet = async |word: &str| -> Result<()> {
        let data = json!({"greeting": word});
        let metadata = json!({"name": "app", "namespace": "apps"});
        lab.apply_value(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})).await?;
        ensure!(app.sync_config_maps().await?, "nothing has changed");
        Ok(())
    };
    greet("busy").await?;
    lab.wait_for("the Service refuses", WITHIN, async || Ok(ask(lab, app).await.is_err().then_some(()))).await?;
    greet("hello").await?;
    assert!(!app.sync_config_maps().await?);
    until_answering(lab, app, &["app-0", "app-1"]).await
}

async fn upgrades_roll(lab: &Lab, app: &App) -> Result<()> {
    app.upgrade(chart(json!({}))).await?;
    assert_eq!(app.replicas(), ["app-0", "app-1"], "nothing has changed");
    app.upgrade(chart(json!({"greeting": "good evening"}))).await?;
    assert_eq!(app.replicas(), ["app-2", "app-3"]);
    until_answering(lab, app, &["app-2", "app-3"]).await?;
    assert_eq!(ask(lab, app).await?.get("greeting"), Some(&json!("good evening")));
    app.upgrade(chart(json!({"greeting": "good evening", "replicas": 3}))).await?;
    app.wait_ready(WITHIN).await?;
    assert_eq!(app.replicas().len(), 3);
    app.upgrade(chart(json!({"greeting": "good evening"}))).await?;
    assert_eq!(app.replicas(), ["app-2", "app-3"]);
    Ok(())
}
