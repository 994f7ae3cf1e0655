//! A running lab.

mod options;
mod questions;
mod start;

use std::fs;
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use kube::Client;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

pub use self::options::{Gateway, LabOptions, Progress};
use crate::access::{self, Identity};
use crate::acme_front::{AcmeFront, AcmeLimits};
use crate::apisix::{self, AdminStore};
use crate::dns::DnsServer;
use crate::gateway::{RequestLog, RequestSeen};
use crate::objects::{self, Objects};
use crate::pebble::Pebble;
use crate::process::Processes;
use crate::service_ips::Claimed;
use crate::site::Site;
use crate::{cert_manager, control_plane, pebble, traefik};

/// Replicas of an application have addresses of their own from here on.
const FIRST_REPLICA: u8 = 10;
/// How much of each log is shown when a test fails, and with `CERTGATE_LAB_VERBOSE`.
const FAILURE_LINES: usize = 12;
const VERBOSE_LINES: usize = 400;

/// Real Kubernetes, cert-manager, ACME and DNS on one loopback address. Dropping it ends all of it at once.
///
/// What runs in this process (DNS, the built-in gateway, proxies) runs on threads of the lab's own, so that one lab can
/// serve tests that each have a runtime of their own.
pub struct Lab {
    core: Arc<Core>,
    dns: DnsServer,
    runtime: Option<Runtime>,
}

/// What the tasks of a lab share.
pub(crate) struct Core {
    pub(crate) site: Site,
    pub(crate) objects: Objects,
    pub(crate) claimed: Claimed,
    admin: AdminStore,
    requests: RequestLog,
    tasks: Mutex<JoinSet<()>>,
    next_replica: AtomicU8,
    handle: Handle,
}

impl Core {
    /// Runs a task until the lab ends or the task is aborted.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn_on(task, &self.handle)
    }

    /// Runs something on the lab's runtime: connections of its client must not depend on the caller's.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        run_on(&self.handle, work).await
    }

    /// An address that no other replica of the lab has had.
    pub(crate) fn replica_address(&self) -> Result<Ipv4Addr> {
        let last = self.next_replica.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1));
        Ok(self.site.address.nth(last.ok().context("the lab has no address left for a replica")?))
    }
}

/// Runs something on a runtime and waits for it on another; ends it when nobody waits any more.
///
/// On a thread of its own, as what polls with async closures is not `Send` in the compiler's eyes.
async fn run_on<T: Send + 'static>(
    handle: &Handle,
    work: impl AsyncFnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (mut done, result) = oneshot::channel();
    let handle = handle.clone();
    std::thread::Builder::new().name("lab call".into()).spawn(move || {
        handle.block_on(async {
            let result = tokio::select! {
                result = work() => result,
                () = done.closed() => return,
            };
            // An error only when nobody waits any more.
            let _ = done.send(result);
        });
    })?;
    result.await.context("a call to the lab panicked")?
}

impl Lab {
    /// Starts a lab; builds its programs first, if need be. Prints nothing else.
    pub async fn start(options: LabOptions) -> Result<Self> {
        start::start(options).await
    }

    /// Starts a lab for one test. Should the test fail, the ends of all logs go to standard error.
    pub async fn with<T>(options: LabOptions, test: impl AsyncFnOnce(&Self) -> Result<T>) -> Result<T> {
        let lab = Self::start(options).await?;
        let result = test(&lab).await;
        if result.is_err() {
            lab.print_log_tails();
        }
        lab.stop()?;
        result
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.core.run(work).await
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn site(&self) -> &Site {
        &self.core.site
    }

    /// Puts limits before Pebble, for issuers that order through there.
    pub async fn limit_acme(&self, limits: AcmeLimits) -> Result<AcmeFront> {
        let core = self.core.clone();
        self.run(async move || AcmeFront::start(&core, limits).await).await
    }

    /// The lab's number on this machine.
    pub fn number(&self) -> u8 {
        self.site().address.number()
    }

    /// The address of everything but replicas.
    pub fn ip(&self) -> Ipv4Addr {
        self.site().address.ip()
    }

    /// An address that nothing else of the lab uses, for a server of the test's own.
    pub fn spare_address(&self) -> Result<Ipv4Addr> {
        self.core.replica_address()
    }

    /// Where Services get their cluster IPs.
    pub fn service_cidr(&self) -> String {
        self.site().address.service_cidr()
    }

    /// The domain for names of the tests' own. Nothing below it resolves until [`Lab::dns`] is told.
    pub fn domain(&self) -> String {
        self.site().address.domain()
    }

    /// `name` below [`Lab::domain`], resolving to the lab's gateway from now on.
    pub fn host(&self, name: &str) -> String {
        let host = format!("{name}.{}", self.domain());
        self.dns.a(&host, self.ip());
        host
    }

    /// The DNS server that Pebble and cert-manager ask, on port 53 of [`Lab::ip`].
    pub fn dns(&self) -> &DnsServer {
        &self.dns
    }

    /// The ACME server.
    pub fn pebble(&self) -> Pebble<'_> {
        Pebble { site: self.site() }
    }

    /// The lab's directory: logs, keys, kubeconfig.
    pub fn directory(&self) -> &Path {
        &self.site().directory
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> PathBuf {
        self.site().kubeconfig()
    }

    /// The certificate of the authority that signed the API server's.
    pub fn authority_pem(&self) -> &str {
        &self.site().authority
    }

    /// A new client with all rights. It belongs to the caller's runtime.
    pub async fn client(&self) -> Result<Client> {
        self.site().access.client(&Identity::Admin).await
    }

    /// A new client with the rights of `identity`.
    pub async fn client_as(&self, identity: &Identity) -> Result<Client> {
        self.site().access.client(identity).await
    }

    /// A service account's identity; the account is made when it does not exist.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Result<Identity> {
        let (core, namespace, name) = (self.core.clone(), namespace.to_owned(), name.to_owned());
        let work = async move || access::service_account_token(core.objects.client(), &namespace, &name).await;
        Ok(Identity::Token(self.run(work).await?))
    }

    /// Writes a kubeconfig file for an identity.
    pub fn write_kubeconfig(&self, path: &Path, identity: &Identity) -> Result<()> {
        self.site().access.write_kubeconfig(path, identity)
    }

    /// Applies the objects in a YAML or JSON text, of whatever kinds, by server-side apply.
    pub async fn apply(&self, manifests: &str) -> Result<Vec<DynamicObject>> {
        self.apply_value(Value::Array(objects::parse(manifests)?)).await
    }

    /// Applies one object, an array of them or a list.
    pub async fn apply_value(&self, manifest: Value) -> Result<Vec<DynamicObject>> {
        let core = self.core.clone();
        self.run(async move || core.objects.apply(manifest).await).await
    }

    /// Makes a namespace.
    pub async fn namespace(&self, name: &str) -> Result<()> {
        self.apply_value(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await?;
        Ok(())
    }

    /// Waits until an applied object has a condition, such as `Ready`, with the status `True`.
    pub async fn wait_for_condition(&self, object: &DynamicObject, condition: &str) -> Result<()> {
        let (core, object, condition) = (self.core.clone(), object.clone(), condition.to_owned());
        self.run(async move || cert_manager::wait_for_condition(&core.objects, &object, &condition).await).await
    }

    /// Asks `probe` until it has an answer; an error counts as "not yet".
    pub async fn wait_for<T>(
        &self,
        what: &str,
        within: Duration,
        probe: impl AsyncFnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        crate::wait_for(what, within, probe).await
    }

    /// The requests that the built-in gateway, or the backends behind another one, have answered.
    pub fn requests(&self) -> Vec<RequestSeen> {
        self.core.requests.all()
    }

    /// What the APISIX controller has written, with [`Gateway::Apisix`].
    pub fn apisix(&self) -> &AdminStore {
        &self.core.admin
    }

    /// The API server's audit log, with [`LabOptions::audit_log`]: all writes.
    pub fn audit_log(&self) -> Result<Vec<Value>> {
        let path = control_plane::audit_log(self.site());
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        // The last line may still be being written.
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The child processes, by the names of what they run: `etcd`, `kube-apiserver`, `kube-controller-manager`, `pebble`,
    /// `cert-manager`, `traefik`, `apisix-ingress-controller`.
    pub fn processes(&self) -> &Processes {
        &self.site().processes
    }

    /// Kills one of the programs.
    pub fn kill(&self, name: &str) -> Result<()> {
        self.processes().kill(name)
    }

    /// Starts one of the programs again and waits until it is ready.
    pub async fn restart(&self, name: &str) -> Result<()> {
        self.processes().restart(name)?;
        let (core, name) = (self.core.clone(), name.to_owned());
        self.run(async move || match name.as_str() {
            control_plane::API_SERVER => control_plane::wait_ready(&core.site).await,
            pebble::NAME => pebble::wait_ready(&core.site).await,
            cert_manager::NAME => cert_manager::wait_ready(&core.site).await,
            apisix::NAME => apisix::wait_ready(&core.site).await,
            traefik::NAME => traefik::wait_ready(&core.site).await,
            _ => Ok(()),
        })
        .await
    }

    /// The last lines of a program's log.
    pub fn log_tail(&self, name: &str, lines: usize) -> Result<String> {
        self.processes().log_tail(name, lines)
    }

    /// Writes the ends of all logs to standard error.
    #[expect(clippy::print_stderr, reason = "for whoever looks into a failed test")]
    pub fn print_log_tails(&self) {
        let lines = if options::is_verbose() { VERBOSE_LINES } else { FAILURE_LINES };
        for name in self.processes().names() {
            match self.log_tail(&name, lines) {
                Ok(tail) => eprintln!("----- {name}\n{tail}"),
                Err(error) => eprintln!("----- {name}: {error:#}"),
            }
        }
    }

    /// Ends everything at once and removes the directory.
    pub fn stop(self) -> Result<()> {
        self.processes().stop()
    }

    /// Waits for Ctrl-C or SIGTERM, with the lab running. For demonstrations.
    pub async fn wait_for_interrupt(&self) -> Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result?,
            _ = terminate.recv() => {}
        }
        Ok(())
    }

    /// Leaves the child processes running and the directory in place. What ran in this process ends with it: DNS, the
    /// built-in gateway and the proxies; those who want these too use [`Lab::wait_for_interrupt`].
    pub fn keep(self) -> KeptLab {
        KeptLab {
            processes: self.processes().leave(),
            directory: self.directory().to_owned(),
            kubeconfig: self.kubeconfig(),
        }
    }
}

/// What [`Lab::keep`] leaves.
#[derive(Clone, Debug)]
pub struct KeptLab {
    /// Names and process ids; each leads a process group of its own.
    pub processes: Vec<(String, u32)>,
    /// The directory, which is the caller's to remove.
    pub directory: PathBuf,
    /// The administrator's kubeconfig file.
    pub kubeconfig: PathBuf,
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_log_tails();
        }
        if let Err(error) = self.processes().stop() {
            tracing::error!(%error, "not all processes of the lab could be stopped");
        }
        // The caller may be a task itself, where blocking is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
