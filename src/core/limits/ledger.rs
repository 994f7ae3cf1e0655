//! What objects show of orders, and what of it is kept.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Account, Names};
use crate::core::host::Host;

/// How long an order is remembered: twice the longest time in which a bucket fills. What was before that has no say any more.
pub const KEPT: SignedDuration = SignedDuration::from_hours(2 * 7 * 24);
/// The most orders of a host that are remembered; the CA takes ten for the same names in that time.
const MOST: usize = 24;
/// How long names count as certified: the CA looks that far back for what an order renews (Boulder `wfe2`, 120 days).
pub const CERTIFIED: SignedDuration = SignedDuration::from_hours(120 * 24);
/// How much of that is left to an order until it is at the CA.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_hours(1);
/// The most orders of a namespace that are remembered: whoever makes Order objects without end fills no memory.
const MOST_OF_NAMESPACE: usize = 20_000;

/// An order as objects show it. Times are the latest that they can have been at the CA.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The Order's uid.
    pub uid: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its account.
    pub account: Account,
    /// Its names.
    pub names: Names,
    /// How far it got.
    pub progress: Progress,
    /// Whether the same names were certified before; `None`: by what is known here.
    pub renewal: Option<bool>,
}

/// How far an order got.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// When the CA took it.
    pub ordered: Option<Timestamp>,
    /// When it was certified.
    pub issued: Option<Timestamp>,
    /// When it failed, or was refused.
    pub failed: Option<Timestamp>,
    /// The names whose authorization failed.
    pub failures: Vec<Host>,
}

/// An order as a Domain remembers it, when cert-manager's own objects are gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Spent {
    /// The Order's uid.
    pub order: String,
    /// The ACME directory's URL; empty: not written down, and that of the host's issuer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub directory: String,
    /// The account's URI.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// All names, where there are others than the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// When the CA took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<Time>,
    /// When it was certified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Time>,
    /// When it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Time>,
    /// Of how many names the authorization failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// The same names had been certified before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renewal: bool,
}

/// The orders that are remembered.
#[derive(Default)]
pub(super) struct Ledger {
    orders: HashMap<Arc<str>, Seen>,
    by_namespace: HashMap<Arc<str>, OfNamespace>,
    /// What a CA knows of sets of names, by its directory.
    sets: HashMap<(Arc<str>, Names), Set>,
}

/// What a CA knows of a set of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// It certified them, at last then.
    Certified(Timestamp),
    /// It refused an order that it would have taken for a renewal, at last then.
    Unknown(Timestamp),
}

/// The uids of a namespace's orders.
#[derive(Default)]
struct OfNamespace {
    /// By first name.
    by_host: HashMap<Host, Vec<Arc<str>>>,
    /// How many there are.
    count: usize,
}

/// What is new about an order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum News {
    /// The CA took it.
    Ordered(Timestamp),
    /// It was certified.
    Issued(Timestamp),
    /// It failed.
    Failed(Timestamp, Vec<Host>),
}

// === impl News ===

impl News {
    pub(super) const fn at(&self) -> Timestamp {
        match self {
            Self::Ordered(at) | Self::Issued(at) | Self::Failed(at, _) => *at,
        }
    }
}

// === impl Ledger ===

impl Ledger {
    /// Takes down what is new about an order, and says what that is. An order that fails is not certified later, nor
    /// the other way round.
    pub(super) fn take(&mut self, seen: &Seen, now: Timestamp) -> (Vec<News>, bool) {
        let certified = self.is_certified(&seen.account, &seen.names, now);
        let first = !self.orders.contains_key(&seen.uid);
        if first {
            self.make_room(&seen.namespace);
        }
        let known = self.orders.entry(seen.uid.clone()).or_insert_with(|| Seen {
            progress: Progress::default(),
            renewal: Some(seen.renewal.unwrap_or(certified)),
            ..seen.clone()
        });
        if first && let Some(host) = seen.names.first() {
            let of_namespace = self.by_namespace.entry(seen.namespace.clone()).or_default();
            of_namespace.by_host.entry(host.clone()).or_default().push(seen.uid.clone());
            of_namespace.count += 1;
        }
        let mut news = Vec::new();
        let (now, then) = (&seen.progress, &mut known.progress);
        let done = then.issued.is_some() || then.failed.is_some();
        if let (None, Some(at)) = (then.ordered, now.ordered) {
            then.ordered = Some(at);
            news.push(News::Ordered(at));
        }
        match (now.issued, now.failed) {
            (Some(at), _) if !done => {
                then.issued = Some(at);
                news.push(News::Issued(at));
            }
            (None, Some(at)) if !done => {
                then.failed = Some(at);
                then.failures.clone_from(&now.failures);
                news.push(News::Failed(at, now.failures.clone()));
            }
            _ => {}
        }
        let renewal = known.renewal.unwrap_or_default();
        for news in &news {
            if let News::Issued(at) = news {
                self.learn(&seen.account, &seen.names, Set::Certified(*at));
            }
        }
        (news, renewal)
    }

    /// An Order is gone. Of one that never came to the CA nothing is to be remembered.
    pub(super) fn lose(&mut self, uid: &str) {
        if self.orders.get(uid).is_none_or(|seen| seen.progress.last().is_some()) {
            return;
        }
        let Some(seen) = self.orders.remove(uid) else { return };
        let (Some(host), Some(of)) = (seen.names.first(), self.by_namespace.get_mut(&seen.namespace)) else { return };
        if let Some(uids) = of.by_host.get_mut(host) {
            uids.retain(|known| **known != *uid);
            if uids.is_empty() {
                of.by_host.remove(host);
            }
            of.count = of.count.saturating_sub(1);
        }
        if of.by_host.is_empty() {
            self.by_namespace.remove(&seen.namespace);
        }
    }

    /// The CA refused these names as it would not have refused a renewal.
    pub(super) fn doubt(&mut self, account: &Account, names: &Names, at: Timestamp) {
        self.learn(account, names, Set::Unknown(at));
    }

    fn learn(&mut self, account: &Account, names: &Names, set: Set) {
        let known = self.sets.entry((account.directory.clone(), names.clone())).or_insert(set);
        if set.at() >= known.at() {
            *known = set;
        }
    }

    /// Whether the CA takes an order for these names for a renewal.
    pub(super) fn is_certified(&self, account: &Account, names: &Names, now: Timestamp) -> bool {
        let known = self.sets.get(&(account.directory.clone(), names.clone()));
        known.is_some_and(|set| matches!(set, Set::Certified(at) if at.duration_until(now) <= CERTIFIED - ON_ITS_WAY))
    }

    /// All that happened, in order.
    pub(super) fn events(&self) -> Vec<(Seen, News)> {
        let all = self.orders.values().flat_map(|seen| {
            let Progress { ordered, issued, failed, failures } = &seen.progress;
            let news = [
                ordered.map(News::Ordered),
                issued.map(News::Issued),
                failed.map(|at| News::Failed(at, failures.clone())),
            ];
            news.into_iter().flatten().map(|news| (seen.clone(), news))
        });
        let mut events: Vec<(Seen, News)> = all.collect();
        events.sort_by_key(|(_, news)| news.at());
        events
    }

    /// What a host's Domain is to remember, the oldest first.
    pub(super) fn spent(&self, namespace: &Arc<str>, host: &Host) -> Vec<Spent> {
        let uids = self.by_namespace.get(namespace).and_then(|of| of.by_host.get(host)).into_iter().flatten();
        let seen = uids.filter_map(|uid| self.orders.get(uid)).filter(|seen| seen.progress.last().is_some());
        Spent::latest(seen.map(|seen| Spent::of(seen, host)).collect())
    }

    /// The orders of a namespace that still have a say.
    pub(super) fn of_namespace(&self, namespace: &str, now: Timestamp) -> impl Iterator<Item = &Seen> {
        let uids = self.by_namespace.get(namespace).into_iter().flat_map(|of| of.by_host.values()).flatten();
        uids.filter_map(|uid| self.orders.get(uid)).filter(move |seen| has_say(seen, now))
    }

    /// Forgets what has no say any more.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.sets.retain(|_, set| set.at().duration_until(now) <= CERTIFIED);
        // The last certificate of its names is what makes the next order a renewal.
        let sets = &self.sets;
        let is_last = |seen: &Seen| {
            let set = sets.get(&(seen.account.directory.clone(), seen.names.clone()));
            seen.progress.issued.is_some_and(|at| set == Some(&Set::Certified(at)))
        };
        self.orders.retain(|_, seen| has_say(seen, now) || is_last(seen));
        self.tidy_names();
    }

    /// Forgets the oldest quarter of a namespace's orders where there are too many. They were counted when they were seen.
    fn make_room(&mut self, namespace: &str) {
        let Some(of) = self.by_namespace.get(namespace).filter(|of| of.count >= MOST_OF_NAMESPACE) else { return };
        let known = of.by_host.values().flatten().filter_map(|uid| self.orders.get(uid));
        let mut by_age: Vec<(Timestamp, Arc<str>)> =
            known.map(|seen| (seen.progress.last().unwrap_or(Timestamp::MIN), seen.uid.clone())).collect();
        by_age.sort_unstable();
        by_age.truncate(MOST_OF_NAMESPACE / 4);
        for (_, uid) in by_age {
            self.orders.remove(&uid);
        }
        self.tidy_names();
    }

    /// Takes out of the index what is not remembered any more.
    fn tidy_names(&mut self) {
        let orders = &self.orders;
        self.by_namespace.retain(|_, of| {
            of.by_host.retain(|_, uids| {
                uids.retain(|uid| orders.contains_key(uid));
                !uids.is_empty()
            });
            of.count = of.by_host.values().map(Vec::len).sum();
            of.count > 0
        });
    }

    /// How much is remembered: orders, namespaces, and names that were certified.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 3] {
        [self.orders.len(), self.by_namespace.len(), self.sets.len()]
    }
}

fn has_say(seen: &Seen, now: Timestamp) -> bool {
    seen.progress.last().is_none_or(|at| at >= forgotten_before(now))
}

/// What was before that has no say any more.
fn forgotten_before(now: Timestamp) -> Timestamp {
    now.checked_sub(KEPT).unwrap_or(Timestamp::MIN)
}

// === impl Set ===

impl Set {
    const fn at(self) -> Timestamp {
        match self {
            Self::Certified(at) | Self::Unknown(at) => at,
        }
    }
}

// === impl Progress ===

impl Progress {
    /// When something last happened at the CA.
    pub(super) fn last(&self) -> Option<Timestamp> {
        [self.ordered, self.issued, self.failed].into_iter().flatten().max()
    }

    /// Whether nothing more will come of it.
    pub const fn is_over(&self) -> bool {
        self.issued.is_some() || self.failed.is_some()
    }
}

// === impl Spent ===

impl Spent {
    pub(super) fn of(seen: &Seen, host: &Host) -> Self {
        let names = seen.names.hosts();
        let text = |hosts: &[Host]| hosts.iter().map(Host::to_string).collect();
        Self {
            order: seen.uid.to_string(),
            directory: seen.account.directory.to_string(),
            account: seen.account.uri.to_string(),
            names: if names == [host.clone()] { Vec::new() } else { text(names) },
            ordered: seen.progress.ordered.map(Time),
            issued: seen.progress.issued.map(Time),
            failed: seen.progress.failed.map(Time),
            failures: text(&seen.progress.failures),
            renewal: seen.renewal.unwrap_or_default(),
        }
    }

    /// What a host's Domain is to remember: what is known here, and what it alone tells of, for as long as that has a say.
    pub fn merged(told: &[Self], known: &[Self], now: Timestamp) -> Vec<Self> {
        let untold = told.iter().filter(|old| {
            old.last().is_some_and(|at| at >= forgotten_before(now)) && known.iter().all(|new| new.order != old.order)
        });
        Self::latest(untold.chain(known).cloned().collect())
    }

    /// The latest of a host's orders, the oldest first. Where there are too many, those that failed are forgotten first:
    /// what was issued counts for a week, what failed for an hour.
    fn latest(mut orders: Vec<Self>) -> Vec<Self> {
        orders.sort_by(|a, b| (a.last(), &a.order).cmp(&(b.last(), &b.order)));
        while orders.len() > MOST {
            let oldest = orders.iter().position(|order| order.issued.is_none()).unwrap_or_default();
            orders.remove(oldest);
        }
        orders
    }

    /// When something last happened at the CA.
    pub fn last(&self) -> Option<Timestamp> {
        [&self.ordered, &self.issued, &self.failed].into_iter().flatten().map(|time| time.0).max()
    }

    /// The order, as its host's Domain remembers it. `account` is whose it was where that is not written down. `None`: no
    /// host in it can be read, or nothing tells whose it was.
    pub fn seen(&self, namespace: &Arc<str>, host: &Host, account: Option<&Account>) -> Option<Seen> {
        let account = match self.directory.as_str() {
            "" => account?.clone(),
            directory => Account::new(directory, &self.account),
        };
        let hosts = |texts: &[String]| texts.iter().filter_map(|text| Host::parse(text).ok()).collect::<Vec<_>>();
        let names = if self.names.is_empty() { Names::one(host) } else { Names::new(hosts(&self.names))? };
        let at = |time: &Option<Time>| time.as_ref().map(|time| time.0);
        Some(Seen {
            uid: Arc::from(self.order.as_str()),
            namespace: namespace.clone(),
            account,
            names,
            progress: Progress {
                ordered: at(&self.ordered),
                issued: at(&self.issued),
                failed: at(&self.failed),
                failures: hosts(&self.failures),
            },
            renewal: Some(self.renewal),
        })
    }
}
