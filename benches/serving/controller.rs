//! The controller's cold start in a real API server that holds many Ingresses and Domains.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use certgate::{api::domain::Domain, cli::crd};
use certgate_lab::{Lab, LabOptions};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::networking::v1::Ingress;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{
    contender,
    memory::{until, until_ready},
    report::{Section, Table},
};

/// Ingresses, and as many Domains.
const OBJECTS: usize = 10_000;
/// To a namespace.
const EACH: usize = 200;
/// Writes under way at a time.
const WRITES: usize = 32;
/// How long it is left to work at least: by then the queue was counted full.
const AT_WORK: Duration = Duration::from_secs(15);
const ADMIN: &str = "127.0.0.1:19447";
const SYSTEM: &str = "certgate-system";

const SECTION: Section = Section {
    title: "The controller's cold start and memory",
    command: "cargo bench --bench serving -- controller",
    about: "`certgate controller` from its start until /readyz: the Lease taken, 10,000 flagged Ingresses and their 10,000 verified \
Domains listed, from a real API server on the same two cores. Then at work until all that is verified is injected and no plan waits to be made.",
};

struct Controller(Child);

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn measure() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let text = runtime.block_on(Lab::with(LabOptions::bare(), async |lab| {
        let client = lab.client().await?;
        fill(lab, &client).await?;
        start(lab).await
    }))?;
    SECTION.put(&text)
}

async fn fill(lab: &Lab, client: &Client) -> Result<()> {
    for definition in crd::definitions() {
        lab.apply_value(serde_json::to_value(&definition)?).await?;
    }
    lab.namespace(SYSTEM).await?;
    for namespace in 0..OBJECTS.div_ceil(EACH) {
        lab.namespace(&format!("team-{namespace}")).await?;
    }
    let start = Instant::now();
    stream::iter(0..OBJECTS)
        .map(|n| write(client.clone(), n))
        .buffer_unordered(WRITES)
        .try_for_each(|()| std::future::ready(Ok(())))
        .await?;
    eprintln!("{OBJECTS} Ingresses and Domains written in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// One Ingress as people write them, and its Domain as the controller leaves it.
async fn write(client: Client, n: usize) -> Result<()> {
    let (namespace, host) = (format!("team-{}", n / EACH), format!("www.shop-{n}.example.com"));
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let path = |path: &str| json!({"path": path, "pathType": "Prefix", "backend": backend});
    let ingress: Ingress = serde_json::from_value(json!({
        "metadata": {"name": format!("shop-{n}"), "labels": {"app.kubernetes.io/name": "shop", "app.kubernetes.io/managed-by": "Helm"},
                     "annotations": {"meta.helm.sh/release-name": "shop", "nginx.ingress.kubernetes.io/proxy-body-size": "8m"}},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": host, "http": {"paths": [path("/"), path("/api")]}}]},
    }))?;
    Api::namespaced(client.clone(), &namespace).create(&PostParams::default(), &ingress).await?;
    let domain: Domain = serde_json::from_value(json!({
        "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain", "metadata": {"name": host}, "spec": {"host": host},
    }))?;
    let api: Api<Domain> = Api::namespaced(client, &namespace);
    api.create(&PostParams::default(), &domain).await?;
    let status = json!({"status": {
        "verdict": {"reason": "Verified", "subject": host, "issuer": {"name": "le"}, "validUntil": "2099-01-01T00:00:00Z"},
        "observed": ["203.0.113.7"], "required": ["203.0.113.7"],
        "lastCheckTime": "2026-11-24T12:00:00Z", "nextCheckTime": "2099-01-01T00:00:00Z", "profile": "standard",
    }});
    api.patch_status(&host, &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

async fn start(lab: &Lab) -> Result<String> {
    let folder = lab.directory();
    let policy = folder.join("policy.yaml");
    fs::write(
        &policy,
        "issuer: {name: le}\nautoIssue: all\ngateway: {addresses: [203.0.113.7], allowReserved: true}\ndns: {servers: [\"127.0.0.1:9\"]}\n",
    )?;
    let log = fs::File::create(folder.join("controller.log"))?;
    let start = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_certgate"))
        .args(["controller", &format!("--admin-listen={ADMIN}"), "--page-listen=off", "--serving-cert=files"])
        .args(["--namespace", SYSTEM])
        .arg(format!("--kubeconfig={}", lab.kubeconfig().display()))
        .arg(format!("--policy={}", policy.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    let mut controller = Controller(child);
    // Before it leads it is ready, too, to stand by.
    until(ADMIN, "/metrics", "certgate_controller_leading 1").await?;
    until_ready(ADMIN).await?;
    let took = start.elapsed();
    let (peak, ready) = contender::memory_of(controller.0.id())?;
    tokio::time::sleep(AT_WORK).await;
    until(ADMIN, "/metrics", "certgate_controller_queue{state=\"ready\"} 0\n").await?;
    let worked = start.elapsed() - took;
    ensure!(controller.0.try_wait()?.is_none(), "the controller ended");
    let (peak_at_work, at_work) = contender::memory_of(controller.0.id())?;
    let megabytes = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
    let mut table = Table::default();
    table.head(&[
        "Ingresses and Domains",
        "cold start to ready",
        "RSS MB",
        "peak",
        "all injected",
        "RSS MB then",
        "peak",
    ]);
    table.row(&[
        format!("{OBJECTS} and {OBJECTS}"),
        format!("{:.2} s", took.as_secs_f64()),
        megabytes(ready),
        megabytes(peak),
        format!("{:.0} s", worked.as_secs_f64()),
        megabytes(at_work),
        megabytes(peak_at_work),
    ]);
    Ok(table.text())
}
