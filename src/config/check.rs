//! What serde cannot know of a policy: whether its values make sense, alone and together.
//!
//! Every fault names the field and says what to write instead.

mod certificate;
mod console;
mod limits;
mod names;
mod network;
mod rules;

use std::{collections::BTreeMap, fmt::Display};

use super::outline::Step;
use crate::core::policy::{IssuerKind, IssuerRef, Policy};

/// A month: that long before the end of a 90-day certificate cert-manager begins to renew it.
const MAX_LET_THROUGH_DAYS: u32 = 30;

/// One fault.
pub(super) struct Fault {
    /// Where it is.
    pub(super) path: Vec<Step>,
    /// What is wrong and what to write instead.
    pub(super) message: String,
}

/// All faults of a policy.
pub(super) fn check(policy: &Policy) -> Vec<Fault> {
    let mut faults = Faults::default();
    if let Some(issuer) = &policy.issuer {
        faults.within("issuer", |faults| issuer_ref(faults, issuer));
    }
    faults.within("certificate", |faults| certificate::certificate(faults, &policy.certificate));
    faults.each("excludeNamespaces", &policy.exclude_namespaces, |faults, name| {
        if !names::is_label(name) {
            faults.add(format!("`{name}` is no namespace name; globs belong into rules[].match.namespaces"));
        }
    });
    faults.each("platformDomains", &policy.platform_domains, |faults, suffix| {
        if let Err(fault) = names::suffix(suffix) {
            faults.add(fault);
        }
    });
    faults.within("gateway", |faults| network::gateway(faults, &policy.gateway));
    if let Some(console) = &policy.console {
        faults.within("console", |faults| console::console(faults, console));
    }
    faults.within("dns", |faults| network::dns(faults, &policy.dns));
    let days = policy.gate.let_through_days;
    if !(1..=MAX_LET_THROUGH_DAYS).contains(&days) {
        let message = format!("{days} is out of bounds; write 1 to {MAX_LET_THROUGH_DAYS}");
        faults.within("gate", |faults| faults.add_to("letThroughDays", message));
    }
    faults.within("limits", |faults| limits::limits(faults, &policy.limits));
    faults.within("caaIdentities", |faults| caa_identities(faults, &policy.caa_identities));
    faults.within("rules", |faults| rules::rules(faults, &policy.rules));
    faults.found
}

fn issuer_ref(faults: &mut Faults, issuer: &IssuerRef) {
    let name = &issuer.name;
    if name.is_empty() {
        faults.add_to("name", "is empty; write the issuer's metadata.name".to_owned());
    } else if !names::is_subdomain(name) {
        faults.add_to("name", format!("`{name}` is no name of a Kubernetes object; write the issuer's metadata.name"));
    }
    if let IssuerKind::Other(kind) = &issuer.kind
        && issuer.is_builtin()
    {
        let hint = match super::syntax::nearest(kind, &["ClusterIssuer", "Issuer"]) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write ClusterIssuer or Issuer.".to_owned(),
        };
        faults.add_to(
            "kind",
            format!("cert-manager has no issuers of kind `{kind}`; {hint} An external issuer also needs `group`"),
        );
    }
    if let Some(group) = issuer.group.as_ref().filter(|group| !names::is_subdomain(group)) {
        faults.add_to("group", format!("`{group}` is no API group; write one like cert-manager.io"));
    }
}

fn caa_identities(faults: &mut Faults, identities: &BTreeMap<String, Vec<String>>) {
    for (directory, identity) in identities {
        if !directory.starts_with("https://") && !directory.starts_with("http://") {
            faults.add_to(
                directory,
                "the key is no URL; write the ACME directory's, as in the issuer's spec.acme.server".to_owned(),
            );
        }
        if identity.is_empty() {
            faults.add_to(
                directory,
                "no name is given; write the domain names that the CA answers to in CAA records".to_owned(),
            );
        }
        faults.each(directory, identity, |faults, name| {
            if !names::is_host(name) {
                faults.add(format!("`{name}` is no domain name; write one like letsencrypt.org"));
            }
        });
    }
}

/// The faults found so far, and the field that is being looked at.
#[derive(Default)]
struct Faults {
    path: Vec<Step>,
    found: Vec<Fault>,
}

// === impl Faults ===

impl Faults {
    /// Something is wrong with the field that is being looked at.
    fn add(&mut self, message: String) {
        self.found.push(Fault { path: self.path.clone(), message });
    }

    /// Something is wrong with a field of it.
    fn add_to(&mut self, field: &str, message: String) {
        self.within(field, |faults| faults.add(message));
    }

    /// Looks at a field of it.
    fn within(&mut self, field: impl Into<Step>, look: impl FnOnce(&mut Self)) {
        self.path.push(field.into());
        look(self);
        self.path.pop();
    }

    /// Looks at each element of a field that is a list, and finds those that are given twice.
    fn each<T: PartialEq + Display>(&mut self, field: &str, list: &[T], mut look: impl FnMut(&mut Self, &T)) {
        self.within(field, |faults| {
            for (i, element) in list.iter().enumerate() {
                faults.within(i, |faults| {
                    look(faults, element);
                    if list.iter().take(i).any(|earlier| earlier == element) {
                        faults.add(format!("`{element}` is given twice; keep one"));
                    }
                });
            }
        });
    }
}

// === impl Step ===

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}
