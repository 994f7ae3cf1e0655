//! The plan for one host of a namespace: its Domain, its verdict, its lead, its
//! Certificate, its companion.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    Claim, DomainView, Effect, HostInput, HostPlan, Notes, Terms, Unknown, Want,
    certificate::{self, Carrier},
    check::{self, Due},
    checked, companion,
    gate::{self, Standing},
    kept, lead, limit, matching, others, released, status, switch,
};
use crate::{
    api::domain::{CertificateStatus, DomainStatus, IssuanceStatus, READY},
    core::{
        finding::{Finding, Lang},
        issuance,
        knowledge::Bind,
        limits::Place,
        policy::{Issuance, IssuerRef},
        reason::{Action, Reason},
    },
};

/// The most Ingresses of a host that get an Event.
const MAX_TOLD: usize = 8;

/// Plans for a host.
pub fn plan(input: &HostInput<'_>) -> HostPlan {
    let mut plan = HostPlan { notes: input.notes.clone(), ..HostPlan::default() };
    if input.unknown == Unknown::All {
        return plan;
    }
    let owner = input.certificate.map(|certificate| certificate.owner).unwrap_or_default();
    let current = input.domain.and_then(|domain| domain.status.lead.as_deref());
    let lead = lead::choose(input.claims, current, owner);
    match (input.domain, lead.and_then(|lead| Some((lead, lead.terms()?)))) {
        // Somebody may want it.
        (_, None) if input.gated.is_none() && input.unknown == Unknown::Wishes => {}
        (None, None) if input.gated.is_some() => plan.effects.push(Effect::CreateDomain),
        (None, None) => {
            certificate::withdraw(input, &mut plan);
            forget(&mut plan.notes);
        }
        (None, Some(_)) => plan.effects.push(Effect::CreateDomain),
        // The next Domain is made when this one is gone.
        (Some(domain), _) if domain.deleting => {}
        (Some(domain), None) => match &input.gated {
            Some(gated) => checked::plan(input, domain, gated, &mut plan),
            None => unwanted(input, domain, &mut plan),
        },
        (Some(domain), Some((lead, terms))) => wanted(input, domain, lead, terms, &mut plan),
    }
    // A question takes no time and cannot fail; an Event is only sent of what was written.
    plan.effects.sort_by_key(|effect| match effect {
        Effect::Check { .. } => 0,
        Effect::Tell { .. } | Effect::TellCertificate { .. } => 2,
        _ => 1,
    });
    plan
}

/// Of a host without a Domain nothing is remembered but since when its Certificate has been unwanted.
fn forget(notes: &mut Notes) {
    *notes = Notes { unwanted_since: notes.unwanted_since, ..Notes::default() };
}

/// Nobody wants a certificate: what is ours goes.
fn unwanted(input: &HostInput<'_>, domain: DomainView<'_>, plan: &mut HostPlan) {
    let now = input.now;
    let why = why_unwanted(input);
    let mut why = match why.reason {
        // Switched off, and then deleted: who said no has not taken that back, so nothing is waited for.
        Reason::HostRemoved => {
            let before = status::reason_of(domain.status, READY).filter(|_| domain.status.lead.is_none());
            before.filter(|before| is_no(*before)).map_or(why, |before| Finding::new(before, input.host))
        }
        _ => why,
    };
    let idle_since = *plan.notes.idle_since.get_or_insert(now);
    let dropped = why.reason == Reason::HostRemoved;
    let secret_stays = input.secret.is_some_and(|secret| secret.certificate.is_some());

    let mut next = domain.status.clone();
    // A route that is there and no longer asks has been switched off.
    let off = !dropped || input.switch.as_ref().is_some_and(|switch| switch.routed == Some(true));
    let kept = kept::keep(&mut next, domain.status, input, off, idle_since);
    let stays = next.claimed_since.is_some() && secret_stays;
    released::carry(&mut next, domain.status, stays, None);
    if let Some(until) = &next.kept_until {
        why = why.note(until.0.to_string());
    }
    status::write_unwanted(&mut next, &why, domain.generation, now);
    if why.reason.is_user_tls() {
        // So that decisions about the other Ingresses of the host know of it.
        check::settle(&mut next, &why, None, now);
    }
    released::remember_entries(&mut next, domain.status, input);
    let ours_on_ingresses = !next.injected_secrets.is_empty();
    announce(input, domain, &why, next, plan);

    if let Some(companion) = input.companion {
        plan.effects.push(companion.delete());
    }
    certificate::withdraw(input, plan);
    if let Some(at) = kept.filter(|at| *at > now) {
        return plan.wake_at(at);
    }
    let ours_remains = input.companion.is_some() || ours_on_ingresses || plan.notes.unwanted_since.is_some();
    if domain.managed && !ours_remains {
        plan.effects.push(Effect::DeleteDomain);
    }
}

/// Whether a reason says that somebody does not want the host, and not just that no Ingress is left that does.
fn is_no(reason: Reason) -> bool {
    reason.action() == Action::Skip && !matches!(reason, Reason::HostRemoved | Reason::BeingDeleted)
}

/// The reason to tell where none of the Ingresses wants a certificate.
fn why_unwanted(input: &HostInput<'_>) -> Finding {
    let findings = input.claims.iter().filter_map(|claim| match &claim.want {
        Want::No(finding) => Some(finding),
        Want::Yes(_) => None,
    });
    // What a person can act on says more than that one of several Ingresses went.
    findings
        .filter(|finding| !matches!(finding.reason, Reason::HostRemoved | Reason::BeingDeleted))
        .min_by_key(|finding| finding.reason == Reason::NotFlagged)
        .cloned()
        .unwrap_or_else(|| Finding::new(Reason::HostRemoved, input.host))
}

/// Somebody wants a certificate.
fn wanted(input: &HostInput<'_>, domain: DomainView<'_>, lead: &Claim<'_>, terms: &Terms, plan: &mut HostPlan) {
    let (now, host) = (input.now, input.host);
    plan.notes.idle_since = None;
    plan.notes.unwanted_since = None;
    let mut next = domain.status.clone();
    let bind = bind(input, &next, terms);
    let issuer = terms.issuer.as_ref();
    let issued_now = bind.is_some() || input.certificate.is_some_and(|certificate| certificate.ready);

    let by = By { issuer, server: input.server.as_deref(), issued: issued_now };
    look(input, domain, gate::standing(input, terms, bind.as_ref()), by, &mut next, plan);
    others::look(input, domain, &mut next, plan);
    next.certified.clone_from(&input.certified);
    // The verdict is for another issuer, or there is none: as good as not looked at.
    let verdict = domain_verdict(&next, issuer).unwrap_or_else(|| Finding::new(Reason::Pending, host));
    let verified = released::is_verified(&next, issuer, now);
    kept::hold(&mut next, input, verified);

    // Bound to somebody else's certificate is not released: an order of our own has its own gate.
    released::carry(&mut next, domain.status, bind.is_none(), issuer);
    next.lead = Some(lead.name.to_owned());
    next.profile = Some(terms.profile);
    next.bind.clone_from(&bind);
    next.certificate = certificate_status(input, bind.as_ref());
    if let Some(deadline) = bind.as_ref().and_then(|bind| matching::deadline(other(input, bind)?)) {
        plan.wake_at(deadline);
    }

    plan.need = limit::need(input, &next, issuer, verdict.reason.opens_gate());
    let waits = matches!(plan.need, limit::Need::Ask { .. }).then_some(&input.checks.place);
    let held = matches!(waits, Some(Place::Unasked | Place::Waiting(_)));
    if let Some(Place::Waiting(wait)) = waits {
        plan.wake_at(wait.until.max(now));
    }
    let own = host.secret_name();
    let companion_orders = input.companion.is_some_and(companion::Companion::orders);
    let in_place = companion_orders || input.claims.iter().any(|claim| claim.bears == Some(own.as_str()));
    // The webhook injects by what the Domain said until now.
    let stood_open = !input.taken && released::stands_open(domain.status, issuer, now);
    if bind.is_none() && in_place && ((verified && !held) || stood_open) {
        released::release(&mut next, issuer, now);
        plan.need = limit::need(input, &next, issuer, verdict.reason.opens_gate());
    }
    released::remember_entries(&mut next, domain.status, input);
    let open = (verified && !held) || released::is_released_for(&next, issuer);
    let injected =
        bind.is_none() && (open || next.released) && terms.refused.is_none() && follow(input, lead, terms, plan);
    let issued = match &bind {
        Some(bind) => Some(Finding::new(Reason::BoundExisting, host).note(&bind.secret_name)),
        None if held => match &input.checks.place {
            Place::Waiting(wait) => Some(limit::finding(host, wait)),
            _ => None,
        },
        None if injected && input.certificate.is_none() && plan.notes.nudges > 0 => {
            Some(Finding::new(Reason::CertificateMissing, host))
        }
        None => {
            certificate::finding(host, input.certificate.filter(|own| own.owner != super::Owner::Nobody).as_ref(), now)
        }
    };
    if let Some(at) = input.certificate.and_then(|own| issuance::look_again(&own.attempt, now)) {
        plan.wake_at(at);
    }
    next.issuance = issued.as_ref().map(IssuanceStatus::of);
    limit::write(&mut next, input);
    let findings = status::Findings {
        verified: &verdict,
        issued: issued.as_ref(),
        released: next.released,
        instead: input.contested,
    };
    let effective = status::write(&mut next, &findings, domain.generation, now);
    let (released, by) = (next.released, next.released_issuer().cloned());
    announce(input, domain, &effective, next, plan);
    match open {
        // What was let through for one issuer goes on until another one's gate is open.
        false if released => {
            write_companion(input, &Terms { issuer: by, ..terms.clone() }, bind.as_ref(), true, plan);
        }
        open => write_companion(input, terms, bind.as_ref(), open, plan),
    }
    switch::plan(input, &verdict, None, false, plan);
}

/// For whom a verdict is.
#[derive(Clone, Copy, Debug)]
pub(super) struct By<'a> {
    /// The issuer; `None`: nothing names one.
    pub issuer: Option<&'a IssuerRef>,
    /// The ACME directory that it names, as [`HostInput::server`].
    pub server: Option<&'a str>,
    /// There is a certificate: only its renewal is at stake.
    pub issued: bool,
}

/// Brings a host's verdict up to date, or asks for one.
pub(super) fn look(
    input: &HostInput<'_>,
    domain: DomainView<'_>,
    standing: Standing,
    by: By<'_>,
    next: &mut DomainStatus,
    plan: &mut HostPlan,
) {
    // An issuer that became another CA's is another issuer: what was found for the one before opens nothing.
    if let (Some(now), Some(verdict)) = (by.server, &next.verdict)
        && verdict.server.as_deref().is_some_and(|then| then != now)
    {
        next.verdict = None;
    }
    look_at(input, domain, standing, by, next, plan);
    if let Some(verdict) = next.verdict.as_mut().filter(|verdict| verdict.issuer.as_ref() == by.issuer) {
        verdict.server = by.server.map(str::to_owned);
    }
}

fn look_at(
    input: &HostInput<'_>,
    domain: DomainView<'_>,
    standing: Standing,
    by: By<'_>,
    next: &mut DomainStatus,
    plan: &mut HostPlan,
) {
    let By { issuer, issued, .. } = by;
    let now = input.now;
    let request = match standing {
        Standing::Settled(finding) => return check::settle(next, &finding, issuer, now),
        Standing::SettledUntil(finding, until) => {
            check::settle(next, &finding, issuer, now);
            next.next_check_time = Some(Time(until));
            return plan.wake_at(until);
        }
        Standing::Asks(request) => request,
    };
    let asked = check::asked(&request, check::check_now(&domain, input.claims));
    check::recall(next, input.notes.unwritten.as_ref());
    if let Some(fresh) = &input.checks.fresh
        && fresh.asked.digest == asked.digest
    {
        check::adopt(next, fresh, issuer);
    }
    let mut due = check::due(next, &asked, issuer, input.checks, issued && !input.requested, now);
    if let (Due::At(at), true) = (due, input.requested) {
        // A good verdict must hold when it is asked for; a bad one was looked at seldom while nothing waited for it.
        let good = next.verdict.as_ref().filter(|v| Reason::from_name(&v.reason).is_some_and(Reason::opens_gate));
        let until = good.and_then(|verdict| verdict.valid_until.as_ref()).map(|until| until.0);
        let begins = good.is_none() && !input.notes.requested;
        let at = if begins { now } else { until.map_or(at, |until| at.min(until)) };
        due = if at <= now { Due::Now } else { Due::At(at) };
    }
    plan.notes.requested = input.requested;
    match due {
        // One at a time: its answer brings the next plan.
        Due::Now if plan.effects.iter().any(|effect| matches!(effect, Effect::Check { .. })) => {}
        Due::Now => plan.effects.push(Effect::Check { request, asked }),
        Due::At(at) => {
            next.next_check_time = Some(Time(at));
            plan.wake_at(at);
        }
        Due::Running => {}
    }
}

/// The verdict as it stands in the status, if it was reached for this issuer.
pub(super) fn domain_verdict(status: &DomainStatus, issuer: Option<&IssuerRef>) -> Option<Finding> {
    let verdict = status.verdict.as_ref().filter(|verdict| verdict.issuer.as_ref() == issuer)?;
    Some(
        Finding::new(Reason::from_name(&verdict.reason)?, &verdict.subject)
            .observed(&status.observed)
            .required(&status.required)
            .note(&verdict.note),
    )
}

/// The existing certificate to bind. One's own, once it was ordered, is not exchanged for another.
fn bind(input: &HostInput<'_>, status: &DomainStatus, terms: &Terms) -> Option<Bind> {
    let own = input.certificate.is_some() || (status.released && status.bind.is_none());
    if own || input.taken {
        return None;
    }
    let v5 = terms.profile == crate::core::policy::Profile::RainbondV5;
    matching::find(input.host, input.others, status.bind.as_ref(), v5, input.now)
}

/// The certificate that is bound.
fn other<'i, 'a>(input: &'i HostInput<'a>, bind: &Bind) -> Option<&'i super::CertificateView<'a>> {
    input.others.iter().find(|other| other.name == bind.certificate)
}

fn certificate_status(input: &HostInput<'_>, bind: Option<&Bind>) -> Option<CertificateStatus> {
    let certificate = match bind {
        Some(bind) => other(input, bind)?,
        None => input.certificate.as_ref()?,
    };
    Some(CertificateStatus {
        name: certificate.name.to_owned(),
        secret_name: certificate.secret_name.to_owned(),
        not_before: certificate.not_before.map(Time),
        not_after: certificate.not_after.map(Time),
    })
}

/// Sees to the wanted Certificate once something is there for ingress-shim to
/// act on. Returns whether there is.
fn follow(input: &HostInput<'_>, lead: &Claim<'_>, terms: &Terms, plan: &mut HostPlan) -> bool {
    let carrier = match terms.issuance {
        Issuance::Inline if lead.annotated && lead.refers => Carrier { name: lead.name, uid: lead.uid },
        Issuance::Companion => match input.companion {
            Some(companion) if companion.orders() => Carrier { name: &companion.name, uid: &companion.uid },
            _ => return false,
        },
        Issuance::Inline => return false,
    };
    certificate::repair(input, carrier, plan);
    true
}

fn write_companion(input: &HostInput<'_>, terms: &Terms, bind: Option<&Bind>, open: bool, plan: &mut HostPlan) {
    match (companion::desired(input, terms, bind, open), input.companion) {
        // A certificate that is there is not given up for an annotation that no new one could have.
        (None, Some(_)) if terms.refused.is_some() && bind.is_none() => {}
        (Some(desired), Some(present)) if present.is_as(&desired) => {}
        (Some(_), None) if input.name_taken => {}
        (Some(desired), present) => {
            let uid = present.map(|present| present.uid.clone()).unwrap_or_default();
            plan.effects.push(Effect::WriteCompanion(Box::new(companion::Companion { uid, ..desired })));
        }
        (None, Some(present)) => plan.effects.push(present.delete()),
        (None, None) => {}
    }
}

/// Writes the status where it changed by more than a look that found nothing new.
pub(super) fn write_status(domain: DomainView<'_>, next: DomainStatus, plan: &mut HostPlan) {
    plan.notes.unwritten = check::unwritten(domain.status, &next).filter(|_| next != *domain.status);
    if plan.notes.unwritten.is_none() && next != *domain.status {
        plan.effects.push(Effect::SetStatus(Box::new(next)));
    }
}

/// Writes the status where it changed, and tells of a changed reason, once.
fn announce(
    input: &HostInput<'_>,
    domain: DomainView<'_>,
    effective: &Finding,
    next: DomainStatus,
    plan: &mut HostPlan,
) {
    let reason = effective.reason;
    let before = status::reason_of(domain.status, READY);
    write_status(domain, next, plan);
    // After a restart what the Domain says has been said.
    let said = plan.notes.told.is_empty() && before == Some(reason);
    let quiet = matches!(reason, Reason::Pending | Reason::NotFlagged);
    let tell = |ingress| Effect::Tell { ingress, reason, message: effective.sentence(Lang::En) };
    if before != Some(reason) && !quiet {
        plan.effects.push(tell(None));
    }
    let told = std::mem::take(&mut plan.notes.told);
    for claim in input.claims {
        let fresh = told.get(claim.uid) != Some(&reason) && !said;
        if fresh && !quiet && plan.notes.told.len() < MAX_TOLD {
            plan.effects.push(tell(Some((claim.name.to_owned(), claim.uid.to_owned()))));
        }
        plan.notes.told.insert(claim.uid.to_owned(), reason);
    }
}
