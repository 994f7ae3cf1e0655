//! The companion: a small Ingress of certgate's own for one host, which no
//! gateway serves. It orders where no application's Ingress should, and on
//! Rainbond 5 a write to it makes the gateway load a new Secret.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Effect, HostInput, SecretView, Terms};
use crate::core::{
    decide::{RAINBOND_SECRET_TEMPLATE, issuer_annotations},
    host::Host,
    ingress::Ingress,
    knowledge::Bind,
    names,
    policy::{CertificateSettings, Issuance, Profile},
    record::Present,
    shim,
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
    let orders = Some(terms).filter(|_| terms.issuance == Issuance::Companion && open && bind.is_none());
    let orders = orders.filter(|terms| terms.issuer.is_some() && terms.refused.is_none());
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
        labels: if orders.is_some() { with(labels(host, v5), &input.labels) } else { labels(host, v5) },
        annotations: annotations(orders, v5, reloads),
        host: host.to_string(),
        secret_name: bind.map_or_else(|| host.secret_name(), |bind| bind.secret_name.clone()),
    })
}

/// The labels of what certgate makes for a host. `v5`: Rainbond 5's gateway is to see it.
pub fn labels(host: &Host, v5: bool) -> BTreeMap<String, String> {
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

/// The labels, and more that do not change them.
fn with(mut labels: BTreeMap<String, String>, more: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    for (key, value) in more {
        labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    labels
}

/// Whether a companion may have that label of an application's Ingress. Those of Rainbond's would make it part of the
/// application, and have it deleted with that or changed.
pub fn may_have_label(key: &str) -> bool {
    const RAINBONDS: [&str; 12] = [
        names::RAINBOND_CREATOR,
        names::RAINBOND_SERVICE_ID,
        names::RAINBOND_BELONG_TO,
        names::RAINBOND_APP_ID,
        names::RAINBOND_TEAM,
        "app",
        "creater_id",
        "domain",
        "port",
        "service_alias",
        "tenant_id",
        "version",
    ];
    let own = [names::MANAGED_BY, names::COMPANION_OF, names::SOLVER_LABEL, shim::APPLYSET];
    !RAINBONDS.contains(&key) && !own.contains(&key)
}

/// What of an Ingress' annotations a companion carries, and of `settings` what they leave open. `validates`: the issuer
/// certifies only names that were checked, so that no others are asked for.
///
/// `http01-edit-in-place` would have challenges answered by the companion, which nobody serves.
pub fn wishes(
    ingress: &Ingress<'_>,
    present: &Present,
    settings: &CertificateSettings,
    validates: bool,
) -> BTreeMap<String, String> {
    const NAMES: [&str; 3] = [names::ALT_NAMES, names::IP_SANS, names::EMAIL_SANS];
    let theirs = |key: &str| ingress.annotation(key).filter(|_| !present.record.annotations.contains_key(key));
    let carried = |key: &&str| *key != names::HTTP01_EDIT_IN_PLACE && !(validates && NAMES.contains(key));
    let keys = shim::wishes::KEYS.into_iter().chain([names::HTTP01_INGRESS_CLASS, names::HTTP01_INGRESS_CLASS_NAME]);
    let mut wishes: BTreeMap<String, String> =
        keys.filter(carried).filter_map(|key| theirs(key).map(|value| (key.to_owned(), value.to_owned()))).collect();
    let defaults = settings.annotations(|key| theirs(key).is_some());
    wishes.extend(defaults.into_iter().map(|(key, value)| (key.to_owned(), value)));
    wishes
}

/// A user's template for the Secret with the label by which Rainbond 5's gateway sees it.
fn seen_by_rainbond(template: &str) -> Option<String> {
    let mut template: Value = serde_json::from_str(template).ok()?;
    let labels = template.as_object_mut()?.entry("labels").or_insert_with(|| Value::Object(Default::default()));
    labels.as_object_mut()?.insert(names::RAINBOND_CREATOR.to_owned(), Value::from(names::RAINBOND));
    Some(template.to_string())
}

fn annotations(orders: Option<&Terms>, v5: bool, reloads: Option<SecretView<'_>>) -> BTreeMap<String, String> {
    let mut annotations: BTreeMap<String, String> = BTreeMap::new();
    if let Some(terms) = orders {
        annotations.clone_from(&*terms.wishes);
        let issuer = terms.issuer.iter().flat_map(issuer_annotations);
        annotations.extend(issuer.map(|(key, value)| (key.to_owned(), value.to_owned())));
        if v5 {
            let template = annotations.get(names::SECRET_TEMPLATE).and_then(|template| seen_by_rainbond(template));
            let template = template.unwrap_or_else(|| RAINBOND_SECRET_TEMPLATE.to_owned());
            annotations.insert(names::SECRET_TEMPLATE.to_owned(), template);
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
