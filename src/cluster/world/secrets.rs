//! Secrets: how they enter and leave the world, and whether one can serve a host for which a user's TLS entry names it.

use std::sync::Arc;

use k8s_openapi::api::core::v1;
use kube::ResourceExt as _;

use super::{
    Key, Namespace, SeenIngress, SeenSecret, Touched, World, gate,
    intake::{Kept, version},
    unread::Watched,
};
use crate::{
    api::partial::{certificate::Certificate, metadata::Metadata},
    core::{host::Host, ingress::TlsEntry, knowledge::SecretFacts, names, record::is_reserved_name},
};

impl Kept for Metadata<v1::Secret> {
    const WATCHED: Watched = Watched::Secret;

    fn see(self, world: &mut World) -> Touched {
        let name = self.name_any();
        let meta = self.metadata;
        let seen = SeenSecret {
            version: version(&meta),
            certificate: meta.annotations.and_then(|mut all| all.remove(names::CERTIFICATE_NAME)),
            rainbond: meta.labels.is_some_and(|l| l.get(names::RAINBOND_CREATOR).is_some_and(|v| v == names::RAINBOND)),
        };
        let settled = world.settled;
        let (namespace, ns) = world.enter(&meta.namespace.unwrap_or_default());
        let mut touched = if settled { ns.secret_touches(&namespace, &name) } else { Touched::default() };
        if ns.secrets.get(&name).is_none_or(|old| old.certificate != seen.certificate) {
            touched.merge(ns.read_anew(&namespace, &name));
        }
        ns.secrets.insert(name, seen);
        touched
    }

    fn lose(world: &mut World, namespace: &str, name: &str) -> Touched {
        let (namespace_name, ns) = world.enter(namespace);
        let mut touched = ns.secret_touches(&namespace_name, name);
        if ns.secrets.remove(name).is_some() {
            touched.merge(ns.read_anew(&namespace_name, name));
        }
        world.leave_if_empty(namespace);
        touched
    }

    fn listed(world: &mut World, installed: bool) -> Touched {
        let before = std::mem::replace(&mut world.secrets_known, installed);
        if before != installed {
            world.generation += 1;
        }
        Touched { everything: before != installed, ..Touched::default() }
    }
}

// === impl SeenIngress ===

impl SeenIngress {
    /// The Secrets of the TLS entries that are not ours.
    pub fn secrets_of_others(&self) -> impl Iterator<Item = &str> {
        let entries = self.ingress.tls().iter().enumerate();
        let theirs = entries.filter(|(index, _)| self.present.entries.binary_search(index).is_err());
        theirs.filter_map(|(_, entry)| entry.secret_name.as_deref())
    }

    /// The Secrets of the TLS entries that a decision may take for the user's: all but those of a name that only certgate
    /// gives, whatever the record claims.
    fn secrets_of_users(&self) -> impl Iterator<Item = &str> {
        let ours = |entry: &TlsEntry<'_>, secret: &str| matches!(entry.hosts.as_slice(), [host] if is_reserved_name(secret, host));
        let named = self.ingress.tls().iter().filter_map(|entry| Some((entry, entry.secret_name.as_deref()?)));
        named.filter(move |(entry, secret)| !ours(entry, secret)).map(|(_, secret)| secret)
    }
}

// === impl Namespace ===

impl Namespace {
    /// Puts an Ingress into the index of Secrets.
    pub(super) fn link_secrets(&mut self, name: &Arc<str>, seen: &SeenIngress) {
        for secret in seen.secrets_of_users() {
            self.by_secret.insert(secret.to_owned(), name.clone());
        }
    }

    /// Takes the Ingress of that name, as it is known, out of the index of Secrets.
    pub(super) fn unlink_secrets(&mut self, name: &Arc<str>) {
        for secret in self.ingresses.get(name).into_iter().flat_map(SeenIngress::secrets_of_users) {
            self.by_secret.remove(secret, name);
        }
    }

    /// The hosts that a Secret of that name concerns.
    fn secret_touches(&self, namespace: &Arc<str>, name: &str) -> Touched {
        let mut touched = Touched::default();
        let own = self.links.host_of_secret(name).filter(|host| self.has(host));
        let hosts = own.into_iter().chain(self.links.bound_in(name).cloned());
        touched.keys.extend(hosts.map(|host| Key::Host(namespace.clone(), host)));
        for certificate in self.certificates_in(name) {
            self.concerned(namespace, certificate, &mut touched);
        }
        touched
    }

    /// What is known of a Secret with respect to a host.
    pub(super) fn secret_for(&self, name: &str, host: &str) -> SecretFacts {
        let Some(secret) = self.secrets.get(name) else { return SecretFacts::Missing };
        // What a Secret holds nobody reads; a Certificate that keeps it says what for.
        let certificate = secret.certificate.as_ref().and_then(|certificate| self.certificates.get(certificate));
        let covers = |certificate: &Certificate| match Host::parse(host) {
            Ok(host) => gate::hosts(certificate).any(|name| name.covers(&host)),
            Err(_) => true,
        };
        match certificate.filter(|certificate| certificate.spec.secret_name == name) {
            Some(certificate) if !covers(certificate) => SecretFacts::OfOtherHosts,
            _ => SecretFacts::Fits,
        }
    }

    /// [`Namespace::secret_for`] may say something else of a Secret: what the Ingresses that name it say is read again.
    fn read_anew(&mut self, namespace: &Arc<str>, secret: &str) -> Touched {
        let mut touched = Touched::default();
        for ingress in self.by_secret.of(secret) {
            touched.keys.insert(Key::Ingress(namespace.clone(), ingress.clone()));
            let entries = self.ingresses.get(ingress).into_iter().flat_map(|seen| seen.ingress.tls());
            let entries = entries.filter(|entry| entry.secret_name.as_deref() == Some(secret));
            let hosts = entries.flat_map(|entry| &entry.hosts).filter_map(|host| Host::parse(host).ok());
            touched.keys.extend(hosts.map(|host| Key::Host(namespace.clone(), host)));
        }
        if !touched.keys.is_empty() {
            self.generation += 1;
        }
        touched
    }

    /// A Certificate is to be seen as `new`, or to be lost: if that makes it another certificate or keeps it elsewhere, the
    /// Secret is read anew.
    pub(super) fn kept_otherwise(&mut self, namespace: &Arc<str>, name: &str, new: Option<&Certificate>) -> Touched {
        let what =
            |certificate: &Certificate| (certificate.spec.secret_name.clone(), certificate.spec.dns_names.clone());
        let (old, new) = (self.certificates.get(name).map(what), new.map(what));
        let mut touched = Touched::default();
        if old != new {
            for (secret, _) in [old, new].into_iter().flatten() {
                touched.merge(self.read_anew(namespace, &secret));
            }
        }
        touched
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::partial::ingress::Ingress,
        core::{policy::Policy, reason::Reason, reconcile::Want},
    };

    fn see<K: Kept + serde::de::DeserializeOwned>(world: &mut World, object: Value) -> Touched {
        serde_json::from_value::<K>(object).unwrap().see(world)
    }

    /// What an Ingress of many hosts says of its first, for which it names the Secret `web-tls`.
    fn refusal(world: &World) -> Option<Reason> {
        let host = Host::parse("h0.example.com").unwrap();
        let claims = world.claims("n", &world.namespaces["n"], &host);
        match &claims.first()?.want {
            Want::No(finding) => Some(finding.reason),
            Want::Yes(_) => None,
        }
    }

    fn concerns(touched: &Touched) -> bool {
        let host = Host::parse("h0.example.com").unwrap();
        touched.keys.contains(&Key::Ingress("n".into(), "web".into()))
            && touched.keys.contains(&Key::Host("n".into(), host))
    }

    #[test]
    fn what_is_said_of_a_users_entry_follows_its_secret_and_that_secrets_certificate() {
        let policy = json!({"issuer": {"name": "le"}, "autoIssue": "all"});
        let mut world = World::new(Arc::new(serde_json::from_value::<Policy>(policy).unwrap()));
        let rules: Vec<Value> = (0..20).map(|n| json!({"host": format!("h{n}.example.com")})).collect();
        let tls = json!([{"hosts": ["h0.example.com"], "secretName": "web-tls"}]);
        let ingress =
            json!({"metadata": {"name": "web", "namespace": "n", "uid": "u"}, "spec": {"rules": rules, "tls": tls}});
        see::<Ingress>(&mut world, ingress.clone());
        world.settle();
        assert_eq!(refusal(&world), Some(Reason::UserTls), "nothing is known of Secrets");
        assert!(Metadata::<v1::Secret>::listed(&mut world, true).everything);
        assert_eq!(refusal(&world), Some(Reason::TlsSecretMissing));

        let secret = |version: &str, annotations: Value| json!({"metadata": {"name": "web-tls", "namespace": "n", "resourceVersion": version, "annotations": annotations}});
        assert!(concerns(&see::<Metadata<v1::Secret>>(&mut world, secret("1", json!({})))));
        assert_eq!(refusal(&world), Some(Reason::UserTls));
        let kept = json!({"cert-manager.io/certificate-name": "bought"});
        assert!(concerns(&see::<Metadata<v1::Secret>>(&mut world, secret("2", kept.clone()))));
        let again = see::<Metadata<v1::Secret>>(&mut world, secret("3", kept));
        assert!(!concerns(&again), "only its content changed");

        let certificate = |host: &str, ready: &str| {
            json!({"metadata": {"name": "bought", "namespace": "n"}, "spec": {"secretName": "web-tls", "dnsNames": [host]},
                "status": {"conditions": [{"type": "Ready", "status": ready}]}})
        };
        assert!(concerns(&see::<Certificate>(&mut world, certificate("other.example.com", "False"))));
        assert_eq!(refusal(&world), Some(Reason::TlsSecretOfOtherHost));
        assert!(
            !concerns(&see::<Certificate>(&mut world, certificate("other.example.com", "True"))),
            "its status changed"
        );
        assert!(concerns(&see::<Certificate>(&mut world, certificate("*.example.com", "True"))));
        assert_eq!(refusal(&world), Some(Reason::UserTls));

        assert!(concerns(&Metadata::<v1::Secret>::lose(&mut world, "n", "web-tls")));
        assert_eq!(refusal(&world), Some(Reason::TlsSecretMissing));
        Ingress::lose(&mut world, "n", "web");
        assert_eq!(world.namespaces["n"].by_secret.of("web-tls").count(), 0);
    }

    #[test]
    fn an_entry_that_only_a_record_claims_is_the_users_to_whoever_asks() {
        // Copied from another namespace, where its Secret was bound.
        let record = json!({"tls": {"h0.example.com": "web-tls"}}).to_string();
        let ingress = json!({"metadata": {"name": "web", "namespace": "n", "uid": "u",
                "annotations": {"certgate.dev/injected": record, "certgate.dev/auto-issue": "true"}},
            "spec": {"rules": [{"host": "h0.example.com"}, {"host": "h1.example.com"}],
                "tls": [{"hosts": ["h0.example.com"], "secretName": "web-tls"}]}});
        let policy = json!({"issuer": {"name": "le"}});
        let mut world = World::new(Arc::new(serde_json::from_value::<Policy>(policy).unwrap()));
        see::<Ingress>(&mut world, ingress);
        world.settle();
        assert_eq!(refusal(&world), Some(Reason::UserTls));
        // An annotation of ours would order for that entry, so a companion does for the other host.
        let other = Host::parse("h1.example.com").unwrap();
        let claims = world.claims("n", &world.namespaces["n"], &other);
        let terms = claims.first().and_then(|claim| claim.terms()).unwrap();
        assert_eq!(terms.issuance, crate::core::policy::Issuance::Companion);
        let missing = Metadata::<v1::Secret>::listed(&mut world, true);
        assert!(missing.everything && refusal(&world) == Some(Reason::TlsSecretMissing));
    }
}
