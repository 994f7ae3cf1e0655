//! The second gate: may a CertificateRequest be approved?
//!
//! cert-manager sends no request to an issuer before it is approved, and an
//! unapproved one costs nothing at the CA. So what is held here is held for
//! free: certificates that never pass an Ingress write (Rainbond 6 makes
//! Certificates directly), and renewals.

use jiff::Timestamp;

use super::{
    certified,
    csr::{CsrError, CsrNames},
    finding::{Finding, Lang},
    host::Host,
    ingress::Labels,
    knowledge::{DomainFacts, Knowledge, PlaceFacts},
    names,
    policy::{GateMode, IssuerRef, Policy, Subject},
    rainbond::Origin,
    reason::Reason,
    settings::{self, Flag},
};

/// What the gate reads of a CertificateRequest.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestFacts<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// `spec.issuerRef`.
    pub issuer: IssuerRef,
    /// The ACME directory that the issuer names now, empty where it is no ACME one; `None`: not known here.
    pub server: Option<&'a str>,
    /// The names in `spec.request`.
    pub names: Result<CsrNames, CsrError>,
    /// Its annotation or label `certgate.dev/auto-issue`; cert-manager copies both from the Certificate.
    pub word: Option<&'a str>,
    /// Its labels, copied from the Certificate.
    pub labels: &'a Labels<'a>,
    /// Whether what Domains say of the CA's limits counts. Not for the controller, which lets go itself.
    pub by_place: bool,
    /// The name of the Certificate that it is for, where there is one.
    pub certificate: Option<&'a str>,
}

/// What the gate reads of a Certificate.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its annotation or label `certgate.dev/auto-issue`.
    pub word: Option<&'a str>,
    /// Its labels.
    pub labels: &'a Labels<'a>,
    /// Its name; `None`: a request that no Certificate made.
    pub name: Option<&'a str>,
    /// Its issuer.
    pub issuer: &'a IssuerRef,
}

/// What the gate says of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Approval {
    /// None of the gate's business; whoever approves may do so.
    NotGated(NotGated),
    /// The CA will be able to validate every name.
    Allowed,
    /// Not yet.
    Held {
        /// What each name waits for.
        findings: Vec<Finding>,
        /// When it is let through whatever DNS shows; `None`: not at all.
        until: Option<Timestamp>,
    },
    /// Names still wait, but the certificate would run out: failing at the CA is then no worse.
    LetThrough(Vec<Finding>),
}

/// Why a request is none of the gate's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotGated {
    /// Policy has the gate off.
    Off,
    /// The issuer is not one that policy names.
    OtherIssuer,
    /// The namespace is excluded.
    NamespaceExcluded,
    /// No DNS names in it: IP addresses, e-mail addresses or URIs only.
    NoDnsNames,
    /// None of the names is one that certgate looks after, and policy gates no others.
    NotFlagged,
}

// === impl Approval ===

impl Approval {
    /// Whether someone's approval may stand.
    pub const fn permits(&self) -> bool {
        !matches!(self, Self::Held { .. })
    }

    /// Whether certgate itself should approve now.
    pub const fn approves(&self) -> bool {
        matches!(self, Self::Allowed | Self::LetThrough(_))
    }
}

/// Judges a request. Total: no I/O, no clock, no error.
pub fn judge<K: Knowledge>(request: &RequestFacts<'_>, knowledge: &K, policy: &Policy, now: Timestamp) -> Approval {
    let gate = &policy.gate;
    if let Err(why) = applies(request, policy) {
        return Approval::NotGated(why);
    }
    let names = match &request.names {
        Ok(names) => names,
        // Whoever reads it in another way may find any name in it.
        Err(error) => {
            let unreadable = Finding::new(Reason::RequestUnreadable, "spec.request").note(error.to_string());
            return Approval::Held { findings: vec![unreadable], until: None };
        }
    };
    if names.hosts.is_empty() && names.invalid.is_empty() {
        return Approval::NotGated(NotGated::NoDnsNames);
    }
    let domains: Vec<(&Host, Option<&DomainFacts>)> =
        names.hosts.iter().map(|host| (host, knowledge.domain(request.namespace, host.as_str()))).collect();
    let asker = request.asker();
    let looked_after =
        |host: &Host, domain: Option<&DomainFacts>| asker.gates(host, knowledge, policy) || leads(domain);
    if gate.mode == GateMode::Annotated && !domains.iter().any(|(host, domain)| looked_after(host, *domain)) {
        return Approval::NotGated(NotGated::NotFlagged);
    }
    // A certificate with a name that is none was never issued.
    let mut findings: Vec<Finding> = names.invalid.iter().map(|text| Finding::new(Reason::HostInvalid, text)).collect();
    let mut until = findings.is_empty().then_some(Timestamp::MIN);
    let set = certified::digest(&names.hosts);
    for (host, domain) in domains.iter().filter(|(host, domain)| looked_after(host, *domain)) {
        let waits = waits(host, *domain, request, now);
        let waits = waits.or_else(|| place(host, *domain, &request.issuer, policy).filter(|_| request.by_place));
        let Some(finding) = waits else { continue };
        findings.push(finding);
        let from = let_through(*domain, &request.issuer, &set, gate.let_through_days, now);
        until = until.zip(from).map(|(one, other)| one.max(other));
    }
    match until {
        _ if findings.is_empty() => Approval::Allowed,
        Some(at) if at <= now => Approval::LetThrough(findings),
        until => Approval::Held { findings, until },
    }
}

/// When a held name of a request is let through: a renewal is, once the certificate that this very issuer made for
/// exactly the same names is about to end. certgate is never the cause of an expired certificate.
fn let_through(
    domain: Option<&DomainFacts>,
    issuer: &IssuerRef,
    names: &str,
    days: u32,
    now: Timestamp,
) -> Option<Timestamp> {
    let known = domain?.certified.iter().filter(|one| one.is_of(issuer, names) && now < one.until(days));
    known.map(|one| one.from(days)).max()
}

/// The most names that a sentence about a held request tells of.
const MAX_TOLD: usize = 3;

/// What a held request waits for, in a sentence, with who must act.
pub fn held(findings: &[Finding]) -> String {
    let mut text = String::from("certgate holds this request back:");
    for finding in findings.iter().take(MAX_TOLD) {
        let (sentence, acts) = (finding.sentence(Lang::En), finding.who_acts().as_str());
        text.push_str(&format!(" {sentence} (who acts: {acts})"));
    }
    match findings.len().saturating_sub(MAX_TOLD) {
        0 => {}
        more => text.push_str(&format!(" And {more} more names.")),
    }
    text
}

/// Whether the gate concerns the request at all.
fn applies(request: &RequestFacts<'_>, policy: &Policy) -> Result<(), NotGated> {
    if policy.gate.mode == GateMode::Off {
        return Err(NotGated::Off);
    }
    if policy.excludes(request.namespace) {
        return Err(NotGated::NamespaceExcluded);
    }
    if !policy.issuers().any(|issuer| *issuer == request.issuer) {
        return Err(NotGated::OtherIssuer);
    }
    Ok(())
}

/// Whether a Domain is kept for an Ingress that wants a certificate. Its Certificate does not repeat the flag.
fn leads(domain: Option<&DomainFacts>) -> bool {
    domain.is_some_and(|domain| domain.lead.is_some() && domain.auto_issue != Some(false))
}

/// What a name waits for; `None`: nothing. Unlike at a first injection, what
/// was released or issued before is no excuse: this is about the next order.
fn waits(host: &Host, domain: Option<&DomainFacts>, request: &RequestFacts<'_>, now: Timestamp) -> Option<Finding> {
    // A verdict for one issuer says nothing about another, whatever the host is kept for; nor about what the issuer was before.
    let verdict = domain.and_then(|domain| domain.verdict_for(&request.issuer));
    let Some(verdict) = verdict.filter(|verdict| verdict.is_by(request.server)) else {
        return Some(Finding::new(Reason::Pending, host));
    };
    if !verdict.finding.reason.opens_gate() {
        return Some(verdict.finding.clone());
    }
    (verdict.valid_until <= now).then(|| Finding::new(Reason::VerdictStale, host))
}

/// What a verified name still waits for within the CA's limits; `None`: nothing.
fn place(host: &Host, domain: Option<&DomainFacts>, issuer: &IssuerRef, policy: &Policy) -> Option<Finding> {
    let domain = domain?;
    if domain.verdict.as_ref().and_then(|verdict| verdict.issuer.as_ref()) != Some(issuer) {
        // The place that the Domain tells of is another issuer's. certgate approves by itself when there is one.
        return policy.gate.approve.then(|| Finding::new(Reason::Pending, host));
    }
    match domain.place.as_ref()? {
        PlaceFacts::Granted => None,
        PlaceFacts::Waiting(limit) => Some(limit.finding.clone()),
        PlaceFacts::Unasked => Some(Finding::new(Reason::Pending, host)),
    }
}

// === impl RequestFacts ===

impl RequestFacts<'_> {
    /// It speaks as its Certificate would.
    pub fn asker(&self) -> Asker<'_> {
        let Self { namespace, issuer, word, labels, certificate, .. } = self;
        Asker { namespace, word: *word, labels, name: *certificate, issuer }
    }
}

// === impl Asker ===

impl Asker<'_> {
    /// Whether a host of the Certificate is gated for the Certificate's own sake.
    pub fn gates<K: Knowledge>(&self, host: &Host, knowledge: &K, policy: &Policy) -> bool {
        match policy.gate.mode {
            GateMode::Off => false,
            GateMode::All => true,
            // What flags it may be what cannot be read.
            GateMode::Annotated => self.flags(host, knowledge, policy) || knowledge.is_unknown(self.namespace, host),
        }
    }

    /// Whether something flags a host of the Certificate. Rainbond's switch is a word of the Certificate's own.
    pub fn flags<K: Knowledge>(&self, host: &Host, knowledge: &K, policy: &Policy) -> bool {
        let subject = Subject {
            host: Some(host.as_str()),
            namespace: self.namespace,
            namespace_label: |key: &str| knowledge.namespace_label(self.namespace, key),
            label: |key: &str| self.labels.get(key),
            class: None,
        };
        let switch = policy.rainbond.routes && self.is_switch(host);
        let word = self.word.or_else(|| switch.then_some("true"));
        let domain = knowledge.domain(self.namespace, host.as_str());
        settings::flag(word, domain, &subject, policy) == Flag::On
    }

    /// Whether Rainbond's switch made it for that host.
    pub fn is_switch(&self, host: &Host) -> bool {
        let app_id = self.labels.get(names::RAINBOND_APP_ID);
        self.name.is_some_and(|name| Origin { name, app_id, issuer: self.issuer }.is_switch(host))
    }
}

#[cfg(test)]
mod tests;
