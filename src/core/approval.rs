//! The second gate: may a CertificateRequest be approved?
//!
//! cert-manager sends no request to an issuer before it is approved, and an
//! unapproved one costs nothing at the CA. So what is held here is held for
//! free: certificates that never pass an Ingress write (Rainbond 6 makes
//! Certificates directly), and renewals.

use jiff::{SignedDuration, Timestamp};

use super::{
    csr::{CsrError, CsrNames},
    finding::{Finding, Lang},
    host::Host,
    ingress::Labels,
    knowledge::{DomainFacts, Knowledge, PlaceFacts},
    names,
    policy::{ApprovalGate, GateMode, IssuerRef, Policy, Subject},
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
    /// Not yet: what each name waits for.
    Held(Vec<Finding>),
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
    /// The CSR cannot be read. cert-manager and the CA will say so.
    Unreadable,
    /// None of the names is one that certgate looks after, and policy gates no others.
    NotFlagged,
}

// === impl Approval ===

impl Approval {
    /// Whether someone's approval may stand.
    pub const fn permits(&self) -> bool {
        !matches!(self, Self::Held(_))
    }

    /// Whether certgate itself should approve now.
    pub const fn approves(&self) -> bool {
        matches!(self, Self::Allowed | Self::LetThrough(_))
    }
}

/// Judges a request. Total: no I/O, no clock, no error.
pub fn judge<K: Knowledge>(request: &RequestFacts<'_>, knowledge: &K, policy: &Policy, now: Timestamp) -> Approval {
    let gate = &policy.gate;
    let names = match applies(request, policy) {
        Ok(names) => names,
        Err(why) => return Approval::NotGated(why),
    };
    let domains: Vec<(&Host, Option<&DomainFacts>)> =
        names.hosts.iter().map(|host| (host, knowledge.domain(request.namespace, host.as_str()))).collect();
    let asker = request.asker();
    let looked_after =
        |host: &Host, domain: Option<&DomainFacts>| asker.gates(host, knowledge, policy) || leads(domain);
    if gate.mode == GateMode::Annotated && !domains.iter().any(|(host, domain)| looked_after(host, *domain)) {
        return Approval::NotGated(NotGated::NotFlagged);
    }
    let mut held: Vec<Finding> = names.invalid.iter().map(|text| Finding::new(Reason::HostInvalid, text)).collect();
    let gated = domains.iter().filter(|(host, domain)| looked_after(host, *domain));
    held.extend(gated.filter_map(|(host, domain)| {
        let domain = *domain;
        waits(host, domain, &request.issuer, now).or_else(|| place(host, domain).filter(|_| request.by_place))
    }));
    if held.is_empty() {
        return Approval::Allowed;
    }
    let ends = domains.iter().filter_map(|(_, domain)| domain.and_then(|d| d.not_after)).min();
    if ends.is_some_and(|ends| must_let_through(ends, gate, now)) {
        return Approval::LetThrough(held);
    }
    Approval::Held(held)
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

/// Whether the gate concerns the request at all, and for which names.
fn applies<'r>(request: &'r RequestFacts<'_>, policy: &Policy) -> Result<&'r CsrNames, NotGated> {
    if policy.gate.mode == GateMode::Off {
        return Err(NotGated::Off);
    }
    if policy.excludes(request.namespace) {
        return Err(NotGated::NamespaceExcluded);
    }
    if !policy.issuers().any(|issuer| *issuer == request.issuer) {
        return Err(NotGated::OtherIssuer);
    }
    let names = request.names.as_ref().map_err(|_| NotGated::Unreadable)?;
    if names.hosts.is_empty() && names.invalid.is_empty() {
        return Err(NotGated::NoDnsNames);
    }
    Ok(names)
}

/// Whether a Domain is kept for an Ingress that wants a certificate. Its Certificate does not repeat the flag.
fn leads(domain: Option<&DomainFacts>) -> bool {
    domain.is_some_and(|domain| domain.lead.is_some() && domain.auto_issue != Some(false))
}

/// What a name waits for; `None`: nothing. Unlike at a first injection, what
/// was released or issued before is no excuse: this is about the next order.
fn waits(host: &Host, domain: Option<&DomainFacts>, issuer: &IssuerRef, now: Timestamp) -> Option<Finding> {
    let Some(verdict) = domain.and_then(|domain| domain.verdict.as_ref()) else {
        return Some(Finding::new(Reason::Pending, host));
    };
    // One that is kept for an Ingress is kept for the Ingress' issuer, and no other verdict is ever reached.
    if !leads(domain) && verdict.issuer.as_ref().is_some_and(|checked| checked != issuer) {
        return Some(Finding::new(Reason::Pending, host));
    }
    if !verdict.finding.reason.opens_gate() {
        return Some(verdict.finding.clone());
    }
    (verdict.valid_until <= now).then(|| Finding::new(Reason::VerdictStale, host))
}

/// What a verified name still waits for within the CA's limits; `None`: nothing.
fn place(host: &Host, domain: Option<&DomainFacts>) -> Option<Finding> {
    match domain?.place.as_ref()? {
        PlaceFacts::Granted => None,
        PlaceFacts::Waiting(limit) => Some(limit.finding.clone()),
        PlaceFacts::Unasked => Some(Finding::new(Reason::Pending, host)),
    }
}

/// A held renewal goes through once the certificate has less left than policy
/// says: certgate is never the cause of an expired certificate.
fn must_let_through(ends: Timestamp, gate: &ApprovalGate, now: Timestamp) -> bool {
    let last_days = SignedDuration::from_hours(24 * i64::from(gate.let_through_days));
    ends.duration_since(now) <= last_days
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
            GateMode::Annotated => self.flags(host, knowledge, policy),
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
