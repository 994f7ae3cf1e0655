//! Writes that go through a webhook in a real API server, and what becomes of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use k8s_openapi::api::networking::v1::Ingress;
use kube::{Api, Client, api::PostParams};
use serde_json::json;
use tokio::task::JoinHandle;

/// Writes under way at a time, and the pause of each writer between two: some hundred a second.
const WRITERS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(20);

fn ingress(namespace: &str, host: &str) -> Ingress {
    serde_json::from_value(json!({
        "metadata": {"name": "shop", "namespace": namespace},
        "spec": {"rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]},
    }))
    .unwrap()
}

/// Whether a write, tried without being kept, comes back injected. A call that
/// failed would be ignored, and the Ingress come back as it was.
pub async fn is_injected(client: &Client, namespace: &str, host: &str) -> Result<bool> {
    let api: Api<Ingress> = Api::namespaced(client.clone(), namespace);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let written = api.create(&params, &ingress(namespace, host)).await?;
    Ok(written.spec.and_then(|spec| spec.tls).is_some())
}

/// Writers that count what is not injected.
pub struct Writers {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU32>,
    lost: Arc<AtomicU32>,
    tasks: Vec<JoinHandle<Result<()>>>,
}

impl Writers {
    pub fn start(client: &Client, namespace: &'static str, host: &'static str) -> Self {
        let (stop, written, lost): (Arc<AtomicBool>, Arc<AtomicU32>, Arc<AtomicU32>) = Default::default();
        let tasks = (0..WRITERS)
            .map(|_| {
                let (client, stop) = (client.clone(), Arc::clone(&stop));
                let (written, lost) = (Arc::clone(&written), Arc::clone(&lost));
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        if !is_injected(&client, namespace, host).await? {
                            lost.fetch_add(1, Ordering::Relaxed);
                        }
                        written.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(PAUSE).await;
                    }
                    Ok(())
                })
            })
            .collect();
        Self { stop, written, lost, tasks }
    }

    /// How many were written, and how many of them were not injected.
    pub async fn end(self) -> Result<(u32, u32)> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await??;
        }
        Ok((self.written.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed)))
    }
}

/// Calls that the API server gave up and went on without.
pub async fn failed_open(client: &Client) -> Result<u64> {
    let metrics = client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
    let lines = metrics.lines().filter(|line| line.starts_with("apiserver_admission_webhook_fail_open_count{"));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64)
}
