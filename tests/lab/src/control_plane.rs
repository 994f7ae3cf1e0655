//! etcd, kube-apiserver and kube-controller-manager.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use hyper::header::AUTHORIZATION;

use crate::access::{ADMIN_TOKEN, API_PORT};
use crate::process::Program;
use crate::site::Site;

pub(crate) const ETCD: &str = "etcd";
pub(crate) const API_SERVER: &str = "kube-apiserver";
pub(crate) const CONTROLLER_MANAGER: &str = "kube-controller-manager";
const READY_WITHIN: Duration = Duration::from_secs(90);
/// Bodies of writes, so that tests can see who wrote what; the reads are not worth their bytes.
const AUDIT_POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: None, verbs: [get, list, watch]}
  - {level: Metadata, resources: [{group: "", resources: [secrets, serviceaccounts/token]}]}
  - {level: RequestResponse}
"#;

/// Starts etcd and the API server, which finds etcd by itself.
pub(crate) fn start(site: &Site, arguments: &[String], audit: bool) -> Result<()> {
    site.processes.start(etcd(site)?)?;
    let mut program = api_server(site)?;
    if audit {
        let policy = site.directory.join("audit-policy.yaml");
        fs::write(&policy, AUDIT_POLICY)?;
        program = program.args([
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", audit_log(site)),
        ]);
    }
    site.processes.start(program.args(arguments))
}

pub(crate) fn audit_log(site: &Site) -> String {
    site.path("log/audit")
}

fn etcd(site: &Site) -> Result<Program> {
    let (client, peer) = (site.socket(2379), site.socket(2380));
    let program = Program::new(ETCD, site.parts.program("etcd")?).args([
        "--name=lab".to_owned(),
        format!("--data-dir={}", site.path("etcd")),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
        format!("--listen-client-urls=http://{client}"),
        format!("--advertise-client-urls=http://{client}"),
        format!("--listen-peer-urls=http://{peer}"),
        format!("--initial-advertise-peer-urls=http://{peer}"),
        format!("--initial-cluster=lab=http://{peer}"),
    ]);
    // The lab's number is taken for as long as its etcd lives, even after this process.
    Ok(program.input(site.address.lock()?))
}

fn api_server(site: &Site) -> Result<Program> {
    let ip = site.address.ip();
    Ok(Program::new(API_SERVER, site.parts.program("kube-apiserver")?).args([
        format!("--etcd-servers=http://{}", site.socket(2379)),
        format!("--bind-address={ip}"),
        format!("--secure-port={API_PORT}"),
        format!("--advertise-address={ip}"),
        // Nobody reads the endpoints, and EndpointSlices refuse loopback addresses.
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--service-cluster-ip-range={}", site.address.service_cidr()),
        format!("--tls-cert-file={}", site.path("pki/apiserver.crt")),
        format!("--tls-private-key-file={}", site.path("pki/apiserver.key")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", site.path("pki/sa.pub")),
        format!("--service-account-signing-key-file={}", site.path("pki/sa.key")),
        format!("--token-auth-file={}", site.path("tokens.csv")),
        "--authorization-mode=RBAC".to_owned(),
        // No controller makes the service accounts that it would demand of Pods.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
    ]))
}

/// Starts the controllers for garbage and namespaces; the others have no nodes to work with.
pub(crate) fn start_controllers(site: &Site, arguments: &[String]) -> Result<()> {
    let path = site.parts.program("kube-controller-manager")?;
    let program = Program::new(CONTROLLER_MANAGER, path).args([
        format!("--kubeconfig={}", site.kubeconfig().display()),
        "--leader-elect=false".to_owned(),
        format!("--bind-address={}", site.address.ip()),
        "--secure-port=0".to_owned(),
        "--controllers=garbage-collector-controller,namespace-controller".to_owned(),
    ]);
    site.processes.start(program.args(arguments))
}

/// Waits until the API server says that it is ready.
pub(crate) async fn wait_ready(site: &Site) -> Result<()> {
    let headers = [(AUTHORIZATION, format!("Bearer {ADMIN_TOKEN}"))];
    let probe = async || site.answers(API_PORT, "/readyz", true, &headers).await;
    site.processes.wait_ready(API_SERVER, READY_WITHIN, probe).await
}
