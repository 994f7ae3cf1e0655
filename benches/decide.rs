//! What one decision costs, with 10,000 Domains known: time and allocations.
//!
//! `parse` is the floor, measured in the same run: reading the object is
//! needed whatever is decided. The no-op path must allocate no more than the list of hosts.

#[path = "serving/bodies.rs"]
#[allow(dead_code, clippy::unwrap_used, unreachable_pub, missing_docs, reason = "shared with the serving benchmark")]
mod bodies;
#[path = "serving/floor.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared with the serving benchmark")]
mod floor;

use std::{collections::HashMap, hint::black_box};

use certgate::admission::answer::answer;
use certgate::core::{
    decide::decide,
    finding::Finding,
    ingress::Ingress,
    knowledge::{DomainFacts, Knowledge, VerdictFacts},
    policy::{AutoIssue, IssuerRef, Policy, Profile},
    reason::Reason,
};
use divan::{AllocProfiler, Bencher};
use jiff::Timestamp;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

struct Known(HashMap<String, DomainFacts>);

impl Knowledge for Known {
    fn namespace_label(&self, _: &str, _: &str) -> Option<&str> {
        None
    }
    fn domain(&self, _: &str, host: &str) -> Option<&DomainFacts> {
        self.0.get(host)
    }
    fn has_profile(&self, _: &str, _: Profile) -> bool {
        false
    }
}

fn known() -> Known {
    let facts = |reason| DomainFacts {
        verdict: Some(VerdictFacts {
            finding: Finding::new(reason, "host"),
            issuer: None,
            server: None,
            valid_until: Timestamp::MAX,
        }),
        ..DomainFacts::default()
    };
    let mut hosts: HashMap<_, _> =
        (0..10_000).map(|n| (format!("h{n}.example.com"), facts(Reason::DomainNotFound))).collect();
    for host in ["shop.example.com", "www.shop.example.com", "m.shop.example.com"] {
        hosts.insert(host.to_owned(), facts(Reason::Verified));
    }
    Known(hosts)
}

fn policy(auto_issue: AutoIssue) -> Policy {
    Policy { issuer: Some(IssuerRef::cluster("letsencrypt")), auto_issue, ..Policy::default() }
}

const THREE_HOSTS: &str = r#"{"metadata":{"name":"shop","namespace":"team-a","labels":{"app.kubernetes.io/name":"shop"},
    "annotations":{"nginx.ingress.kubernetes.io/proxy-body-size":"8m"}},
    "spec":{"ingressClassName":"nginx","rules":[{"host":"shop.example.com"},{"host":"www.shop.example.com"},{"host":"m.shop.example.com"}]}}"#;

#[divan::bench]
fn parse(bencher: Bencher) {
    bencher.bench(|| serde_json::from_str::<Ingress<'_>>(black_box(THREE_HOSTS)));
}

#[divan::bench]
fn decide_not_flagged(bencher: Bencher) {
    let (ingress, known, policy) =
        (serde_json::from_str(THREE_HOSTS).unwrap_or_default(), known(), policy(AutoIssue::Annotated));
    bencher.bench(|| decide(black_box(&ingress), &known, &policy, Timestamp::UNIX_EPOCH).patch.len());
}

#[divan::bench]
fn decide_inject_three_hosts(bencher: Bencher) {
    let (ingress, known, policy) =
        (serde_json::from_str(THREE_HOSTS).unwrap_or_default(), known(), policy(AutoIssue::All));
    bencher.bench(|| decide(black_box(&ingress), &known, &policy, Timestamp::UNIX_EPOCH).patch.len());
}

#[divan::bench]
fn decide_held_three_hosts(bencher: Bencher) {
    let text =
        THREE_HOSTS.replace("www.shop", "h1").replace("m.shop", "h2").replace("shop.example.com", "h3.example.com");
    let (ingress, known, policy) = (serde_json::from_str(&text).unwrap_or_default(), known(), policy(AutoIssue::All));
    bencher.bench(|| decide(black_box(&ingress), &known, &policy, Timestamp::UNIX_EPOCH).patch.len());
}

/// From the octets of a review to those of its answer, as the webhook does it.
#[divan::bench]
fn answer_review(bencher: Bencher) {
    let (body, known, policy) = (bodies::small(), known(), policy(AutoIssue::All));
    bencher.bench(|| answer(black_box(&body), &known, &policy, Timestamp::UNIX_EPOCH).bytes.len());
}

/// The same in the floor of the serving benchmark.
#[divan::bench]
fn answer_review_floor(bencher: Bencher) {
    let body = bodies::small();
    bencher.bench(|| floor::answer(black_box(&body)).len());
}
