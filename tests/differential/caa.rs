//! CAA record sets over real DNS messages: one server on loopback answers both sides.

use std::time::Duration;

use certgate::{
    core::{
        host::Host,
        policy::{Dns, Target},
        verdict::{CaIdentity, CheckStatus, GatewayTarget, Method, Request},
    },
    dns::Preflight,
};
use certgate_lab::dns::{Answer, DnsServer, RecordType};
use fastrand::Rng;
use futures::{StreamExt as _, stream};
use serde_json::json;

use crate::{classes::Classes, oracle::Oracle};

const SETS: usize = 25_200;
/// The server looks through all its names for each question.
const BATCH: usize = 300;
const ACCOUNT: u64 = 123;
const PREFIX: &str = "https://acme-v02.api.letsencrypt.org/acme/acct/";

fn parameter(rng: &mut Rng) -> String {
    const TAGS: &[&str] = &[
        "accounturi",
        "validationmethods",
        "foo",
        "foo-bar",
        "-foo",
        "foo-",
        "",
        "AccountURI",
        "a_b",
        "validation-methods",
    ];
    let account = format!("{PREFIX}{ACCOUNT}");
    let other = format!("{PREFIX}124");
    let old = format!("https://acme-v01.api.letsencrypt.org/acme/reg/{ACCOUNT}");
    let values = [
        account.as_str(),
        &other,
        &old,
        "http-01",
        "dns-01",
        "http-01,dns-01",
        "dns-01,http-01",
        "dns-01,",
        ",http-01",
        "http-01,a_b",
        "a_b,http-01",
        "tls-alpn-01",
        "",
        "1 2",
        "x=y",
        "\u{fffd}",
        "http-01 ",
        "HTTP-01",
        "other,http-01",
    ];
    let (blank, gap) = (*rng.choice(&["", " ", "\t", "  "]).unwrap(), *rng.choice(&["", " "]).unwrap());
    let separator = if rng.u8(0..12) == 0 { "" } else { "=" };
    format!("{blank}{}{gap}{separator}{gap}{}{blank}", rng.choice(TAGS).unwrap(), rng.choice(values).unwrap())
}

fn value(rng: &mut Rng) -> String {
    const DOMAINS: &[&str] = &[
        "letsencrypt.org",
        "letsencrypt.org",
        "letsencrypt.org",
        " letsencrypt.org ",
        "LetsEncrypt.org",
        "letsencrypt.org.",
        "ca.example",
        "",
        ";",
        "\"letsencrypt.org\"",
        "x.letsencrypt.org",
        "\tletsencrypt.org\t",
    ];
    let mut text = (*rng.choice(DOMAINS).unwrap()).to_owned();
    for _ in 0..rng.usize(0..3) {
        text.push(';');
        text.push_str(&parameter(rng));
    }
    if rng.u8(0..10) == 0 {
        text.push_str(rng.choice(&[";", " ", "; ", ";;"]).unwrap());
    }
    text
}

/// A record set, and how people write it.
fn set(rng: &mut Rng) -> (Answer, String) {
    const TAGS: &[&str] = &[
        "issue",
        "issue",
        "issue",
        "issuewild",
        "issuewild",
        "iodef",
        "ISSUE",
        "issuemail",
        "issuevmc",
        "foo",
        "Issuewild",
    ];
    let (mut answer, mut told) = (Answer::new(), Vec::new());
    for _ in 0..rng.usize(1..4) {
        if rng.u8(0..40) == 0 {
            // RDATA that is no CAA record.
            let data: Vec<u8> = (0..rng.usize(1..8)).map(|_| rng.u8(..)).collect();
            told.push(format!("{data:?}"));
            answer = answer.bytes(RecordType::CAA, data);
        } else {
            let flag = *rng.choice(&[0, 0, 0, 0, 128, 1, 129, 2, 255]).unwrap();
            let (tag, value) = (*rng.choice(TAGS).unwrap(), value(rng));
            told.push(format!("{flag} {tag} {value:?}"));
            answer = answer.caa(flag, tag, &value);
        }
    }
    (answer, told.join(", "))
}

fn failing(rng: &mut Rng) -> (Answer, String) {
    let (answer, told) = match rng.u8(0..5) {
        0 => (Answer::servfail(), "SERVFAIL"),
        1 => (Answer::refused(), "REFUSED"),
        2 => (Answer::nxdomain(), "NXDOMAIN"),
        3 => (Answer::nodata(), "NODATA"),
        _ => (Answer::new().caa(0, "issue", "letsencrypt.org").truncated_always(), "truncated"),
    };
    (answer, told.to_owned())
}

struct Case {
    host: String,
    method: Method,
    told: String,
}

fn case(rng: &mut Rng, dns: &DnsServer, at: usize) -> Case {
    let (zone, leaf) = (format!("d{at}.com"), format!("www.d{at}.com"));
    let mut told = Vec::new();
    let mut give = |name: &str, (answer, text): (Answer, String)| {
        told.push(format!("{name}: {text}"));
        dns.set(name, RecordType::CAA, answer);
    };
    match rng.u8(0..10) {
        0..=4 => give(&leaf, set(rng)),
        5..=6 => give(&zone, set(rng)),
        7 => {
            give(&leaf, failing(rng));
            give(&zone, set(rng));
        }
        8 => {
            give(&leaf, set(rng));
            give(&zone, failing(rng));
        }
        _ => {
            dns.cname(&leaf, &format!("t{at}.net"));
            give(&format!("t{at}.net"), set(rng));
        }
    }
    dns.a(if rng.bool() { &leaf } else { &zone }, "198.41.0.4".parse().unwrap());
    let wildcard = rng.u8(0..4) == 0;
    let method = if wildcard || rng.bool() { Method::Dns01 } else { Method::Http01 };
    Case { host: if wildcard { format!("*.{leaf}") } else { leaf }, method, told: told.join("; ") }
}

pub(crate) fn compare(oracle: &mut Oracle, seed: u64, classes: &mut Classes) {
    let mut rng = Rng::with_seed(seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dns = DnsServer::start("127.0.0.1".parse().unwrap(), 0).unwrap();
    let policy = Dns {
        servers: vec![dns.addr().to_string()],
        authoritative: false,
        timeout_seconds: 20.0,
        deadline_seconds: 60.0,
        ..Dns::default()
    };
    while classes.compared() < SETS {
        dns.clear();
        // There is a `com` and a `net`.
        dns.set("com", RecordType::SOA, Answer::new());
        dns.set("net", RecordType::SOA, Answer::new());
        let cases: Vec<Case> = (0..BATCH).map(|at| case(&mut rng, &dns, at)).collect();
        // A new engine for each batch, as names come again.
        let engine = runtime.block_on(async { Preflight::new(&policy).unwrap() });
        let ours: Vec<CheckStatus> = runtime.block_on(async {
            let checks = cases.iter().map(|case| {
                let engine = engine.clone();
                let request = Request {
                    host: Host::parse(&case.host).unwrap(),
                    method: case.method,
                    gateway: GatewayTarget { target: Target::AnyPublic, ..GatewayTarget::default() },
                    ca: CaIdentity {
                        names: vec!["letsencrypt.org".into()],
                        account_uri: Some(format!("{PREFIX}{ACCOUNT}")),
                    },
                };
                async move {
                    let verdict = engine.check(&request).await;
                    verdict.checks.iter().find(|check| check.name == "CAA").map(|check| check.status).unwrap()
                }
            });
            stream::iter(checks).buffered(32).collect().await
        });
        for method in [Method::Http01, Method::Dns01] {
            let of_method: Vec<usize> = (0..cases.len()).filter(|at| cases[*at].method == method).collect();
            let names: Vec<&str> = of_method.iter().map(|at| cases[*at].host.as_str()).collect();
            let theirs: Vec<String> = oracle.ask(&json!({"caa": {
                "server": dns.addr().to_string(), "names": names, "method": method.as_str(), "account": ACCOUNT,
            }}));
            for (at, theirs) in of_method.into_iter().zip(theirs) {
                let case = &cases[at];
                let example = || format!("{} by {}: {theirs:?}: {}", case.host, method.as_str(), case.told);
                match (ours[at], theirs.is_empty()) {
                    (CheckStatus::Pass, true) | (CheckStatus::Fail, false) => classes.same(),
                    (CheckStatus::Pass, false) => classes.differs(class("false order", &case.told), example),
                    (CheckStatus::Fail, true) => classes.differs(class("false hold", &case.told), example),
                    (other, _) => classes.differs(format!("{other:?}"), example),
                }
            }
        }
    }
    assert!(runtime.metrics().num_alive_tasks() < 10_000);
    runtime.shutdown_timeout(Duration::from_secs(5));
}

/// What is odd about the records of a case, as far as known differences go.
fn class(kind: &str, told: &str) -> String {
    let tags = told.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut tags = tags.map(|(tag, _)| tag.trim_matches([' ', '\\', 't']));
    let odd = if tags.any(|tag| tag.is_empty() || tag.contains('-')) { "the grammar of tags" } else { "other" };
    format!("{kind}: {odd}")
}
