//! A running Pod: its processes and whether it wants connections.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::join_all;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::pod::{Pod, Probe};
use crate::api_link::ApiLink;
use crate::fetch::{Trust, fetch};
use crate::lab::Core;
use crate::process::Processes;
use crate::service_ips::Backend;

/// How often readiness is probed. Far more often than a kubelet does, and one failure is enough, so that tests need not
/// wait.
const PROBE_EVERY: Duration = Duration::from_millis(100);
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Replica {
    pub(super) pod: Pod,
    pub(super) program: PathBuf,
    pub(super) link: Option<ApiLink>,
    ready: watch::Receiver<bool>,
    /// Being deleted: no Service sends it new connections.
    withdrawn: AtomicBool,
    probing: AbortHandle,
}

impl Replica {
    /// A Pod whose processes have been started. Its readiness is probed from now on.
    pub(super) fn watch(core: &Arc<Core>, pod: Pod, program: PathBuf, link: Option<ApiLink>) -> Result<Self> {
        let mut probes = Vec::new();
        for container in &pod.spec.containers {
            probes.push((pod.process_name(container), pod.probe(container)?));
        }
        let (told, ready) = watch::channel(false);
        let probing = core.spawn(probe_readiness(Arc::downgrade(core), pod.ip.into(), probes, told));
        Ok(Self { pod, program, link, ready, withdrawn: AtomicBool::new(false), probing })
    }

    pub(super) fn processes(&self) -> Vec<String> {
        self.pod.spec.containers.iter().map(|container| self.pod.process_name(container)).collect()
    }

    pub(super) fn first_process(&self) -> Result<String> {
        self.processes().into_iter().next().context("a Pod without containers")
    }

    pub(super) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    pub(super) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Relaxed)
    }

    pub(super) fn set_withdrawn(&self, withdrawn: bool) {
        self.withdrawn.store(withdrawn, Ordering::Relaxed);
    }

    /// What a Service's port leads to.
    pub(super) fn backend(&self, target: &IntOrString) -> Result<Backend> {
        let address = SocketAddr::new(IpAddr::V4(self.pod.ip), self.pod.port(target)?);
        Ok(Backend { address, ready: self.ready.clone() })
    }

    /// Waits until it is ready, and no longer than its processes live.
    pub(super) async fn wait_ready(&self, processes: &Processes, within: Duration) -> Result<()> {
        for name in self.processes() {
            processes.wait_ready(&name, within, async || Ok(self.is_ready())).await?;
        }
        Ok(())
    }

    /// Ends all containers, each after its preStop hook. Returns the exit code of the first.
    pub(super) async fn terminate(&self, processes: &Processes) -> Result<Option<i32>> {
        let ended = join_all(self.pod.spec.containers.iter().map(async |container| {
            let name = self.pod.process_name(container);
            if !processes.is_running(&name) {
                return Ok(None);
            }
            sleep(Pod::pre_stop(container)).await;
            match processes.terminate(&name, self.pod.grace()).await {
                Ok(code) => Ok(code),
                Err(error) => {
                    tracing::warn!(%error, name, "killed after its grace period");
                    processes.kill(&name).map(|()| None)
                }
            }
        }));
        ended.await.into_iter().next().unwrap_or(Ok(None))
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.probing.abort();
    }
}

async fn probe_readiness(
    core: Weak<Core>,
    ip: IpAddr,
    probes: Vec<(String, Option<Probe>)>,
    told: watch::Sender<bool>,
) {
    let anyone = Trust::anyone();
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    loop {
        ticks.tick().await;
        // The lab owns this task, so the task must not keep the lab.
        let Some(lab) = core.upgrade() else { return };
        let mut ready = true;
        for (process, probe) in &probes {
            ready &= lab.site.processes.is_running(process)
                && match probe {
                    None => true,
                    Some(probe) => timeout(PROBE_TIMEOUT, succeeds(probe, ip, &anyone)).await.unwrap_or(false),
                };
        }
        drop(lab);
        told.send_if_modified(|now| std::mem::replace(now, ready) != ready);
    }
}

async fn succeeds(probe: &Probe, ip: IpAddr, anyone: &Result<Trust>) -> bool {
    match probe {
        Probe::Tcp { port } => TcpStream::connect((ip, *port)).await.is_ok(),
        Probe::Http { port, path, tls } => {
            let trust = anyone.as_ref().ok().filter(|_| *tls);
            let answer = fetch(SocketAddr::new(ip, *port), &ip.to_string(), path, trust, &[]).await;
            answer.is_ok_and(|answer| (200..400).contains(&answer.status))
        }
    }
}
