//! What certificates are like where their Ingress does not say so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::names;

/// What a certificate is like. Each part goes for Ingresses that say nothing of it by cert-manager's annotations; of those
/// that together make one part (duration and time of renewal, algorithm and size of the key) one said is all said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct CertificateSettings {
    /// How long it is asked to be valid, as `2160h`. ACME CAs decide that themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// How long before its end it is renewed, as `720h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<String>,
    /// Its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<PrivateKey>,
}

/// What a certificate's key is like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct PrivateKey {
    /// Its algorithm; unset: RSA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<KeyAlgorithm>,
    /// In bits: 2048 to 8192 for RSA, 256, 384 or 521 for ECDSA. Let's Encrypt takes RSA of 2048, 3072 and 4096, ECDSA of 256
    /// and 384.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// How it is kept; unset: PKCS1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<KeyEncoding>,
    /// Whether a renewal makes a new one; unset: as cert-manager does (`Always` since 1.18).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation_policy: Option<RotationPolicy>,
}

/// A key's algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KeyAlgorithm {
    /// RSA.
    #[serde(rename = "RSA")]
    Rsa,
    /// ECDSA.
    #[serde(rename = "ECDSA")]
    Ecdsa,
    /// Ed25519, which public CAs do not take.
    Ed25519,
}

/// How a key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KeyEncoding {
    /// PKCS #1.
    #[serde(rename = "PKCS1")]
    Pkcs1,
    /// PKCS #8.
    #[serde(rename = "PKCS8")]
    Pkcs8,
}

/// Whether a renewal makes a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RotationPolicy {
    /// It does not.
    Never,
    /// It does.
    Always,
}

// === impl CertificateSettings ===

impl CertificateSettings {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, and where a part is unset, that of `others`.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        let lifetime = if self.duration.is_some() || self.renew_before.is_some() { self } else { others };
        let mut key = self.private_key.clone().unwrap_or_default();
        if let Some(other) = &others.private_key {
            if key.algorithm.is_none() && key.size.is_none() {
                (key.algorithm, key.size) = (other.algorithm, other.size);
            }
            key.encoding = key.encoding.or(other.encoding);
            key.rotation_policy = key.rotation_policy.or(other.rotation_policy);
        }
        Self {
            duration: lifetime.duration.clone(),
            renew_before: lifetime.renew_before.clone(),
            private_key: (key != PrivateKey::default()).then_some(key),
        }
    }

    /// As cert-manager's annotations, beside those of a user's that `set` tells to be there.
    pub fn annotations(&self, set: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
        let mut annotations = Vec::new();
        let lifetime = [names::DURATION, names::RENEW_BEFORE, names::RENEW_BEFORE_PERCENTAGE];
        if !lifetime.into_iter().any(&set) {
            annotations.extend(self.duration.clone().map(|text| (names::DURATION, text)));
            annotations.extend(self.renew_before.clone().map(|text| (names::RENEW_BEFORE, text)));
        }
        let Some(key) = &self.private_key else { return annotations };
        if ![names::PRIVATE_KEY_ALGORITHM, names::PRIVATE_KEY_SIZE].into_iter().any(&set) {
            annotations
                .extend(key.algorithm.map(|algorithm| (names::PRIVATE_KEY_ALGORITHM, algorithm.as_str().to_owned())));
            annotations.extend(key.size.map(|size| (names::PRIVATE_KEY_SIZE, size.to_string())));
        }
        let encoding = key.encoding.filter(|_| !set(names::PRIVATE_KEY_ENCODING));
        annotations.extend(encoding.map(|encoding| (names::PRIVATE_KEY_ENCODING, encoding.as_str().to_owned())));
        let rotation = key.rotation_policy.filter(|_| !set(names::PRIVATE_KEY_ROTATION_POLICY));
        annotations.extend(rotation.map(|policy| (names::PRIVATE_KEY_ROTATION_POLICY, policy.as_str().to_owned())));
        annotations
    }
}

// === impl KeyAlgorithm ===

impl KeyAlgorithm {
    /// As cert-manager writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::Ecdsa => "ECDSA",
            Self::Ed25519 => "Ed25519",
        }
    }
}

// === impl KeyEncoding ===

impl KeyEncoding {
    /// As cert-manager writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pkcs1 => "PKCS1",
            Self::Pkcs8 => "PKCS8",
        }
    }
}

// === impl RotationPolicy ===

impl RotationPolicy {
    /// As cert-manager writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "Never",
            Self::Always => "Always",
        }
    }
}
