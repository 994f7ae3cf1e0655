//! An installed chart and its replicas.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Api, ResourceExt};
use serde_json::Value;
use tokio::task::{AbortHandle, spawn_blocking};

use super::Chart;
use super::pod::Pod;
use super::replica::Replica;
use crate::api_link::ApiLink;
use crate::fetch::fetch;
use crate::lab::Core;
use crate::objects::parse;
use crate::service_ips::{Backends, addresses, proxy};
use crate::wait::wait_for;

/// A rollout does not wait longer for a replica than this.
const ROLLOUT_READY: Duration = Duration::from_secs(60);
/// Where replicas tell their metrics.
const METRICS_PORT: u16 = 8080;

/// An installed chart.
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    state: Mutex<State>,
}

struct State {
    chart: Chart,
    replicas: Vec<Arc<Replica>>,
    /// How many replicas of a Deployment there have been.
    ordinals: HashMap<String, u32>,
    services: Vec<BoundService>,
}

/// A Service whose cluster IP answers.
struct BoundService {
    service: Service,
    ports: Vec<BoundPort>,
}

struct BoundPort {
    address: SocketAddr,
    target: IntOrString,
    backends: Backends,
    proxy: AbortHandle,
}

impl App {
    pub(super) async fn install(core: Arc<Core>, chart: Chart) -> Result<Self> {
        let state = State { chart, replicas: Vec::new(), ordinals: HashMap::new(), services: Vec::new() };
        let inner = Arc::new(Inner { core, state: Mutex::new(state) });
        inner.reconcile().await?;
        Ok(Self { inner })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(Arc<Inner>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = self.inner.clone();
        self.inner.core.run(async move || work(inner).await).await
    }

    /// The namespace that it is installed in.
    pub fn namespace(&self) -> String {
        self.inner.state().chart.namespace.clone()
    }

    /// The names of all replicas, of each Deployment the oldest first: its name and a number that is never used again.
    pub fn replicas(&self) -> Vec<String> {
        self.inner.state().replicas.iter().map(|r| r.pod.name.clone()).collect()
    }

    /// The names of the replicas of one Deployment.
    pub fn replicas_of(&self, deployment: &str) -> Vec<String> {
        let of = |r: &&Arc<Replica>| r.pod.deployment == deployment;
        self.inner.state().replicas.iter().filter(of).map(|r| r.pod.name.clone()).collect()
    }

    /// A replica's own address.
    pub fn address(&self, replica: &str) -> Result<Ipv4Addr> {
        Ok(self.inner.replica(replica)?.pod.ip)
    }

    /// Acts on a replica's way to the API server, with [`Chart::linked`].
    pub fn link(&self, replica: &str, act: impl FnOnce(&ApiLink)) -> Result<()> {
        let replica = self.inner.replica(replica)?;
        act(replica.link.as_ref().context("its chart is not linked")?);
        Ok(())
    }

    /// Stops a replica's processes where they stand, as a machine that is suspended does.
    pub fn pause(&self, replica: &str) -> Result<()> {
        let replica = self.inner.replica(replica)?;
        replica.processes().iter().try_for_each(|name| self.inner.core.site.processes.pause(name))
    }

    /// Lets them go on.
    pub fn wake(&self, replica: &str) -> Result<()> {
        let replica = self.inner.replica(replica)?;
        replica.processes().iter().try_for_each(|name| self.inner.core.site.processes.wake(name))
    }

    /// Whether a replica's readiness probes succeed.
    pub fn is_ready(&self, replica: &str) -> Result<bool> {
        Ok(self.inner.replica(replica)?.is_ready())
    }

    /// What a replica counts under a name with labels, as its metrics write it; 0 before the first time.
    pub async fn metric(&self, replica: &str, name: &str) -> Result<f64> {
        let ip = self.address(replica)?;
        let answer = fetch(SocketAddr::new(ip.into(), METRICS_PORT), &ip.to_string(), "/metrics", None, &[]).await?;
        let value = answer.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.map(str::parse).transpose()?.unwrap_or_default())
    }

    /// Where a Service answers: its cluster IP and first port.
    pub fn service_address(&self, service: &str) -> Result<SocketAddr> {
        let state = self.inner.state();
        let bound = state.services.iter().find(|s| s.service.name_any() == service);
        let port =
            bound.and_then(|s| s.ports.first()).with_context(|| format!("no Service {service} with a cluster IP"))?;
        Ok(port.address)
    }

    /// Waits until all replicas are ready.
    pub async fn wait_ready(&self, within: Duration) -> Result<()> {
        self.run(async move |inner| {
            let replicas = inner.state().replicas.clone();
            try_join_all(replicas.iter().map(async |r| r.wait_ready(&inner.core.site.processes, within).await)).await?;
            Ok(())
        })
        .await
    }

    /// Kills a replica as a crash would: its Service hears of it from the readiness probe.
    pub fn kill(&self, replica: &str) -> Result<()> {
        let replica = self.inner.replica(replica)?;
        replica.processes().iter().try_for_each(|name| self.inner.core.site.processes.kill(name))
    }

    /// Ends a replica as the deletion of a Pod does: no new connections from its Services, preStop hook, SIGTERM, and after
    /// the grace period SIGKILL. Returns the exit code of its first container, None when it was killed.
    pub async fn terminate(&self, replica: &str) -> Result<Option<i32>> {
        let replica = self.inner.replica(replica)?;
        self.run(async move |inner| inner.terminate(&replica).await).await
    }

    /// Starts a replica again, killing it first if it still runs, and waits until it is ready.
    pub async fn restart(&self, replica: &str, within: Duration) -> Result<()> {
        let replica = self.inner.replica(replica)?;
        self.run(async move |inner| {
            replica.processes().iter().try_for_each(|name| inner.core.site.processes.restart(name))?;
            replica.set_withdrawn(false);
            inner.refresh_backends()?;
            replica.wait_ready(&inner.core.site.processes, within).await
        })
        .await
    }

    /// The last lines that a replica has written.
    pub fn log_tail(&self, replica: &str, lines: usize) -> Result<String> {
        self.inner.core.site.processes.log_tail(&self.inner.replica(replica)?.first_process()?, lines)
    }

    /// Where a replica's output goes.
    pub fn log_path(&self, replica: &str) -> Result<PathBuf> {
        Ok(self.inner.core.site.processes.log_path(&self.inner.replica(replica)?.first_process()?))
    }

    /// Brings the files of ConfigMap and Secret volumes up to date, which a kubelet does within a minute or so. Returns
    /// whether any changed.
    pub async fn sync_config_maps(&self) -> Result<bool> {
        self.run(async |inner| {
            let replicas = inner.state().replicas.clone();
            let mut changed = false;
            for replica in replicas {
                changed |= replica.pod.sync_volumes(inner.core.objects.client()).await?;
            }
            Ok(changed)
        })
        .await
    }

    /// Upgrades to another chart, or other values, or another program, and rolls out what has changed: one replica at a
    /// time, the new one before the old one ends unless the Deployment's strategy says otherwise.
    pub async fn upgrade(&self, chart: Chart) -> Result<()> {
        self.inner.state().chart = chart;
        self.run(async |inner| inner.reconcile().await).await
    }

    /// Uninstalls the chart and ends the replicas.
    pub async fn uninstall(self) -> Result<()> {
        self.run(async |inner| {
            let (chart, replicas) = {
                let mut state = inner.state();
                for port in state.services.drain(..).flat_map(|s| s.ports) {
                    port.proxy.abort();
                }
                (state.chart.clone(), state.replicas.clone())
            };
            let core = inner.core.clone();
            spawn_blocking(move || chart.helm_uninstall(&core.site)).await??;
            for replica in replicas {
                inner.terminate(&replica).await?;
                inner.forget(&replica)?;
            }
            Ok(())
        })
        .await
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replica(&self, name: &str) -> Result<Arc<Replica>> {
        let found = self.state().replicas.iter().find(|r| r.pod.name == name).cloned();
        found.ok_or_else(|| anyhow!("no replica {name}; there are {:?}", self.names()))
    }

    fn names(&self) -> Vec<String> {
        self.state().replicas.iter().map(|r| r.pod.name.clone()).collect()
    }

    /// Runs helm and makes the replicas what its Deployments say.
    async fn reconcile(&self) -> Result<()> {
        let chart = self.state().chart.clone();
        let core = self.core.clone();
        let manifest = spawn_blocking({
            let chart = chart.clone();
            move || chart.helm_upgrade(&core.site)
        })
        .await??;
        let client = self.core.objects.client();
        let objects = parse(&manifest)?;
        let named = |kind: &str| -> Vec<String> {
            let of_kind = objects.iter().filter(|o| o.get("kind").and_then(Value::as_str) == Some(kind));
            of_kind.filter_map(|o| o.pointer("/metadata/name")?.as_str().map(str::to_owned)).collect()
        };
        let mut services = Vec::new();
        for name in named("Service") {
            services.push(Api::<Service>::namespaced(client.clone(), &chart.namespace).get(&name).await?);
        }
        self.bind_services(services);
        let names = named("Deployment");
        let gone: Vec<_> =
            self.state().replicas.iter().filter(|r| !names.contains(&r.pod.deployment)).cloned().collect();
        for replica in gone {
            self.terminate(&replica).await?;
            self.forget(&replica)?;
        }
        for name in names {
            let deployment = Api::<Deployment>::namespaced(client.clone(), &chart.namespace).get(&name).await?;
            self.roll_out(&chart, &deployment).await.with_context(|| format!("roll out {name}"))?;
        }
        Ok(())
    }

    /// Has the cluster IPs of Services answer.
    fn bind_services(&self, services: Vec<Service>) {
        let mut state = self.state();
        for service in services {
            let name = service.name_any();
            if let Some(bound) = state.services.iter_mut().find(|s| s.service.name_any() == name) {
                bound.service = service;
                continue;
            }
            let ports = service.spec.as_ref().and_then(|spec| spec.ports.clone()).unwrap_or_default();
            let bind = |(address, port): (SocketAddr, k8s_openapi::api::core::v1::ServicePort)| {
                let backends = Backends::default();
                let proxy = self.core.spawn(proxy(address, backends.clone(), self.core.claimed.clone()));
                let target = port.target_port.unwrap_or(IntOrString::Int(port.port));
                BoundPort { address, target, backends, proxy }
            };
            let ports = addresses(&service).into_iter().zip(ports).map(bind).collect();
            state.services.push(BoundService { service, ports });
        }
    }

    /// Tells the proxies which replicas there are.
    fn refresh_backends(&self) -> Result<()> {
        let state = self.state();
        for bound in &state.services {
            let selector = bound.service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
            let selected: Vec<_> = (state.replicas.iter())
                .filter(|r| !selector.is_empty() && !r.is_withdrawn())
                .filter(|r| selector.iter().all(|(key, value)| r.pod.labels.get(key) == Some(value)))
                .collect();
            for port in &bound.ports {
                let backends = selected.iter().map(|r| r.backend(&port.target)).collect::<Result<_>>();
                port.backends.replace(backends.with_context(|| format!("Service {}", bound.service.name_any()))?);
            }
        }
        Ok(())
    }

    /// Makes the replicas of a Deployment what it says.
    async fn roll_out(&self, chart: &Chart, deployment: &Deployment) -> Result<()> {
        let spec = deployment.spec.as_ref().context("a Deployment without spec")?;
        let wanted = usize::try_from(spec.replicas.unwrap_or(1))?;
        let rolling = spec.strategy.as_ref().and_then(|s| s.rolling_update.as_ref());
        let surges = rolling.and_then(|r| r.max_surge.as_ref()) != Some(&IntOrString::Int(0));
        let of_deployment: Vec<_> = {
            let name = deployment.name_any();
            self.state().replicas.iter().filter(|r| r.pod.deployment == name).cloned().collect()
        };
        let template = Pod::new(&self.core.site, deployment, 0, Ipv4Addr::LOCALHOST)?;
        let (mut current, mut old): (Vec<_>, Vec<_>) =
            of_deployment.into_iter().partition(|r| r.pod.is_like(&template) && r.program == chart.program);

        while !old.is_empty() && current.len() < wanted {
            let outgoing = old.remove(0);
            if !surges {
                self.end(&outgoing).await?;
            }
            let replica = self.start_replica(chart, deployment).await?;
            self.refresh_backends()?;
            replica.wait_ready(&self.core.site.processes, ROLLOUT_READY).await?;
            current.push(replica);
            if surges {
                self.end(&outgoing).await?;
            }
        }
        // More than there were before, or the first ones.
        let missing = wanted.saturating_sub(current.len());
        try_join_all((0..missing).map(async |_| self.start_replica(chart, deployment).await)).await?;
        self.refresh_backends()?;
        for surplus in old.iter().chain(current.iter().skip(wanted)) {
            self.end(surplus).await?;
        }
        Ok(())
    }

    async fn start_replica(&self, chart: &Chart, deployment: &Deployment) -> Result<Arc<Replica>> {
        let ordinal = {
            let mut state = self.state();
            let next = state.ordinals.entry(deployment.name_any()).or_default();
            *next += 1;
            *next - 1
        };
        let site = &self.core.site;
        let client = self.core.objects.client();
        let mut pod = Pod::new(site, deployment, ordinal, self.core.replica_address()?)?;
        let link = if chart.linked { Some(ApiLink::start(&self.core, pod.ip).await?) } else { None };
        pod.access = link.as_ref().map(|link| link.access().clone());
        // Like a kubelet: no container starts before what it mounts is there.
        let what = format!("the volumes of {} are there", pod.name);
        wait_for(&what, ROLLOUT_READY, async || pod.sync_volumes(client).await.map(Some)).await?;
        let programs = pod.programs(site, client, &chart.program, &chart.environment).await?;
        for program in programs {
            site.processes.start(program)?;
        }
        let replica = Arc::new(Replica::watch(&self.core, pod, chart.program.clone(), link)?);
        let mut state = self.state();
        state.replicas.push(replica.clone());
        // Replicas that start together are done in any order.
        state.replicas.sort_by(|a, b| (&a.pod.deployment, a.pod.ordinal).cmp(&(&b.pod.deployment, b.pod.ordinal)));
        Ok(replica)
    }

    async fn terminate(&self, replica: &Replica) -> Result<Option<i32>> {
        replica.set_withdrawn(true);
        self.refresh_backends()?;
        replica.terminate(&self.core.site.processes).await
    }

    async fn end(&self, replica: &Arc<Replica>) -> Result<()> {
        self.terminate(replica).await?;
        self.forget(replica)
    }

    fn forget(&self, replica: &Arc<Replica>) -> Result<()> {
        self.state().replicas.retain(|r| !Arc::ptr_eq(r, replica));
        replica.processes().iter().try_for_each(|name| self.core.site.processes.forget(name))
    }
}
