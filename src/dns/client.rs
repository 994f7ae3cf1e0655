//! The client: which server is asked, how often, and what is remembered.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::{Expiry, future::Cache};
use tracing::Instrument as _;

use super::{Asker, exchange::exchange, limits::Limits, message::Mode};
use crate::{
    core::{
        policy::Dns,
        turns::checks::Lane,
        verdict::answers::{Kind, Outcome, Question, Rcode},
    },
    telemetry::{dns::DnsMetrics, trace},
};

/// How often a question is put before it counts as unanswered.
const TRIES: usize = 3;
/// How long a server that did not answer is asked last.
const PENALTY: Duration = Duration::from_secs(10);
/// The most that is remembered, in questions.
const MAX_REMEMBERED: u64 = 50_000;
/// The longest that an answer is remembered: about a top-level domain, about
/// CAA and servers of a zone, about addresses. Short, because people who mend a
/// record look again at once; the resolver has a cache of its own.
const REMEMBER_TOP: Duration = Duration::from_secs(3600);
const REMEMBER_ZONE: Duration = Duration::from_secs(30);
const REMEMBER_ADDRESS: Duration = Duration::from_secs(10);
/// How long a server of a zone is waited for where its answer is only an opinion.
const OPINION: Duration = Duration::from_secs(1);
/// How long one that was silent is not asked for an opinion again.
const SILENT: Duration = Duration::from_secs(60);
/// After so many silent ones in a row no opinion is asked for, and for how long.
const IN_VAIN: u64 = 16;
const PAUSE: Duration = Duration::from_secs(300);
/// How long it is remembered whether a resolver validates, and of how many.
const REMEMBER_PROBE: Duration = Duration::from_secs(600);
const MAX_PROBED: u64 = 64;
/// How often it is asked.
const PROBES: usize = 2;
/// How long a short look waits for an answer: what takes longer is looked at in the slow lane.
const QUICK: Duration = Duration::from_secs(1);
/// For how long a question is not put twice for one namespace, and for how many that is known.
const ONCE: Duration = Duration::from_secs(1);
const MAX_ONCE: u64 = 10_000;
/// How long a failure is remembered (RFC 9520 §3.2 asks for one second at least).
const REMEMBER_FAILURE: Duration = Duration::from_secs(1);

/// In the place of a server, where none was asked.
pub(super) const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// What a server said, which one it was, and how long it took beside waiting for a turn.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub server: SocketAddr,
    pub outcome: Outcome,
    pub took: Duration,
}

/// Asks servers within their limits.
pub(super) struct Client {
    servers: Vec<Server>,
    patience: Duration,
    limits: Limits,
    remembered: Cache<(Question, Mode), Arc<Said>>,
    probed: Cache<(SocketAddr, Question), Arc<Said>>,
    /// Servers of zones that were silent of late.
    silent: Cache<SocketAddr, ()>,
    opinions: Opinions,
    /// What is being asked, for each namespace by itself: a question that waits for a stranger's turn helps nobody.
    asking: Cache<(Asker, Question, Mode), Arc<Said>>,
    metrics: DnsMetrics,
    started: Instant,
}

/// Whether asking servers of zones has been in vain of late.
#[derive(Debug, Default)]
struct Opinions {
    /// Servers in a row that were silent.
    silent: AtomicU64,
    /// Until when none is asked, in milliseconds since the client started.
    off_until: AtomicU64,
}

struct Server {
    addr: SocketAddr,
    /// Until when it is asked last, in milliseconds since the client started.
    shunned_until: AtomicU64,
}

impl Client {
    pub(super) fn new(servers: Vec<SocketAddr>, policy: &Dns, metrics: DnsMetrics) -> Self {
        Self {
            servers: servers.into_iter().map(|addr| Server { addr, shunned_until: AtomicU64::new(0) }).collect(),
            patience: Duration::from_secs_f64(policy.timeout_seconds.clamp(0.05, 60.0)),
            limits: Limits::new(policy),
            remembered: Cache::builder().max_capacity(MAX_REMEMBERED).expire_after(ByTtl).build(),
            probed: Cache::builder().max_capacity(MAX_PROBED).time_to_live(REMEMBER_PROBE).build(),
            silent: Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(SILENT).build(),
            opinions: Opinions::default(),
            asking: Cache::builder().max_capacity(MAX_ONCE).time_to_live(ONCE).build(),
            metrics,
            started: Instant::now(),
        }
    }

    /// The recursive resolvers.
    pub(super) fn servers(&self) -> impl Iterator<Item = SocketAddr> {
        self.servers.iter().map(|server| server.addr)
    }

    /// Asks the recursive resolvers.
    pub(super) async fn recursive(&self, asker: &Asker, question: &Question, mode: Mode, left: Duration) -> Said {
        let order = self.order();
        self.any_of(asker, &order, question, mode, left).await
    }

    /// The same, but an answer that somebody got moments ago will do.
    pub(super) async fn shared(&self, asker: &Asker, question: &Question, mode: Mode, left: Duration) -> Said {
        if let Some(said) = self.remembered.get(&(question.clone(), mode)).await {
            return Said { took: Duration::ZERO, ..Said::clone(&said) };
        }
        let mine = Arc::new(AtomicU64::new(0));
        let counted = mine.clone();
        let ask = async move {
            let said = self.recursive(asker, question, mode, left).await;
            counted.store(said.took.as_millis().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
            let said = Arc::new(said);
            // That a short look found no answer says little to a longer one.
            if asker.lane == Lane::Slow || matches!(said.outcome, Outcome::Reply(_)) {
                self.remembered.insert((question.clone(), mode), said.clone()).await;
            }
            said
        };
        let said = self.asking.get_with((asker.clone(), question.clone(), mode), ask).await;
        let took = Duration::from_millis(mine.load(Ordering::Relaxed));
        Said { took, ..Said::clone(&said) }
    }

    /// Asks one recursive resolver about a name that is known not to validate. What it says is a trait of the resolver,
    /// so it is remembered for long.
    pub(super) async fn probe(&self, asker: &Asker, server: SocketAddr, question: &Question, left: Duration) -> Said {
        let key = (server, question.clone());
        let said = self
            .probed
            .get_with(key, async move {
                let mut outcome = Outcome::Timeout;
                // Not waited for long: where there is no way out, this is the one name that nobody answers.
                for _ in 0..PROBES {
                    let limit = self.limits.of(server);
                    let turn = limit.turn(asker).await;
                    let begun = Instant::now();
                    outcome = exchange(server, question, Mode::Recursive, OPINION.min(self.patience).min(left)).await;
                    drop(turn);
                    self.metrics.asked(server, true, &outcome, begun.elapsed());
                    if matches!(outcome, Outcome::Reply(_)) {
                        break;
                    }
                }
                self.metrics.probed(server, validates(&outcome));
                Arc::new(Said { server, outcome, took: Duration::ZERO })
            })
            .await;
        Said::clone(&said)
    }

    /// Asks a zone's server at one of its addresses.
    pub(super) async fn authoritative(
        &self,
        asker: &Asker,
        addresses: &[SocketAddr],
        question: &Question,
        left: Duration,
    ) -> Said {
        self.any_of(asker, addresses, question, Mode::Iterative, left).await
    }

    /// The same, where no answer is no loss: asked once, not waited for long, and not at all for a while after many
    /// servers were silent, as where no packet leaves the cluster.
    pub(super) async fn opinion(
        &self,
        asker: &Asker,
        addresses: &[SocketAddr],
        question: &Question,
        left: Duration,
    ) -> Said {
        let nothing = |server| Said { server, outcome: Outcome::Timeout, took: Duration::ZERO };
        let Some(server) = addresses.first().copied() else { return nothing(NOBODY) };
        if self.opinions.are_in_vain(self.started.elapsed()) || self.silent.contains_key(&server) {
            return nothing(server);
        }
        let turn = self.limits.of(server);
        let turn = turn.turn(asker).await;
        let begun = Instant::now();
        let outcome = exchange(server, question, Mode::Iterative, OPINION.min(self.patience).min(left)).await;
        drop(turn);
        let took = begun.elapsed();
        self.metrics.asked(server, false, &outcome, took);
        let silent = matches!(outcome, Outcome::Timeout | Outcome::Unreachable(_));
        if silent {
            self.silent.insert(server, ()).await;
        }
        self.opinions.heard(!silent, self.started.elapsed());
        Said { server, outcome, took }
    }

    async fn any_of(
        &self,
        asker: &Asker,
        servers: &[SocketAddr],
        question: &Question,
        mode: Mode,
        left: Duration,
    ) -> Said {
        let left = match asker.lane {
            Lane::Quick => left.min(QUICK),
            Lane::Slow => left,
        };
        let mut last: Option<Said> = None;
        let mut took = Duration::ZERO;
        let tries = if mode == Mode::Iterative { TRIES - 1 } else { TRIES };
        for server in servers.iter().cycle().take(tries) {
            let patience = self.patience.min(left.saturating_sub(took));
            if patience.is_zero() {
                break;
            }
            let limit = self.limits.of(*server);
            let turn = limit.turn(asker).await;
            let begun = Instant::now();
            let span = tracing::info_span!(
                target: trace::TARGET, "dns question", %server, name = question.name, kind = ?question.kind
            );
            let outcome = exchange(*server, question, mode, patience).instrument(span).await;
            drop(turn);
            let elapsed = begun.elapsed();
            took += elapsed;
            self.metrics.asked(*server, mode != Mode::Iterative, &outcome, elapsed);
            let settled = self.settles(*server, &outcome, mode);
            // A failure that says something is kept over one that says nothing.
            if settled || !matches!((&last, &outcome), (Some(_), Outcome::Timeout | Outcome::Unreachable(_))) {
                last = Some(Said { server: *server, outcome, took });
            }
            if settled {
                break;
            }
        }
        last.map(|said| Said { took, ..said }).unwrap_or(Said { server: NOBODY, outcome: Outcome::Timeout, took })
    }

    /// Whether the outcome is an answer, or worth a try elsewhere. SERVFAIL is
    /// an answer: what one validating resolver refuses, another that does not
    /// validate would let pass.
    fn settles(&self, server: SocketAddr, outcome: &Outcome, mode: Mode) -> bool {
        match outcome {
            Outcome::Reply(reply) => {
                mode == Mode::Iterative
                    || matches!(reply.rcode, Rcode::NO_ERROR | Rcode::NAME_ERROR | Rcode::SERVER_FAILURE)
            }
            Outcome::Timeout | Outcome::Unreachable(_) | Outcome::Malformed(_) => {
                let until = (self.started.elapsed() + PENALTY).as_millis().try_into().unwrap_or(u64::MAX);
                for shunned in self.servers.iter().filter(|s| s.addr == server) {
                    shunned.shunned_until.store(until, Ordering::Relaxed);
                }
                false
            }
        }
    }

    /// The resolvers as configured, those that did not answer of late at the end.
    fn order(&self) -> Vec<SocketAddr> {
        let now: u64 = self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        let shunned = |server: &&Server| server.shunned_until.load(Ordering::Relaxed) > now;
        let (last, first): (Vec<&Server>, Vec<&Server>) = self.servers.iter().partition(shunned);
        first.into_iter().chain(last).map(|server| server.addr).collect()
    }
}

// === impl Opinions ===

impl Opinions {
    fn are_in_vain(&self, now: Duration) -> bool {
        self.off_until.load(Ordering::Relaxed) > millis(now)
    }

    fn heard(&self, answered: bool, now: Duration) {
        if answered {
            self.silent.store(0, Ordering::Relaxed);
        } else if self.silent.fetch_add(1, Ordering::Relaxed) + 1 >= IN_VAIN {
            self.silent.store(0, Ordering::Relaxed);
            self.off_until.store(millis(now + PAUSE), Ordering::Relaxed);
        }
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Whether a resolver refuses what does not validate, by what it said of such a name; `None`: that cannot be told.
pub(super) fn validates(outcome: &Outcome) -> Option<bool> {
    let Outcome::Reply(reply) = outcome else { return None };
    match reply.rcode {
        Rcode::SERVER_FAILURE => Some(true),
        Rcode::NO_ERROR if reply.records.iter().any(|record| record.data.is(Kind::A)) => Some(false),
        _ => None,
    }
}

/// Forgets what was said when its TTL has passed, and sooner.
struct ByTtl;

impl Expiry<(Question, Mode), Arc<Said>> for ByTtl {
    fn expire_after_create(&self, (question, _): &(Question, Mode), said: &Arc<Said>, _: Instant) -> Option<Duration> {
        let Outcome::Reply(reply) = &said.outcome else { return Some(REMEMBER_FAILURE) };
        if !matches!(reply.rcode, Rcode::NO_ERROR | Rcode::NAME_ERROR) || reply.truncated {
            return Some(REMEMBER_FAILURE);
        }
        let ttl = reply.records.iter().map(|r| r.ttl).chain(reply.soa.iter().map(|soa| soa.negative_ttl)).min();
        let most = match question.kind {
            _ if !question.name.contains('.') => REMEMBER_TOP,
            Kind::Caa | Kind::Ns | Kind::Ds | Kind::Dnskey => REMEMBER_ZONE,
            Kind::A | Kind::Aaaa | Kind::Txt => REMEMBER_ADDRESS,
        };
        Some(Duration::from_secs(ttl.unwrap_or(0).into()).clamp(REMEMBER_FAILURE, most))
    }
}
