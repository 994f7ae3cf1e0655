//! `certgate status`: what every host waits for, grouped by who must act.
//! Needs nothing but the Domain objects.

pub mod render;

use jiff::Timestamp;

use crate::{
    api::domain::{Domain, ISSUED, READY, VERIFIED},
    core::{
        finding::{self, Finding},
        host::Host,
        policy::IssuerKind,
        reason::{Reason, WhoActs},
    },
};

/// A host as `certgate status` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The namespace.
    pub namespace: String,
    /// The Domain's name.
    pub name: String,
    /// The host, readable.
    pub host: String,
    /// Whether its certificate is in place and its DNS good.
    pub ready: bool,
    /// What it comes down to.
    pub finding: Finding,
    /// What DNS shows.
    pub observed: Vec<String>,
    /// When DNS is looked at next.
    pub next_check: Option<Timestamp>,
    /// Since when it has been waiting.
    pub since: Option<Timestamp>,
    /// The Certificate's name.
    pub certificate: Option<String>,
    /// When it ends.
    pub not_after: Option<Timestamp>,
    /// Its Secret's name.
    pub secret: Option<String>,
    /// The issuer of the verdict.
    pub issuer: Option<String>,
    /// The Ingress that orders.
    pub lead: Option<String>,
    /// What else should be known.
    pub warnings: Vec<String>,
    /// When the host was first seen.
    pub created: Option<Timestamp>,
    /// When DNS was last looked at.
    pub last_check: Option<Timestamp>,
    /// Since when DNS has been good; `None`: it is not.
    pub verified_since: Option<Timestamp>,
    /// Since when the Ingress asks for the certificate; `None`: it does not.
    pub released_since: Option<Timestamp>,
    /// Since when the certificate has been in place; `None`: it is not.
    pub issued_since: Option<Timestamp>,
}

/// The rows of some Domains: those that somebody must act on first, oldest first.
pub fn rows<'a>(domains: impl IntoIterator<Item = &'a Domain>) -> Vec<Row> {
    let mut rows: Vec<Row> = domains.into_iter().map(Row::of).collect();
    rows.sort_by(|a, b| {
        let rank = |row: &Row| (row.is_settled(), row.finding.who_acts() == WhoActs::Nobody, row.finding.who_acts());
        (rank(a), a.since, &a.namespace, &a.host).cmp(&(rank(b), b.since, &b.namespace, &b.host))
    });
    rows
}

fn kind_of(kind: &IssuerKind) -> String {
    match kind {
        IssuerKind::ClusterIssuer => "ClusterIssuer".to_owned(),
        IssuerKind::Issuer => "Issuer".to_owned(),
        IssuerKind::Other(kind) => finding::clean(kind),
    }
}

// === impl Row ===

impl Row {
    /// The row of a Domain.
    pub fn of(domain: &Domain) -> Self {
        let status = domain.status.clone().unwrap_or_default();
        let host = Host::parse(&domain.spec.host);
        let readable = host.as_ref().map_or_else(|_| finding::clean(&domain.spec.host), |h| h.readable().into_owned());
        let ready = status.conditions.iter().find(|condition| condition.type_ == READY);
        let reason = ready.and_then(|condition| Reason::from_name(&condition.reason)).unwrap_or(Reason::Pending);
        let verdict = domain.facts().verdict.map(|verdict| verdict.finding);
        let finding = match verdict {
            Some(verdict) if verdict.reason == reason => verdict,
            Some(verdict) if reason == Reason::RenewalAtRisk && !verdict.reason.opens_gate() => {
                Finding::new(reason, &readable).because(verdict)
            }
            _ => (status.issuance.as_ref().and_then(|issuance| issuance.finding(&readable)))
                .filter(|issued| issued.reason == reason)
                .unwrap_or_else(|| Finding::new(reason, &readable)),
        };
        let true_since = |kind: &str| {
            let condition =
                status.conditions.iter().find(|condition| condition.type_ == kind && condition.status == "True")?;
            Some(condition.last_transition_time.0)
        };
        Self {
            name: domain.metadata.name.clone().unwrap_or_default(),
            created: domain.metadata.creation_timestamp.as_ref().map(|time| time.0),
            verified_since: true_since(VERIFIED),
            issued_since: true_since(ISSUED),
            last_check: status.last_check_time.as_ref().map(|time| time.0),
            namespace: domain.metadata.namespace.clone().unwrap_or_default(),
            host: readable,
            ready: ready.is_some_and(|condition| condition.status == "True"),
            finding,
            observed: status.observed,
            next_check: status.next_check_time.map(|time| time.0),
            since: ready.map(|condition| condition.last_transition_time.0),
            released_since: status.released_since.map(|time| time.0),
            issuer: status
                .verdict
                .and_then(|verdict| verdict.issuer)
                .map(|issuer| format!("{} {}", kind_of(&issuer.kind), finding::clean(&issuer.name))),
            secret: status.certificate.as_ref().map(|certificate| certificate.secret_name.clone()),
            certificate: status.certificate.as_ref().map(|certificate| certificate.name.clone()),
            not_after: status.certificate.and_then(|certificate| certificate.not_after).map(|time| time.0),
            lead: status.lead,
            warnings: status.warnings,
        }
    }

    /// Whether its certificate is in place, but would not be renewed.
    pub fn is_at_risk(&self) -> bool {
        self.finding.reason == Reason::RenewalAtRisk
    }

    /// Whether it waits for nothing.
    pub fn is_settled(&self) -> bool {
        self.ready && !self.is_at_risk()
    }

    /// Whether somebody other than certgate must act.
    pub fn needs_somebody(&self) -> bool {
        !self.is_settled() && self.finding.who_acts() != WhoActs::Nobody
    }
}

#[cfg(test)]
mod tests;
