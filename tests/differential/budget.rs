//! Histories of orders under Let's Encrypt's limits: whatever the budget lets go, Boulder's limiter must take.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
};

use certgate::core::{
    host::Host,
    limits::{
        Account, Ask, Budget, Class, Id, Names, Progress, Renewal, Seen, Spent, policy::LimitsPolicy, refusal::Refusal,
    },
};
use fastrand::Rng;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{classes::Classes, oracle::Oracle};

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
const HISTORIES: u64 = 20;
const PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// What a history is like.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    /// Sets of names, and registered domains that they lie in.
    sets: usize,
    domains: usize,
    days: i64,
    /// After how many days, about, a set is ordered anew.
    again: i64,
    /// How many percent of the orders fail.
    failing: u8,
    restarts: usize,
    /// By how many seconds the clock here is ahead.
    ahead: i64,
    /// cert-manager renews with ARI.
    ari: bool,
    /// The issuer is pointed from staging to production half way.
    moves: bool,
    /// How many percent of the orders are taken without a validation.
    reused: u8,
}

const PLAIN: Scenario = Scenario {
    name: "plain",
    sets: 120,
    domains: 6,
    days: 30,
    again: 10,
    failing: 5,
    restarts: 0,
    ahead: 0,
    ari: false,
    moves: false,
    reused: 10,
};

const SCENARIOS: &[Scenario] = &[
    PLAIN,
    Scenario { name: "crowd of one domain", sets: 300, domains: 1, ..PLAIN },
    Scenario { name: "account's orders", sets: 900, domains: 400, days: 2, again: 1, ..PLAIN },
    Scenario { name: "restarts", restarts: 8, ..PLAIN },
    Scenario { name: "ten seconds ahead", ahead: 10, sets: 300, domains: 2, ..PLAIN },
    Scenario { name: "many failures", failing: 60, restarts: 3, ..PLAIN },
    Scenario { name: "nothing but failures", failing: 100, sets: 20, days: 60, ..PLAIN },
    Scenario { name: "re-issued after 120 days", days: 500, again: 130, sets: 200, domains: 2, ..PLAIN },
    Scenario {
        name: "re-issued after 120 days, with restarts",
        days: 500,
        again: 130,
        sets: 200,
        domains: 2,
        restarts: 6,
        ..PLAIN
    },
    Scenario { name: "from staging to production", moves: true, sets: 200, domains: 2, restarts: 2, ..PLAIN },
    Scenario { name: "ARI, at any time", ari: true, days: 200, again: 20, sets: 150, domains: 2, restarts: 2, ..PLAIN },
    Scenario { name: "the same set again and again", sets: 12, domains: 3, again: 1, restarts: 4, ..PLAIN },
    Scenario { name: "authorizations used again", reused: 90, failing: 40, sets: 30, again: 1, ..PLAIN },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Want(usize),
    Order(usize),
    Finish(usize, u64),
    Restart,
    Move,
    Wake,
}

struct Set {
    id: Id,
    names: Vec<String>,
    wanted: bool,
    under_way: Option<(u64, Progress, Account)>,
    spent: Vec<Spent>,
    issued: Option<i64>,
}

struct History<'a> {
    scenario: Scenario,
    rng: Rng,
    oracle: &'a mut Oracle,
    classes: &'a mut Classes,
    budget: Budget,
    sets: Vec<Set>,
    index: BTreeMap<Id, usize>,
    events: BinaryHeap<Reverse<(i64, Event)>>,
    directory: &'static str,
    orders: u64,
    woken: i64,
    tidied: i64,
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_000_000_000 + ms).unwrap()
}

fn account(directory: &str) -> Account {
    Account::new(directory, &format!("{}1", directory.replace("directory", "acme/acct/")))
}

fn budget(scenario: &Scenario) -> Budget {
    let limits =
        |directory: &str| (directory.to_owned(), LimitsPolicy { ari: scenario.ari, ..LimitsPolicy::default() });
    Budget::new(BTreeMap::from([limits(PRODUCTION), limits(STAGING)]))
}

pub(crate) fn compare(oracle: &mut Oracle, seed: u64, classes: &mut Classes) {
    for scenario in SCENARIOS {
        let before = classes.compared();
        for history in 0..HISTORIES {
            History::new(*scenario, seed.wrapping_add(history), oracle, classes).run();
        }
        println!("  {}: {} orders", scenario.name, classes.compared() - before);
    }
}

impl<'a> History<'a> {
    fn new(scenario: Scenario, seed: u64, oracle: &'a mut Oracle, classes: &'a mut Classes) -> Self {
        let _: Vec<String> = oracle.ask(&json!({"limits": {"rates": {
            "NewOrdersPerAccount": [300, 3 * 3600],
            "CertificatesPerDomain": [50, 7 * 86400],
            "CertificatesPerFQDNSet": [5, 7 * 86400],
            "FailedAuthorizationsPerDomainPerAccount": [5, 3600],
            "FailedAuthorizationsForPausingPerDomainPerAccount": [1152, 1152 * 86400],
        }}}));
        let mut rng = Rng::with_seed(seed);
        let mut events = BinaryHeap::new();
        let mut sets = Vec::new();
        for n in 0..scenario.sets {
            let domain = |rng: &mut Rng| format!("d{}.com", rng.usize(0..scenario.domains));
            let mut names = vec![format!("h{n}.{}", domain(&mut rng))];
            if rng.u8(0..10) == 0 {
                names.push(format!("g{n}.{}", domain(&mut rng)));
            }
            names.sort();
            let key = Names::new(names.iter().map(|name| Host::parse(name).unwrap())).unwrap();
            let namespace: Arc<str> = format!("team-{}", n % 7).into();
            sets.push(Set {
                id: (namespace, key),
                names,
                wanted: false,
                under_way: None,
                spent: Vec::new(),
                issued: None,
            });
            let first = rng.i64(0..(scenario.again * DAY / 2).max(2));
            events.push(Reverse((first, Event::Want(n))));
        }
        for _ in 0..scenario.restarts {
            events.push(Reverse((rng.i64(0..scenario.days * DAY), Event::Restart)));
        }
        if scenario.moves {
            events.push(Reverse((scenario.days * DAY / 2, Event::Move)));
        }
        let index = sets.iter().enumerate().map(|(at, set)| (set.id.clone(), at)).collect();
        let directory = if scenario.moves { STAGING } else { PRODUCTION };
        let mut history = Self {
            scenario,
            rng,
            oracle,
            classes,
            budget: budget(&scenario),
            sets,
            index,
            events,
            directory,
            orders: 0,
            woken: 0,
            tidied: 0,
        };
        history.budget.settle(history.here(0));
        history
    }

    /// What the clock here shows.
    fn here(&self, now: i64) -> Timestamp {
        time(now + self.scenario.ahead * SECOND)
    }

    fn run(mut self) {
        while let Some(Reverse((now, event))) = self.events.pop() {
            if now >= self.scenario.days * DAY {
                break;
            }
            match event {
                Event::Want(at) => self.want(at, now),
                Event::Order(at) => self.order(at, now),
                Event::Finish(at, uid) => self.finish(at, uid, now),
                Event::Restart => self.restart(now),
                Event::Move => {
                    self.directory = PRODUCTION;
                    self.restart(now);
                }
                Event::Wake => {}
            }
            self.follow(now);
        }
    }

    fn later(&mut self, at: i64, event: Event) {
        self.events.push(Reverse((at, event)));
    }

    /// The CA of the moment takes what happens, if it is the one with limits.
    fn ca(&mut self, what: &str, account: &Account, names: &[String], now: i64, replaces: bool) -> String {
        if *account.directory != *PRODUCTION {
            return String::new();
        }
        let at = 1_795_000_000_000 + now;
        let event = json!({"at": at, "what": what, "account": 1, "names": names, "replaces": replaces});
        let answer: Vec<String> = self.oracle.ask(&Value::from_iter([("orders", json!([event]))]));
        answer.into_iter().next().unwrap()
    }

    /// Whether the CA wants the certificate renewed: in the last third of its 90 days.
    fn in_window(&self, at: usize, now: i64) -> bool {
        self.sets[at].issued.is_some_and(|issued| (60 * DAY..75 * DAY).contains(&(now - issued)))
    }

    fn question(&self, at: usize, now: i64) -> Ask {
        let set = &self.sets[at];
        Ask {
            namespace: set.id.0.clone(),
            account: account(self.directory),
            names: set.id.1.clone(),
            class: if set.issued.is_some() { Class::Again } else { Class::First },
            since: self.here(now),
            renewal: if self.in_window(at, now) { Renewal::Ari } else { Renewal::SameSet },
        }
    }

    fn want(&mut self, at: usize, now: i64) {
        let set = &mut self.sets[at];
        if !set.wanted && set.under_way.is_none() {
            set.wanted = true;
            let ask = self.question(at, now);
            self.budget.ask(ask, self.here(now));
        }
        let pause = self.rng.i64(self.scenario.again * DAY / 2..self.scenario.again * DAY * 3 / 2);
        self.later(now + pause, Event::Want(at));
    }

    fn follow(&mut self, now: i64) {
        if now - self.tidied > HOUR {
            self.tidied = now;
            self.budget.tidy(self.here(now));
        }
        self.budget.turn(self.here(now));
        for id in self.budget.take_granted() {
            let at = self.index[&id];
            if self.sets[at].wanted && self.sets[at].under_way.is_none() {
                let delay = self.rng.i64(0..20) * SECOND;
                self.later(now + delay, Event::Order(at));
            }
        }
        if let Some(wake) = self.budget.wake() {
            let wake = (wake.as_millisecond() - 1_795_000_000_000 - self.scenario.ahead * SECOND).max(now + SECOND);
            if wake != self.woken {
                self.woken = wake;
                self.later(wake, Event::Wake);
            }
        }
    }

    fn order(&mut self, at: usize, now: i64) {
        if !self.sets[at].wanted || self.sets[at].under_way.is_some() {
            return;
        }
        let (names, account) = (self.sets[at].names.clone(), account(self.directory));
        // cert-manager says what it replaces whenever it has a certificate; the CA exempts within its window.
        let replaces = self.scenario.ari && self.in_window(at, now);
        let refused = self.ca("order", &account, &names, now, replaces);
        if refused.is_empty() {
            self.classes.same();
        } else {
            let class = format!("false order, {}: {}", self.scenario.name, kind(&refused));
            self.classes.differs(class, || format!("{names:?} at {now}: {refused}"));
            let text = format!("429 urn:ietf:params:acme:error:rateLimited: {refused}");
            let refusal = Refusal::read(&text, &account, &self.sets[at].id.1, self.here(now)).expect("it is a refusal");
            self.budget.refuse(&refusal);
            let id = self.sets[at].id.clone();
            self.sets[at].wanted = false;
            self.budget.withdraw(&id);
            return;
        }
        self.orders += 1;
        let uid = self.orders;
        let ordered = Some(time(now + SECOND));
        self.sets[at].under_way = Some((uid, Progress { ordered, ..Progress::default() }, account));
        self.see(at);
        let took = self.rng.i64(2..90) * SECOND;
        self.later(now + took, Event::Finish(at, uid));
    }

    fn finish(&mut self, at: usize, uid: u64, now: i64) {
        let Some((under_way, _, account)) = self.sets[at].under_way.clone().filter(|(seen, ..)| *seen == uid) else {
            return;
        };
        let names = self.sets[at].names.clone();
        let reused = self.rng.u8(0..100) < self.scenario.reused;
        let good = self.rng.u8(0..100) >= self.scenario.failing;
        let hosts = self.sets[at].id.1.hosts().to_vec();
        let progress = &mut self.sets[at].under_way.as_mut().unwrap().1;
        if good {
            progress.issued = Some(time(now + SECOND));
            self.sets[at].issued = Some(now);
            if !reused {
                self.ca("validated", &account, &names, now, false);
                hosts.iter().for_each(|host| self.budget.validated(&account, host));
            }
            self.ca("issued", &account, &names, now, false);
        } else {
            progress.failed = Some(time(now + SECOND));
            progress.failures = hosts;
            self.ca("failed", &account, &names[..1], now, false);
        }
        debug_assert_eq!(under_way, uid);
        self.see(at);
        self.sets[at].under_way = None;
        self.sets[at].wanted = false;
        if !good {
            self.later(now + HOUR, Event::Want(at));
        }
    }

    fn seen(&self, at: usize) -> Option<Seen> {
        let set = &self.sets[at];
        let (uid, progress, account) = set.under_way.clone()?;
        Some(Seen {
            uid: uid.to_string().into(),
            namespace: set.id.0.clone(),
            account,
            names: set.id.1.clone(),
            progress,
            renewal: None,
        })
    }

    fn see(&mut self, at: usize) {
        if let Some(seen) = self.seen(at) {
            self.budget.see(seen);
            let (namespace, names) = &self.sets[at].id;
            self.sets[at].spent = self.budget.spent(namespace, names.first().unwrap());
        }
    }

    /// The controller starts with nothing but what objects show.
    fn restart(&mut self, now: i64) {
        let mut budget = budget(&self.scenario);
        for at in 0..self.sets.len() {
            let set = &self.sets[at];
            let host = set.id.1.first().unwrap();
            for spent in &set.spent {
                budget.remember(spent.seen(&set.id.0, host, Some(&account(self.directory))).unwrap());
            }
            if let Some(seen) = self.seen(at) {
                budget.see(seen);
            }
        }
        budget.settle(self.here(now));
        self.budget = budget;
        for at in 0..self.sets.len() {
            if self.sets[at].wanted && self.sets[at].under_way.is_none() {
                let ask = self.question(at, now);
                self.budget.ask(ask, self.here(now));
            }
        }
    }
}

/// Which limit a refusal names.
fn kind(refused: &str) -> &str {
    for words in ["new orders", "exact set", "failed authorizations", "temporarily prevented", "too many certificates"]
    {
        if refused.contains(words) {
            return words;
        }
    }
    refused
}
