//! What objects show of orders, and what of it is kept.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

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
    /// By namespace and first name.
    by_host: HashMap<Arc<str>, HashMap<Host, Vec<Arc<str>>>>,
    /// What was certified at all, by directory.
    certified: HashSet<(Arc<str>, Names)>,
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
    pub(super) fn take(&mut self, seen: &Seen) -> (Vec<News>, bool) {
        let certified = self.is_certified(&seen.account, &seen.names);
        let first = !self.orders.contains_key(&seen.uid);
        let known = self.orders.entry(seen.uid.clone()).or_insert_with(|| Seen {
            progress: Progress::default(),
            renewal: Some(seen.renewal.unwrap_or(certified)),
            ..seen.clone()
        });
        if first && let Some(host) = seen.names.first() {
            let of_namespace = self.by_host.entry(seen.namespace.clone()).or_default();
            of_namespace.entry(host.clone()).or_default().push(seen.uid.clone());
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
        if then_issued(&news) {
            self.certified(&seen.account, &seen.names);
        }
        (news, renewal)
    }

    pub(super) fn certified(&mut self, account: &Account, names: &Names) {
        self.certified.insert((account.directory.clone(), names.clone()));
    }

    pub(super) fn is_certified(&self, account: &Account, names: &Names) -> bool {
        self.certified.contains(&(account.directory.clone(), names.clone()))
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
        let uids = self.by_host.get(namespace).and_then(|of| of.get(host)).into_iter().flatten();
        let mut spent: BTreeMap<(Timestamp, &str), Spent> = uids
            .filter_map(|uid| self.orders.get(uid))
            .filter_map(|seen| {
                let at = seen.progress.last()?;
                Some(((at, &*seen.uid), Spent::of(seen, host)))
            })
            .collect();
        while spent.len() > MOST {
            spent.pop_first();
        }
        spent.into_values().collect()
    }

    /// The orders of a namespace that still have a say.
    pub(super) fn of_namespace(&self, namespace: &str, now: Timestamp) -> impl Iterator<Item = &Seen> {
        let uids = self.by_host.get(namespace).into_iter().flat_map(HashMap::values).flatten();
        uids.filter_map(|uid| self.orders.get(uid)).filter(move |seen| has_say(seen, now))
    }

    /// Forgets what has no say any more.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.orders.retain(|_, seen| has_say(seen, now));
        let orders = &self.orders;
        self.by_host.retain(|_, hosts| {
            hosts.retain(|_, uids| {
                uids.retain(|uid| orders.contains_key(uid));
                !uids.is_empty()
            });
            !hosts.is_empty()
        });
    }
}

fn has_say(seen: &Seen, now: Timestamp) -> bool {
    let before = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
    seen.progress.last().is_none_or(|at| at >= before)
}

fn then_issued(news: &[News]) -> bool {
    news.iter().any(|news| matches!(news, News::Issued(_)))
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
            names: if names == [host.clone()] { Vec::new() } else { text(names) },
            ordered: seen.progress.ordered.map(Time),
            issued: seen.progress.issued.map(Time),
            failed: seen.progress.failed.map(Time),
            failures: text(&seen.progress.failures),
            renewal: seen.renewal.unwrap_or_default(),
        }
    }

    /// The order, as its host's Domain remembers it. `None`: no host in it can be read.
    pub fn seen(&self, namespace: &Arc<str>, host: &Host, account: &Account) -> Option<Seen> {
        let hosts = |texts: &[String]| texts.iter().filter_map(|text| Host::parse(text).ok()).collect::<Vec<_>>();
        let names = if self.names.is_empty() { Names::one(host) } else { Names::new(hosts(&self.names))? };
        let at = |time: &Option<Time>| time.as_ref().map(|time| time.0);
        Some(Seen {
            uid: Arc::from(self.order.as_str()),
            namespace: namespace.clone(),
            account: account.clone(),
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
