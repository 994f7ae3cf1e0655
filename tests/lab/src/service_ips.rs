//! Cluster IPs that answer, without kube-proxy: a process that binds a Service's cluster IP *is* that Service.
//!
//! The service range of a lab lies in 127.0.0.0/8, so any process can bind its addresses.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::gateway::{RequestLog, accepted, answer_requests, record};
use crate::view::{ClusterView, bare_host};

/// How often the Services and the backends' readiness are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The addresses at which a Service is reached.
pub(crate) fn addresses(service: &Service) -> Vec<SocketAddr> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let ip = spec.cluster_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()).filter(IpAddr::is_loopback);
    let ports = spec.ports.iter().flatten().filter_map(|port| u16::try_from(port.port).ok());
    ip.map(|ip| ports.map(|port| SocketAddr::new(ip, port)).collect()).unwrap_or_default()
}

/// Addresses that proxies answer at, which the stand-in for applications leaves alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claimed(Arc<Mutex<HashSet<SocketAddr>>>);

impl Claimed {
    fn set(&self) -> MutexGuard<'_, HashSet<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self, address: SocketAddr) -> Claim {
        self.set().insert(address);
        Claim { claimed: self.clone(), address }
    }
}

/// Gives an address back when its proxy ends.
struct Claim {
    claimed: Claimed,
    address: SocketAddr,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claimed.set().remove(&self.address);
    }
}

/// Answers at the cluster IP of every Service as its Pods would, for gateways that dial cluster IPs.
pub(crate) async fn serve_all(view: ClusterView, log: RequestLog, claimed: Claimed) {
    let mut open: HashMap<SocketAddr, AbortHandle> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        ticks.tick().await;
        let mut wanted = HashMap::new();
        for service in view.services.state().into_iter().filter(|s| s.name_any() != "kubernetes") {
            for address in addresses(&service) {
                wanted.insert(address, service.clone());
            }
        }
        {
            let claimed = claimed.set();
            wanted.retain(|address, _| !claimed.contains(address));
        }
        open.retain(|address, task| {
            let keep = wanted.contains_key(address) && !task.is_finished();
            if !keep {
                task.abort();
            }
            keep
        });
        for (address, service) in wanted {
            if open.contains_key(&address) {
                continue;
            }
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    open.insert(address, tasks.spawn(serve_one(listener, service, view.clone(), log.clone())));
                }
                Err(error) => tracing::debug!(%address, %error, "a Service's address cannot be bound"),
            }
        }
    }
}

async fn serve_one(listener: TcpListener, service: Arc<Service>, view: ClusterView, log: RequestLog) {
    let mut connections = JoinSet::new();
    loop {
        let Some(stream) = accepted(listener.accept().await) else { continue };
        let (service, view, log) = (service.clone(), view.clone(), log.clone());
        connections.spawn(answer_requests(stream, async move |request| {
            let host = request.headers().get("host").and_then(|h| h.to_str().ok()).map(bare_host).unwrap_or_default();
            let answered = view.answer(&service, &host, request.uri().path());
            record(&log, request, false, answered.status);
            answered
        }));
        while connections.try_join_next().is_some() {}
    }
}

/// Something behind a Service.
#[derive(Clone)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    /// Whether it wants connections; kept up to date by whoever knows.
    pub(crate) ready: watch::Receiver<bool>,
}

/// The backends of one address of a Service, to be replaced at any time.
#[derive(Clone, Default)]
pub(crate) struct Backends(Arc<Mutex<Vec<Backend>>>);

impl Backends {
    pub(crate) fn replace(&self, backends: Vec<Backend>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = backends;
    }

    fn ready(&self) -> Vec<SocketAddr> {
        let backends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        backends.iter().filter(|b| *b.ready.borrow()).map(|b| b.address).collect()
    }
}

/// Passes connections on to the ready backends in turn. While there is none, connections are refused, as kube-proxy does.
/// Those that stand stay until one side closes them, whatever becomes of the readiness.
pub(crate) async fn proxy(address: SocketAddr, backends: Backends, claimed: Claimed) {
    let _claim = claimed.claim(address);
    let mut ticks = tokio::time::interval(LOOK);
    let mut next = 0_usize;
    loop {
        ticks.tick().await;
        if backends.ready().is_empty() {
            continue;
        }
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) => {
                // The stand-in for applications lets go of it within a look.
                if error.kind() != ErrorKind::AddrInUse {
                    tracing::error!(%address, %error, "a Service's address cannot be bound");
                }
                continue;
            }
        };
        loop {
            tokio::select! {
                _ = ticks.tick() => if backends.ready().is_empty() { break },
                stream = listener.accept() => {
                    let Some(stream) = accepted(stream) else { continue };
                    let ready = backends.ready();
                    let Some(backend) = ready.get(next % ready.len().max(1)).copied() else { break };
                    next = next.wrapping_add(1);
                    tokio::spawn(pass_on(stream, backend));
                }
            }
        }
    }
}

async fn pass_on(mut from: TcpStream, to: SocketAddr) {
    let passed = async {
        let mut to = TcpStream::connect(to).await?;
        // Small messages both ways: do not let them wait for each other.
        from.set_nodelay(true)?;
        to.set_nodelay(true)?;
        tokio::io::copy_bidirectional(&mut from, &mut to).await
    };
    if let Err(error) = passed.await {
        tracing::debug!(%to, %error, "a proxied connection ended");
    }
}
