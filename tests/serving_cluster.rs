//! The webhook and its certificates in a real API server: rotation under load,
//! vandalism, an API server that goes away. Lifetimes are seconds here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "helpers of tests fail by panicking, like the tests"
)]

#[path = "serving/writers.rs"]
mod writers;

use std::{
    collections::BTreeSet,
    fs::File,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use certgate::{
    api::domain::Domain,
    cli::crd,
    pki::{self, Lifetimes, PkiMetrics, Settings, x509},
};
use certgate_lab::{Identity, Lab, LabOptions};
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use writers::{Writers, Written, failed_open, is_injected};

const SYSTEM: &str = "certgate-system";
const TEAM: &str = "team-a";
const LEAF: Duration = Duration::from_secs(10);
const WITHIN: Duration = Duration::from_secs(60);
fn settings() -> Settings {
    Settings {
        namespace: SYSTEM.to_owned(),
        service: "certgate-webhook".to_owned(),
        ca_secret: "certgate-ca".to_owned(),
        tls_secret: "certgate-webhook-tls".to_owned(),
        mutating: vec!["certgate".to_owned()],
        validating: Vec::new(),
        lifetimes: Lifetimes { leaf: LEAF, ca: LEAF * 4 },
    }
}

/// What the chart would install, with the webhook at a cluster IP of its own.
async fn install(lab: &Lab, ip: &str) -> Result<Identity> {
    for definition in crd::definitions() {
        lab.apply_value(serde_json::to_value(&definition)?).await?;
    }
    for namespace in [SYSTEM, TEAM] {
        lab.namespace(namespace).await?;
    }
    let account = lab.service_account(SYSTEM, "certgate-webhook").await?;
    let subjects = json!([{"kind": "ServiceAccount", "name": "certgate-webhook", "namespace": SYSTEM}]);
    let role = |kind: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "certgate-webhook"});
    let api = "rbac.authorization.k8s.io/v1";
    lab.apply_value(json!([
        {"apiVersion": api, "kind": "ClusterRole", "metadata": {"name": "certgate-webhook"}, "rules": [
            {"apiGroups": ["certgate.dev"], "resources": ["domains"], "verbs": ["list", "watch"]},
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]},
            {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations"],
             "resourceNames": ["certgate"], "verbs": ["get", "list", "watch"]},
        ]},
        {"apiVersion": api, "kind": "ClusterRoleBinding", "metadata": {"name": "certgate-webhook"},
         "roleRef": role("ClusterRole"), "subjects": subjects},
        {"apiVersion": api, "kind": "Role", "metadata": {"name": "certgate-webhook", "namespace": SYSTEM}, "rules": [
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["certgate-webhook-tls"], "verbs": ["get", "list", "watch"]},
        ]},
        {"apiVersion": api, "kind": "RoleBinding", "metadata": {"name": "certgate-webhook", "namespace": SYSTEM},
         "roleRef": role("Role"), "subjects": subjects},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "certgate-webhook", "namespace": SYSTEM},
         "spec": {"clusterIP": ip, "ports": [{"port": 443}]}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
         "metadata": {"name": "certgate"},
         "webhooks": [{
            "name": "ingress.certgate.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Ignore", "timeoutSeconds": 2, "reinvocationPolicy": "IfNeeded",
            "clientConfig": {"service": {"name": "certgate-webhook", "namespace": SYSTEM, "path": "/mutate"}},
            "rules": [{"apiGroups": ["networking.k8s.io"], "apiVersions": ["v1"], "resources": ["ingresses"],
                       "operations": ["CREATE", "UPDATE"], "scope": "Namespaced"}],
         }]},
    ]))
    .await?;
    Ok(account)
}

/// A host that may be injected.
async fn verify(client: &Client, host: &str) -> Result<()> {
    let api: Api<Domain> = Api::namespaced(client.clone(), TEAM);
    let domain: Domain = serde_json::from_value(json!({
        "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
        "metadata": {"name": host, "namespace": TEAM}, "spec": {"host": host, "autoIssue": true},
    }))?;
    api.create(&PostParams::default(), &domain).await?;
    let verdict = json!({"reason": "Verified", "subject": host, "validUntil": "2099-01-01T00:00:00Z"});
    let status = Patch::Merge(json!({"status": {"verdict": verdict}}));
    api.patch_status(host, &PatchParams::default(), &status).await?;
    Ok(())
}

async fn until_injected(lab: &Lab, client: &Client, host: &str) -> Result<()> {
    let injected = async || Ok(is_injected(client, TEAM, host).await?.then_some(()));
    lab.wait_for(&format!("{host} is injected"), WITHIN, injected).await
}

/// `certgate webhook`, as the process that it is.
struct Webhook(Child);

impl Webhook {
    fn start(lab: &Lab, account: &Identity, ip: &str) -> Result<Self> {
        let folder = lab.directory();
        let (policy, kubeconfig) = (folder.join("policy.yaml"), folder.join("webhook.kubeconfig"));
        std::fs::write(&policy, "issuer: {name: letsencrypt}\n")?;
        lab.write_kubeconfig(&kubeconfig, account)?;
        let log = File::create(folder.join("webhook.log"))?;
        let child = Command::new(env!("CARGO_BIN_EXE_certgate"))
            .env("RUST_LOG", "certgate=info,kube=warn")
            .args(["webhook", &format!("--listen={ip}:443"), &format!("--admin-listen={ip}:8080")])
            .arg(format!("--policy={}", policy.display()))
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .args(["--namespace", SYSTEM])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Self(child))
    }

    fn log(lab: &Lab) -> String {
        std::fs::read_to_string(lab.directory().join("webhook.log")).unwrap_or_default()
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn certificate_of(client: &Client, secret: &str, key: &str) -> Result<Vec<u8>> {
    let secret = Api::<Secret>::namespaced(client.clone(), SYSTEM).get(secret).await?;
    let data = secret.data.context("no data")?;
    Ok(data.get(key).context("no such key")?.0.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_survive_rotation_and_everything_heals() -> Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Lab::with(LabOptions::bare(), async |lab| {
        let ip = lab.service_cidr().replace(".0/24", ".80");
        let account = install(lab, &ip).await?;
        let client = lab.client().await?;
        verify(&client, "www.example.com").await?;
        let webhook = Webhook::start(lab, &account, &ip)?;
        let maintaining = tokio::spawn(pki::maintain(client.clone(), settings(), PkiMetrics::default()));
        let result = async {
            until_injected(lab, &client, "www.example.com").await?;
            rotation_loses_no_call(&client).await?;
            vandalism_is_healed(lab, &client).await?;
            an_api_server_that_was_away_is_followed_again(lab, &client).await?;
            readiness_tells_of_a_foreign_bundle(lab, &client, &ip).await
        }
        .await;
        maintaining.abort();
        drop(webhook);
        result.with_context(|| format!("the webhook's log:\n{}", Webhook::log(lab)))
    })
    .await
}

/// A CA and some leaves later, every write has been answered.
async fn rotation_loses_no_call(client: &Client) -> Result<()> {
    let before = failed_open(client).await?;
    let writers = Writers::start(client, TEAM, "www.example.com");
    let (mut cas, mut leaves) = (BTreeSet::new(), BTreeSet::new());
    let start = Instant::now();
    while cas.len() < 2 || leaves.len() < 5 {
        ensure!(start.elapsed() < LEAF * 8, "{} CAs and {} leaves by now", cas.len(), leaves.len());
        cas.insert(certificate_of(client, "certgate-ca", "ca.crt").await?);
        leaves.insert(certificate_of(client, "certgate-webhook-tls", "tls.crt").await?);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let Written { writes, lost, rate, asked } = writers.end().await?;
    ensure!(lost == 0, "{lost} of {writes} writes were not injected");
    ensure!(rate > f64::from(asked) / 10.0, "only {writes} writes in {:?}", start.elapsed());
    let failed = failed_open(client).await? - before;
    ensure!(failed == 0, "the API server went on without an answer {failed} times");
    Ok(())
}

async fn vandalism_is_healed(lab: &Lab, client: &Client) -> Result<()> {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let secrets: Api<Secret> = Api::namespaced(client.clone(), SYSTEM);
    let foreign = x509::make_ca(jiff::Timestamp::now(), Duration::from_secs(3600))?;

    let overwrite = json!([{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle",
        "value": ByteString(foreign.certificate.into_bytes())}]);
    let patch = Patch::<()>::Json(serde_json::from_value(overwrite)?);
    configurations.patch("certgate", &PatchParams::default(), &patch).await?;
    until_injected(lab, client, "www.example.com").await?;

    let (ca, leaf) = (
        certificate_of(client, "certgate-ca", "ca.crt").await?,
        certificate_of(client, "certgate-webhook-tls", "tls.crt").await?,
    );
    for secret in ["certgate-ca", "certgate-webhook-tls"] {
        secrets.delete(secret, &kube::api::DeleteParams::default()).await?;
    }
    lab.wait_for("both Secrets are made anew", WITHIN, async || {
        let new_ca = certificate_of(client, "certgate-ca", "ca.crt").await? != ca;
        Ok((new_ca && certificate_of(client, "certgate-webhook-tls", "tls.crt").await? != leaf).then_some(()))
    })
    .await?;
    until_injected(lab, client, "www.example.com").await
}

async fn an_api_server_that_was_away_is_followed_again(lab: &Lab, client: &Client) -> Result<()> {
    lab.restart("kube-apiserver").await?;
    verify(client, "later.example.com").await?;
    until_injected(lab, client, "later.example.com").await
}

/// With nobody to heal it, a bundle that does not vouch for the leaf makes the replica unready.
async fn readiness_tells_of_a_foreign_bundle(lab: &Lab, client: &Client, ip: &str) -> Result<()> {
    let ready = async || {
        let mut stream = tokio::net::TcpStream::connect((ip, 8080)).await?;
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET /readyz HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await?;
        anyhow::Ok(answer)
    };
    lab.wait_for("ready", WITHIN, async || Ok(ready().await?.starts_with("HTTP/1.0 200").then_some(()))).await?;
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    configurations.delete("certgate", &kube::api::DeleteParams::default()).await?;
    lab.wait_for("unready, and why", WITHIN, async || {
        let answer = ready().await?;
        Ok(answer.contains("MutatingWebhookConfiguration certgate does not exist").then_some(()))
    })
    .await
}
