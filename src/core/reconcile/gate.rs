//! What is to be said of a host before any DNS question: either that settles
//! the verdict, or it is pre-flight's to reach.

use jiff::Timestamp;

use super::{HostInput, IssuerView, Owner, Terms, companion};
use crate::core::{
    finding::Finding,
    knowledge::Bind,
    policy::{Issuance, Profile, Target},
    reason::Reason,
    verdict::{Method, Request},
};

/// Where a host stands before any DNS question.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// The verdict is this, whatever DNS says.
    Settled(Finding),
    /// The same, and then somebody can do something about it.
    SettledUntil(Finding, Timestamp),
    /// DNS decides.
    Asks(Box<Request>),
}

/// Looks at a wanted host.
pub fn standing(input: &HostInput<'_>, terms: &Terms, bind: Option<&Bind>) -> Standing {
    let host = input.host;
    let settled = |reason| Standing::Settled(Finding::new(reason, host));
    let noted = |reason, note: &str| Standing::Settled(Finding::new(reason, host).note(note));
    if input.taken {
        return settled(Reason::HostTaken);
    }
    match bind {
        // Its renewal is gated, so DNS matters.
        Some(_) if input.gated.is_some() => return by_issuer(input, terms),
        Some(bind) => return noted(Reason::BoundExisting, &bind.secret_name),
        None => {}
    }
    if let Some(name) = foreign(input) {
        return noted(Reason::SecretNameTaken, name);
    }
    if input.name_taken && (terms.issuance == Issuance::Companion || terms.profile == Profile::RainbondV5) {
        return noted(Reason::CompanionNameTaken, &companion::name(host));
    }
    match &terms.refused {
        // What there is goes on as it is; DNS tells how its renewal will fare.
        Some(finding) if !input.certificate.is_some_and(|own| own.ready) => Standing::Settled(finding.clone()),
        _ => by_issuer(input, terms),
    }
}

/// Looks at a host that an issuer is to certify, whatever stands in the namespace.
pub fn by_issuer(input: &HostInput<'_>, terms: &Terms) -> Standing {
    match (input.taken, &terms.issuer) {
        (false, None) => Standing::Settled(Finding::new(Reason::IssuerUnset, input.host)),
        _ => by(input, &input.issuer),
    }
}

/// The same for a certain issuer.
pub fn by(input: &HostInput<'_>, issuer: &IssuerView) -> Standing {
    let host = input.host;
    let settled = |reason| Standing::Settled(Finding::new(reason, host));
    let noted = |reason, note: &str| Standing::Settled(Finding::new(reason, host).note(note));
    if input.taken {
        return settled(Reason::HostTaken);
    }
    match issuer {
        IssuerView::Missing(name) => noted(Reason::IssuerMissing, name),
        IssuerView::NotReady(why) => noted(Reason::IssuerNotReady, why),
        IssuerView::AccountRefused { finding, until } => match until.filter(|until| *until > input.now) {
            Some(until) => Standing::SettledUntil(finding.clone(), until),
            None => Standing::Settled(finding.clone()),
        },
        IssuerView::NoValidation => settled(Reason::NoValidationNeeded),
        IssuerView::NoSolver(reason, note) => noted(*reason, note),
        IssuerView::Acme { method, ca } => {
            let gateway = input.gateway;
            let nowhere = gateway.addresses.is_empty() && gateway.cnames.is_empty();
            if *method == Method::Http01 && nowhere && gateway.target != Target::AnyPublic {
                return settled(Reason::NoGatewayAddress);
            }
            Standing::Asks(Box::new(Request {
                host: host.clone(),
                method: *method,
                gateway: gateway.clone(),
                ca: ca.clone(),
            }))
        }
    }
}

/// The name of a Secret or Certificate that stands where ours would, and is not ours.
fn foreign<'i>(input: &HostInput<'i>) -> Option<&'i str> {
    if let Some(certificate) = &input.certificate
        && !matches!(certificate.owner, Owner::Ingress { .. })
    {
        return Some(certificate.name);
    }
    let secret = input.secret?;
    let name = input.certificate.map(|certificate| certificate.name);
    match secret.certificate {
        // cert-manager made it for a Certificate of our name, now or before.
        Some(made_for) if input.host.secret_name() == made_for => None,
        Some(made_for) => Some(made_for),
        // Not cert-manager's at all: it would overwrite it (cert-manager `checks.go:165`).
        None => Some(name.unwrap_or("as the host's name gives it")),
    }
}
