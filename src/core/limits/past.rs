//! Orders that no other object tells of any more: the Domain of their host is deleted, and so is cert-manager's own
//! Order. The CA counts them all the same.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Seen, Spent};
use crate::core::host::Host;

/// The most of them that are kept of a namespace, the latest: two weeks of what Let's Encrypt certifies for one
/// registered domain.
pub const MOST: usize = 100;

/// An order that no other object tells of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastOrder {
    /// The first of its names.
    pub host: String,
    /// What became of it.
    #[serde(flatten)]
    pub spent: Spent,
}

// === impl PastOrder ===

impl PastOrder {
    /// An order as it is kept; `None`: it never came to the CA.
    pub(super) fn of(seen: &Seen) -> Option<Self> {
        seen.progress.last()?;
        let host = seen.names.first()?;
        Some(Self { host: host.to_string(), spent: Spent::of(seen, host) })
    }

    /// The order as objects showed it. `None`: no host in it can be read, or its time has not come yet, so that it is
    /// none of ours.
    pub fn seen(&self, namespace: &Arc<str>, now: Timestamp) -> Option<Seen> {
        let host = Host::parse(&self.host).ok()?;
        let seen = self.spent.seen(namespace, &host, None)?;
        // Kubernetes keeps whole seconds, and clocks differ by some.
        let latest = now.saturating_add(jiff::SignedDuration::from_mins(1)).unwrap_or(now);
        seen.progress.last().is_some_and(|at| at <= latest).then_some(seen)
    }

    /// When something last happened at the CA.
    pub fn last(&self) -> Option<Timestamp> {
        self.spent.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::limits::{Account, Names, Progress};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn order(names: &[&str]) -> Seen {
        let names = Names::new(names.iter().map(|name| Host::parse(name).unwrap())).unwrap();
        let progress = Progress { ordered: Some(at(10)), issued: Some(at(20)), ..Progress::default() };
        Seen {
            uid: "u".into(),
            namespace: "n".into(),
            account: Account::new("https://ca.example/dir", "https://ca.example/acct/1"),
            names,
            progress,
            renewal: Some(true),
        }
    }

    #[test]
    fn an_order_is_kept_whole() {
        for names in [&["www.example.com"][..], &["a.example.com", "b.example.com"]] {
            let past = PastOrder::of(&order(names)).unwrap();
            let text = serde_json::to_string(&past).unwrap();
            let read: PastOrder = serde_json::from_str(&text).unwrap();
            assert_eq!(read.seen(&"n".into(), at(20)), Some(order(names)), "{text}");
            assert_eq!(read.last(), Some(at(20)));
        }
    }

    #[test]
    fn what_never_came_to_the_ca_is_not_kept_and_what_has_yet_to_come_is_not_believed() {
        let never = Seen { progress: Progress::default(), ..order(&["www.example.com"]) };
        assert_eq!(PastOrder::of(&never), None);
        let past = PastOrder::of(&order(&["www.example.com"])).unwrap();
        assert_eq!(past.seen(&"n".into(), at(-50)), None);
    }
}
