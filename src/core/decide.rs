//! [`decide`]: the product. What to do with an Ingress, given what is known and
//! what policy wants. Asked by the webhook for a write as it happens, by the
//! controller when a verdict changes, and by `certgate explain`.
//!
//! For each host: is it eligible, is it flagged, may it be injected now? From
//! the answers follows what of ours belongs on the Ingress; [`inject`] makes
//! the patch from what is there to what belongs there.

use std::{borrow::Cow, collections::HashSet};

use jiff::Timestamp;

use super::{
    decision::{Decision, HostDecision, HostDecisions, Why},
    host::{Host, HostError, NotPublic, canonical},
    ingress::{Ingress, Metadata},
    knowledge::{DomainFacts, Gate, Knowledge},
    names,
    patch::PatchOp,
    policy::{Issuance, IssuerRef, PlainHttp, Policy, Profile},
    reason::{Action, Reason},
    record::{Present, UserTls},
    settings::{Flag, Scope, UserIssuer, user_issuer},
};

mod inject;

pub(crate) use inject::{RAINBOND_SECRET_TEMPLATE, issuer_annotations};
pub use inject::{disown, strip};

/// Kubernetes' bound on the size of all annotations of an object
/// (apimachinery `validation.TotalAnnotationSizeLimitB`), less room for ours.
const ANNOTATIONS_ROOM: usize = 256 * 1024 - 8 * 1024;

/// What belongs on the Ingress for one host.
struct Wanted<'a> {
    host: Cow<'a, str>,
    secret: String,
    /// The issuer that the Ingress must name for this host to be ordered; `None`: ordered elsewhere, or not at all.
    orders: Option<Cow<'a, IssuerRef>>,
    /// Only what is already there stays; nothing is added.
    keep_only: bool,
    redirect: bool,
    /// Ordered by a companion: bound only once the Secret is there.
    companion: bool,
    /// Where the host's decision stands in the list.
    decision: usize,
    domain: Option<&'a DomainFacts>,
}

/// Decides about an Ingress. Total: no I/O, no clock, no error.
///
/// The patch, if any, applies to exactly this object and gives a valid Ingress
/// on which deciding again gives nothing.
pub fn decide<'a, K: Knowledge>(
    ingress: &'a Ingress<'a>,
    knowledge: &'a K,
    policy: &'a Policy,
    now: Timestamp,
) -> Decision<'a> {
    let scope = Scope { ingress, knowledge, policy };
    let profile = scope.profile();
    if let Some(reason) = scope.exempt() {
        return exempt(&scope, profile, reason);
    }
    if let Some(decision) = left_alone(&scope, profile) {
        return decision;
    }
    let present = Present::on(ingress, |entry| {
        knowledge.domain(&ingress.metadata.namespace, entry.host).is_some_and(|domain| domain.vouches_for(entry, now))
    });
    let subject = Subject {
        user_tls: UserTls::of(ingress, &present, profile == Profile::RainbondV5),
        user_issuer: user_issuer(ingress, |key| present.record.annotations.contains_key(key)),
        annotations_full: ingress.metadata.annotations.as_ref().is_some_and(|a| a.octets > ANNOTATIONS_ROOM),
        several_hosts: distinct_hosts(ingress).nth(1).is_some(),
        scope,
        profile,
        present,
        now,
    };
    subject.decide()
}

/// The decision about an Ingress that is left alone as a whole.
fn exempt<'a, K: Knowledge>(scope: &Scope<'a, K>, profile: Profile, reason: Reason) -> Decision<'a> {
    let mut hosts: HostDecisions<'a> = distinct_hosts(scope.ingress)
        .map(|host| HostDecision { host: Cow::Borrowed(host), action: Action::Skip, why: Why::Plain(reason) })
        .collect();
    if hosts.is_empty() {
        hosts.push(HostDecision { host: Cow::Borrowed(""), action: Action::Skip, why: Why::Plain(reason) });
    }
    let patch = match reason {
        Reason::SolverIngress => solver_labels(&scope.ingress.metadata, scope.knowledge),
        _ => Vec::new(),
    };
    Decision { profile, lead: false, hosts, patch }
}

/// An Ingress of which a host's Domain, or the namespace, cannot be read stays as it is: what is not known is neither
/// given nor taken away.
fn left_alone<'a, K: Knowledge>(scope: &Scope<'a, K>, profile: Profile) -> Option<Decision<'a>> {
    let namespace = &*scope.ingress.metadata.namespace;
    if !scope.knowledge.has_unknown(namespace) {
        return None;
    }
    let in_tls = scope.ingress.tls().iter().flat_map(|entry| &entry.hosts).map(|host| &**host);
    let mut named = scope.ingress.rule_hosts().chain(in_tls).filter_map(|text| Host::parse(text).ok());
    if !named.any(|host| scope.knowledge.is_unknown(namespace, &host)) {
        return None;
    }
    let held = |host| HostDecision {
        host: Cow::Borrowed(host),
        action: Action::Hold,
        why: Why::Plain(Reason::ObjectUnreadable),
    };
    Some(Decision { profile, lead: false, hosts: distinct_hosts(scope.ingress).map(held).collect(), patch: Vec::new() })
}

/// What an object that answers a challenge needs: Rainbond 5's gateway sees
/// nothing without its label, the CA's challenge included. For solver Ingresses
/// and for solver Services, from which Kubernetes copies labels to Endpoints.
pub fn solver_labels<K: Knowledge>(metadata: &Metadata<'_>, knowledge: &K) -> Vec<PatchOp> {
    let solves = metadata.labels.get(names::SOLVER_LABEL).is_some();
    if solves && knowledge.has_profile(&metadata.namespace, Profile::RainbondV5) {
        inject::gateway_label(&metadata.labels)
    } else {
        Vec::new()
    }
}

/// The hosts of the rules as written, each once, the empty one left out.
fn distinct_hosts<'a>(ingress: &'a Ingress<'a>) -> impl Iterator<Item = &'a str> {
    let rules = &ingress.spec.rules;
    // A set costs an allocation, which the usual one to three hosts do not need.
    let mut seen: HashSet<&str> = if rules.len() > 8 { HashSet::with_capacity(rules.len()) } else { HashSet::new() };
    let few = rules.len() <= 8;
    ingress.rule_hosts().enumerate().filter_map(move |(index, host)| {
        let fresh =
            if few { !ingress.rule_hosts().take(index).any(|earlier| earlier == host) } else { seen.insert(host) };
        (fresh && !host.is_empty()).then_some(host)
    })
}

/// An Ingress that may concern certgate, with all that its hosts share.
struct Subject<'a, K> {
    scope: Scope<'a, K>,
    profile: Profile,
    present: Present,
    user_tls: UserTls<'a>,
    user_issuer: UserIssuer,
    annotations_full: bool,
    several_hosts: bool,
    now: Timestamp,
}

// === impl Subject ===

impl<'a, K: Knowledge> Subject<'a, K> {
    fn decide(&self) -> Decision<'a> {
        let ingress = self.scope.ingress;
        let mut hosts = HostDecisions::new();
        let mut wanted: Vec<Wanted<'a>> = Vec::new();
        for written in distinct_hosts(ingress) {
            let (decision, want) = self.host(written, hosts.len());
            hosts.push(decision);
            wanted.extend(want);
        }
        if hosts.is_empty() && !ingress.spec.rules.is_empty() {
            hosts.push(skip(Cow::Borrowed(""), Reason::NoHost));
        }
        self.settle_issuers(&mut hosts, &mut wanted);
        let removed = self.removed(&hosts);
        hosts.extend(removed);
        let patch = inject::patch(ingress, &self.present, inject::belongs(self, &wanted));
        let lead = wanted.iter().any(|want| want.orders.is_some());
        Decision { profile: self.profile, lead, hosts, patch }
    }

    /// The hosts of our TLS entries that are in no rule any more.
    fn removed(&self, hosts: &[HostDecision<'a>]) -> Vec<HostDecision<'a>> {
        let ours = &self.present.record.tls;
        if ours.is_empty() {
            return Vec::new();
        }
        let decided: HashSet<&str> = hosts.iter().map(|decision| decision.host.as_ref()).collect();
        ours.keys()
            .filter(|host| !decided.contains(host.as_str()))
            .map(|host| HostDecision {
                host: Cow::Owned(host.clone()),
                action: Action::Withdraw,
                why: Why::Plain(Reason::HostRemoved),
            })
            .collect()
    }

    /// Decides about one host as written in a rule. `index`: where its decision will stand.
    fn host(&self, written: &'a str, index: usize) -> (HostDecision<'a>, Option<Wanted<'a>>) {
        let host: Cow<'a, str> = if canonical(written) {
            Cow::Borrowed(written)
        } else {
            match Host::parse(written) {
                Ok(host) => Cow::Owned(String::from(host)),
                Err(HostError::IpAddress) => return (skip(Cow::Borrowed(written), Reason::HostIsIpAddress), None),
                Err(error) => {
                    let why = Why::Noted(Reason::HostInvalid, error.to_string());
                    return (HostDecision { host: Cow::Borrowed(written), action: Action::Skip, why }, None);
                }
            }
        };
        // Rules' globs and the knowledge are asked in the canonical form; where the rule is
        // written otherwise the API server refuses the object after us, so the lookup by the written form serves.
        let domain = self.scope.knowledge.domain(&self.scope.ingress.metadata.namespace, &host);
        match self.standing(written, &host, domain) {
            Standing::Out(why) => {
                let action = if self.present.serves(&host) { Action::Withdraw } else { Action::Skip };
                (HostDecision { host, action, why }, None)
            }
            Standing::Held(why) => (HostDecision { host, action: Action::Hold, why }, None),
            Standing::In { why, issuer, bound, keep_only } => {
                let want = self.wanted(written, host.clone(), domain, issuer, bound);
                let decision = HostDecision { host, action: Action::Inject, why };
                (decision, Some(Wanted { keep_only, decision: index, ..want }))
            }
        }
    }

    /// Where a host stands: eligible, flagged, allowed.
    fn standing(&self, written: &'a str, host: &str, domain: Option<&'a DomainFacts>) -> Standing<'a> {
        if self.user_tls.covers(host) {
            return Standing::out(Reason::UserTls);
        }
        if self.profile == Profile::RainbondV5 && self.several_hosts {
            return Standing::out(Reason::OneHostPerIngress);
        }
        // What is left of `tls.example.com` is `.example.com`, which nginx takes for the name and all below it.
        if self.profile == Profile::RainbondV5 && host.contains("tls") && !host.starts_with("tls.") {
            return Standing::out(Reason::GatewayManglesHost);
        }
        match self.scope.flag(written, domain) {
            Flag::On => {}
            Flag::Off(Reason::FlagUnreadable) => {
                let text = self.scope.ingress.annotation(names::AUTO_ISSUE).unwrap_or("namespace label");
                return Standing::Out(Why::Noted(Reason::FlagUnreadable, text.to_owned()));
            }
            Flag::Off(reason) => return Standing::out(reason),
        }
        if self.user_issuer == UserIssuer::Conflict {
            return Standing::out(Reason::UserIssuerConflict);
        }
        if self.scope.policy.is_platform_domain(host) {
            return Standing::out(Reason::PlatformDomain);
        }
        if let Some(domain) = domain
            && let Some(bind) = &domain.bind
            && !self.user_tls.names_secret(&bind.secret_name)
        {
            let why = Why::Noted(Reason::BoundExisting, bind.secret_name.clone());
            return Standing::In { why, issuer: None, bound: true, keep_only: false };
        }
        let verdict = domain.and_then(|domain| domain.verdict.as_ref());
        // An issuer that needs no public name says so by a good verdict.
        if !verdict.is_some_and(|verdict| verdict.finding.reason.opens_gate())
            && let Some(reason) = not_public(host)
        {
            return Standing::out(reason);
        }
        let issuer = match &self.user_issuer {
            UserIssuer::One(issuer) => Cow::Owned(issuer.clone()),
            _ => match self.scope.issuer(written, domain) {
                Some(issuer) => Cow::Borrowed(issuer),
                None => return self.held_or_kept(host, domain, None, Why::Plain(Reason::IssuerUnset)),
            },
        };
        if self.annotations_full && !self.present.serves(host) {
            return Standing::Held(Why::Plain(Reason::AnnotationsFull));
        }
        self.gate(host, domain, issuer)
    }

    /// Whether the verdict lets the host through.
    fn gate(&self, host: &str, domain: Option<&'a DomainFacts>, issuer: Cow<'a, IssuerRef>) -> Standing<'a> {
        let Some(domain) = domain else {
            return self.held_or_kept(host, None, Some(issuer), Why::Plain(Reason::Pending));
        };
        match domain.gate(Some(&issuer), self.now) {
            Gate::Open(verdict) => {
                let why = match verdict {
                    _ if domain.issued => Why::Plain(Reason::Issued),
                    _ if domain.released => Why::Plain(Reason::Issuing),
                    Some(verdict) => Why::Found(&verdict.finding),
                    None => Why::Plain(Reason::Issuing),
                };
                Standing::In { why, issuer: Some(issuer), bound: false, keep_only: false }
            }
            // Another Ingress serves the host with the user's own certificate: both would be one too many.
            Gate::Closed(verdict) if verdict.finding.reason == Reason::UserTls => {
                Standing::Out(Why::Found(&verdict.finding))
            }
            Gate::Closed(verdict) => self.held_or_kept(host, Some(domain), Some(issuer), Why::Found(&verdict.finding)),
            Gate::Stale(_) => self.held_or_kept(host, Some(domain), Some(issuer), Why::Plain(Reason::VerdictStale)),
            Gate::Unknown => self.held_or_kept(host, Some(domain), Some(issuer), Why::Plain(Reason::Pending)),
        }
    }

    /// Not allowed for a first injection. What is already there stays as it is:
    /// TLS is never taken away because DNS flapped.
    fn held_or_kept(
        &self,
        host: &str,
        domain: Option<&'a DomainFacts>,
        issuer: Option<Cow<'a, IssuerRef>>,
        why: Why<'a>,
    ) -> Standing<'a> {
        if self.present.serves(host) {
            let reason = match domain {
                Some(domain) if domain.issued => Reason::RenewalAtRisk,
                _ => Reason::Issuing,
            };
            // What stands was let through for one issuer, and no other comes in its place.
            let issuer = match domain {
                Some(domain) if domain.released => domain.released_issuer.as_ref().map(Cow::Borrowed).or(issuer),
                _ => None,
            };
            return Standing::In { why: Why::Plain(reason), issuer, bound: false, keep_only: true };
        }
        match why {
            Why::Found(finding) if finding.reason.action() == Action::Skip => Standing::Out(why),
            _ => Standing::Held(why),
        }
    }

    /// What belongs on the Ingress for a host that is let through.
    fn wanted(
        &self,
        written: &'a str,
        host: Cow<'a, str>,
        domain: Option<&'a DomainFacts>,
        issuer: Option<Cow<'a, IssuerRef>>,
        bound: bool,
    ) -> Wanted<'a> {
        let secret = match domain.and_then(|domain| domain.bind.as_ref()) {
            Some(bind) if bound => bind.secret_name.clone(),
            _ => Host::parse(&host).map(|host| host.secret_name()).unwrap_or_default(),
        };
        let inline = self.scope.issuance(written, self.profile) == Issuance::Inline;
        let name = self.scope.ingress.metadata.name.as_ref();
        let leads = domain.and_then(|domain| domain.lead.as_deref()).is_none_or(|lead| lead == name);
        // From the lead alone: redirects of one path from two Ingresses make nginx refuse the
        // gateway's configuration, for all namespaces (Rainbond 5.17.3 `ListVirtualService`).
        let redirect =
            leads && self.profile == Profile::RainbondV5 && self.scope.plain_http(written) == PlainHttp::Redirect;
        Wanted {
            host,
            secret,
            orders: issuer.filter(|_| inline && leads && !bound),
            keep_only: false,
            redirect,
            companion: !inline && !bound,
            decision: 0,
            domain,
        }
    }

    /// The rules that hold between the hosts of one Ingress: one issuer, no
    /// Secret twice, TLS entries for a foreign certificate only where ingress-shim leaves them alone,
    /// companion-issued ones only once their Secret is there.
    fn settle_issuers(&self, hosts: &mut [HostDecision<'a>], wanted: &mut Vec<Wanted<'a>>) {
        let chosen: Option<Cow<'a, IssuerRef>> = match &self.user_issuer {
            UserIssuer::One(issuer) => Some(Cow::Owned(issuer.clone())),
            _ => self.recorded_issuer(wanted).or_else(|| wanted.iter().find_map(|want| want.orders.clone())),
        };
        wanted.retain(|want| {
            let domain = want.domain;
            let bound = domain.is_some_and(|d| d.bind.as_ref().is_some_and(|bind| bind.secret_name == want.secret));
            let other_issuer = want.orders.is_some() && want.orders.as_deref() != chosen.as_deref();
            let twin_certificate = bound
                && chosen.is_some()
                && domain.is_some_and(|d| d.bind.as_ref().is_some_and(|bind| bind.certificate != bind.secret_name));
            let trouble = if self.user_tls.names_secret(&want.secret) {
                Some(Why::Noted(Reason::SecretNameTaken, want.secret.clone()))
            } else if other_issuer || twin_certificate {
                Some(Why::Plain(Reason::IssuerConflict))
            } else if want.companion && !domain.is_some_and(|d| d.issued) && !self.present.serves(&want.host) {
                Some(Why::Plain(Reason::AwaitingCertificate))
            } else {
                None
            };
            if let Some(why) = trouble {
                if let Some(decision) = hosts.get_mut(want.decision) {
                    decision.action = Action::Hold;
                    decision.why = why;
                }
                return false;
            }
            true
        });
        self.keep_from_ordering(hosts, wanted);
    }

    /// ingress-shim orders for every TLS entry of an Ingress that names an issuer. So one with an entry that nothing
    /// vouches for names none by our doing.
    fn keep_from_ordering(&self, hosts: &mut [HostDecision<'a>], wanted: &mut Vec<Wanted<'a>>) {
        if self.present.unproven.is_empty() || matches!(self.user_issuer, UserIssuer::One(_)) {
            return;
        }
        wanted.retain_mut(|want| {
            if want.orders.take().is_none() || self.present.serves(&want.host) {
                return true;
            }
            if let Some(decision) = hosts.get_mut(want.decision) {
                decision.action = Action::Hold;
                decision.why = Why::Plain(Reason::IssuerConflict);
            }
            false
        });
    }

    /// The issuer that our own annotation already names, if a host still wants it.
    fn recorded_issuer(&self, wanted: &[Wanted<'a>]) -> Option<Cow<'a, IssuerRef>> {
        let recorded = &self.present.record.annotations;
        let is_recorded = |issuer: &IssuerRef| {
            issuer_annotations(issuer).iter().all(|(key, value)| recorded.get(*key).is_some_and(|have| have == value))
        };
        if recorded.is_empty() {
            return None;
        }
        wanted.iter().filter_map(|want| want.orders.as_ref()).find(|issuer| is_recorded(issuer)).cloned()
    }
}

/// Where a host stands.
enum Standing<'a> {
    /// Not eligible or not flagged.
    Out(Why<'a>),
    /// Wanted, but not yet.
    Held(Why<'a>),
    /// Let through.
    In { why: Why<'a>, issuer: Option<Cow<'a, IssuerRef>>, bound: bool, keep_only: bool },
}

impl Standing<'_> {
    fn out(reason: Reason) -> Self {
        Self::Out(Why::Plain(reason))
    }
}

fn skip(host: Cow<'_, str>, reason: Reason) -> HostDecision<'_> {
    HostDecision { host, action: Action::Skip, why: Why::Plain(reason) }
}

fn not_public(host: &str) -> Option<Reason> {
    match Host::parse(host).ok()?.public().err()? {
        NotPublic::NoPublicSuffix => Some(Reason::NotPublicName),
        NotPublic::IsPublicSuffix => Some(Reason::IsPublicSuffix),
        NotPublic::TooManyLabels => Some(Reason::HostInvalid),
    }
}

#[cfg(test)]
mod tests;
