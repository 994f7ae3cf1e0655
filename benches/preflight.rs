//! How fast hosts are checked: 10,000 cold ones against a scripted server on
//! loopback, beside the bare rate of hickory-resolver on the same questions.
//!
//! One run each, not a sampled benchmark: what matters is that a start-up with
//! thousands of hosts is bounded by the limits on servers and not by us.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a bench fails by panicking, and uses a part of the report"
)]

#[path = "serving/report.rs"]
mod report;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use certgate::{
    core::{
        host::Host,
        policy::{Dns, Target},
        verdict::{CaIdentity, GatewayTarget, Method, Request},
    },
    dns::Preflight,
};
use certgate_lab::dns::{Answer, DnsServer, RecordType};
use futures::{StreamExt as _, stream};
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::RecordType as ResolverType,
};

use report::{Section, Table};

const SECTION: Section = Section {
    title: "Pre-flight",
    command: "cargo bench --bench preflight",
    about: "10,000 hosts, none seen before, each asked for A, AAAA and CAA up to the zone's apex of a scripted DNS server on \
            loopback, 128 at a time, certgate's limits on a server out of the way; beside it hickory-resolver on the same \
            questions, without a verdict.",
};
const HOSTS: usize = 10_000;
const AT_ONCE: usize = 128;

fn main() {
    // `cargo test --benches` runs this too; it has nothing to test.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let server = DnsServer::start(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap();
    let addr = server.addr();
    server.set("*.example.com", RecordType::A, Answer::new().a(Ipv4Addr::new(1, 2, 3, 4)).ttl(300));
    let (questions, took) = bare(addr).await;
    let bare_rate = questions as f64 / took.as_secs_f64();
    let mut table = Table::default();
    table.head(&["", "hosts/s", "questions", "questions/s", "× bare", "memory before, MiB", "peak, MiB"]);
    let row = |name: &str, rest: [String; 6]| [vec![name.to_owned()], rest.to_vec()].concat();
    let dash = || "–".to_owned();
    table.row(&row(
        "hickory-resolver, bare",
        [dash(), questions.to_string(), format!("{bare_rate:.0}"), "1.00".to_owned(), dash(), dash()],
    ));
    server.clear();
    server.set("*.example.com", RecordType::A, Answer::new().a(Ipv4Addr::new(1, 2, 3, 4)).ttl(300));

    let before = resident_kib();
    let (ready, took) = checked(addr).await;
    assert_eq!(ready, HOSTS, "not every host was verified");
    let questions = server.queries().len();
    let hosts_rate = HOSTS as f64 / took.as_secs_f64();
    let rate = questions as f64 / took.as_secs_f64();
    table.row(&row(
        "certgate",
        [
            format!("{hosts_rate:.0}"),
            questions.to_string(),
            format!("{rate:.0}"),
            format!("{:.2}", rate / bare_rate),
            (before / 1024).to_string(),
            (peak_kib() / 1024).to_string(),
        ],
    ));
    SECTION.put(&table.text()).unwrap();
}

/// The questions that a host costs of its own: A, AAAA and CAA.
async fn bare(addr: SocketAddr) -> (usize, Duration) {
    let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    connections.iter_mut().for_each(|connection| connection.port = addr.port());
    let name_server = NameServerConfig::new(addr.ip(), true, connections.into());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![name_server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    let resolver = Arc::new(builder.build().unwrap());
    let begun = Instant::now();
    let asked = stream::iter(0..HOSTS)
        .map(|n| {
            let resolver = resolver.clone();
            tokio::spawn(async move {
                let name = format!("h{n}.example.com.");
                for kind in [ResolverType::A, ResolverType::AAAA, ResolverType::CAA] {
                    // NODATA is an error there, and an answer here.
                    let _ = resolver.lookup(name.as_str(), kind).await;
                }
            })
        })
        .buffer_unordered(AT_ONCE)
        .count()
        .await;
    (asked * 3, begun.elapsed())
}

async fn checked(addr: SocketAddr) -> (usize, Duration) {
    // The limits out of the way: the engine itself is measured.
    let policy =
        Dns { servers: vec![addr.to_string()], queries_per_second: 10_000_000, concurrency: 512, ..Dns::default() };
    let preflight = Preflight::new(&policy).unwrap();
    let begun = Instant::now();
    let ready = stream::iter(0..HOSTS)
        .map(|n| {
            let preflight = preflight.clone();
            tokio::spawn(async move { preflight.check(&request(n)).await.ready() })
        })
        .buffer_unordered(AT_ONCE)
        .filter(|ready| futures::future::ready(matches!(ready, Ok(true))))
        .count()
        .await;
    (ready, begun.elapsed())
}

fn request(n: usize) -> Request {
    Request {
        host: Host::parse(&format!("h{n}.example.com")).unwrap(),
        method: Method::Http01,
        gateway: GatewayTarget {
            addresses: vec![Ipv4Addr::new(1, 2, 3, 4).into()],
            cnames: Vec::new(),
            target: Target::Addresses,
            allow_reserved: false,
        },
        ca: CaIdentity { names: vec!["letsencrypt.org".into()], account_uri: None },
    }
}

fn resident_kib() -> u64 {
    status("VmRSS:")
}

fn peak_kib() -> u64 {
    status("VmHWM:")
}

/// A figure of `/proc/self/status` in KiB; zero where there is none.
fn status(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
