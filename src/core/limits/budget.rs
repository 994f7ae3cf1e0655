//! [`Budget`]: what is left of every limit, whose places are kept, and who waits.

mod beside;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    Account, Ask, Bucket, CaLimits, Class, Id, Key, Kind, Names, PastOrder, Place, Rate, Renewal, Seen, Spent, Wait,
    fair::Queue,
    ledger::{Ledger, News},
    past,
    policy::LimitsPolicy,
    refusal::Refusal,
};
use crate::core::host::Host;

/// How long a place is kept for an order of which nothing is seen, and that nothing announces.
const LAPSE: SignedDuration = SignedDuration::from_hours(1);
/// How long one is kept for an order that the CA took: longer than an order lives (Let's Encrypt: seven days).
const ORDER_LAPSE: SignedDuration = SignedDuration::from_hours(8 * 24);
/// By how much the clocks here may be ahead of the CA's.
const SKEW: SignedDuration = SignedDuration::from_secs(15);

/// The limits of all CAs, and what is left of them.
#[derive(Default)]
pub struct Budget {
    policies: BTreeMap<String, LimitsPolicy>,
    buckets: HashMap<Key, (Bucket, Rate)>,
    /// What a CA said it takes nothing of before that time.
    shut: HashMap<Key, Timestamp>,
    /// The sets of names that a CA refused: until when, and for which buckets. Whatever exempts them here, it does not there.
    refused: HashMap<(Account, Names), (Timestamp, Vec<Key>)>,
    held: HashMap<Id, Held>,
    /// How many places of a bucket are kept.
    kept: HashMap<Key, u32>,
    waiting: Queue,
    ledger: Ledger,
    /// What was listed and is not counted yet, and whether its Order is there: it must be counted in the order in which it
    /// happened.
    listed: Option<Vec<(Seen, bool)>>,
    granted: Vec<Id>,
    /// The latest time that was told. Buckets want things in the order in which they happened.
    latest: Timestamp,
}

/// A place that is kept for an order under way.
struct Held {
    /// At which CA, by which account.
    account: Account,
    since: Timestamp,
    /// The buckets in which it is kept.
    keys: Vec<Key>,
    /// Something shows that the order is still to come or under way.
    announced: bool,
    /// The CA took it.
    ordered: bool,
}

// === impl Budget ===

impl Budget {
    /// Nothing counted, and what is seen first is only collected until [`Budget::settle`].
    pub fn new(policies: BTreeMap<String, LimitsPolicy>) -> Self {
        Self { policies, listed: Some(Vec::new()), ..Self::default() }
    }

    /// Other limits are in force: what was ordered before counts against them.
    pub fn set_policies(&mut self, policies: &BTreeMap<String, LimitsPolicy>) {
        if self.policies != *policies {
            self.policies.clone_from(policies);
            self.recount(self.latest);
            self.waiting.open_all();
        }
    }

    /// What is seen from here on is only collected until [`Budget::settle`]: some of it may have happened long ago.
    pub fn collect(&mut self) {
        self.listed.get_or_insert_default();
    }

    /// The latest time that was told.
    pub const fn latest(&self) -> Timestamp {
        self.latest
    }

    /// Counts what was listed.
    pub fn settle(&mut self, now: Timestamp) {
        let Some(listed) = self.listed.take() else { return };
        self.latest = self.latest.max(now);
        let mut any = false;
        for (seen, is_there) in listed {
            let (news, renewal) = self.ledger.take(&seen, self.latest);
            any |= !news.is_empty();
            if is_there {
                self.follow(&seen, renewal, now);
            }
        }
        if any {
            self.recount(now);
        }
    }

    /// Fills all buckets anew. What happened before all that is known counts as if it had used up everything.
    fn recount(&mut self, now: Timestamp) {
        self.buckets.clear();
        for (seen, news) in self.ledger.events() {
            self.count(&seen, &news, seen.renewal.unwrap_or_default(), news.at(), |rate| {
                let unknown = now.checked_sub(rate.span()).and_then(|at| at.checked_sub(rate.span()));
                unknown.map_or(Bucket::full(), |at| Bucket::empty_at(at, rate))
            });
        }
    }

    /// An order was seen, or got further.
    pub fn see(&mut self, seen: Seen) {
        if let Some(listed) = &mut self.listed {
            listed.push((seen, true));
            return;
        }
        let renewal = self.take(&seen);
        self.follow(&seen, renewal, self.latest);
    }

    /// An order is remembered. Unless its Order is seen too, no place is kept for it: nothing more would be heard of it.
    pub fn remember(&mut self, seen: Seen) {
        match &mut self.listed {
            Some(listed) => listed.push((seen, false)),
            None => drop(self.take(&seen)),
        }
    }

    /// Counts what is new about an order. Whether it renews.
    fn take(&mut self, seen: &Seen) -> bool {
        let (news, renewal) = self.ledger.take(seen, self.latest);
        for news in news {
            // Told late, it counts from now on.
            self.latest = self.latest.max(news.at());
            self.count(seen, &news, renewal, self.latest, |_| Bucket::full());
        }
        renewal
    }

    /// An Order that was under way is gone: it comes to nothing.
    pub fn lose(&mut self, uid: &str, namespace: &Arc<str>, names: &Names) {
        self.ledger.lose(uid);
        self.release(&(namespace.clone(), names.clone()));
    }

    /// Whether the CA takes an order for these names for a renewal: for 120 days after it certified them.
    pub fn is_certified(&self, account: &Account, names: &Names, now: Timestamp) -> bool {
        self.ledger.is_certified(account, names, now)
    }

    /// The CA validated a name: its failures in a row are forgiven (Boulder `ra`, `resetAccountPausingLimit`). A certificate
    /// alone does not say so, as authorizations are used again.
    pub fn validated(&mut self, account: &Account, host: &Host) {
        self.buckets.remove(&Key::failures(Kind::ConsecutiveFailures, account, host));
    }

    /// The CA refused.
    pub fn refuse(&mut self, refusal: &Refusal) {
        let limits = self.limits(&refusal.account.directory).unwrap_or_default();
        if matches!(refusal.limit, Some(Kind::NewOrders | Kind::CertificatesPerDomain)) {
            self.ledger.doubt(&refusal.account, &refusal.names, refusal.at);
        }
        let whose = (refusal.account.clone(), refusal.names.clone());
        let (until, keys) = self.refused.entry(whose).or_insert((refusal.until, Vec::new()));
        *until = (*until).max(refusal.until);
        keys.extend(refusal.keys());
        keys.sort_unstable();
        keys.dedup();
        for key in refusal.keys() {
            if let Some(rate) = key.rate(&limits) {
                self.buckets.entry(key.clone()).or_insert((Bucket::full(), rate)).0.shut_until(rate, refusal.until);
            }
            let until = self.shut.entry(key).or_insert(refusal.until);
            *until = (*until).max(refusal.until);
        }
    }

    /// Counts an event. `fresh`: a bucket of which nothing was known.
    fn count(&mut self, seen: &Seen, news: &News, renewal: bool, at: Timestamp, fresh: impl Fn(Rate) -> Bucket) {
        let Some(limits) = self.limits(&seen.account.directory) else { return };
        let account = &seen.account;
        let failures = |kind, hosts: &[Host]| -> Vec<Key> {
            hosts.iter().map(|host| Key::failures(kind, account, host)).collect()
        };
        let keys = match news {
            News::Ordered(_) if renewal => Vec::new(),
            News::Ordered(_) => vec![Key::orders(account)],
            News::Issued(_) => Key::of_certificate(account, &seen.names, renewal),
            News::Failed(_, hosts) => {
                let mut keys = failures(Kind::FailedAuthorizations, hosts);
                keys.extend(failures(Kind::ConsecutiveFailures, hosts));
                keys
            }
        };
        for key in keys {
            if let Some(rate) = key.rate(&limits) {
                self.buckets.entry(key).or_insert_with(|| (fresh(rate), rate)).0.spend(rate, at);
            }
        }
    }

    /// Keeps the places of an order under way, and gives up those of one that is over.
    fn follow(&mut self, seen: &Seen, renewal: bool, now: Timestamp) {
        let id = (seen.namespace.clone(), seen.names.clone());
        if seen.progress.is_over() {
            // A place that was given since is for the next order.
            let over = seen.progress.last();
            if self.held.get(&id).is_some_and(|held| held.ordered || over.is_none_or(|at| at >= held.since)) {
                self.release(&id);
            }
            return;
        }
        let ask = Ask {
            namespace: seen.namespace.clone(),
            account: seen.account.clone(),
            names: seen.names.clone(),
            class: Class::First,
            since: now,
            renewal: if renewal { Renewal::SameSet } else { Renewal::No },
        };
        self.announce(&ask, now);
        if seen.progress.ordered.is_some()
            && let Some(held) = self.held.get_mut(&id).filter(|held| !held.ordered)
        {
            // Its order is counted; what it still keeps are the places of its certificate.
            held.ordered = true;
            let (orders, rest) = held.keys.drain(..).partition(|key| key.kind == Kind::NewOrders);
            held.keys = rest;
            self.give_back(&orders);
        }
    }

    /// An order is still to come, or under way, whoever let it go: its places are kept.
    pub fn announce(&mut self, ask: &Ask, now: Timestamp) {
        let id = ask.id();
        if let Some(held) = self.held.get_mut(&id) {
            held.announced = true;
            return;
        }
        let Some(limits) = self.limits(&ask.account.directory) else { return };
        self.waiting.remove(&id);
        let keys = self.keys_of(ask, &limits, now);
        self.hold(id, ask.account.clone(), keys, true, now);
    }

    /// Whether an order may go. One that may not waits from now on, until it goes or is withdrawn.
    pub fn ask(&mut self, ask: Ask, now: Timestamp) -> Place {
        let id = ask.id();
        if self.is_elsewhere(&id, &ask.account) {
            return self.beside(&ask, now);
        }
        if self.held.contains_key(&id) {
            return Place::Granted;
        }
        let limits = self.limits(&ask.account.directory);
        let keys = self.keys_of(&ask, limits.as_ref().unwrap_or(&CaLimits::default()), now);
        if limits.is_none() {
            return self.refused(&keys, now).map_or(Place::Free, Place::Waiting);
        }
        let known =
            self.waiting.get(&id).map(|known| (known.keys == keys && known.ask.class == ask.class, known.ask.since));
        match known {
            Some((true, _)) => {}
            known => {
                self.waiting.remove(&id);
                let since = known.map_or(ask.since, |(_, since)| since);
                match keys.first().cloned() {
                    // Exempt from everything.
                    None => self.grant(id.clone(), ask.account, Vec::new(), now),
                    Some(first) => self.waiting.park(Ask { since, ..ask }, keys, first, Timestamp::MIN),
                }
            }
        }
        self.turn(now);
        self.place(&id, now)
    }

    /// Nobody wants the order any more, or what announced it is gone. One that the CA knows of goes its way.
    pub fn withdraw(&mut self, id: &Id) {
        self.waiting.remove(id);
        if self.held.get(id).is_some_and(|held| !held.ordered) {
            self.release(id);
        }
    }

    /// Where an order stands.
    pub fn place(&self, id: &Id, now: Timestamp) -> Place {
        if self.held.contains_key(id) {
            return Place::Granted;
        }
        let Some(waiting) = self.waiting.get(id) else { return Place::Unasked };
        if let Some(wait) = self.refused(&waiting.keys, now) {
            return Place::Waiting(wait);
        }
        let Some((waits_at, ahead)) = self.waiting.standing(id) else { return Place::Unasked };
        // It goes when the last of its buckets has a place for it.
        let free = |key: &Key, ahead: u32| {
            let nth = self.kept.get(key).copied().unwrap_or_default().saturating_add(ahead).saturating_add(1);
            self.buckets.get(key).map_or(now, |(bucket, rate)| free_at(bucket, *rate, nth, now))
        };
        let elsewhere = waiting.keys.iter().filter(|key| *key != waits_at).map(|key| (free(key, 0), key));
        let (until, key) =
            elsewhere.fold((free(waits_at, ahead), waits_at), |last, one| if one.0 > last.0 { one } else { last });
        Place::Waiting(Wait { limit: key.kind, of: key.subject().to_owned(), until, refused: false })
    }

    fn refused(&self, keys: &[Key], now: Timestamp) -> Option<Wait> {
        let shut = keys.iter().filter_map(|key| Some((*self.shut.get(key)?, key))).filter(|(until, _)| *until > now);
        let (until, key) = shut.max()?;
        Some(Wait { limit: key.kind, of: key.subject().to_owned(), until, refused: true })
    }

    /// Lets go all that can. Places that nobody used are given up.
    pub fn turn(&mut self, now: Timestamp) {
        self.latest = self.latest.max(now);
        while let Some(id) = self.waiting.next(now) {
            let Some(waiting) = self.waiting.remove(&id) else { return };
            match self.blocked(&waiting.keys, &waiting.ask.account, now) {
                Some((key, wake)) => self.waiting.park(waiting.ask, waiting.keys, key, wake),
                None => {
                    self.waiting.served(&id.0, &waiting.keys);
                    self.grant(id, waiting.ask.account, waiting.keys, now);
                }
            }
        }
    }

    /// Gives up what was let go long ago and never came, and forgets what has no say any more.
    pub fn tidy(&mut self, now: Timestamp) {
        let lapsed = |held: &Held| {
            let age = held.since.duration_until(now);
            (!held.announced && !held.ordered && age >= LAPSE) || (held.ordered && age >= ORDER_LAPSE)
        };
        let late: Vec<Id> = self.held.iter().filter(|(_, held)| lapsed(held)).map(|(id, _)| id.clone()).collect();
        late.iter().for_each(|id| self.release(id));
        self.buckets.retain(|_, (bucket, _)| !bucket.is_full(now));
        self.shut.retain(|_, until| *until > now);
        self.refused.retain(|_, (until, _)| *until > now);
        self.ledger.forget(now);
        self.waiting.tidy();
    }

    /// How much is kept: of the ledger, buckets, shut ones, places, buckets with places, those that wait and where, grants.
    #[cfg(test)]
    pub fn sizes(&self) -> Vec<usize> {
        let [waiting, crowds] = self.waiting.sizes();
        let own = [
            self.buckets.len(),
            self.shut.len() + self.refused.len(),
            self.held.len(),
            self.kept.len(),
            waiting,
            crowds,
        ];
        self.ledger.sizes().into_iter().chain(own).chain([self.granted.len()]).collect()
    }

    /// When somebody who waits may be able to go.
    pub fn wake(&self) -> Option<Timestamp> {
        self.waiting.wake()
    }

    /// Who was let go since this was last asked.
    pub fn take_granted(&mut self) -> Vec<Id> {
        std::mem::take(&mut self.granted)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What a host's Domain is to remember of its orders.
    pub fn spent(&self, namespace: &Arc<str>, host: &Host) -> Vec<Spent> {
        self.ledger.spent(namespace, host)
    }

    /// What is to be remembered of a namespace's orders beside those that other objects tell of, by `told`: the latest, the
    /// oldest first. What a CA without known limits did counts nowhere.
    pub fn past(&self, namespace: &str, told: impl Fn(&Seen) -> bool, now: Timestamp) -> Vec<PastOrder> {
        let counted = |seen: &&Seen| CaLimits::of(&seen.account.directory, &self.policies).is_some();
        let untold = self.ledger.of_namespace(namespace, now).filter(counted).filter(|seen| !told(seen));
        let mut past: Vec<PastOrder> = untold.filter_map(PastOrder::of).collect();
        past.sort_by(|a, b| (a.last(), &a.spent.order).cmp(&(b.last(), &b.spent.order)));
        past.split_off(past.len().saturating_sub(past::MOST))
    }

    /// The fewest places left in any bucket of a kind, of those of which any are used or kept.
    pub fn least_left(&self, kind: Kind, now: Timestamp) -> Option<u32> {
        let of_kind = self.buckets.iter().filter(|(key, _)| key.kind == kind);
        let left = of_kind.map(|(key, (bucket, rate))| {
            bucket.left(*rate, now).saturating_sub(self.kept.get(key).copied().unwrap_or_default())
        });
        left.min()
    }

    /// The bucket that has a place last, and when.
    fn blocked(&mut self, keys: &[Key], account: &Account, now: Timestamp) -> Option<(Key, Timestamp)> {
        let limits = self.limits(&account.directory).unwrap_or_default();
        let mut last: Option<(Key, Timestamp)> = None;
        for key in keys {
            let mut at = self.shut.get(key).copied().unwrap_or(Timestamp::MIN);
            if let Some(rate) = key.rate(&limits) {
                let (bucket, known) = self.buckets.entry(key.clone()).or_insert((Bucket::full(), rate));
                *known = rate;
                let kept = self.kept.get(key).copied().unwrap_or_default();
                at = at.max(free_at(bucket, rate, kept.saturating_add(1), now));
            }
            if at > now && last.as_ref().is_none_or(|(_, latest)| at > *latest) {
                last = Some((key.clone(), at));
            }
        }
        last
    }

    fn grant(&mut self, id: Id, account: Account, keys: Vec<Key>, now: Timestamp) {
        self.granted.push(id.clone());
        self.hold(id, account, keys, false, now);
    }

    fn hold(&mut self, id: Id, account: Account, keys: Vec<Key>, announced: bool, now: Timestamp) {
        for key in &keys {
            *self.kept.entry(key.clone()).or_default() += 1;
        }
        self.held.insert(id, Held { account, since: now, keys, announced, ordered: false });
    }

    fn release(&mut self, id: &Id) {
        if let Some(held) = self.held.remove(id) {
            self.give_back(&held.keys);
        }
    }

    fn give_back(&mut self, keys: &[Key]) {
        for key in keys {
            if let Some(count) = self.kept.get_mut(key) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.kept.remove(key);
                }
            }
            self.waiting.open(key);
        }
    }

    /// The buckets in which an order must find a place.
    fn keys_of(&self, ask: &Ask, limits: &CaLimits, now: Timestamp) -> Vec<Key> {
        let certified = self.ledger.is_certified(&ask.account, &ask.names, now);
        let renewal = match ask.renewal {
            Renewal::Ari if limits.ari => Renewal::Ari,
            Renewal::Ari | Renewal::SameSet if certified => Renewal::SameSet,
            Renewal::Ari | Renewal::SameSet | Renewal::No => Renewal::No,
        };
        let mut keys = Key::of_order(&ask.account, &ask.names, renewal);
        let refused = self.refused.get(&(ask.account.clone(), ask.names.clone())).filter(|(until, _)| *until > now);
        for key in refused.into_iter().flat_map(|(_, keys)| keys) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        keys
    }

    /// Looked up each time: a tenant's issuers may name directories without end.
    fn limits(&self, directory: &str) -> Option<CaLimits> {
        CaLimits::of(directory, &self.policies)
    }

    /// Whether the CA's limits are known.
    pub fn is_limited(&self, account: &Account) -> bool {
        self.limits(&account.directory).is_some()
    }
}

/// When the `nth` place is there by the CA's clock too.
fn free_at(bucket: &Bucket, rate: Rate, nth: u32, now: Timestamp) -> Timestamp {
    let there = now.saturating_sub(SKEW).unwrap_or(Timestamp::MIN);
    if bucket.free_at(rate, nth, there) <= there {
        return now;
    }
    // What goes before it goes now at the earliest.
    bucket.free_at(rate, nth, now).saturating_add(SKEW).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
