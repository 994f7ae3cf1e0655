//! The week: hosts that come, a cluster of objects, and a controller that asks
//! the budget and may be restarted.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};

use certgate::core::{
    host::Host,
    limits::{Account, Ask, Budget, Class, Id, Names, Progress, Renewal, Seen, Spent},
};
use jiff::Timestamp;

use crate::ca::{Ca, DOMAIN, Limit, ORDERS, served};

const HOSTS: usize = 5_000;
const DOMAINS: usize = 300;
const NAMESPACES: usize = 60;
const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
const END: i64 = 7 * DAY;
const DOWN: i64 = 5 * 60 * SECOND;
/// What is left for the way from a place to the next: injecting, ordering, validating, seeing.
const SLACK: i64 = 2 * HOUR;

/// What came of a week.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) refused: Vec<String>,
    /// Places of registered domains used for first certificates, and how many the limits allow at most.
    pub(crate) used: u64,
    pub(crate) allowed: u64,
    pub(crate) orders: u64,
    pub(crate) certificates: u64,
    pub(crate) renewals: u64,
    pub(crate) failures: u64,
    /// Who waited too long.
    pub(crate) late: Vec<String>,
    pub(crate) longest: i64,
}

/// A certificate that somebody wants, and the objects about it.
struct Wanted {
    id: Id,
    names: Vec<String>,
    domains: BTreeSet<String>,
    /// Since when the present certificate is wanted; none: nothing to do.
    since: Option<i64>,
    /// Until when it must have been let go.
    due: i64,
    /// The order under way, as objects show it.
    order: Option<Order>,
    /// Injected or approved, and nothing seen of an order yet.
    released: bool,
    certified: bool,
    /// Its Domain's memory.
    spent: Vec<Spent>,
    tries: u32,
}

#[derive(Clone)]
struct Order {
    uid: u64,
    /// When the CA took it.
    taken: bool,
    done: Option<(i64, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Want(usize),
    Order(usize),
    Taken(usize, u64),
    Finish(usize, u64),
    See(usize, u64),
    Crash,
    Start,
    Wake,
}

pub(crate) struct Week {
    rng: fastrand::Rng,
    ca: Ca,
    budget: Option<Budget>,
    limited: bool,
    account: Account,
    wanted: Vec<Wanted>,
    index: BTreeMap<Id, usize>,
    events: BinaryHeap<Reverse<(i64, Event)>>,
    uids: u64,
    woken: i64,
    tidied: i64,
    outcome: Outcome,
    /// When somebody first wanted a first certificate.
    arrivals: Vec<(i64, usize)>,
    /// How many a namespace has waiting or under way, and how many of them in a domain.
    crowd: BTreeMap<Arc<str>, i64>,
    crowd_here: BTreeMap<(Arc<str>, String), i64>,
    /// The namespaces that ever want something in a domain.
    rivals: BTreeMap<String, BTreeSet<Arc<str>>>,
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_000_000_000 + ms).unwrap()
}

fn budget() -> Budget {
    Budget::new(BTreeMap::new())
}

impl Week {
    pub(crate) fn new(seed: u64) -> Self {
        let mut week = Self {
            rng: fastrand::Rng::with_seed(seed),
            ca: Ca::default(),
            budget: None,
            limited: true,
            account: Account::new(
                "https://acme-v02.api.letsencrypt.org/directory",
                "https://acme-v02.api.letsencrypt.org/acct/1",
            ),
            wanted: Vec::new(),
            index: BTreeMap::new(),
            events: BinaryHeap::new(),
            uids: 0,
            woken: -1,
            tidied: 0,
            outcome: Outcome::default(),
            arrivals: Vec::new(),
            crowd: BTreeMap::new(),
            crowd_here: BTreeMap::new(),
            rivals: BTreeMap::new(),
        };
        week.people();
        week
    }

    /// The same without a budget: everything goes at once.
    pub(crate) fn unlimited(mut self) -> Self {
        self.limited = false;
        self
    }

    fn host(&mut self, n: usize) -> String {
        // A few domains have most of the hosts.
        let skewed = self.rng.f64().powi(2) * DOMAINS as f64;
        format!("h{n}.d{}.com", skewed as usize)
    }

    /// Who comes when.
    fn people(&mut self) {
        let mut n = 0;
        while n < HOSTS {
            let pair = self.rng.f64() < 0.03;
            let mut names = vec![self.host(n)];
            if pair {
                names.push(self.host(n + 1));
            }
            n += names.len();
            names.sort();
            let namespace: Arc<str> = format!("team-{}", (self.rng.f64().powi(2) * NAMESPACES as f64) as usize).into();
            let key = Names::new(names.iter().map(|name| Host::parse(name).unwrap())).unwrap();
            let id = (namespace, key);
            let at = self.wanted.len();
            self.index.insert(id.clone(), at);
            let due = i64::MAX;
            let certified = self.rng.f64() < 0.25;
            let (order, released, spent) = (None, false, Vec::new());
            let domains: BTreeSet<String> =
                names.iter().map(|name| name.split_once('.').map(|(_, domain)| domain.to_owned()).unwrap()).collect();
            for domain in &domains {
                self.rivals.entry(domain.clone()).or_default().insert(id.0.clone());
            }
            let names_too = names.clone();
            self.wanted.push(Wanted {
                id,
                names: names_too,
                domains,
                since: None,
                due,
                order,
                released,
                certified,
                spent,
                tries: 0,
            });
            let when = match self.rng.f64() {
                chance if chance < 0.4 => self.rng.i64(0..SECOND),
                chance if chance < 0.6 => self.rng.i64(1..6) * DAY + self.rng.i64(0..60 * SECOND),
                _ => self.rng.i64(0..END),
            };
            self.later(when, Event::Want(at));
            if certified {
                self.ca.knows(names);
            }
            // A few are lost and issued anew, again and again.
            if self.rng.f64() < 0.02 {
                for _ in 0..self.rng.usize(2..16) {
                    let when = self.rng.i64(when..END.max(when + 1));
                    self.later(when, Event::Want(at));
                }
            }
        }
        for _ in 0..2 {
            let when = self.rng.i64(2 * HOUR..END - DAY);
            self.later(when, Event::Crash);
        }
    }

    fn later(&mut self, when: i64, event: Event) {
        self.events.push(Reverse((when, event)));
    }

    pub(crate) fn run(mut self) -> Outcome {
        self.start(0);
        while let Some(Reverse((now, event))) = self.events.pop() {
            if now >= END {
                break;
            }
            self.step(now, event);
            self.follow(now);
        }
        self.close();
        self.outcome
    }

    fn step(&mut self, now: i64, event: Event) {
        match event {
            Event::Want(at) => {
                let idle = self.wanted[at].since.is_none() && self.wanted[at].order.is_none();
                if idle {
                    self.wanted[at].since = Some(now);
                    self.wanted[at].due = i64::MAX;
                    if !self.wanted[at].certified && self.wanted[at].tries == 0 {
                        self.arrivals.push((now, at));
                    }
                    self.count(at, 1);
                    self.ask(at, now);
                }
            }
            Event::Order(at) => self.order(at, now),
            Event::Taken(at, uid) => {
                if let Some(order) = self.wanted[at].order.as_mut().filter(|order| order.uid == uid) {
                    order.taken = true;
                }
                self.see(at, uid, now);
            }
            Event::Finish(at, uid) => self.finish(at, uid, now),
            Event::See(at, uid) => self.see(at, uid, now),
            Event::Crash => {
                self.budget = None;
                self.later(now + DOWN, Event::Start);
            }
            Event::Start => self.start(now),
            Event::Wake => {}
        }
    }

    /// What the controller does after each change: lets go who can, and looks again when somebody may be able to.
    fn follow(&mut self, now: i64) {
        let Some(budget) = &mut self.budget else { return };
        if now - self.tidied > HOUR {
            self.tidied = now;
            budget.tidy(time(now));
        }
        budget.turn(time(now));
        let granted = budget.take_granted();
        let wake = budget.wake().map(|at| at.as_millisecond() - time(0).as_millisecond());
        for id in granted {
            let at = self.index[&id];
            self.go(at, now);
        }
        if let Some(wake) = wake.map(|wake| wake.max(now + 1)).filter(|wake| *wake < self.woken || self.woken <= now) {
            self.woken = wake;
            self.later(wake, Event::Wake);
        }
    }

    fn question(&self, at: usize, now: i64) -> Ask {
        let wanted = &self.wanted[at];
        Ask {
            namespace: wanted.id.0.clone(),
            account: self.account.clone(),
            names: wanted.id.1.clone(),
            class: if wanted.certified { Class::Again } else { Class::First },
            since: time(wanted.since.unwrap_or(now)),
            renewal: if wanted.certified { Renewal::SameSet } else { Renewal::No },
        }
    }

    fn ask(&mut self, at: usize, now: i64) {
        if !self.limited {
            return self.go(at, now);
        }
        let question = self.question(at, now);
        let bound = self.bound(at, now);
        let wanted = &mut self.wanted[at];
        wanted.due = wanted.due.min(bound);
        // While the controller is down nobody asks; it will when it starts.
        if let Some(budget) = &mut self.budget {
            budget.ask(question, time(now));
        }
    }

    /// How long a first certificate may have to wait for no other reason than turns: as long as it takes to serve as
    /// many of each namespace as its own has waiting before it, at each of its buckets.
    fn bound(&self, at: usize, now: i64) -> i64 {
        let wanted = &self.wanted[at];
        if wanted.certified {
            return i64::MAX;
        }
        let namespace = &wanted.id.0;
        let turns = |limit: Limit, own: i64, all: usize| (own + 1) * i64::try_from(all).unwrap() * limit.1 / limit.0;
        let mut wait = turns(ORDERS, self.crowd[namespace], NAMESPACES) + SLACK;
        for domain in &wanted.domains {
            let own = self.crowd_here[&(namespace.clone(), domain.clone())];
            wait += turns(DOMAIN, own, self.rivals[domain].len());
        }
        now.saturating_add(wait)
    }

    /// One more that its namespace has waiting or under way, or one less.
    fn count(&mut self, at: usize, one: i64) {
        let wanted = &self.wanted[at];
        *self.crowd.entry(wanted.id.0.clone()).or_default() += one;
        for domain in &wanted.domains {
            *self.crowd_here.entry((wanted.id.0.clone(), domain.clone())).or_default() += one;
        }
    }

    /// A place was given: the host is injected or the request approved.
    fn go(&mut self, at: usize, now: i64) {
        let wanted = &mut self.wanted[at];
        let Some(since) = wanted.since else { return };
        if now > wanted.due {
            self.outcome.late.push(format!("{:?}: {} min", wanted.names, (now - wanted.due) / 60_000));
        }
        self.outcome.longest = self.outcome.longest.max(now - since);
        wanted.released = true;
        let delay = self.rng.i64(1..30) * SECOND;
        self.later(now + delay, Event::Order(at));
    }

    /// cert-manager orders.
    fn order(&mut self, at: usize, now: i64) {
        self.uids += 1;
        let uid = self.uids;
        let wanted = &mut self.wanted[at];
        if let Err(why) = self.ca.order(&wanted.names, now) {
            self.outcome.refused.push(why);
            return;
        }
        self.outcome.orders += 1;
        self.outcome.renewals += u64::from(wanted.certified);
        wanted.order = Some(Order { uid, taken: false, done: None });
        let seen = self.rng.i64(0..3 * SECOND);
        self.later(now + seen, Event::Taken(at, uid));
        let took = self.rng.i64(4 * SECOND..120 * SECOND);
        self.later(now + took, Event::Finish(at, uid));
    }

    fn finish(&mut self, at: usize, uid: u64, now: i64) {
        let good = self.rng.f64() >= 0.06;
        let names = self.wanted[at].names.clone();
        if good {
            if let Err(why) = self.ca.certify(&names, now) {
                self.outcome.refused.push(why);
            }
            if !self.wanted[at].certified {
                self.outcome.certificates += 1;
                self.outcome.used += self.wanted[at].domains.len() as u64;
            }
        } else {
            self.ca.fail(&names[0], now);
            self.outcome.failures += 1;
        }
        let lag = self.rng.i64(0..5 * SECOND);
        if let Some(order) = &mut self.wanted[at].order {
            // The object says when it was done, in whole seconds and a little late.
            order.done = Some((now + lag / 2 + SECOND, good));
        }
        self.later(now + lag + 2 * SECOND, Event::See(at, uid));
    }

    /// How an object's order looks. Where it shows no time, it may have been as late as now.
    fn seen(&self, at: usize, order: &Order, now: i64) -> Seen {
        let wanted = &self.wanted[at];
        let done = order.done.filter(|(when, _)| *when <= now);
        let failed = done.filter(|(_, good)| !good).map(|(when, _)| time(when));
        let progress = Progress {
            ordered: order.taken.then(|| time(done.map_or(now, |(when, _)| when))),
            issued: done.filter(|(_, good)| *good).map(|(when, _)| time(when)),
            failed,
            failures: failed.map(|_| vec![wanted.id.1.hosts()[0].clone()]).unwrap_or_default(),
        };
        let (namespace, names) = wanted.id.clone();
        Seen {
            uid: order.uid.to_string().into(),
            namespace,
            account: self.account.clone(),
            names,
            progress,
            renewal: None,
        }
    }

    fn see(&mut self, at: usize, uid: u64, now: i64) {
        let Some(order) = self.wanted[at].order.clone().filter(|order| order.uid == uid) else { return };
        let seen = self.seen(at, &order, now);
        let over = seen.progress.is_over();
        let good = seen.progress.issued.is_some();
        let id = self.wanted[at].id.clone();
        if let Some(budget) = &mut self.budget {
            budget.see(seen);
            self.wanted[at].spent = budget.spent(&id.0, id.1.first().unwrap());
        }
        if !over {
            return;
        }
        let wanted = &mut self.wanted[at];
        wanted.released = false;
        if self.budget.is_none() {
            // Its object stays until the controller is back to see it.
            return;
        }
        wanted.order = None;
        self.count(at, -1);
        let wanted = &mut self.wanted[at];
        if good {
            wanted.certified = true;
            wanted.since = None;
            wanted.tries = 0;
        } else {
            // cert-manager tries again after an hour.
            wanted.tries += 1;
            wanted.since = None;
            self.later(now + HOUR, Event::Want(at));
        }
    }

    /// The controller starts with nothing but what objects show.
    fn start(&mut self, now: i64) {
        let mut budget = budget();
        for at in 0..self.wanted.len() {
            let wanted = &self.wanted[at];
            let host = wanted.id.1.first().unwrap();
            for spent in &wanted.spent {
                budget.remember(spent.seen(&wanted.id.0, host, Some(&self.account)).unwrap());
            }
            if wanted.certified && wanted.spent.iter().all(|spent| spent.issued.is_none()) {
                // cert-manager keeps the order of a certificate from before the week.
                let before = Order { uid: u64::MAX - at as u64, taken: true, done: Some((-30 * DAY, true)) };
                budget.remember(self.seen(at, &before, now));
            }
            if let Some(order) = &wanted.order {
                budget.see(self.seen(at, order, now));
            } else if wanted.released {
                budget.announce(&self.question(at, now), time(now));
            }
        }
        budget.settle(time(now));
        self.budget = Some(budget);
        for at in 0..self.wanted.len() {
            let wanted = &self.wanted[at];
            if let Some(order) = wanted.order.clone() {
                self.see(at, order.uid, now);
            } else if wanted.since.is_some() && !wanted.released {
                self.ask(at, now);
            }
        }
    }

    /// Reckons what was possible, and who still waits too long.
    fn close(&mut self) {
        for wanted in self.wanted.iter().filter(|wanted| wanted.since.is_some() && !wanted.released) {
            if END > wanted.due {
                self.outcome.late.push(format!("{:?} still waits", wanted.names));
            }
        }
        self.outcome.allowed = self.allowed();
    }

    /// The most places of registered domains that first certificates can use, each domain by itself.
    fn allowed(&self) -> u64 {
        let mut by_domain: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for (when, at) in &self.arrivals {
            for domain in &self.wanted[*at].domains {
                by_domain.entry(domain).or_default().push(*when);
            }
        }
        by_domain.values().map(|times| served(DOMAIN, times, END)).sum()
    }
}
