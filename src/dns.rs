//! Pre-flight: asks DNS what the CA will ask, and has it judged.
//!
//! What to ask and what the answers mean is decided in [`crate::core::verdict`];
//! here are only the sockets, the limits and the deadline. Trouble is an answer
//! like any other, so a check never fails: it ends in a verdict.

mod client;
mod exchange;
mod limits;
mod message;
mod servers;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

pub use self::servers::{ServersError, parse_server};
use self::{
    client::{Client, Said},
    message::Mode,
};
use crate::{
    core::{
        policy::Dns,
        turns::checks::Lane,
        verdict::{
            Ask, Consult, Request, Verdict,
            answers::{Answer, Answers, Asked, Data, Kind, Outcome, Question, Rcode},
            judge, wanted,
        },
    },
    telemetry::dns::DnsMetrics,
};
use futures::future::join_all;

/// Rounds of questions about one host: each follows from the answers of the last.
const MAX_ROUNDS: usize = 32;
/// The most questions about one host.
const MAX_QUESTIONS: usize = 150;

/// How long a short look may take in all, beside waiting for turns.
const QUICK_DEADLINE: Duration = Duration::from_secs(3);

/// For whom questions are put, and how much patience there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asker {
    /// The namespace, with which others take turns.
    pub namespace: Arc<str>,
    /// A short look or a long one.
    pub lane: Lane,
}

/// What a look at a host came to.
#[derive(Clone, Debug)]
pub struct Looked {
    /// The verdict; `None`: a short look was left without an answer.
    pub verdict: Option<Verdict>,
    /// A server did not answer, so that the next look may take as long.
    pub silent: bool,
    /// Who operates the name servers of the host's domain, where an answer told.
    pub servers: Option<Arc<str>>,
}

/// The engine. Cheap to clone; clones share limits and memory.
#[derive(Clone)]
pub struct Preflight {
    inner: Arc<Inner>,
}

/// How resolvers behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// How long they took to answer.
    pub took: Duration,
    /// They deny that `com` exists.
    pub denies: bool,
    /// Whether they refuse what does not validate; `None`: that cannot be told.
    pub validates: Option<bool>,
}

struct Inner {
    client: Client,
    consult: Consult,
    authoritative_port: u16,
    deadline: Duration,
    /// How many hosts may be looked at side by side: more would only wait for the servers' limits.
    width: usize,
}

impl Default for Asker {
    /// Nobody in particular, with all the patience there is.
    fn default() -> Self {
        Self { namespace: "".into(), lane: Lane::Slow }
    }
}

impl Preflight {
    /// An engine that asks as policy says.
    ///
    /// # Errors
    /// No resolver is named, and the system's cannot be read.
    pub fn new(policy: &Dns) -> Result<Self, ServersError> {
        Self::with_authoritative(policy, &[])
    }

    /// The same, asking these servers in place of each zone's own ones.
    ///
    /// # Errors
    /// As for [`Preflight::new`].
    pub fn with_authoritative(policy: &Dns, servers: &[SocketAddr]) -> Result<Self, ServersError> {
        Self::build(policy, servers, DnsMetrics::default())
    }

    /// As [`Preflight::new`], and counted.
    ///
    /// # Errors
    /// As for [`Preflight::new`].
    pub fn counted(policy: &Dns, metrics: DnsMetrics) -> Result<Self, ServersError> {
        Self::build(policy, &[], metrics)
    }

    fn build(policy: &Dns, servers: &[SocketAddr], metrics: DnsMetrics) -> Result<Self, ServersError> {
        let consult = Consult {
            enabled: policy.authoritative,
            servers: servers.iter().map(ToString::to_string).collect(),
            allow_private: policy.allow_private_authoritative,
            bogus: Some(policy.bogus_name.trim_end_matches('.').to_ascii_lowercase()).filter(|name| !name.is_empty()),
        };
        let resolvers = servers::resolvers(&policy.servers)?;
        let hosts = usize::try_from(policy.concurrency.max(1)).unwrap_or(1);
        Ok(Self {
            inner: Arc::new(Inner {
                width: hosts.saturating_mul(resolvers.len().min(4)),
                client: Client::new(resolvers, policy, metrics),
                consult,
                authoritative_port: policy.authoritative_port,
                deadline: Duration::from_secs_f64(policy.deadline_seconds.clamp(0.1, 600.0)),
            }),
        })
    }

    /// How many hosts may be looked at side by side.
    pub fn width(&self) -> usize {
        self.inner.width
    }

    /// Checks a host. Never fails: trouble is a verdict.
    pub async fn check(&self, request: &Request) -> Verdict {
        judge(request, &self.gather(request).await)
    }

    /// Looks at a host for somebody. Never fails.
    pub async fn look(&self, asker: &Asker, request: &Request) -> Looked {
        let (answers, silent) = self.gather_for(asker, request).await;
        let servers = operator(request, &answers);
        let verdict = (!silent || asker.lane == Lane::Slow).then(|| judge(request, &answers));
        Looked { verdict, silent, servers }
    }

    /// How long the resolvers take to answer at all: the root's servers are asked for.
    ///
    /// # Errors
    /// None answers, in words.
    pub async fn probe(&self) -> Result<Duration, String> {
        let question = Question::new("", Kind::Ns);
        let asker = Asker::default();
        let said = self.inner.client.recursive(&asker, &question, Mode::Recursive, self.inner.deadline).await;
        match said.outcome {
            // Whatever it says of the root, it is there; but one that refuses us does so for every name.
            Outcome::Reply(reply) if reply.rcode == Rcode::REFUSED => Err("it refuses to answer us".to_owned()),
            Outcome::Reply(_) => Ok(said.took),
            Outcome::Timeout => Err("no answer in time".to_owned()),
            Outcome::Unreachable(why) | Outcome::Malformed(why) => Err(why),
        }
    }

    /// How the resolvers behave towards names that are known: one that exists everywhere, and one that does not validate.
    ///
    /// # Errors
    /// None answers, in words.
    pub async fn manner(&self) -> Result<Manner, String> {
        let took = self.probe().await?;
        let (inner, asker) = (&self.inner, Asker::default());
        let com =
            inner.client.recursive(&asker, &Question::new("com", Kind::Ns), Mode::Recursive, inner.deadline).await;
        let denies = matches!(com.outcome, Outcome::Reply(reply) if reply.rcode == Rcode::NAME_ERROR);
        let mut validates = None;
        if let Some(bogus) = &inner.consult.bogus {
            let question = Question::new(bogus, Kind::A);
            let probes =
                inner.client.servers().map(|server| inner.client.probe(&asker, server, &question, inner.deadline));
            let each: Vec<Option<bool>> =
                join_all(probes).await.iter().map(|said| client::validates(&said.outcome)).collect();
            validates = if each.contains(&Some(false)) { Some(false) } else { each.into_iter().flatten().next() };
        }
        Ok(Manner { took, denies, validates })
    }

    /// The addresses of a name, or why it has none.
    ///
    /// # Errors
    /// It has none: `NXDOMAIN`, `NODATA`, or why that cannot be told.
    pub async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        let asker = Asker::default();
        let addresses = self.addresses(&asker, name).await;
        if !addresses.is_empty() {
            return Ok(addresses);
        }
        let question = Question::new(name, Kind::A);
        match self.inner.client.shared(&asker, &question, Mode::Recursive, self.inner.deadline).await.outcome {
            Outcome::Reply(reply) if reply.rcode == Rcode::NO_ERROR => Err("NODATA".to_owned()),
            other => Err(outcome_word(&other)),
        }
    }

    /// The addresses of a name, AAAA first, reserved ones included.
    pub async fn addresses(&self, asker: &Asker, name: &str) -> Vec<IpAddr> {
        let ask = |kind| async move {
            let question = Question::new(name, kind);
            self.inner.client.shared(asker, &question, Mode::Recursive, self.inner.deadline).await.outcome
        };
        let (v6, v4) = tokio::join!(ask(Kind::Aaaa), ask(Kind::A));
        [v6, v4]
            .into_iter()
            .filter_map(|outcome| match outcome {
                Outcome::Reply(reply) => Some(reply.records),
                _ => None,
            })
            .flatten()
            .filter_map(|record| match record.data {
                Data::A(ip) => Some(ip.into()),
                Data::Aaaa(ip) => Some(ip.into()),
                _ => None,
            })
            .collect()
    }

    /// Gathers all that a verdict needs, within the deadline. Time spent waiting
    /// for a turn does not count: a long queue must not look like a dead server.
    pub async fn gather(&self, request: &Request) -> Answers {
        self.gather_for(&Asker::default(), request).await.0
    }

    /// The same for somebody, and whether a server did not answer that must for a verdict.
    /// A short look ends with the first question that is left without an answer.
    async fn gather_for(&self, asker: &Asker, request: &Request) -> (Answers, bool) {
        let (mut answers, mut silent) = (Answers::default(), false);
        let mut left = match asker.lane {
            Lane::Quick => self.inner.deadline.min(QUICK_DEADLINE),
            Lane::Slow => self.inner.deadline,
        };
        for _ in 0..MAX_ROUNDS {
            let asks = wanted(request, &answers, &self.inner.consult);
            if asks.is_empty() || answers.0.len() + asks.len() > MAX_QUESTIONS {
                break;
            }
            let base = request.host.base();
            let round = join_all(asks.into_iter().map(|ask| self.inner.ask(asker, ask, base, left))).await;
            left = left.saturating_sub(round.iter().map(|(took, ..)| *took).max().unwrap_or_default());
            silent |= round.iter().any(|(_, silent, _)| *silent);
            answers.0.extend(round.into_iter().map(|(.., answer)| answer));
            if silent && asker.lane == Lane::Quick {
                break;
            }
        }
        (answers, silent)
    }
}

impl Inner {
    /// Asks; how long that took, whether an answer is missing that is needed, and what came of it.
    async fn ask(&self, asker: &Asker, ask: Ask, base: &str, left: Duration) -> (Duration, bool, Answer) {
        let needed = !matches!(ask, Ask::Authoritative { opinion: true, .. } | Ask::Probe { .. });
        let (question, asked, said) = match ask {
            Ask::Recursive(question) => {
                // What is the host's own is always asked anew, and so is whether the resolver works at all;
                // what hosts have in common is asked once.
                let fresh = match question.kind {
                    Kind::A | Kind::Aaaa => question.name == base,
                    Kind::Ns => !question.name.contains('.'),
                    Kind::Txt => true,
                    Kind::Caa | Kind::Ds | Kind::Dnskey => false,
                };
                let said = if fresh {
                    self.client.recursive(asker, &question, Mode::Recursive, left).await
                } else {
                    self.client.shared(asker, &question, Mode::Recursive, left).await
                };
                (question, Asked::Recursive, said)
            }
            Ask::Unchecked(question) => {
                let said = self.client.recursive(asker, &question, Mode::Unchecked, left).await;
                (question, Asked::Unchecked, said)
            }
            Ask::Authoritative { server, addresses, question, opinion } => {
                let addresses = if addresses.is_empty() {
                    parse_server(&server, 53).into_iter().collect()
                } else {
                    addresses.iter().map(|ip| SocketAddr::new(*ip, self.authoritative_port)).collect::<Vec<_>>()
                };
                let said = if opinion {
                    self.client.opinion(asker, &addresses, &question, left).await
                } else {
                    self.client.authoritative(asker, &addresses, &question, left).await
                };
                (question, Asked::Authoritative(server), said)
            }
            Ask::Probe { server, question } => {
                let said = match parse_server(&server, 53) {
                    Some(address) => self.client.probe(asker, address, &question, left).await,
                    None => Said { server: client::NOBODY, outcome: Outcome::Timeout, took: Duration::ZERO },
                };
                (question, Asked::Probe(server), said)
            }
        };
        let Said { server, outcome, took } = said;
        let server = if server.port() == 0 { String::new() } else { server.to_string() };
        tracing::debug!(
            name = question.name,
            kind = question.kind.as_str(),
            ?asked,
            server,
            ?took,
            outcome = outcome_word(&outcome),
            "asked"
        );
        (took, needed && outcome == Outcome::Timeout, Answer { question, asked, server, outcome })
    }
}

/// Who operates the name servers of a host's domain: the domain of the primary that an SOA record of the host's zone names.
fn operator(request: &Request, answers: &Answers) -> Option<Arc<str>> {
    let host = request.host.base();
    let replies = answers.0.iter().filter_map(|answer| match &answer.outcome {
        Outcome::Reply(reply) => reply.soa.as_ref(),
        _ => None,
    });
    let is_hosts = |zone: &str| {
        zone.contains('.') && host.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let primary = replies.filter(|soa| is_hosts(&soa.name)).map(|soa| soa.primary.as_str()).next()?;
    Some(psl::domain_str(primary)?.into())
}

fn outcome_word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Reply(reply) => reply.rcode.to_string(),
        Outcome::Timeout => "timeout".to_owned(),
        Outcome::Unreachable(why) | Outcome::Malformed(why) => why.clone(),
    }
}

#[cfg(test)]
mod tests;
