//! What an issuer's own words mean for a host.

use crate::{
    api::partial::issuer::Body,
    core::{
        host::Host,
        issuer::{Acme, IssuerFacts, Validation},
        policy::{IssuerRef, Policy},
        reconcile::IssuerView,
    },
};

/// Reads an issuer. One that cannot be read is not ready, and says why.
pub fn read(body: Body) -> IssuerFacts {
    let object = serde_json::json!({"spec": body.spec, "status": body.status});
    serde_json::from_value(object).unwrap_or_else(|error| IssuerFacts {
        acme: Some(Acme::default()),
        ready: Some(false),
        message: format!("its fields cannot be read: {error}"),
    })
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
        Err(reason) => IssuerView::NoSolver(reason, String::new()),
    }
}
