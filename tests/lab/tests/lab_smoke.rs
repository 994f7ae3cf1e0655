//! A lab issues a certificate, serves it, and leaves nothing behind.
#![expect(clippy::print_stderr, reason = "the times are worth reading")]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use certgate_lab::address::LabAddress;
use certgate_lab::{App, CertManager, Gateway, Lab, LabOptions};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;

/// Tests of one binary may share a lab, whatever runtimes they have.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Lab>();
    is_shared::<App>();
};

/// An application with an Ingress as cert-manager's documentation has it.
async fn deploy(lab: &Lab, namespace: &str, host: &str, class: &str, issuer: &str) -> Result<()> {
    lab.namespace(namespace).await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace},
        "spec": {"ports": [{"port": 8080}], "selector": {"app": "web"}},
    });
    let backend = json!({"service": {"name": "web", "port": {"number": 8080}}});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "web", "namespace": namespace, "annotations": {"cert-manager.io/cluster-issuer": issuer}},
        "spec": {
            "ingressClassName": class,
            "tls": [{"hosts": [host], "secretName": "web-tls"}],
            "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        },
    });
    lab.apply_value(json!([service, ingress])).await?;
    Ok(())
}

async fn issue(lab: &Lab, class: &str, issuer: &str, within: Duration) -> Result<Duration> {
    let host = lab.host("shop");
    let start = Instant::now();
    deploy(lab, "shop", &host, class, issuer).await?;
    let page = lab.wait_for("HTTPS verifies", within, async || Ok(Some(lab.https_get(&host).await?))).await?;
    let took = start.elapsed();
    ensure!(page.status == 200 && page.body == "backend shop/web\n", "{page:?}");
    let leaf = page.leaf.context("no certificate")?;
    ensure!(leaf.names == [host.as_str()] && leaf.issuer.contains("Pebble"), "{leaf:?}");
    ensure!(lab.pebble().orders()? == 1, "{} orders", lab.pebble().orders()?);
    ensure!(lab.http_get(&host).await?.status == 200, "plain HTTP");
    Ok(took)
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}/stat")).exists()
}

#[tokio::test]
async fn issues_and_leaves_nothing() -> Result<()> {
    let start = Instant::now();
    let lab = Lab::start(LabOptions::default()).await?;
    let up = start.elapsed();
    let pids: Vec<u32> = lab.processes().running().into_iter().map(|(_, pid)| pid).collect();
    assert_eq!(pids.len(), 5);
    let took = issue(&lab, "lab", "pebble-fast", Duration::from_secs(30)).await;
    if took.is_err() {
        lab.print_log_tails();
    }
    let directory = lab.directory().to_owned();
    let start = Instant::now();
    lab.stop()?;
    eprintln!("up after {up:?}, issued after {:?}, down after {:?}", took?, start.elapsed());
    assert!(pids.into_iter().all(|pid| !is_alive(pid)));
    assert!(!directory.exists());
    Ok(())
}

#[tokio::test]
async fn labs_run_side_by_side() -> Result<()> {
    let (a, b) = tokio::try_join!(Lab::start(LabOptions::bare()), Lab::start(LabOptions::bare()))?;
    assert_ne!(a.ip(), b.ip());
    a.namespace("only-a").await?;
    let namespaces = |client| kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(client);
    assert!(namespaces(a.client().await?).get_opt("only-a").await?.is_some());
    assert!(namespaces(b.client().await?).get_opt("only-a").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_kept_lab_lives_on() -> Result<()> {
    let lab = Lab::start(LabOptions::bare()).await?;
    let number = lab.number();
    let kept = lab.keep();
    assert_eq!(kept.processes.len(), 3);
    assert!(kept.kubeconfig.exists() && kept.processes.iter().all(|(_, pid)| is_alive(*pid)));
    assert_ne!(LabAddress::take()?.number(), number, "its number was given away");
    for (_, pid) in kept.processes {
        let pid = Pid::from_raw(i32::try_from(pid)?).context("no pid")?;
        kill_process_group(pid, Signal::KILL)?;
    }
    std::fs::remove_dir_all(kept.directory)?;
    Ok(())
}

#[tokio::test]
#[ignore = "minutes to build on a cold machine"]
async fn issues_with_cert_manager_1_17() -> Result<()> {
    let options = LabOptions { cert_manager: Some(CertManager::V1_17), ..LabOptions::default() };
    Lab::with(options, async |lab| {
        eprintln!("issued after {:?}", issue(lab, "lab", "pebble", Duration::from_secs(60)).await?);
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "minutes to build on a cold machine"]
async fn issues_behind_traefik() -> Result<()> {
    let options = LabOptions { gateway: Gateway::Traefik, ..LabOptions::default() };
    Lab::with(options, async |lab| {
        eprintln!("issued after {:?}", issue(lab, "lab", "pebble", Duration::from_secs(60)).await?);
        Ok(())
    })
    .await
}

/// The controller's trap: a TLS entry whose Secret is missing takes the Ingress down, until the Secret is there.
#[tokio::test]
#[ignore = "minutes to build on a cold machine"]
async fn issues_behind_apisix() -> Result<()> {
    let options = LabOptions { gateway: Gateway::Apisix, ..LabOptions::default() };
    Lab::with(options, async |lab| {
        eprintln!("issued after {:?}", issue(lab, "apisix", "pebble-fast", Duration::from_secs(60)).await?);
        let host = lab.host("late");
        deploy(lab, "late", &host, "apisix", "no-such-issuer").await?;
        deploy(lab, "other", &lab.host("other"), "other-class", "pebble-fast").await?;
        // Another Ingress after it has its route, so this one would have had its too.
        let other = lab.host("second");
        let manifest = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "second", "namespace": "late"},
            "spec": {"ingressClassName": "apisix", "rules": [{"host": other, "http": {"paths": [{
                "path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 8080}}},
            }]}}]},
        });
        lab.apply_value(manifest).await?;
        let routed = async |host: &str| Ok((lab.http_get(host).await?.status == 200).then_some(()));
        lab.wait_for("the plain one has its route", Duration::from_secs(20), async || routed(&other).await).await?;
        ensure!(routed(&host).await?.is_none() && routed(&lab.host("other")).await?.is_none(), "a route too many");
        ensure!(lab.apisix().writes().iter().any(|w| w.kind == "ssls" && w.method == "PUT"), "no certificate was put");
        Ok(())
    })
    .await
}
