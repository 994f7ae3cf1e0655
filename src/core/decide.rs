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
    finding::Finding,
    host::{Host, HostError, NotPublic, canonical},
    ingress::{Ingress, Metadata},
    knowledge::{DomainFacts, Gate, Knowledge},
    names,
    patch::PatchOp,
    policy::{IssuerRef, PlainHttp, Policy, Profile},
    reason::{Action, Reason},
    record::{Present, UserTls},
    settings::{Flag, Scope, UserIssuer, user_issuer},
};

mod inject;
mod issuers;
mod sizes;
mod theirs;
pub mod way;

use self::way::{Surroundings, Way};
pub(crate) use inject::{RAINBOND_SECRET_TEMPLATE, issuer_annotations};
pub use inject::{disown, strip};

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
    /// Nothing of it may be ordered for by an annotation on this Ingress.
    refused: Option<Box<Finding>>,
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
    let user_tls = UserTls::of(ingress, &present, profile == Profile::RainbondV5);
    let user_issuer = user_issuer(ingress, |key| present.record.annotations.contains_key(key));
    let subject = Subject {
        surroundings: Surroundings::of(ingress, &present, &user_tls, &user_issuer, profile),
        user_tls,
        user_issuer,
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
    surroundings: Surroundings<'a>,
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
        self.settle_sizes(&mut hosts, &mut wanted);
        let removed = self.removed(&hosts);
        hosts.extend(removed);
        let mut belongs = inject::belongs(self, &wanted);
        belongs.leave_room(ingress, &self.present);
        let patch = inject::patch(ingress, &self.present, belongs);
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
            Standing::In { why, order, bound, keep_only } => {
                let want = self.wanted(written, host.clone(), domain, order, bound);
                let decision = HostDecision { host, action: Action::Inject, why };
                (decision, Some(Wanted { keep_only, decision: index, ..want }))
            }
        }
    }

    /// Where a host stands: eligible, flagged, allowed.
    fn standing(&self, written: &'a str, host: &str, domain: Option<&'a DomainFacts>) -> Standing<'a> {
        if self.user_tls.covers(host) {
            return Standing::Out(self.user_tls_of(written, host, domain));
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
        if let UserIssuer::Refused { reason, annotation } = self.user_issuer {
            return Standing::Out(Why::Noted(reason, annotation.to_owned()));
        }
        if self.scope.policy.is_platform_domain(host) {
            return Standing::out(Reason::PlatformDomain);
        }
        if let Some(domain) = domain
            && let Some(bind) = &domain.bind
            && !self.user_tls.names_secret(&bind.secret_name)
        {
            let why = Why::Noted(Reason::BoundExisting, bind.secret_name.clone());
            return Standing::In { why, order: None, bound: true, keep_only: false };
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
        let way = self.way(written, host, domain, &issuer);
        // Where another Ingress orders, what this one says does not matter, unless its user has it order too.
        let told = match &way {
            Way::Refused(finding) if self.leads(domain) || self.surroundings.acted_on() => Some(finding.clone()),
            _ => None,
        };
        match (told, self.gate(host, domain, Order { issuer, way })) {
            (Some(finding), Standing::In { order, .. }) => self.held_or_kept(host, domain, order, Why::Told(finding)),
            (Some(finding), Standing::Held(_)) => Standing::Held(Why::Told(finding)),
            (_, standing) => standing,
        }
    }

    /// By which way a host is ordered.
    fn way(&self, written: &'a str, host: &str, domain: Option<&DomainFacts>, issuer: &IssuerRef) -> Way {
        let natural = self.scope.issuance(written, domain, self.profile);
        let verdict = domain.and_then(|domain| domain.verdict.as_ref());
        let validates = verdict.is_none_or(|verdict| verdict.finding.reason != Reason::NoValidationNeeded);
        self.surroundings.way(&self.present, host, natural, issuer, validates)
    }

    /// Whether this Ingress orders for the host.
    fn leads(&self, domain: Option<&DomainFacts>) -> bool {
        let name = self.scope.ingress.metadata.name.as_ref();
        domain.and_then(|domain| domain.lead.as_deref()).is_none_or(|lead| lead == name)
    }

    /// Whether the verdict lets the host through.
    fn gate(&self, host: &str, domain: Option<&'a DomainFacts>, order: Order<'a>) -> Standing<'a> {
        let Some(domain) = domain else {
            return self.held_or_kept(host, None, Some(order), Why::Plain(Reason::Pending));
        };
        match domain.gate(Some(&order.issuer), self.now) {
            Gate::Open(verdict) => {
                let why = match verdict {
                    _ if domain.issued => Why::Plain(Reason::Issued),
                    _ if domain.released => Why::Plain(Reason::Issuing),
                    Some(verdict) => Why::Found(&verdict.finding),
                    None => Why::Plain(Reason::Issuing),
                };
                Standing::In { why, order: Some(order), bound: false, keep_only: false }
            }
            // Another Ingress serves the host with the user's own certificate: both would be one too many.
            Gate::Closed(verdict) if verdict.finding.reason.is_user_tls() => {
                Standing::Out(Why::Found(&verdict.finding))
            }
            Gate::Closed(verdict) => self.held_or_kept(host, Some(domain), Some(order), Why::Found(&verdict.finding)),
            Gate::Stale(_) => self.held_or_kept(host, Some(domain), Some(order), Why::Plain(Reason::VerdictStale)),
            Gate::Unknown => self.held_or_kept(host, Some(domain), Some(order), Why::Plain(Reason::Pending)),
        }
    }

    /// Not allowed for a first injection. What is already there stays as it is:
    /// TLS is never taken away because DNS flapped.
    fn held_or_kept(
        &self,
        host: &str,
        domain: Option<&'a DomainFacts>,
        order: Option<Order<'a>>,
        why: Why<'a>,
    ) -> Standing<'a> {
        if self.present.serves(host) {
            let issued = domain.is_some_and(|domain| domain.issued);
            let why = match why {
                // Its Certificate goes on as it is.
                Why::Told(_) if issued => Why::Plain(Reason::Issued),
                Why::Told(_) => why,
                _ if issued => Why::Plain(Reason::RenewalAtRisk),
                _ => Why::Plain(Reason::Issuing),
            };
            // What stands was let through for one issuer, and no other comes in its place.
            let released = domain.filter(|domain| domain.released).map(|domain| domain.released_issuer.as_ref());
            let order = match (released, order) {
                (Some(Some(issuer)), order) => {
                    let way = order.map_or(Way::Inline, |order| order.way);
                    Some(Order { issuer: Cow::Borrowed(issuer), way })
                }
                (Some(None), order) => order,
                (None, _) => None,
            };
            return Standing::In { why, order, bound: false, keep_only: true };
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
        order: Option<Order<'a>>,
        bound: bool,
    ) -> Wanted<'a> {
        let secret = match domain.and_then(|domain| domain.bind.as_ref()) {
            Some(bind) if bound => bind.secret_name.clone(),
            _ => Host::parse(&host).map(|host| host.secret_name()).unwrap_or_default(),
        };
        let (issuer, companion, refused) = match order {
            None => (None, false, None),
            Some(Order { issuer, way: Way::Inline }) => (Some(issuer), false, None),
            Some(Order { way: Way::Companion, .. }) => (None, true, None),
            Some(Order { way: Way::Refused(finding), .. }) => (None, false, Some(finding)),
        };
        let leads = self.leads(domain);
        // From the lead alone: redirects of one path from two Ingresses make nginx refuse the
        // gateway's configuration, for all namespaces (Rainbond 5.17.3 `ListVirtualService`).
        let redirect =
            leads && self.profile == Profile::RainbondV5 && self.scope.plain_http(written) == PlainHttp::Redirect;
        Wanted {
            host,
            secret,
            orders: issuer.filter(|_| leads),
            keep_only: false,
            redirect,
            companion,
            refused,
            decision: 0,
            domain,
        }
    }
}

/// Where a host stands.
enum Standing<'a> {
    /// Not eligible or not flagged.
    Out(Why<'a>),
    /// Wanted, but not yet.
    Held(Why<'a>),
    /// Let through.
    In { why: Why<'a>, order: Option<Order<'a>>, bound: bool, keep_only: bool },
}

/// Who is to certify a host, and by which way it is asked.
struct Order<'a> {
    issuer: Cow<'a, IssuerRef>,
    way: Way,
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
