//! Reviews, broken in every way that chance finds, for as long as
//! `CERTGATE_FUZZ_SECONDS` says: always an answer, never a panic, and no growth;
//! and always read as serde_json reads them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "helpers of tests fail by panicking, like the tests"
)]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use certgate::{
    admission::{
        answer::{Outcome, answer},
        json,
        review::Review,
    },
    api::read::Read,
    cluster::index::Index,
    core::policy::{AutoIssue, IssuerRef, Policy},
};
use fastrand::Rng;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

/// What is put into reviews: keys and values with a meaning, and characters with one in JSON.
const TOKENS: &[&str] = &[
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "\"\"",
    "-1",
    "1e999",
    "\\u0000",
    "\\ud800",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\\",
    "\u{feff}",
    "metadata",
    "annotations",
    "certgate.dev/injected",
    "certgate.dev/auto-issue",
    "cert-manager.io/issuer",
    "cert-manager.io/cluster-issuer",
    "spec",
    "tls",
    "rules",
    "host",
    "hosts",
    "secretName",
    "creator",
    "Rainbond",
    "www.example.com",
    "*.example.com",
    "xn--fsqu00a.xn--0zwm56d",
    "例子.测试",
    "certgate-www.example.com",
    "127.0.0.1",
    "CREATE",
    "DELETE",
    "AdmissionReview",
    "admission.k8s.io/v1",
    "\"tls\":[{\"hosts\":[\"www.example.com\"]}],",
];
/// How much memory may grow by while the same few shapes come again and again, in KiB.
const GROWTH: u64 = 16 * 1024;

fn policy() -> Policy {
    Policy { issuer: Some(IssuerRef::cluster("le")), auto_issue: AutoIssue::All, ..Policy::default() }
}

fn index() -> Index {
    let index = Index::new(&policy());
    for (host, reason) in
        [("www.example.com", "Verified"), ("held.example.com", "WrongTarget"), ("*.example.com", "Verified")]
    {
        let name = host.replace("*.", "wildcard.");
        let domain: Read<_> = serde_json::from_value(json!({
            "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain", "metadata": {"namespace": "team-a", "name": name},
            "spec": {"host": host},
            "status": {"verdict": {"reason": reason, "subject": host, "validUntil": "2099-01-01T00:00:00Z"}},
        }))
        .unwrap();
        index.on_domain(Event::Apply(domain));
    }
    index
}

/// Reviews as they come, and the one that is injected.
fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v5");
    let mut seeds: Vec<Value> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("admissionreview-"))
        .map(|path| serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
        .collect();
    assert!(seeds.len() >= 5);
    for seed in &mut seeds {
        seed["request"]["namespace"] = json!("team-a");
    }
    seeds.push(json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "operation": "UPDATE", "namespace": "team-a", "name": "shop",
            "resource": {"group": "networking.k8s.io", "version": "v1", "resource": "ingresses"},
            "object": {
                "metadata": {"name": "shop", "annotations": {"cert-manager.io/cluster-issuer": "le", "a": "b"}},
                "spec": {"rules": [{"host": "www.example.com"}, {"host": "held.example.com"}, {"host": "a.example.com"}],
                         "tls": [{"hosts": ["mine.example.com"], "secretName": "mine"}]},
            },
        },
    }));
    seeds.iter().map(|seed| serde_json::to_vec(seed).unwrap()).collect()
}

fn mutate(rng: &mut Rng, body: &mut Vec<u8>, other: &[u8]) {
    let at = rng.usize(..=body.len());
    let until = rng.usize(at..=body.len().min(at + 64));
    match rng.u8(..7) {
        0 if at < body.len() => body[at] ^= 1 << rng.u8(..8),
        1 => drop(body.drain(at..until)),
        2 => {
            let piece = body[at..until].to_vec();
            body.splice(at..at, piece);
        }
        3 => body.truncate(at),
        4 => {
            let from = rng.usize(..=other.len());
            let to = rng.usize(from..=other.len().min(from + 256));
            body.splice(at..until, other[from..to].iter().copied());
        }
        _ => drop(body.splice(at..until, rng.choice(TOKENS).unwrap().bytes())),
    }
}

/// What is read of a body, or what is wrong with it.
fn told(read: serde_json::Result<Review<'_>>) -> String {
    read.map_or_else(|error| error.to_string(), |review| format!("{review:?}"))
}

/// A body is read as serde_json reads it. An answer is an allowing review whose patch applies, or a line of text.
fn check(body: &[u8], index: &Index, policy: &Policy) {
    assert_eq!(told(json::read(body)), told(serde_json::from_slice(body)));
    let answer = answer(body, &index.read(), policy, jiff::Timestamp::UNIX_EPOCH);
    if answer.outcome == Outcome::Malformed {
        return;
    }
    let review: Value = serde_json::from_slice(&answer.bytes).unwrap();
    let response = &review["response"];
    assert_eq!(response["allowed"], true);
    assert_eq!(response.get("patch").is_some(), response.get("patchType").is_some());
    if let (Some(patch), Ok(asked)) = (response.get("patch"), serde_json::from_slice::<Value>(body)) {
        let patch = STANDARD.decode(patch.as_str().unwrap()).unwrap();
        let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
        let mut object = asked["request"]["object"].clone();
        json_patch::patch(&mut object, &patch).expect("the patch applies");
    }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[test]
fn broken_reviews_are_answered_and_leave_nothing_behind() {
    let seconds = std::env::var("CERTGATE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let seed = std::env::var("CERTGATE_FUZZ_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    let (index, policy, seeds) = (index(), policy(), seeds());
    let (mut rng, start, time) = (Rng::with_seed(seed), Instant::now(), Duration::from_secs_f64(seconds));
    let (mut rounds, mut warm) = (0_u64, None);
    while start.elapsed() < time {
        let mut body = rng.choice(&seeds).unwrap().clone();
        for _ in 0..rng.usize(1..6) {
            let other = rng.choice(&seeds).unwrap();
            mutate(&mut rng, &mut body, other);
        }
        let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&body, &index, &policy)));
        assert!(answered.is_ok(), "CERTGATE_FUZZ_SEED={seed}, round {rounds}: {}", String::from_utf8_lossy(&body));
        rounds += 1;
        if warm.is_none() && start.elapsed() > time / 4 {
            warm = Some(resident());
        }
    }
    let grown = resident().saturating_sub(warm.unwrap_or_default());
    println!("{rounds} broken reviews in {seconds} s, {grown} KiB more (seed {seed})");
    assert!(grown < GROWTH, "{grown} KiB more after {rounds} rounds");
    assert!(rounds > 100, "{rounds} rounds only");
}
