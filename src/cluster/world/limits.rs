//! The CA's limits in the world: what Orders, Domains and Certificates tell the
//! [`Budget`], and what hosts and requests ask of it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt as _, api::ObjectMeta};

use super::{Key, Namespace, World, gate::SeenRequest};
use crate::{
    api::{
        domain::DomainStatus,
        partial::{
            certificate::Certificate,
            issuance::{Challenge, Order, Progress as OrderStatus},
        },
    },
    core::{
        host::Host,
        issuance,
        limits::{
            Account, Ask, Class, Id, Kind, Names, PastOrder, Place, Progress, Renewal, Seen, Spent, refusal::Refusal,
        },
        policy::IssuerRef,
        reconcile::{Checks, HostPlan, Notes, limit},
    },
};

/// The Orders of a namespace, by name. Whoever's they are: the CA counts all.
#[derive(Default)]
pub(super) struct Orders(HashMap<String, SeenOrder>);

/// An Order, reduced.
struct SeenOrder {
    uid: Arc<str>,
    issuer: IssuerRef,
    names: Names,
    status: OrderStatus,
    /// The latest that its status can have changed.
    changed: Timestamp,
}

// === impl Orders ===

impl Orders {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// === impl SeenOrder ===

impl SeenOrder {
    fn read(order: &Order) -> Option<Self> {
        let names = order.spec.dns_names.iter().filter_map(|name| Host::parse(name).ok());
        Some(Self {
            uid: Arc::from(order.metadata.uid.as_deref()?),
            issuer: IssuerRef::from(&order.spec.issuer_ref),
            names: Names::new(names)?,
            status: order.status.clone(),
            changed: changed(&order.metadata),
        })
    }

    /// How far it got. Times are the latest that they can have been.
    fn progress(&self) -> Progress {
        let OrderStatus { url, state, .. } = &self.status;
        Progress {
            ordered: (!url.is_empty()).then_some(self.changed),
            issued: (state == "valid").then_some(self.changed),
            failed: issuance::is_failed(state).then_some(self.changed),
            // `errored` is the CA's word about the order, or cert-manager's own trouble; no name failed for it.
            failures: if state == "invalid" { self.names.hosts().to_vec() } else { Vec::new() },
        }
    }
}

/// When an object was last written: kept in whole seconds, so up to one more.
fn changed(meta: &ObjectMeta) -> Timestamp {
    let written = meta.managed_fields.iter().flatten().filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max();
    let made = meta.creation_timestamp.as_ref().map(|time| time.0);
    let known = written.or(made).unwrap_or(Timestamp::UNIX_EPOCH);
    known.saturating_add(SignedDuration::from_secs(1)).unwrap_or(known)
}

impl World {
    /// An Order was seen or changed.
    pub(super) fn see_order(&mut self, order: &Order) {
        let Some(seen) = SeenOrder::read(order) else { return };
        let (namespace, ns) = self.enter(&order.namespace().unwrap_or_default());
        let name = order.name_any();
        ns.orders.0.insert(name.clone(), seen);
        if self.settled {
            self.count(&namespace, &name);
        }
    }

    /// An Order is gone.
    pub(super) fn lose_order(&mut self, namespace: &str, name: &str) {
        let (namespace, ns) = self.enter(namespace);
        if let Some(order) = ns.orders.0.remove(name)
            && !order.progress().is_over()
        {
            self.budget.lose(&namespace, &order.names);
        }
    }

    /// The CA may also refuse a challenge.
    pub(super) fn see_challenge(&mut self, challenge: &Challenge) {
        if !issuance::is_failed(&challenge.status.state) {
            return;
        }
        let namespace = challenge.namespace().unwrap_or_default();
        let owner = challenge.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        let order = owner.and_then(|owner| self.namespaces.get(namespace.as_str())?.orders.0.get(&owner.name));
        let Some(order) = order else { return };
        let Some(account) = self.account(&namespace, &order.issuer) else { return };
        let at = changed(&challenge.metadata);
        if let Some(refusal) = Refusal::read(&challenge.status.reason, &account, &order.names, at) {
            self.budget.refuse(&refusal);
        }
    }

    /// Tells the budget of an Order.
    fn count(&mut self, namespace: &Arc<str>, name: &str) {
        let Some(order) = self.namespaces.get(namespace).and_then(|ns| ns.orders.0.get(name)) else { return };
        let Some(account) = self.account(namespace, &order.issuer) else { return };
        let progress = order.progress();
        let refusal = Refusal::read(&order.status.reason, &account, &order.names, order.changed)
            .filter(|_| issuance::is_failed(&order.status.state));
        let seen = Seen {
            uid: order.uid.clone(),
            namespace: namespace.clone(),
            account,
            names: order.names.clone(),
            progress,
            renewal: None,
        };
        self.budget.see(seen);
        if let Some(refusal) = refusal {
            self.budget.refuse(&refusal);
        }
    }

    /// All is listed: the budget is made of what objects show. Again where an issuer came later.
    pub fn settle_limits(&mut self, now: Timestamp) {
        let remembered: Vec<(Arc<str>, Host, DomainStatus)> = self
            .namespaces
            .iter()
            .flat_map(|(name, ns)| ns.domains.iter().map(move |(host, seen)| (name, host, seen)))
            .filter_map(|(name, host, seen)| Some((name.clone(), host.clone(), seen.domain.status.clone()?)))
            .collect();
        for (namespace, host, status) in &remembered {
            let issuer = status.verdict.as_ref().and_then(|verdict| verdict.issuer.as_ref());
            let Some(account) = issuer.and_then(|issuer| self.account(namespace, issuer)) else { continue };
            for spent in &status.orders {
                if let Some(seen) = spent.seen(namespace, host, &account) {
                    self.budget.see(seen);
                }
            }
            if status.released && status.bind.is_none() && limit::is_on_its_way(status) {
                self.budget.announce(&ask(namespace, account, Names::one(host), now), now);
            }
        }
        let past = self.namespaces.iter().filter_map(|(name, ns)| Some((name, ns.verified.as_ref()?)));
        let past = past.flat_map(|(name, verified)| verified.orders.iter().filter_map(|order| order.seen(name, now)));
        let past: Vec<Seen> = past.collect();
        past.into_iter().for_each(|seen| self.budget.see(seen));
        self.count_all();
        self.budget.settle(now);
        let certificates: Vec<Certificate> =
            self.namespaces.values().flat_map(|ns| ns.certificates.values()).cloned().collect();
        certificates.iter().for_each(|certificate| self.certify(certificate));
        let approved: Vec<(Arc<str>, String)> = self
            .namespaces
            .iter()
            .flat_map(|(namespace, ns)| ns.approved.keys().map(move |name| (namespace.clone(), name.clone())))
            .collect();
        for (namespace, name) in approved {
            self.keep_approved(&namespace, &name, now);
        }
    }

    /// A Certificate was seen or changed. One that is being renewed, what is ordered next for its names renews. Not before
    /// it is: a first order may still be on its way here.
    pub(super) fn see_certificate(&mut self, certificate: &Certificate) {
        if self.settled && certificate.is("Issuing") {
            self.certify(certificate);
        }
    }

    fn certify(&mut self, certificate: &Certificate) {
        if !certificate.is_certified() {
            return;
        }
        let namespace = certificate.namespace().unwrap_or_default();
        let account = self.account(&namespace, &IssuerRef::from(&certificate.spec.issuer_ref));
        if let (Some(account), Some(names)) = (account, Names::new(super::gate::hosts(certificate))) {
            self.budget.certified(&account, &names);
        }
    }

    /// A request was approved, and nothing is ordered for it yet: whoever starts anew must know.
    pub(super) fn see_approved(
        &mut self,
        namespace: &str,
        name: &str,
        issuer: IssuerRef,
        names: Names,
        now: Timestamp,
    ) {
        let (namespace, ns) = self.enter(namespace);
        ns.approved.insert(name.to_owned(), (issuer, names));
        if self.settled {
            self.keep_approved(&namespace, name, now);
        }
    }

    /// A request is over. What nothing was ordered for is not ordered any more.
    pub(super) fn lose_approved(&mut self, namespace: &str, name: &str) {
        let ns = self.namespaces.get_mut(namespace);
        let Some((_, names)) = ns.and_then(|ns| ns.approved.remove(name)) else { return };
        self.budget.withdraw(&(self.namespace_name(namespace), names));
        self.leave_if_empty(namespace);
    }

    fn keep_approved(&mut self, namespace: &Arc<str>, name: &str, now: Timestamp) {
        let approved = self.namespaces.get(namespace).and_then(|ns| ns.approved.get(name)).cloned();
        let Some((issuer, names)) = approved else { return };
        let Some(account) = self.account(namespace, &issuer) else { return };
        let renewal = self.renewal(&account, &names);
        self.budget.announce(&Ask { renewal, ..ask(namespace, account, names, now) }, now);
    }

    /// An issuer changed: what it ordered may belong to another account.
    pub(super) fn recount(&mut self) {
        if self.settled {
            self.count_all();
        }
    }

    /// Tells the budget of all Orders; of what it knows already it takes no notice.
    fn count_all(&mut self) {
        let orders: Vec<(Arc<str>, String)> = self
            .namespaces
            .iter()
            .flat_map(|(namespace, ns)| ns.orders.0.keys().map(move |name| (namespace.clone(), name.clone())))
            .collect();
        for (namespace, name) in orders {
            self.count(&namespace, &name);
        }
    }

    fn account(&self, namespace: &str, issuer: &IssuerRef) -> Option<Account> {
        let acme = self.issuer_facts(namespace, issuer).filter(|_| issuer.is_builtin())?.acme.as_ref()?;
        Some(Account::new(&acme.directory_url, acme.account_uri.as_deref().unwrap_or_default()))
    }

    /// Whether the CA of an issuer has limits that are known.
    pub(super) fn is_limited(&self, namespace: &str, issuer: &IssuerRef) -> bool {
        let account = self.account(namespace, issuer);
        account
            .is_some_and(|account| crate::core::limits::CaLimits::of(&account.directory, &self.policy.limits).is_some())
    }

    /// The plan for a host by its place within the CA's limits, which is put into `checks`.
    pub fn plan_placed(
        &self,
        namespace: &Arc<str>,
        host: &Host,
        checks: &mut Checks,
        notes: &Notes,
        now: Timestamp,
    ) -> HostPlan {
        checks.place = self.place(namespace, host, now);
        checks.spent = self.spent(namespace, host);
        self.plan_host(namespace, host, checks, notes, now)
    }

    /// Whether a plan needs another place than it was made with.
    pub fn is_misplaced(&self, namespace: &str, host: &Host, need: &limit::Need, place: &Place) -> bool {
        match (need, place) {
            (limit::Need::None, Place::Unasked)
            | (limit::Need::Ask { .. } | limit::Need::Keep { .. }, Place::Granted) => false,
            // Who asks is a request of the same names.
            (limit::Need::None, _) => {
                self.namespaces.get(namespace).is_none_or(|ns| ns.requests.for_host(host).next().is_none())
            }
            _ => true,
        }
    }

    /// Where a host stands.
    fn place(&self, namespace: &Arc<str>, host: &Host, now: Timestamp) -> Place {
        self.budget.place(&(namespace.clone(), Names::one(host)), now)
    }

    /// What a host's Domain is to remember of its orders.
    fn spent(&self, namespace: &Arc<str>, host: &Host) -> Vec<Spent> {
        self.budget.spent(namespace, host)
    }

    /// What is to be remembered of a namespace's orders that neither Orders nor Domains tell of.
    pub(super) fn past_orders(&self, namespace: &str, ns: &Namespace, now: Timestamp) -> Vec<PastOrder> {
        if !self.is_open(namespace) {
            return Vec::new();
        }
        let live: HashSet<&str> = ns.orders.0.values().map(|order| &*order.uid).collect();
        let kept: HashSet<&str> =
            ns.verified.iter().flat_map(|verified| &verified.orders).map(|past| past.spent.order.as_str()).collect();
        let told = |seen: &Seen| {
            let domain = seen.names.first().and_then(|host| ns.domains.get(host)).map(|seen| &seen.domain);
            let by_domain = domain.is_some_and(|domain| {
                let mut orders = domain.status.iter().flat_map(|status| &status.orders);
                // It will tell of what is new; what is kept here stays until it does.
                orders.any(|spent| *spent.order == *seen.uid) || !kept.contains(&*seen.uid)
            });
            by_domain || live.contains(&*seen.uid)
        };
        self.budget.past(namespace, told, now)
    }

    /// Does what a host's plan needs. Where it stands then.
    pub fn settle_need(&mut self, namespace: &Arc<str>, host: &Host, need: &limit::Need, now: Timestamp) -> Place {
        let names = Names::one(host);
        match need {
            limit::Need::None => {
                self.budget.withdraw(&(namespace.clone(), names));
                Place::Unasked
            }
            limit::Need::Keep { issuer } => {
                if let Some(account) = self.account(namespace, issuer) {
                    self.budget.announce(&ask(namespace, account, names, now), now);
                }
                self.place(namespace, host, now)
            }
            limit::Need::Ask { issuer, since } => {
                let Some(account) = self.account(namespace, issuer) else { return Place::Free };
                let renewal = self.renewal(&account, &names);
                self.budget.ask(Ask { renewal, since: *since, ..ask(namespace, account, names, now) }, now)
            }
        }
    }

    fn renewal(&self, account: &Account, names: &Names) -> Renewal {
        if self.budget.is_certified(account, names) { Renewal::SameSet } else { Renewal::No }
    }

    /// Where a request stands.
    pub fn place_of_request(&self, namespace: &Arc<str>, seen: &SeenRequest, now: Timestamp) -> Place {
        match Names::new(seen.hosts().iter().cloned()) {
            Some(names) => self.budget.place(&(namespace.clone(), names), now),
            None => Place::Free,
        }
    }

    /// Asks for a request, and says where it stands then.
    pub fn ask_for_request(&mut self, namespace: &Arc<str>, seen: &SeenRequest, now: Timestamp) -> Place {
        let Some(names) = Names::new(seen.hosts().iter().cloned()) else { return Place::Free };
        let Some(account) = self.account(namespace, seen.issuer()) else { return Place::Free };
        let ns = self.namespaces.get(namespace);
        let certificate = seen.certificate.as_ref().and_then(|(name, _)| ns?.certificates.get(name));
        let issued = certificate.is_some_and(|certificate| certificate.status.not_after.is_some());
        let class = if issued { Class::Again } else { Class::First };
        let renewal = self.renewal(&account, &names);
        self.budget.ask(Ask { class, renewal, ..ask(namespace, account, names, now) }, now)
    }

    /// Whether somebody who waits may be able to go.
    pub fn has_turns(&self, now: Timestamp) -> bool {
        self.budget.wake().is_some_and(|at| at <= now)
    }

    /// Lets go all that can.
    pub fn take_turns(&mut self, now: Timestamp) {
        self.budget.tidy(now);
        self.budget.turn(now);
    }

    /// Whose plans are to be made again because they were let go.
    pub fn take_granted(&mut self) -> Vec<Key> {
        let granted = self.budget.take_granted();
        granted.iter().flat_map(|id| self.keys_of(id)).collect()
    }

    fn keys_of(&self, (namespace, names): &Id) -> Vec<Key> {
        let hosts = names.hosts().iter().map(|host| Key::Host(namespace.clone(), host.clone()));
        let Some(ns) = self.namespaces.get(namespace) else { return hosts.collect() };
        let requests = names.first().into_iter().flat_map(|host| ns.requests.for_host(host));
        hosts.chain(requests.map(|name| Key::Request(namespace.clone(), name.clone()))).collect()
    }

    /// The fewest places that are left in any bucket of a kind; `None`: none was ever used.
    pub fn least_left(&self, kind: Kind, now: Timestamp) -> Option<u32> {
        self.budget.least_left(kind, now)
    }

    /// How many wait for a place.
    pub fn waiting_for_places(&self) -> usize {
        self.budget.waiting()
    }
}

/// A first order that could go from now on.
fn ask(namespace: &Arc<str>, account: Account, names: Names, now: Timestamp) -> Ask {
    Ask { namespace: namespace.clone(), account, names, class: Class::First, since: now, renewal: Renewal::No }
}

impl Namespace {
    /// How many Orders are kept.
    #[cfg(test)]
    pub(super) fn orders_kept(&self) -> usize {
        self.orders.0.len()
    }
}
