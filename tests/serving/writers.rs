//! Writes that go through a webhook in a real API server, and what becomes of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use k8s_openapi::api::networking::v1::Ingress;
use kube::{Api, Client, api::PostParams};
use serde_json::json;
use tokio::task::JoinHandle;

/// Writes a second that are tried, unless `CERTGATE_WRITES_PER_SECOND` says otherwise.
const RATE: u32 = 500;
/// Writes under way at a time, at most.
const WRITERS: u32 = 20;

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
    start: Instant,
    asked: u32,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU32>,
    lost: Arc<AtomicU32>,
    tasks: Vec<JoinHandle<Result<()>>>,
}

/// What came of the writes.
pub struct Written {
    /// How many.
    pub writes: u32,
    /// How many of them were not injected.
    pub lost: u32,
    /// How many a second.
    pub rate: f64,
    /// How many a second were tried. A machine that is busy with other things reaches less.
    pub asked: u32,
}

impl Writers {
    pub fn start(client: &Client, namespace: &'static str, host: &'static str) -> Self {
        let asked = std::env::var("CERTGATE_WRITES_PER_SECOND").ok().and_then(|text| text.parse().ok()).unwrap_or(RATE);
        let (stop, written, lost): (Arc<AtomicBool>, Arc<AtomicU32>, Arc<AtomicU32>) = Default::default();
        let gap = Duration::from_secs(1) * WRITERS / asked.max(1);
        let tasks = (0..WRITERS)
            .map(|writer| {
                let (client, stop) = (client.clone(), Arc::clone(&stop));
                let (written, lost) = (Arc::clone(&written), Arc::clone(&lost));
                tokio::spawn(async move {
                    let mut due = tokio::time::interval_at(tokio::time::Instant::now() + gap * writer / WRITERS, gap);
                    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                    while !stop.load(Ordering::Relaxed) {
                        due.tick().await;
                        if !is_injected(&client, namespace, host).await? {
                            lost.fetch_add(1, Ordering::Relaxed);
                        }
                        written.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        Self { start: Instant::now(), asked, stop, written, lost, tasks }
    }

    /// Ends the writing.
    pub async fn end(self) -> Result<Written> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await??;
        }
        let writes = self.written.load(Ordering::Relaxed);
        let rate = f64::from(writes) / self.start.elapsed().as_secs_f64();
        Ok(Written { writes, lost: self.lost.load(Ordering::Relaxed), rate, asked: self.asked })
    }
}

/// Calls that the API server gave up and went on without.
pub async fn failed_open(client: &Client) -> Result<u64> {
    let metrics = client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
    let lines = metrics.lines().filter(|line| line.starts_with("apiserver_admission_webhook_fail_open_count{"));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64)
}
