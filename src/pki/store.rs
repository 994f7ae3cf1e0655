//! CA and leaf as the cluster holds them: two Secrets and a field of webhook
//! configurations, read into [`Observed`] and written back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{
            MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
        },
        core::v1::Secret,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde_json::{Value, json};

use super::{
    Settings,
    plan::{Ca, Id, Leaf},
    x509::{self, Pair, X509Error},
};
use crate::core::names;

/// Key of a Secret: the CA that signs, or in the leaf's Secret the one that signed it.
pub const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const PREVIOUS_CERTIFICATE: &str = "previous.crt";
/// Key of a `kubernetes.io/tls` Secret: the chain.
pub const TLS_CERTIFICATE: &str = "tls.crt";
/// Key of a `kubernetes.io/tls` Secret: the private key.
pub const TLS_KEY: &str = "tls.key";

/// A CA with its key.
#[derive(Clone)]
pub struct Signer {
    /// As the plan sees it.
    pub ca: Ca,
    /// As PEM.
    pub pair: Pair,
}

/// A certificate without its key.
#[derive(Clone)]
pub struct Anchor {
    /// As the plan sees it.
    pub ca: Ca,
    /// As PEM.
    pub pem: String,
}

/// The CA Secret, read. What cannot be read is left out.
#[derive(Clone, Default)]
pub struct CaState {
    /// Signs now.
    pub current: Option<Signer>,
    /// Signs next.
    pub next: Option<Signer>,
    /// Signed before.
    pub previous: Option<Anchor>,
}

/// A webhook configuration, as far as it is kept.
pub trait Configuration {
    /// Name and client configuration of each webhook, in order.
    fn webhooks(&self) -> Vec<(&str, &WebhookClientConfig)>;
    /// The object's metadata.
    fn meta(&self) -> &ObjectMeta;
}

fn field<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    Some(secret.data.as_ref()?.get(key)?.0.as_slice())
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(field(secret, key)?.to_vec()).ok()
}

// === the CA's Secret ===

impl CaState {
    /// Reads the Secret.
    pub fn read(secret: &Secret) -> Self {
        let signer = |certificate, key| {
            let pair = Pair { certificate: text(secret, certificate)?, key: text(secret, key)? };
            let signer = Signer::new(pair);
            if let Err(error) = &signer {
                tracing::warn!(%error, certificate, "a CA in the Secret cannot be used");
            }
            signer.ok()
        };
        Self {
            current: signer(CA_CERTIFICATE, CA_KEY),
            next: signer(NEXT_CERTIFICATE, NEXT_KEY),
            previous: text(secret, PREVIOUS_CERTIFICATE).and_then(|pem| Anchor::new(pem).ok()),
        }
    }

    /// The Secret's data.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let mut data = BTreeMap::new();
        let mut put = |key: &str, value: &str| data.insert(key.to_owned(), ByteString(value.as_bytes().to_vec()));
        if let Some(signer) = &self.current {
            put(CA_CERTIFICATE, &signer.pair.certificate);
            put(CA_KEY, &signer.pair.key);
        }
        if let Some(signer) = &self.next {
            put(NEXT_CERTIFICATE, &signer.pair.certificate);
            put(NEXT_KEY, &signer.pair.key);
        }
        if let Some(anchor) = &self.previous {
            put(PREVIOUS_CERTIFICATE, &anchor.pem);
        }
        data
    }

    /// The next CA signs; the current one is kept without its key.
    #[must_use]
    pub fn promoted(self) -> Self {
        let previous = self.current.map(|signer| Anchor { ca: signer.ca, pem: signer.pair.certificate });
        Self { current: self.next, next: None, previous: previous.or(self.previous) }
    }

    /// The PEM of a CA by its digest.
    fn pem(&self, id: Id) -> Option<&str> {
        let signers = self.current.iter().chain(&self.next).map(|signer| (signer.ca.id, &signer.pair.certificate));
        let anchors = self.previous.iter().map(|anchor| (anchor.ca.id, &anchor.pem));
        signers.chain(anchors).find(|(found, _)| *found == id).map(|(_, pem)| pem.as_str())
    }
}

impl Signer {
    /// A CA whose key fits.
    ///
    /// # Errors
    /// It cannot be read or the key does not fit.
    pub fn new(pair: Pair) -> Result<Self, X509Error> {
        let certified = x509::certified_key(pair.certificate.as_bytes(), pair.key.as_bytes())?;
        let ca = x509::ca(certified.cert.first().ok_or(X509Error::Empty)?)?;
        Ok(Self { ca, pair })
    }
}

impl Anchor {
    fn new(pem: String) -> Result<Self, X509Error> {
        let chain = x509::chain(pem.as_bytes())?;
        let ca = x509::ca(chain.first().ok_or(X509Error::Empty)?)?;
        Ok(Self { ca, pem })
    }
}

// === the leaf's Secret ===

/// Reads the leaf, and the CA kept beside it if it signed it.
pub fn read_leaf(secret: &Secret, cas: &CaState, names: &[String], now: Timestamp) -> Option<(Leaf, Option<Anchor>)> {
    let certified = x509::certified_key(field(secret, TLS_CERTIFICATE)?, field(secret, TLS_KEY)?);
    let chain = match certified {
        Ok(certified) => certified.cert,
        Err(error) => {
            tracing::warn!(%error, "the serving certificate in the Secret cannot be used");
            return None;
        }
    };
    let certificate = chain.first()?;
    let validity = x509::validity(certificate).ok()?;
    // Asked within its life: whether it is over is another question.
    let moment = now.clamp(validity.not_before, validity.not_after);
    let carried = text(secret, CA_CERTIFICATE).and_then(|pem| Anchor::new(pem).ok());
    let known = [
        cas.current.as_ref().map(|signer| (signer.ca.id, &signer.pair.certificate)),
        cas.next.as_ref().map(|signer| (signer.ca.id, &signer.pair.certificate)),
        cas.previous.as_ref().map(|anchor| (anchor.ca.id, &anchor.pem)),
        carried.as_ref().map(|anchor| (anchor.ca.id, &anchor.pem)),
    ];
    let signed = |pem: &str, name: Option<&str>| {
        x509::chain(pem.as_bytes()).is_ok_and(|roots| x509::verify(&chain, &roots, name, moment).is_ok())
    };
    let issuer = known.into_iter().flatten().find(|(_, pem)| signed(pem, None));
    let names_fit = issuer.is_some_and(|(_, pem)| names.iter().all(|name| signed(pem, Some(name))));
    let issuer = issuer.map(|(id, _)| id);
    let leaf = Leaf { id: x509::id(certificate), validity, issuer, names_fit };
    Some((leaf, carried.filter(|anchor| issuer == Some(anchor.ca.id))))
}

/// The data of the leaf's Secret.
pub fn leaf_data(leaf: &Pair, issuer: &Signer) -> BTreeMap<String, ByteString> {
    [(TLS_CERTIFICATE, &leaf.certificate), (TLS_KEY, &leaf.key), (CA_CERTIFICATE, &issuer.pair.certificate)]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec())))
        .collect()
}

/// A Secret of ours with these data, to replace `old` if that has not changed
/// meanwhile, else to be made. The type of a Secret cannot be changed, so an old one's stays.
pub fn secret(name: &str, kind: &str, data: BTreeMap<String, ByteString>, old: Option<&Secret>) -> Secret {
    let mut metadata = old.map(|old| old.metadata.clone()).unwrap_or_default();
    metadata.name = Some(name.to_owned());
    metadata.managed_fields = None;
    metadata.labels.get_or_insert_default().insert(names::MANAGED_BY.to_owned(), names::MANAGER.to_owned());
    let type_ = old.and_then(|old| old.type_.clone()).unwrap_or_else(|| kind.to_owned());
    Secret { metadata, data: Some(data), type_: Some(type_), ..Secret::default() }
}

// === configurations ===

impl Configuration for MutatingWebhookConfiguration {
    fn webhooks(&self) -> Vec<(&str, &WebhookClientConfig)> {
        self.webhooks.iter().flatten().map(|webhook| (webhook.name.as_str(), &webhook.client_config)).collect()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
}

impl Configuration for ValidatingWebhookConfiguration {
    fn webhooks(&self) -> Vec<(&str, &WebhookClientConfig)> {
        self.webhooks.iter().flatten().map(|webhook| (webhook.name.as_str(), &webhook.client_config)).collect()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
}

/// Whether a webhook is served by our Service.
fn is_ours(client: &WebhookClientConfig, settings: &Settings) -> bool {
    client
        .service
        .as_ref()
        .is_some_and(|service| service.name == settings.service && service.namespace == settings.namespace)
}

/// The CAs that each webhook of ours in a configuration publishes, sorted; an
/// unreadable bundle publishes nothing.
pub fn published(configuration: &dyn Configuration, settings: &Settings) -> Vec<Vec<Id>> {
    let webhooks = configuration.webhooks();
    webhooks.iter().filter(|(_, client)| is_ours(client, settings)).map(|(_, client)| published_by(client)).collect()
}

fn published_by(client: &WebhookClientConfig) -> Vec<Id> {
    let pem = client.ca_bundle.as_ref().map_or(&[][..], |bundle| &bundle.0);
    let mut ids: Vec<Id> = x509::chain(pem).unwrap_or_default().iter().map(|found| x509::id(found)).collect();
    ids.sort_unstable();
    ids
}

/// The PEM of the CAs to publish.
pub fn bundle_pem(ids: &[Id], cas: &CaState, carried: Option<&Anchor>) -> String {
    ids.iter()
        .filter_map(|id| cas.pem(*id).or_else(|| carried.filter(|anchor| anchor.ca.id == *id).map(|a| a.pem.as_str())))
        .fold(String::new(), |mut bundle, pem| {
            bundle.push_str(pem.trim_end());
            bundle.push('\n');
            bundle
        })
}

/// The JSON Patch that writes the bundle into our webhooks of a configuration
/// and touches nothing else. It fails where the object has changed meanwhile.
pub fn bundle_patch(configuration: &dyn Configuration, settings: &Settings, pem: &str, ids: &[Id]) -> Vec<Value> {
    let mut patch = vec![json!({
        "op": "test", "path": "/metadata/resourceVersion",
        "value": configuration.meta().resource_version,
    })];
    for (index, (_, client)) in configuration.webhooks().iter().enumerate() {
        if is_ours(client, settings) && published_by(client) != ids {
            patch.push(json!({
                "op": "add", "path": format!("/webhooks/{index}/clientConfig/caBundle"),
                "value": ByteString(pem.as_bytes().to_vec()),
            }));
        }
    }
    patch
}

#[cfg(test)]
mod tests;
