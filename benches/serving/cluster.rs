//! What a write gains in a real API server, paired: no webhook, the floor, certgate.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use certgate::{api::domain::Domain, cli::crd, pki::x509};
use certgate_lab::{Lab, LabOptions};
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::networking::v1::Ingress};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    Options, bodies, floor,
    report::{Section, Table, median},
};

/// Writes of each kind, a second of the time given.
const WRITES_A_SECOND: f64 = 150.0;
const HOUR: Duration = Duration::from_secs(3600);
const SYSTEM: &str = "certgate-system";

/// A namespace of the measurement and the Service of the webhook for it.
struct Lane {
    name: &'static str,
    namespace: &'static str,
    webhook: Option<&'static str>,
    /// Whether its Ingresses are such as a matchCondition rules out.
    ruled_out: bool,
}

const LANES: [Lane; 4] = [
    Lane { name: "no webhook", namespace: "bare", webhook: None, ruled_out: false },
    Lane { name: "floor", namespace: "floor", webhook: Some("floor"), ruled_out: false },
    Lane { name: "certgate", namespace: "team-a", webhook: Some("certgate-webhook"), ruled_out: false },
    Lane { name: "certgate, ruled out by matchConditions", namespace: "ruled-out", webhook: None, ruled_out: true },
];

const SECTION: Section = Section {
    title: "What a write gains in a real API server",
    command: "cargo bench --bench serving -- cluster",
    about: "Creates of an Ingress with `dryRun=All`, one after the other over one connection, in turn in a namespace without a \
webhook, one with the floor, one with certgate, and one with certgate where each Ingress is such as the chart's matchConditions rule \
out (a label of Rainbond's own); the difference of the medians is what a webhook adds.",
};

/// Processes that end with the measurement.
struct Servers(Vec<Child>);

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn measure(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let table = runtime.block_on(Lab::with(LabOptions::bare(), async |lab| {
        let client = lab.client().await?;
        let servers = start(lab, &client).await?;
        let table = compare(options, lab, &client).await;
        drop(servers);
        table
    }))?;
    SECTION.put(&table)
}

/// Starts both webhooks at cluster IPs of their own.
async fn start(lab: &Lab, client: &Client) -> Result<Servers> {
    for definition in crd::definitions() {
        lab.apply_value(serde_json::to_value(&definition)?).await?;
    }
    lab.namespace(SYSTEM).await?;
    let ca = x509::make_ca(Timestamp::now(), HOUR * 24)?;
    let mut servers = Servers(Vec::new());
    let mut webhooks = Vec::new();
    for (index, lane) in LANES.iter().enumerate() {
        lab.namespace(lane.namespace).await?;
        let Some(service) = lane.webhook else { continue };
        let ip = lab.service_cidr().replace(".0/24", &format!(".{}", 80 + index));
        lab.apply_value(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": service, "namespace": SYSTEM},
            "spec": {"clusterIP": ip, "ports": [{"port": 443}]}}),
        )
        .await?;
        let folder = lab.directory().join(service);
        fs::create_dir_all(&folder)?;
        let leaf = x509::make_leaf(&ca, &[format!("{service}.{SYSTEM}.svc")], Timestamp::now(), HOUR)?;
        fs::write(folder.join("tls.crt"), &leaf.certificate)?;
        fs::write(folder.join("tls.key"), &leaf.key)?;
        fs::write(folder.join("policy.yaml"), "issuer: {name: le}\nautoIssue: all\n")?;
        servers.0.push(if service == "floor" {
            serve_floor(&ip, &folder)?
        } else {
            serve_certgate(lab, &ip, &folder)?
        });
        webhooks.push(webhook(service, lane.namespace, &ca.certificate));
        if service != "floor" {
            webhooks.push(ruled_out(service, &ca.certificate));
        }
    }
    lab.apply_value(json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "certgate"}, "webhooks": webhooks}))
        .await?;
    verify(client).await?;
    Ok(servers)
}

fn serve_floor(ip: &str, folder: &Path) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([floor::ARGUMENT, &format!("{ip}:443")]).arg(folder);
    Ok(command.stdin(Stdio::null()).spawn()?)
}

fn serve_certgate(lab: &Lab, ip: &str, folder: &Path) -> Result<Child> {
    let log = fs::File::create(folder.join("log"))?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_certgate"));
    command.args([
        "webhook",
        &format!("--listen={ip}:443"),
        &format!("--admin-listen={ip}:8080"),
        "--serving-cert=files",
    ]);
    command.arg(format!("--kubeconfig={}", lab.kubeconfig().display()));
    command.arg(format!("--policy={}", folder.join("policy.yaml").display()));
    command.arg(format!("--tls-cert-file={}", folder.join("tls.crt").display()));
    command.arg(format!("--tls-key-file={}", folder.join("tls.key").display()));
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?)
}

fn webhook(service: &str, namespace: &str, ca_pem: &str) -> Value {
    json!({
        "name": format!("{service}.certgate.dev"), "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "failurePolicy": "Fail", "timeoutSeconds": 5,
        "clientConfig": {"service": {"name": service, "namespace": SYSTEM, "path": "/mutate"},
                         "caBundle": ByteString(ca_pem.into())},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [{"apiGroups": ["networking.k8s.io"], "apiVersions": ["v1"], "resources": ["ingresses"],
                   "operations": ["CREATE", "UPDATE"], "scope": "Namespaced"}],
    })
}

/// A webhook of the same server that is not called, for a condition of the chart's.
fn ruled_out(service: &str, ca_pem: &str) -> Value {
    let mut webhook = webhook(service, "ruled-out", ca_pem);
    if let Some(webhook) = webhook.as_object_mut() {
        webhook.insert("name".to_owned(), json!("ruled-out.certgate.dev"));
        webhook.insert(
            "matchConditions".to_owned(),
            json!([{"name": "not-of-the-platform", "expression": "!(has(object.metadata.labels) && 'belongTo' in object.metadata.labels \
                && object.metadata.labels['belongTo'] == 'rainbond-operator')"}]),
        );
    }
    webhook
}

async fn verify(client: &Client) -> Result<()> {
    let api: Api<Domain> = Api::namespaced(client.clone(), bodies::NAMESPACE);
    for host in bodies::HOSTS {
        let domain: Domain = serde_json::from_value(json!({"apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
            "metadata": {"name": host, "namespace": bodies::NAMESPACE}, "spec": {"host": host}}))?;
        api.create(&PostParams::default(), &domain).await?;
        let verdict = json!({"reason": "Verified", "subject": host, "validUntil": "2099-01-01T00:00:00Z"});
        let status = Patch::Merge(json!({"status": {"verdict": verdict}}));
        api.patch_status(host, &PatchParams::default(), &status).await?;
    }
    Ok(())
}

/// A write that is not kept; how long it took and whether it came back with TLS.
async fn write(client: &Client, lane: &Lane) -> Result<(Duration, bool)> {
    let mut object = bodies::ingress(0);
    let metadata = object.pointer_mut("/metadata").context("metadata")?;
    let mut labels = metadata.get("labels").cloned().unwrap_or_default();
    if lane.ruled_out
        && let Some(labels) = labels.as_object_mut()
    {
        labels.insert("belongTo".to_owned(), json!("rainbond-operator"));
    }
    *metadata = json!({"name": "shop", "namespace": lane.namespace, "labels": labels});
    let object: Ingress = serde_json::from_value(object)?;
    let api: Api<Ingress> = Api::namespaced(client.clone(), lane.namespace);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let start = Instant::now();
    let written = api.create(&params, &object).await?;
    Ok((start.elapsed(), written.spec.and_then(|spec| spec.tls).is_some()))
}

/// How often the API server has called a webhook.
async fn calls_of(client: &Client, webhook: &str) -> Result<u64> {
    let metrics = client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
    let of = |name: &str| {
        let lines = metrics.lines().filter(|line| line.starts_with("apiserver_admission_webhook_request_total{"));
        let lines = lines.filter(|line| line.contains(&format!("name=\"{name}\"")));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
    };
    ensure!(of("floor.certgate.dev") > 0, "the API server counts no calls");
    Ok(of(webhook))
}

async fn compare(options: &Options, lab: &Lab, client: &Client) -> Result<String> {
    for lane in LANES.iter().filter(|lane| lane.webhook.is_some()) {
        lab.wait_for(lane.name, Duration::from_secs(30), async || Ok(write(client, lane).await?.1.then_some(())))
            .await?;
    }
    let writes = (options.seconds.as_secs_f64() * options.rounds as f64 * WRITES_A_SECOND) as usize;
    let mut seen: [Vec<f64>; LANES.len()] = Default::default();
    for round in 0..writes {
        for (lane, seen) in LANES.iter().zip(&mut seen) {
            let (took, patched) = write(client, lane).await?;
            ensure!(patched == lane.webhook.is_some(), "{}: a call was lost", lane.name);
            // The first ones open connections.
            if round >= 20 {
                seen.push(took.as_secs_f64() * 1e3);
            }
        }
    }
    let medians = seen.map(median);
    let [bare, floor, ..] = medians;
    let mut table = Table::default();
    table.head(&["", "median ms", "added ms", "× what the floor adds"]);
    for (lane, median) in LANES.iter().zip(medians) {
        let added = median - bare;
        let ratio = if lane.name != "no webhook" { format!("{:.2}", added / (floor - bare)) } else { String::new() };
        table.row(&[lane.name.to_owned(), format!("{median:.2}"), format!("{added:.2}"), ratio]);
    }
    let calls = calls_of(client, "ruled-out.certgate.dev").await?;
    ensure!(calls == 0, "{calls} calls that a matchCondition should have ruled out");
    Ok(format!("{}\n{} writes of each kind; no call for those that are ruled out.\n", table.text(), writes - 20))
}
