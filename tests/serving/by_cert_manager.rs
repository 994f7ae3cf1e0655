//! The webhook's certificate by a real cert-manager: used, and followed when it is renewed.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use certgate::pki::x509;
use certgate_lab::{App, Chart, Lab, certgate as installed};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;

const CERTIFICATE: &str = "certgate-webhook-tls";
const ISSUED_BY: &str = "cert-manager.io/issuer-name";
const WITHIN: Duration = Duration::from_secs(60);

/// The chart in this mode. The controller then keeps no certificates.
pub fn chart(chart: Chart) -> Chart {
    chart.values(json!({"webhook": {"servingCert": {"mode": "cert-manager"}}}))
}

/// The Secret as cert-manager keeps it, in PEM: the leaf and its CA.
async fn issued(client: &Client) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    let secret = Api::<Secret>::namespaced(client.clone(), installed::NAMESPACE).get(CERTIFICATE).await?;
    if !secret.annotations().contains_key(ISSUED_BY) {
        return Ok(None);
    }
    let mut data = secret.data.unwrap_or_default();
    let mut field = |key: &str| data.remove(key).map(|bytes| bytes.0).filter(|bytes| !bytes.is_empty());
    Ok(field("tls.crt").zip(field("ca.crt")))
}

/// What cert-manager's cainjector does for `cert-manager.io/inject-ca-from`; the lab does not run it.
async fn inject_ca(client: &Client, ca: &[u8]) -> Result<()> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let configuration = api.get(installed::RELEASE).await?;
    let from = configuration.annotations().get("cert-manager.io/inject-ca-from").context("no inject-ca-from")?;
    ensure!(*from == format!("{}/{CERTIFICATE}", installed::NAMESPACE), "{from}");
    let bundle = serde_json::to_value(k8s_openapi::ByteString(ca.to_vec()))?;
    let webhooks = configuration.webhooks.as_ref().map_or(0, Vec::len);
    let ops: Vec<Value> = (0..webhooks)
        .map(|index| json!({"op": "add", "path": format!("/webhooks/{index}/clientConfig/caBundle"), "value": bundle}))
        .collect();
    let patch = Patch::<()>::Json(serde_json::from_value(Value::Array(ops))?);
    api.patch(installed::RELEASE, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Injects for as long as it is polled. The controller that kept the certificates until now writes too, until it has ended.
pub async fn cainjector(client: &Client) -> Infallible {
    loop {
        if let Ok(Some((_, ca))) = issued(client).await {
            let _ = inject_ca(client, &ca).await;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// The leaf that each replica shows to whoever trusts this CA alone.
async fn shown(app: &App, ca: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let mut roots = RootCertStore::empty();
    for root in x509::chain(ca)? {
        roots.add(root)?;
    }
    let config = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    let name = format!("{}.{}.svc", installed::WEBHOOK, installed::NAMESPACE);
    let port = app.service_address(installed::WEBHOOK)?;
    let mut leaves = Vec::new();
    // The Service takes them in turn.
    for _ in 0..4 {
        let stream = tokio::net::TcpStream::connect(port).await?;
        let name = ServerName::try_from(name.clone())?;
        let stream = TlsConnector::from(Arc::clone(&config)).connect(name, stream).await?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).context("no certificate")?;
        leaves.push(leaf.clone().into_owned());
    }
    Ok(leaves)
}

/// Waits until all replicas show what the Secret holds, its files being brought up to date as a kubelet does.
async fn until_shown(client: &Client, app: &App) -> Result<Vec<u8>> {
    let start = Instant::now();
    loop {
        app.sync_config_maps().await?;
        if let Some((leaf, ca)) = issued(client).await? {
            let expected = x509::chain(&leaf)?;
            let shown = shown(app, &ca).await;
            if shown.as_ref().is_ok_and(|shown| shown.iter().all(|one| Some(one) == expected.first())) {
                return Ok(leaf);
            }
            ensure!(start.elapsed() < WITHIN, "the certificate is not served: {shown:?}");
        }
        ensure!(start.elapsed() < WITHIN, "cert-manager does not issue the certificate");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// The webhook is called with cert-manager's certificate, and with the next one when that is renewed.
pub async fn is_used_and_followed(
    lab: &Lab,
    client: &Client,
    app: &App,
    is_injected: impl AsyncFn() -> Result<bool>,
) -> Result<()> {
    let first = until_shown(client, app).await?;
    app.wait_ready(WITHIN).await?;
    // The caBundle holds cert-manager's CA alone, so a call that came through was answered with its certificate.
    let injected = async || Ok(is_injected().await?.then_some(()));
    lab.wait_for("injected, with cert-manager's certificate", WITHIN, injected).await?;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", "Certificate"));
    let certificates: Api<DynamicObject> = Api::namespaced_with(client.clone(), installed::NAMESPACE, &kind);
    let due = json!({"status": {"conditions": [{"type": "Issuing", "status": "True", "reason": "ManuallyTriggered",
        "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    certificates.patch_status(CERTIFICATE, &PatchParams::default(), &Patch::Merge(due)).await?;
    lab.wait_for("cert-manager renews", WITHIN, async || {
        Ok(issued(client).await?.filter(|(leaf, _)| *leaf != first).map(drop))
    })
    .await?;
    let second = until_shown(client, app).await?;
    ensure!(second != first);
    ensure!(is_injected().await?, "a write after the renewal");
    Ok(())
}
