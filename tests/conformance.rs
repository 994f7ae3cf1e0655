//! certgate against Let's Encrypt's validator, row by row: `tests/conformance/table.yaml`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use certgate::core::{
    host::Host,
    policy::Target,
    reason::Reason,
    verdict::{Ask, CaIdentity, Consult, GatewayTarget, Method, Request, Verdict, answers, judge, refuse, wanted},
};
use serde::Deserialize;

#[path = "../src/core/verdict/tests/script.rs"]
mod script;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    about: String,
    source: String,
    #[serde(default)]
    given: Vec<String>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    method: Method,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    method: Option<Method>,
    #[serde(default)]
    dns: Vec<String>,
    /// Without the group's `given`.
    #[serde(default)]
    plain: bool,
    boulder: String,
    #[serde(default)]
    source: Option<String>,
    certgate: Reason,
    #[serde(default)]
    differs: Option<String>,
}

fn table() -> Table {
    serde_saphyr::from_str(include_str!("conformance/table.yaml")).unwrap()
}

fn request(host: Host, method: Method) -> Request {
    Request {
        host,
        method,
        gateway: GatewayTarget {
            addresses: vec!["1.2.3.4".parse().unwrap(), "2606:4700::abcd".parse().unwrap()],
            cnames: vec!["lb.platform.net".into()],
            target: Target::Addresses,
            allow_reserved: false,
        },
        ca: CaIdentity {
            names: vec!["letsencrypt.org".into()],
            account_uri: Some("https://acme-v02.api.letsencrypt.org/acme/acct/123".into()),
        },
    }
}

fn judged(group: &Group, row: &Row) -> Verdict {
    let text = row.host.as_deref().or(group.host.as_deref()).unwrap_or("www.example.com");
    let host = match Host::parse(text) {
        Ok(host) => host,
        Err(error) => return refuse(text, error),
    };
    let given: &[String] = if row.plain { &[] } else { &group.given };
    let request = request(host, row.method.unwrap_or(group.method));
    let consult = Consult { enabled: true, ..Consult::default() };
    judge(&request, &script::Script::new(given.iter().chain(&row.dns)).gather(&request, &consult))
}

#[test]
fn every_row_is_answered_as_the_table_says() {
    let mut wrong = Vec::new();
    for group in &table().groups {
        for row in &group.rows {
            let verdict = judged(group, row);
            if verdict.finding.reason != row.certgate {
                wrong.push(format!(
                    "{}, {}: {} instead of {}",
                    group.about, row.name, verdict.finding.reason, row.certgate
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn certgate_passes_what_boulder_passes_and_only_that_or_says_why_not() {
    for group in &table().groups {
        for row in &group.rows {
            let both = judged(group, row).ready() == (row.boulder == "pass");
            let place = format!("{}, {}", group.about, row.name);
            match &row.differs {
                None => assert!(both, "{place}: the verdicts differ without a reason given"),
                Some(reason) => {
                    assert!(!both && reason.len() > 20, "{place}: a reason is given, and the verdicts agree")
                }
            }
        }
    }
}

#[test]
fn the_table_is_large_enough_and_every_row_has_a_source() {
    let table = table();
    let rows: usize = table.groups.iter().map(|group| group.rows.len()).sum();
    assert!(rows >= 80, "{rows}");
    let mut seen = BTreeSet::new();
    for group in &table.groups {
        for row in &group.rows {
            let source = row.source.as_ref().unwrap_or(&group.source);
            assert!(source.contains(".go"), "{}: {source}", row.name);
            assert!(seen.insert((&group.about, &row.name)), "{} stands twice", row.name);
        }
    }
}

/// A reason that no row leads to would be one that nobody compared.
#[test]
fn every_reason_of_dns_stands_in_the_table() {
    let mut count: BTreeMap<Reason, usize> = BTreeMap::new();
    for row in table().groups.iter().flat_map(|group| &group.rows) {
        *count.entry(row.certgate).or_default() += 1;
    }
    // Our own conditions, of which the CA knows nothing, and what only several servers can show.
    let not_the_cas = [Reason::WrongCname, Reason::ServersDisagree, Reason::CnameTooLong];
    let of_dns = Reason::ALL.iter().skip_while(|r| **r != Reason::DomainNotFound);
    for reason in of_dns.take_while(|r| **r != Reason::HttpUnreachable).filter(|r| !not_the_cas.contains(r)) {
        assert!(count.contains_key(reason), "{reason} stands nowhere");
    }
}
