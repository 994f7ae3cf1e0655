//! Where a host stands on its way from the Ingress to the served certificate.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{
    layout::time,
    words::{self, Words},
};
use crate::{
    core::{
        finding::Lang,
        reason::{Reason, WhoActs},
    },
    status::Row,
};

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Behind the host.
    Done,
    /// Under way: nobody needs to act.
    Now,
    /// Nothing goes on until somebody acts.
    Stuck,
    /// Still to come.
    Open,
}

/// The steps, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The host is in an Ingress.
    Seen,
    /// Policy and issuer let it have a certificate.
    Allowed,
    /// DNS leads to this platform.
    Dns,
    /// CAA lets the CA issue.
    Caa,
    /// The Ingress, or its companion, asks for the certificate.
    Injected,
    /// The CA issued, and the Secret is there.
    Issued,
    /// The certificate will be renewed.
    Renewal,
}

const STEPS: [Step; 7] = [Step::Seen, Step::Allowed, Step::Dns, Step::Caa, Step::Injected, Step::Issued, Step::Renewal];

/// Every step of a host with its state. One step alone is not behind the host and not still to come: where it stands.
pub fn steps(row: &Row) -> Vec<(Step, State)> {
    let stands = stands(row);
    let waits = if row.needs_somebody() { State::Stuck } else { State::Now };
    STEPS
        .into_iter()
        .map(|step| match stands {
            Some(at) if step == at => (step, waits),
            Some(at) if step > at => (step, State::Open),
            // With its certificate in place it has the renewal before it.
            None if step == Step::Renewal => (step, State::Open),
            _ => (step, State::Done),
        })
        .collect()
}

/// The step at which the host stands; `None`: it has its certificate, and nothing is amiss.
fn stands(row: &Row) -> Option<Step> {
    let reason = row.finding.reason;
    match reason {
        Reason::RenewalAtRisk => Some(Step::Renewal),
        _ if row.ready => None,
        Reason::Pending | Reason::VerdictStale | Reason::RateLimited => Some(Step::Dns),
        Reason::Issued
        | Reason::BoundExisting
        | Reason::Issuing
        | Reason::AwaitingCertificate
        | Reason::CertificateMissing
        | Reason::IssuanceFailed
        | Reason::CaRateLimited
        | Reason::CaUnreachable
        | Reason::CaPaused
        | Reason::ChallengeFailed => Some(Step::Issued),
        // Met before the order it is a verdict, met by the CA it is an issuance.
        _ if row.released_since.is_some() && row.verified_since.is_some() => Some(Step::Issued),
        Reason::Verified | Reason::NoValidationNeeded => Some(Step::Injected),
        Reason::CaaForbids
        | Reason::CaaUnknownCritical
        | Reason::CaaOtherAccount
        | Reason::CaaOtherMethod
        | Reason::CaaLookupFailed
        | Reason::RegistryFailure => Some(Step::Caa),
        Reason::GatewayNameBroken
        | Reason::GatewayNotPublic
        | Reason::ResolverUnreachable
        | Reason::ResolverRefuses
        | Reason::ResolverFaulty
        | Reason::ResolverNotValidating
        | Reason::HttpUnreachable => Some(Step::Dns),
        _ if matches!(reason.who_acts(), WhoActs::DomainOwner | WhoActs::DnsHost) => Some(Step::Dns),
        _ => Some(Step::Allowed),
    }
}

/// The list.
pub fn render(row: &Row, lang: Lang, now: Timestamp) -> Markup {
    let words = words::of(lang);
    html! {
        ol.timeline {
            @for (step, state) in steps(row) {
                li class=(class(state)) {
                    span.dot aria-hidden="true" { (sign(state)) }
                    strong { (name(step, words)) } " "
                    span.soft { "(" (word(state, words)) ")" }
                    (detail(step, state, row, lang, now))
                }
            }
        }
    }
}

fn class(state: State) -> &'static str {
    match state {
        State::Done => "done",
        State::Now => "now",
        State::Stuck => "stuck",
        State::Open => "open",
    }
}

fn sign(state: State) -> &'static str {
    match state {
        State::Done => "✓",
        State::Now => "…",
        State::Stuck => "!",
        State::Open => "",
    }
}

fn word(state: State, words: &Words) -> &'static str {
    match state {
        State::Done => words.done,
        State::Now => words.in_progress,
        State::Stuck => words.needs_action,
        State::Open => words.open,
    }
}

fn name(step: Step, words: &Words) -> &'static str {
    match step {
        Step::Seen => words.seen,
        Step::Allowed => words.allowed,
        Step::Dns => words.dns,
        Step::Caa => words.caa,
        Step::Injected => words.injected,
        Step::Issued => words.served,
        Step::Renewal => words.renewal,
    }
}

/// When it was reached, and what it waits for.
fn detail(step: Step, state: State, row: &Row, lang: Lang, now: Timestamp) -> Markup {
    let at = match step {
        Step::Seen => row.created,
        Step::Dns => row.verified_since,
        Step::Injected => row.released_since,
        Step::Issued => row.issued_since,
        Step::Allowed | Step::Caa | Step::Renewal => None,
    };
    let waits = matches!(state, State::Now | State::Stuck);
    let words = words::of(lang);
    html! {
        @if state == State::Done && at.is_some() { p.soft { (time(at, now, lang)) } }
        // Its sentence is at the head of the page.
        @if waits { p.soft { (words.reason) ": " (row.finding.cause.as_ref().map_or(row.finding.reason, |cause| cause.reason)) } }
        @if step == Step::Renewal && row.not_after.is_some() { p.soft { (words.expires) ": " (time(row.not_after, now, lang)) } }
    }
}
