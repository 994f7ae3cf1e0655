//! What 10,000 Domains cost those who look: the status page, and `certgate status` from the API server's list on.

use std::hint::black_box;

use certgate::{
    api::domain::Domain,
    core::finding::Lang,
    page::{host, layout::Frame, overview, query::Query},
    status::{Row, render, rows},
};
use divan::Bencher;
use jiff::Timestamp;
use kube::core::ObjectList;
use serde_json::{Value, json};

const DOMAINS: usize = 10_000;
const FRAME: Frame = Frame { lang: Lang::En, signed_in: false, stale_since: None };

fn main() {
    divan::main();
}

/// One in ten waits, each for something else.
fn list() -> Vec<u8> {
    let reasons = ["DomainNotFound", "WrongTarget", "CaaForbids", "CaRateLimited", "Issuing"];
    let domain = |n: usize| -> Value {
        let waits = reasons.get(n / 10 % reasons.len()).filter(|_| n.is_multiple_of(10));
        let reason = *waits.unwrap_or(&"Issued");
        let word = if reason == "Issued" { "True" } else { "False" };
        let condition = |kind: &str| json!({"type": kind, "status": word, "reason": reason, "message": "", "lastTransitionTime": "2026-11-24T10:00:00Z"});
        let host = format!("h{n}.example.com");
        json!({
            "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
            "metadata": {"namespace": format!("team-{}", n % 300), "name": host, "creationTimestamp": "2026-11-20T10:00:00Z"},
            "spec": {"host": host},
            "status": {
                "conditions": [condition("Verified"), condition("Issued"), condition("Ready")],
                "verdict": {"reason": reason, "subject": host}, "observed": ["198.51.100.9"], "required": ["203.0.113.7"],
                "nextCheckTime": "2026-11-24T12:00:30Z", "lead": "web",
                "certificate": {"name": "certgate-x", "secretName": "certgate-x", "notAfter": "2026-12-24T12:00:00Z"},
            },
        })
    };
    let items: Vec<Value> = (0..DOMAINS).map(domain).collect();
    let list = json!({"apiVersion": "certgate.dev/v1alpha1", "kind": "DomainList", "metadata": {}, "items": items});
    serde_json::to_vec(&list).unwrap_or_default()
}

fn domains() -> Vec<Domain> {
    serde_json::from_slice::<ObjectList<Domain>>(&list()).map(|list| list.items).unwrap_or_default()
}

fn known() -> Vec<Row> {
    let rows = rows(&domains());
    assert_eq!(rows.len(), DOMAINS);
    rows
}

#[divan::bench]
fn page_overview(bencher: Bencher<'_, '_>) {
    let rows = known();
    bencher.bench(|| overview::render(black_box(&rows), &Query::read(""), FRAME, Timestamp::now()));
}

#[divan::bench]
fn page_search(bencher: Bencher<'_, '_>) {
    let rows = known();
    bencher.bench(|| overview::render(black_box(&rows), &Query::read("q=h99&state=waiting"), FRAME, Timestamp::now()));
}

#[divan::bench]
fn page_host(bencher: Bencher<'_, '_>) {
    let rows = known();
    let row = rows.get(DOMAINS / 2);
    bencher.bench(|| black_box(row).map(|row| host::render(row, FRAME, Timestamp::now())));
}

/// What the page does once a second at most, while Domains change.
#[divan::bench]
fn page_renewed(bencher: Bencher<'_, '_>) {
    let domains = domains();
    bencher.bench(|| rows(black_box(&domains)));
}

#[divan::bench]
fn status_text(bencher: Bencher<'_, '_>) {
    let list = list();
    bencher.bench(|| {
        let read = serde_json::from_slice::<ObjectList<Domain>>(black_box(&list)).map(|list| list.items);
        render::person(&rows(&read.unwrap_or_default()), true, Lang::En, Timestamp::now())
    });
}

#[divan::bench]
fn status_json(bencher: Bencher<'_, '_>) {
    let list = list();
    bencher.bench(|| {
        let read = serde_json::from_slice::<ObjectList<Domain>>(black_box(&list)).map(|list| list.items);
        render::json(&rows(&read.unwrap_or_default()), Lang::En)
    });
}
