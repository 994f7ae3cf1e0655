//! A DNS server that tests script: rules are set synchronously, every question is logged, and every way in which real
//! servers misbehave can be asked for.
//!
//! It answers like a recursive resolver when the question asks for recursion (RA set, CNAMEs followed through the rules)
//! and like an authoritative server when it does not (AA set, CNAMEs followed within the zone only, `REFUSED` outside the
//! declared zones). It stands alone: no other part of the lab is needed, and as it runs on a thread of its own, neither is
//! an async runtime.
//!
//! ```
//! use certgate_lab::dns::{Answer, DnsServer, RecordType};
//!
//! # fn main() -> std::io::Result<()> {
//! let dns = DnsServer::start("127.0.0.1".parse().unwrap(), 0)?;
//! dns.a("app.lab.test", "203.0.113.7".parse().unwrap());
//! dns.set("app.lab.test", RecordType::CAA, Answer::servfail().times(1));
//! dns.nxdomain("gone.lab.test");
//! assert!(dns.queries().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! A name exists when a rule speaks of it or of a name below it; a question of another type is then answered with
//! NODATA. All other names are NXDOMAIN.

mod answer;
mod reply;
mod rules;
mod wire;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;
use std::{fmt, io};

pub use answer::Answer;
pub use hickory_proto::op::ResponseCode;
pub use hickory_proto::rr::{RData, RecordType};
use rules::Rules;
use tokio::sync::oneshot;

/// How a question arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A length-prefixed message on a connection.
    Tcp,
}

/// A question that the server received.
#[derive(Clone, Debug)]
pub struct Query {
    /// The name, in lower case and without the final dot.
    pub name: String,
    /// The record type asked for.
    pub kind: RecordType,
    /// How it came.
    pub transport: Transport,
    /// Who asked.
    pub from: SocketAddr,
    /// When it came.
    pub at: SystemTime,
    /// Whether the asker wants recursion (RD).
    pub recursion_desired: bool,
    /// The UDP payload size of the EDNS record, when there is one.
    pub edns_payload: Option<u16>,
    /// Whether the asker wants DNSSEC records (DO).
    pub dnssec_ok: bool,
}

/// What the serving thread and the test share.
#[derive(Default)]
struct Shared {
    rules: Mutex<Rules>,
    queries: Mutex<Vec<Query>>,
}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queries(&self) -> MutexGuard<'_, Vec<Query>> {
        self.queries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server. Dropping it closes its sockets.
pub struct DnsServer {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl DnsServer {
    /// Listens on UDP and TCP of one address; port 0 picks a port that is free for both.
    pub fn start(ip: IpAddr, port: u16) -> io::Result<Self> {
        let (udp, tcp) = wire::bind(ip, port)?;
        let addr = udp.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(format!("dns {addr}")).spawn({
            let shared = shared.clone();
            move || {
                runtime.block_on(async {
                    tokio::select! {
                        result = wire::serve(udp, tcp, shared) => if let Err(error) = result {
                            tracing::error!(%addr, %error, "the DNS server ended");
                        },
                        _ = stopped => {}
                    }
                });
            }
        })?;
        Ok(Self { addr, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets the answer to questions for `name` and `kind`; [`RecordType::ANY`] stands for every type that has no rule of
    /// its own. `*.example.test` speaks for the names below `example.test` that no rule names.
    ///
    /// The new answer replaces the one of the same name, type and conditions ([`Answer::over`],
    /// [`Answer::when_recursive`]). One that is used up ([`Answer::times`]) uncovers what was there before.
    pub fn set(&self, name: &str, kind: RecordType, answer: Answer) {
        self.shared.rules().set(name, kind, answer);
    }

    /// Forgets all rules for a name.
    pub fn remove(&self, name: &str) {
        self.shared.rules().remove(name);
    }

    /// Forgets all rules, zones and logged questions.
    pub fn clear(&self) {
        self.shared.rules().clear();
        self.shared.queries().clear();
    }

    /// Makes the name an IPv4 host.
    pub fn a(&self, name: &str, ip: Ipv4Addr) {
        self.set(name, RecordType::A, Answer::new().a(ip));
    }

    /// Makes the name an IPv6 host.
    pub fn aaaa(&self, name: &str, ip: Ipv6Addr) {
        self.set(name, RecordType::AAAA, Answer::new().aaaa(ip));
    }

    /// Makes the name an alias, for every type that has no rule of its own.
    pub fn cname(&self, name: &str, target: &str) {
        self.set(name, RecordType::CNAME, Answer::new().cname(target));
    }

    /// Gives the name one CAA record, replacing those it had. Several records: [`DnsServer::set`] and [`Answer::caa`].
    pub fn caa(&self, name: &str, flag: u8, tag: &str, value: &str) {
        self.set(name, RecordType::CAA, Answer::new().caa(flag, tag, value));
    }

    /// Answers NXDOMAIN for the name, whatever was known of it.
    pub fn nxdomain(&self, name: &str) {
        let mut rules = self.shared.rules();
        rules.remove(name);
        rules.set(name, RecordType::ANY, Answer::nxdomain());
    }

    /// Declares a zone: SOA and NS records at `apex`, address records for the servers, and from now on `REFUSED` to
    /// questions without RD that belong to no declared zone.
    pub fn zone(&self, apex: &str, servers: &[(&str, IpAddr)]) {
        let mut rules = self.shared.rules();
        rules.declare_zone(apex, servers.first().map(|(name, _)| *name));
        let mut ns = Answer::new();
        for (name, ip) in servers {
            ns = ns.ns(name);
            match ip {
                IpAddr::V4(ip) => rules.set(name, RecordType::A, Answer::new().a(*ip)),
                IpAddr::V6(ip) => rules.set(name, RecordType::AAAA, Answer::new().aaaa(*ip)),
            }
        }
        rules.set(apex, RecordType::NS, ns);
    }

    /// The TTL and the MINIMUM of the SOA record in negative answers (1 s each unless set), for answers without
    /// [`Answer::negative`].
    pub fn set_negative_ttl(&self, ttl: u32, minimum: u32) {
        self.shared.rules().set_negative_ttl(ttl, minimum);
    }

    /// All questions so far, oldest first.
    pub fn queries(&self) -> Vec<Query> {
        self.shared.queries().clone()
    }

    /// The questions for one name so far.
    pub fn queries_for(&self, name: &str) -> Vec<Query> {
        let name = rules::key(name);
        self.shared.queries().iter().filter(|q| q.name == name).cloned().collect()
    }

    /// Forgets the questions but not the rules.
    pub fn clear_queries(&self) {
        self.shared.queries().clear();
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        // The receiver is gone when serving ended by itself.
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for DnsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsServer").field("addr", &self.addr).finish_non_exhaustive()
    }
}
