//! Issuers: how they enter and leave the world, and what their own words mean for a host.

use kube::ResourceExt as _;

use super::{Touched, World, intake::Kept, unread::Watched};
use crate::{
    api::{partial::issuer, read::Unreadable},
    core::{
        host::Host,
        issuer::{Acme, IssuerFacts, Validation},
        policy::{IssuerRef, Policy},
        reconcile::IssuerView,
    },
};

/// An issuer that cannot be read, and of which nothing was known before: it is not ready, and says why.
pub fn unread(error: &str) -> IssuerFacts {
    IssuerFacts {
        acme: Some(Acme::default()),
        ready: Some(false),
        message: format!("its fields cannot be read: {error}"),
    }
}

/// What is known of an issuer of that name with respect to a host whose Certificate has the labels that `label` looks up.
pub fn view<'a>(
    issuer: &IssuerFacts,
    name: &IssuerRef,
    host: &Host,
    label: impl Fn(&str) -> Option<&'a str>,
    policy: &Policy,
) -> IssuerView {
    if issuer.ready != Some(true) {
        return match issuer.account_refusal() {
            Some(refused) => {
                IssuerView::AccountRefused { finding: refused.of_account(name, host), until: refused.until }
            }
            None => IssuerView::NotReady(issuer.message.clone()),
        };
    }
    match issuer.validation(host, label, &policy.caa_identities) {
        Ok(Validation::NotNeeded) => IssuerView::NoValidation,
        Ok(Validation::Acme { method, ca }) => IssuerView::Acme { method, ca },
        Err(unsolved) => IssuerView::NoSolver(unsolved.reason, unsolved.labels.join(", ")),
    }
}

impl Kept for issuer::Issuer {
    const WATCHED: Watched = Watched::Issuer;

    fn see(self, world: &mut World) -> Touched {
        let (namespace, ns) = world.enter(&self.namespace().unwrap_or_default());
        let mut touched = Touched::default();
        let name = self.name_any();
        let facts = self.facts;
        if ns.issuers.get(&name) != Some(&facts) {
            ns.issuers.insert(name, facts);
            ns.generation += 1;
            touched.keys.extend(ns.all_keys(&namespace));
            world.recount(Some(&namespace));
        }
        world.shared(touched)
    }

    fn lose(world: &mut World, namespace: &str, name: &str) -> Touched {
        let (namespace_name, ns) = world.enter(namespace);
        let mut touched = Touched::default();
        if ns.issuers.remove(name).is_some() {
            ns.generation += 1;
            touched.keys.extend(ns.all_keys(&namespace_name));
        }
        world.leave_if_empty(namespace);
        world.shared(touched)
    }

    fn unread(world: &mut World, found: &Unreadable) -> Touched {
        let (namespace, ns) = world.enter(found.namespace());
        let mut touched = Touched::default();
        if !ns.issuers.contains_key(found.name()) {
            ns.issuers.insert(found.name().to_owned(), unread(&found.error));
            ns.generation += 1;
            touched.keys.extend(ns.all_keys(&namespace));
        }
        world.shared(touched)
    }
}

impl Kept for issuer::ClusterIssuer {
    const WATCHED: Watched = Watched::ClusterIssuer;

    fn see(self, world: &mut World) -> Touched {
        let name = self.name_any();
        let facts = self.facts;
        let news = world.cluster_issuers.get(&name) != Some(&facts);
        world.cluster_issuers.insert(name, facts);
        if news {
            world.generation += 1;
            world.recount(None);
            world.survey_zones();
        }
        Touched { everything: news, ..Touched::default() }
    }

    fn lose(world: &mut World, _: &str, name: &str) -> Touched {
        let news = world.cluster_issuers.remove(name).is_some();
        if news {
            world.generation += 1;
            world.survey_zones();
        }
        Touched { everything: news, ..Touched::default() }
    }

    fn unread(world: &mut World, found: &Unreadable) -> Touched {
        let news = !world.cluster_issuers.contains_key(found.name());
        if news {
            world.cluster_issuers.insert(found.name().to_owned(), unread(&found.error));
            world.generation += 1;
        }
        Touched { everything: news, ..Touched::default() }
    }
}
