//! A host that no Ingress wants a certificate for, but a Certificate or CertificateRequest of the approval gate or a
//! route of Rainbond 6 does: it is checked, and nothing else.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    CertificateView, DomainView, Effect, HostInput, HostPlan, Terms, certificate, gate, host, kept, limit, matching,
    others, released, status, switch,
};
use crate::{
    api::domain::{CertificateStatus, IssuanceStatus, READY},
    core::{
        finding::{Finding, Lang},
        knowledge::Bind,
        limits::Place,
        policy::{Issuance, IssuerRef, Profile},
        reason::Reason,
    },
};

/// What the approval gate wants to know of a host.
#[derive(Clone, Debug)]
pub struct Gated<'a> {
    /// For which issuer; `None`: nothing names one.
    pub issuer: Option<IssuerRef>,
    /// The Certificate that asks; `None`: a request that no Certificate made, or a route.
    pub certificate: Option<CertificateView<'a>>,
}

/// Plans for a host of the approval gate alone: a verdict and its warnings. The Certificate is its maker's.
pub fn plan(input: &HostInput<'_>, domain: DomainView<'_>, gated: &Gated<'_>, plan: &mut HostPlan) {
    let now = input.now;
    plan.notes.idle_since = None;
    plan.notes.told.clear();
    let mut next = domain.status.clone();
    (next.lead, next.profile) = (None, None);
    released::carry(&mut next, domain.status, false, None);
    let terms = Terms::new(gated.issuer.clone(), Profile::Standard, Issuance::Inline);
    let ready = gated.certificate.is_some_and(|certificate| certificate.ready);
    let standing = gate::by_issuer(input, &terms);
    let by = host::By { issuer: terms.issuer.as_ref(), server: input.server.as_deref(), issued: ready };
    host::look(input, domain, standing, by, &mut next, plan);
    others::look(input, domain, &mut next, plan);
    next.certified.clone_from(&input.certified);
    let verdict =
        host::domain_verdict(&next, terms.issuer.as_ref()).unwrap_or_else(|| Finding::new(Reason::Pending, input.host));
    let verified = released::is_verified(&next, terms.issuer.as_ref(), now);
    kept::hold(&mut next, input, verified);
    // Should an Ingress want the host, it is bound to what is there.
    next.bind = matching::find(input.host, input.others, next.bind.as_ref(), false, now);
    released::remember_entries(&mut next, domain.status, input);
    next.certificate = gated.certificate.map(|certificate| CertificateStatus {
        name: certificate.name.to_owned(),
        secret_name: certificate.secret_name.to_owned(),
        not_before: certificate.not_before.map(Time),
        not_after: certificate.not_after.map(Time),
    });
    // A request that waits is not under way.
    let waits = |finding: &Finding| finding.reason == Reason::Issuing && !verdict.reason.opens_gate();
    let issued = match &input.checks.place {
        // Its request waits for a place, and the certificate, where there is one, is none the worse for it.
        Place::Waiting(wait) if !ready && input.requested => Some(limit::finding(input.host, wait)),
        _ => issued(input, gated, next.bind.as_ref()).filter(|finding| !waits(finding)),
    };
    next.issuance = issued.as_ref().map(IssuanceStatus::of);
    limit::write(&mut next, input);
    if let Some(issuer) = &gated.issuer {
        plan.need = limit::kept(input, gated.certificate.as_ref(), issuer);
    }
    let before = status::reason_of(domain.status, READY);
    let told = before == Some(Reason::CertificateLeftOver);
    let switch = input.switch.as_ref();
    let left_over = switch.and_then(|switch| switch.left_over(input.host.as_str(), told, now, plan));
    let findings =
        status::Findings { verified: &verdict, issued: issued.as_ref(), released: false, instead: left_over.as_ref() };
    let effective = status::write(&mut next, &findings, domain.generation, now);
    let news = before != Some(effective.reason);
    host::write_status(domain, next, plan);
    if news && effective.reason != Reason::Pending {
        let message = effective.sentence(Lang::En);
        plan.effects.push(Effect::Tell { ingress: None, reason: effective.reason, message });
    }
    switch::plan(input, &verdict, left_over.as_ref(), told, plan);
    // What an Ingress left behind that no longer wants a certificate.
    if let Some(companion) = input.companion {
        plan.effects.push(companion.delete());
    }
    certificate::withdraw(input, plan);
}

/// How it stands with the certificate. `None`: none is on its way that certgate knows of.
fn issued(input: &HostInput<'_>, gated: &Gated<'_>, bind: Option<&Bind>) -> Option<Finding> {
    if let Some(finding) = certificate::finding(input.host, gated.certificate.as_ref(), input.now) {
        return Some(finding);
    }
    input.switch.as_ref().filter(|switch| switch.flagged)?;
    Some(match bind {
        Some(bind) => Finding::new(Reason::BoundExisting, input.host).note(&bind.secret_name),
        None => Finding::new(Reason::RouteWithoutCertificate, input.host),
    })
}
