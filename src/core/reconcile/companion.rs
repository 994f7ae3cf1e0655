//! The companion: a small Ingress of certgate's own for one host, which no
//! gateway serves. It orders where no application's Ingress should, and on
//! Rainbond 5 a write to it makes the gateway load a new Secret.

use std::collections::BTreeMap;

use super::{Effect, HostInput, SecretView, Terms};
use crate::core::{
    decide::{RAINBOND_SECRET_TEMPLATE, issuer_annotations},
    host::Host,
    knowledge::Bind,
    names,
    policy::{Issuance, IssuerRef, Profile},
};

/// The longest value of a label (Kubernetes).
const MAX_LABEL: usize = 63;

/// A companion, as it is or as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Companion {
    /// Its name.
    pub name: String,
    /// Its uid; empty on one that is to be made.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Those of its annotations that certgate reads.
    pub annotations: BTreeMap<String, String>,
    /// The host of its TLS entry.
    pub host: String,
    /// The Secret of its TLS entry.
    pub secret_name: String,
}

/// The companion's name.
pub fn name(host: &Host) -> String {
    host.secret_name()
}

/// The host whose companion has that name, where the name tells: one that was cut does not.
pub fn host(name: &str) -> Option<Host> {
    let told = name.strip_prefix("certgate-")?;
    let text = match (told.strip_prefix("wildcard."), told.strip_prefix("literal.")) {
        (Some(base), _) => format!("*.{base}"),
        (_, Some(literal)) => literal.to_owned(),
        _ => told.to_owned(),
    };
    Host::parse(&text).ok().filter(|host| self::name(host) == name)
}

/// The companion that a wanted host should have. `open`: it may be ordered for.
pub fn desired(input: &HostInput<'_>, terms: &Terms, bind: Option<&Bind>, open: bool) -> Option<Companion> {
    let orders = terms.issuer.as_ref().filter(|_| terms.issuance == Issuance::Companion && open && bind.is_none());
    let v5 = terms.profile == Profile::RainbondV5;
    let bound = bind.and_then(|bind| input.others.iter().find(|other| other.name == bind.certificate)?.secret);
    let secret = if bind.is_some() { bound } else { input.secret };
    let reloads = secret.filter(|_| v5 && (open || bind.is_some()));
    if orders.is_none() && reloads.is_none() {
        return None;
    }
    let host = input.host;
    Some(Companion {
        name: name(host),
        uid: String::new(),
        labels: labels(host, v5),
        annotations: annotations(orders, v5, reloads),
        host: host.to_string(),
        secret_name: bind.map_or_else(|| host.secret_name(), |bind| bind.secret_name.clone()),
    })
}

/// The labels of what certgate makes for a host. `v5`: Rainbond 5's gateway is to see it.
pub(super) fn labels(host: &Host, v5: bool) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        (names::MANAGED_BY.to_owned(), names::MANAGER.to_owned()),
        (names::COMPANION_OF.to_owned(), label_value(&host.object_name())),
    ]);
    if v5 {
        labels.insert(names::RAINBOND_CREATOR.to_owned(), names::RAINBOND.to_owned());
    }
    labels
}

/// A Domain's name cut to what a label may hold; the companion's own name tells the whole.
fn label_value(name: &str) -> String {
    name.chars().take(MAX_LABEL).collect::<String>().trim_end_matches(['.', '-']).to_owned()
}

fn annotations(orders: Option<&IssuerRef>, v5: bool, reloads: Option<SecretView<'_>>) -> BTreeMap<String, String> {
    let mut annotations: BTreeMap<String, String> = BTreeMap::new();
    if let Some(issuer) = orders {
        annotations
            .extend(issuer_annotations(issuer).into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
        if v5 {
            annotations.insert(names::SECRET_TEMPLATE.to_owned(), RAINBOND_SECRET_TEMPLATE.to_owned());
        }
    }
    if let Some(secret) = reloads {
        annotations.insert(names::NUDGE.to_owned(), secret.version.to_owned());
    }
    annotations
}

// === impl Companion ===

impl Companion {
    /// Whether ingress-shim orders for it.
    pub fn orders(&self) -> bool {
        [names::CLUSTER_ISSUER, names::ISSUER].iter().any(|key| self.annotations.contains_key(*key))
    }

    /// Its deletion.
    pub(super) fn delete(&self) -> Effect {
        Effect::DeleteCompanion { name: self.name.clone(), uid: self.uid.clone() }
    }

    /// Whether `self`, as it is, needs no write to be as `desired`.
    pub fn is_as(&self, desired: &Self) -> bool {
        self.host == desired.host
            && self.secret_name == desired.secret_name
            && self.annotations == desired.annotations
            && desired.labels.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }
}
