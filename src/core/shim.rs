//! What cert-manager's ingress-shim makes of an Ingress (`pkg/controller/certificate-shim/sync.go`): its Certificates, or
//! why it makes none. Held against the real one by `tests/ingress_shim.rs`.
//!
//! certgate adds an issuer annotation only where the reading of the result is what it was before and one Certificate
//! more for each verified host. [`crate::core::decide`] judges that by [`wishes`] and the TLS entries, without a
//! reading; that both say the same is a property (`tests/shim_properties.rs`).

pub mod certificate;
pub mod go;
pub mod wishes;

use std::collections::BTreeMap;

use self::{
    certificate::{Certificate, Issuer, Metadata, Spec, Wishes},
    wishes::Fault,
};
use super::{
    ingress::{Ingress, TlsEntry},
    names,
};

/// Which cert-manager reads. Each version names the first that reads more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.12 to 1.14.
    V1_12,
    /// Reads `secret-template`.
    V1_15,
    /// 1.16 to 1.19: reads `renew-before-percentage`.
    V1_16,
    /// Reads `http01-ingress-ingressclassname`.
    V1_20,
    /// Reads `alt-names` and `ip-sans`, and names a host once.
    V1_21,
}

/// How cert-manager was started, as far as Ingresses are concerned.
#[derive(Clone, Copy, Debug)]
pub struct Defaults<'a> {
    /// `--default-issuer-name`; empty: none.
    pub issuer: &'a str,
    /// `--default-issuer-kind`.
    pub kind: &'a str,
    /// `--default-issuer-group`.
    pub group: &'a str,
}

/// What ingress-shim makes of an Ingress.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Nothing: no annotation asks it to, or the Ingress is being deleted.
    Idle,
    /// Nothing, for the reason that its Event `BadConfig` gives.
    Refused(String),
    /// Nothing, for an annotation that it cannot read. It says so in its log alone, and tries again for ever.
    Unreadable(Box<Fault>),
    /// These Certificates, by Secret.
    Certificates {
        /// What it makes.
        made: Vec<Certificate>,
        /// What its Events say of TLS entries that it passes over.
        passed_over: Vec<String>,
    },
}

// === impl Version ===

impl Version {
    /// The one that reads the most. What it takes the others take or pass over.
    pub const NEWEST: Self = Self::V1_21;
}

// === impl Defaults ===

impl Default for Defaults<'_> {
    fn default() -> Self {
        Self { issuer: "", kind: "Issuer", group: "cert-manager.io" }
    }
}

// === impl Reading ===

impl Reading {
    /// The Certificates, none where it refuses.
    pub fn certificates(&self) -> &[Certificate] {
        match self {
            Self::Certificates { made, .. } => made,
            _ => &[],
        }
    }
}

/// Reads an Ingress as ingress-shim does.
pub fn read(ingress: &Ingress<'_>, version: Version, defaults: Defaults<'_>) -> Reading {
    let get = |key: &str| ingress.annotation(key);
    if !acts_on(get) || ingress.metadata.deletion_timestamp.is_some() {
        return Reading::Idle;
    }
    let issuer = match issuer(get, defaults) {
        Ok(issuer) => issuer,
        Err(why) => {
            return Reading::Refused(format!("Could not determine issuer for ingress due to bad annotations: {why}"));
        }
    };
    if let Some(why) = secret_named_twice(ingress.tls()) {
        return Reading::Refused(why);
    }
    let mut passed_over = Vec::new();
    let mut entries: BTreeMap<&str, &TlsEntry<'_>> = BTreeMap::new();
    for (index, entry) in ingress.tls().iter().enumerate() {
        match incomplete(index, entry) {
            Some(why) => passed_over.push(format!("Skipped a TLS block: {why}")),
            None => {
                entries.insert(entry.secret_name.as_deref().unwrap_or_default(), entry);
            }
        }
    }
    let wishes = match wishes::read(get, version) {
        Ok(wishes) => wishes,
        // Annotations are read once a TLS entry has been found good.
        Err(_) if entries.is_empty() => Wishes::default(),
        Err(fault) => return Reading::Unreadable(Box::new(fault)),
    };
    let made = entries
        .into_iter()
        .map(|(secret, entry)| certificate(ingress, secret, entry, issuer.clone(), wishes.clone(), version));
    Reading::Certificates { made: made.collect(), passed_over }
}

/// Whether ingress-shim looks at an Ingress whose annotations `get` looks up.
pub fn acts_on<'a>(get: impl Fn(&str) -> Option<&'a str>) -> bool {
    get(names::ISSUER).is_some() || get(names::CLUSTER_ISSUER).is_some() || get(names::TLS_ACME).is_some_and(go::bool)
}

/// The issuer of an Ingress' Certificates.
///
/// # Errors
/// Why ingress-shim cannot tell, in its words.
pub fn issuer<'a>(get: impl Fn(&str) -> Option<&'a str>, defaults: Defaults<'_>) -> Result<Issuer, String> {
    let (issuer, cluster) = (get(names::ISSUER), get(names::CLUSTER_ISSUER));
    let (kind, group) = (get(names::ISSUER_KIND), get(names::ISSUER_GROUP));
    let name = cluster.or(issuer).unwrap_or(defaults.issuer);
    let natural = match (cluster, issuer) {
        (Some(_), _) => "ClusterIssuer",
        (None, Some(_)) => "Issuer",
        (None, None) => defaults.kind,
    };
    let both = |one: &str, other: &str| format!("both {one:?} and {other:?} may not be set");
    let mut errors = Vec::new();
    if name.is_empty() {
        errors.push("failed to determine issuer name to be used for ingress resource".to_owned());
    }
    if issuer.is_some() && cluster.is_some() {
        errors.push(both(names::ISSUER, names::CLUSTER_ISSUER));
    }
    if cluster.is_some() && group.is_some() {
        errors.push(both(names::CLUSTER_ISSUER, names::ISSUER_GROUP));
    }
    if cluster.is_some() && kind.is_some() {
        errors.push(both(names::CLUSTER_ISSUER, names::ISSUER_KIND));
    }
    if errors.is_empty() {
        Ok(Issuer {
            name: name.to_owned(),
            kind: kind.unwrap_or(natural).to_owned(),
            group: group.unwrap_or(defaults.group).to_owned(),
        })
    } else {
        Err(errors.join(", "))
    }
}

/// Why ingress-shim refuses TLS entries of which two name one Secret, or none; `None`: no two do.
pub fn secret_named_twice(entries: &[TlsEntry<'_>]) -> Option<String> {
    let mut places: BTreeMap<&str, (usize, Option<usize>)> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let secret = entry.secret_name.as_deref().unwrap_or_default();
        let place = places.entry(secret).or_insert((index, None));
        if place.0 != index && place.1.is_none() {
            place.1 = Some(index);
        }
    }
    let mut twice: Vec<(usize, usize, &str)> =
        places.into_iter().filter_map(|(secret, (first, second))| Some((first, second?, secret))).collect();
    twice.sort_unstable();
    aggregate(twice.into_iter().map(|(first, second, secret)| {
        format!(
            "spec.tls[{first}].secretName: Invalid value: {secret:?}: this secret name must only appear in a single TLS entry but is also used in spec.tls[{second}].secretName"
        )
    }))
}

/// Why ingress-shim passes over a TLS entry; `None`: it does not.
fn incomplete(index: usize, entry: &TlsEntry<'_>) -> Option<String> {
    let missing = [
        ("hosts", entry.hosts.is_empty()),
        ("secretName", entry.secret_name.as_deref().unwrap_or_default().is_empty()),
    ];
    let missing = missing.into_iter().filter(|(_, missing)| *missing);
    aggregate(missing.map(|(field, _)| format!("spec.tls[{index}].{field}: Required value")))
}

/// Errors as Kubernetes puts them together.
fn aggregate(errors: impl Iterator<Item = String>) -> Option<String> {
    let errors: Vec<String> = errors.collect();
    match errors.as_slice() {
        [] => None,
        [error] => Some(error.clone()),
        errors => Some(format!("[{}]", errors.join(", "))),
    }
}

fn certificate(
    ingress: &Ingress<'_>,
    secret: &str,
    entry: &TlsEntry<'_>,
    issuer_ref: Issuer,
    mut wishes: Wishes,
    version: Version,
) -> Certificate {
    let (mut dns_names, mut ip_addresses): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for host in &entry.hosts {
        let names = if go::is_ip(host) { &mut ip_addresses } else { &mut dns_names };
        if version < Version::V1_21 || !names.iter().any(|name| *name == **host) {
            names.push(host.to_string());
        }
    }
    dns_names.append(&mut wishes.alt_names);
    ip_addresses.append(&mut wishes.ip_sans);
    if wishes.usages.is_empty() {
        wishes.usages = vec!["digital signature".to_owned(), "key encipherment".to_owned()];
    }
    let labels = ingress.metadata.labels.0.iter();
    Certificate {
        metadata: Metadata {
            name: secret.to_owned(),
            labels: labels
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .filter(|(key, _)| key != APPLYSET)
                .collect(),
            annotations: overrides(ingress, version),
        },
        spec: Spec { dns_names, ip_addresses, secret_name: secret.to_owned(), issuer_ref, wishes },
    }
}

/// The label that ingress-shim does not copy to Certificates.
pub const APPLYSET: &str = "applyset.kubernetes.io/part-of";

/// What the annotations of an Ingress change about how its challenges are answered.
fn overrides(ingress: &Ingress<'_>, version: Version) -> BTreeMap<String, String> {
    let mut overrides = BTreeMap::new();
    let mut set = |key: &str, value: &str| overrides.insert(key.to_owned(), value.to_owned());
    if ingress.annotation(names::HTTP01_EDIT_IN_PLACE) == Some("true") {
        set("acme.cert-manager.io/http01-override-ingress-name", &ingress.metadata.name);
        set("cert-manager.io/issue-temporary-certificate", "true");
    }
    // Before 1.20 an empty class was one too.
    let counts = |class: &&str| version < Version::V1_20 || !class.is_empty();
    if let Some(class) = ingress.annotation(names::HTTP01_INGRESS_CLASS).filter(counts) {
        set("acme.cert-manager.io/http01-override-ingress-class", class);
    }
    let class = ingress.annotation(names::HTTP01_INGRESS_CLASS_NAME).filter(|class| !class.is_empty());
    if let Some(class) = class.filter(|_| version >= Version::V1_20) {
        set("acme.cert-manager.io/http01-override-ingress-ingressclassname", class);
    }
    overrides
}

#[cfg(test)]
mod tests;
