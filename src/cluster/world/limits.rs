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
        partial::issuance::{Challenge, Order, Progress as OrderStatus},
    },
    core::{
        host::Host,
        issuance,
        limits::{
            Account, Ask, CaLimits, Class, Id, Kind, Names, PastOrder, Place, Progress, Renewal, Seen, Spent,
            policy::authority, refusal::Refusal,
        },
        policy::IssuerRef,
        reconcile::{Checks, HostPlan, Notes, Unknown, limit},
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
        let uid = seen.uid.clone();
        let before = ns.orders.0.insert(name.clone(), seen);
        if let Some(gone) = before.filter(|before| before.uid != uid) {
            // Deleted and made anew while nobody watched.
            self.forget_order(&namespace, &gone);
        }
        if self.settled {
            self.count(&namespace, &name);
        }
    }

    /// An Order is gone.
    pub(super) fn lose_order(&mut self, namespace: &str, name: &str) {
        let (namespace, ns) = self.enter(namespace);
        if let Some(order) = ns.orders.0.remove(name) {
            self.forget_order(&namespace, &order);
        }
    }

    fn forget_order(&mut self, namespace: &Arc<str>, order: &SeenOrder) {
        if !order.progress().is_over() {
            self.budget.lose(&order.uid, namespace, &order.names);
        }
    }

    /// The CA validated a name, or refused its challenge.
    pub(super) fn see_challenge(&mut self, challenge: &Challenge) {
        let valid = challenge.status.state == "valid";
        if !valid && !issuance::is_failed(&challenge.status.state) {
            return;
        }
        let namespace = challenge.namespace().unwrap_or_default();
        let owner = challenge.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        let order = owner.and_then(|owner| self.namespaces.get(namespace.as_str())?.orders.0.get(&owner.name));
        let Some(order) = order else { return };
        let Some(account) = self.account(&namespace, &order.issuer) else { return };
        if valid {
            if let Ok(host) = Host::parse(&challenge.spec.dns_name) {
                self.budget.validated(&account, &host);
            }
            return;
        }
        let at = changed(&challenge.metadata);
        if let Some(refusal) = Refusal::read(&challenge.status.reason, &account, &order.names, at) {
            self.budget.refuse(&refusal);
        }
    }

    /// Tells the budget of an Order.
    fn count(&mut self, namespace: &Arc<str>, name: &str) {
        let Some(order) = self.namespaces.get(namespace).and_then(|ns| ns.orders.0.get(name)) else { return };
        let Some(account) = self.account(namespace, &order.issuer) else { return };
        if is_of_another_ca(&account.directory, &order.status.url) {
            return;
        }
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

    /// All is listed: the budget is made of what objects show.
    pub fn settle_limits(&mut self, now: Timestamp) {
        self.count_all(None, now);
    }

    /// An issuer came or changed: what it ordered, and what is remembered of that, may be of an account that was not known.
    /// `namespace`: the issuer's own, where it has one.
    pub(super) fn recount(&mut self, namespace: Option<&str>) {
        if self.settled {
            self.budget.collect();
            self.count_all(namespace, self.budget.latest());
        }
    }

    /// Tells the budget of all that the objects of a namespace, or of all, show; of what it knows already it takes no notice.
    fn count_all(&mut self, only: Option<&str>, now: Timestamp) {
        for seen in self.remembered(only, now) {
            self.budget.remember(seen);
        }
        for ask in self.on_their_way(only, now) {
            self.budget.announce(&ask, now);
        }
        for (namespace, name) in names_in(self.within(only), |ns| ns.orders.0.keys()) {
            self.count(&namespace, &name);
        }
        self.budget.settle(now);
        for (namespace, name) in names_in(self.within(only), |ns| ns.approved.keys()) {
            self.keep_approved(&namespace, &name, now);
        }
    }

    /// One namespace, or all.
    fn within<'w>(&'w self, only: Option<&'w str>) -> impl Iterator<Item = (&'w Arc<str>, &'w Namespace)> {
        let all = only.is_none().then(|| self.namespaces.iter());
        all.into_iter().flatten().chain(only.and_then(|name| self.namespaces.get_key_value(name)))
    }

    /// The orders that Domains and VerifiedHosts remember.
    fn remembered(&self, only: Option<&str>, now: Timestamp) -> Vec<Seen> {
        let mut all = Vec::new();
        for (name, ns) in self.within(only) {
            for (host, status) in ns.statuses() {
                let account = verdict_issuer(status).and_then(|issuer| self.account(name, issuer));
                all.extend(status.orders.iter().filter_map(|spent| spent.seen(name, host, account.as_ref())));
            }
            let past = ns.verified.iter().flat_map(|verified| &verified.orders);
            all.extend(past.filter_map(|order| order.seen(name, now)));
        }
        all
    }

    /// The orders of hosts that were let go, and of which nothing has come yet.
    fn on_their_way(&self, only: Option<&str>, now: Timestamp) -> Vec<Ask> {
        let statuses = self.within(only).flat_map(|(name, ns)| ns.statuses().map(move |(host, s)| (name, host, s)));
        let on_its_way = statuses.filter(|(_, _, s)| s.released && s.bind.is_none() && limit::is_on_its_way(s));
        on_its_way
            .filter_map(|(name, host, status)| {
                let account = self.account(name, verdict_issuer(status)?)?;
                Some(ask(name, account, Names::one(host), now))
            })
            .collect()
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
        let renewal = self.renewal(namespace, &names, now);
        self.budget.announce(&Ask { renewal, ..ask(namespace, account, names, now) }, now);
    }

    fn account(&self, namespace: &str, issuer: &IssuerRef) -> Option<Account> {
        let acme = self.issuer_facts(namespace, issuer).filter(|_| issuer.is_builtin())?.acme.as_ref()?;
        Some(Account::new(&acme.directory_url, acme.account_uri.as_deref().unwrap_or_default()))
    }

    /// Whether the CA of an issuer has limits that are known.
    pub(super) fn is_limited(&self, namespace: &str, issuer: &IssuerRef) -> bool {
        let account = self.account(namespace, issuer);
        account.is_some_and(|account| CaLimits::of(&account.directory, &self.policy.limits).is_some())
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
        // Of what is not known nothing is given up.
        match self.namespaces.get(namespace).map(|ns| ns.unknown(namespace, host)) {
            Some(Unknown::All) => return false,
            Some(Unknown::Wishes) if *need == limit::Need::None => return false,
            _ => {}
        }
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
                let renewal = self.renewal(namespace, &names, now);
                self.budget.ask(Ask { renewal, since: *since, ..ask(namespace, account, names, now) }, now)
            }
        }
    }

    /// What the CA may exempt an order for these names from: the budget knows whether it certified them. A tenant can write a
    /// Certificate's status; what that gains is an order that the CA refuses, and a refusal is obeyed.
    fn renewal(&self, namespace: &str, names: &Names, now: Timestamp) -> Renewal {
        let ns = self.namespaces.get(namespace).zip(names.first());
        let mut naming = ns.into_iter().flat_map(|(ns, host)| ns.certificates_naming(host));
        let wanted = naming.any(|certificate| {
            certificate.is_in_suggested_window(now)
                && Names::new(super::gate::hosts(certificate)).as_ref() == Some(names)
        });
        if wanted { Renewal::Ari } else { Renewal::SameSet }
    }

    /// Where a request stands.
    pub fn place_of_request(&self, namespace: &Arc<str>, seen: &SeenRequest, now: Timestamp) -> Place {
        let Some(names) = Names::new(seen.hosts().iter().cloned()) else { return Place::Free };
        let id = (namespace.clone(), names);
        match self.account(namespace, seen.issuer()) {
            // A place at one CA is none at another.
            Some(account) => self.budget.place_by(&id, &account, now),
            None => self.budget.place(&id, now),
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
        let renewal = self.renewal(namespace, &names, now);
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

/// The issuer that a host's verdict is for.
fn verdict_issuer(status: &DomainStatus) -> Option<&IssuerRef> {
    status.verdict.as_ref()?.issuer.as_ref()
}

/// The names of some objects of namespaces.
fn names_in<'w, N: Iterator<Item = &'w String>>(
    namespaces: impl Iterator<Item = (&'w Arc<str>, &'w Namespace)>,
    of: impl Fn(&'w Namespace) -> N,
) -> Vec<(Arc<str>, String)> {
    namespaces.flat_map(|(namespace, ns)| of(ns).map(move |name| (namespace.clone(), name.clone()))).collect()
}

/// Whether an order was made at another CA than the one to which its issuer leads now. The URLs of the CAs whose limits are
/// known all have the authority of their directory; of others nothing is concluded.
fn is_of_another_ca(directory: &str, order: &str) -> bool {
    let same_ca = authority(directory).eq_ignore_ascii_case(authority(order));
    !order.is_empty() && CaLimits::is_built_in(directory) && !same_ca
}

/// A first order that could go from now on.
fn ask(namespace: &Arc<str>, account: Account, names: Names, now: Timestamp) -> Ask {
    Ask { namespace: namespace.clone(), account, names, class: Class::First, since: now, renewal: Renewal::No }
}

impl Namespace {
    /// The hosts that have a Domain with a status.
    fn statuses(&self) -> impl Iterator<Item = (&Host, &DomainStatus)> {
        self.domains.iter().filter_map(|(host, seen)| Some((host, seen.domain.status.as_ref()?)))
    }

    /// How many Orders are kept.
    #[cfg(test)]
    pub(super) fn orders_kept(&self) -> usize {
        self.orders.0.len()
    }
}
