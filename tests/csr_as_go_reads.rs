//! Certificate requests, made up and broken in every way that chance finds, read by Go and by certgate: wherever Go finds
//! a name, certgate finds it or holds the request, and where both read, they read the same names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "helpers of tests fail by panicking, like the tests"
)]

#[path = "csr_as_go_reads/forge.rs"]
mod forge;

use std::collections::BTreeSet;

use certgate::core::{
    csr::{self, CsrError},
    host::Host,
};
use certgate_lab::csr::{Names, read};
use fastrand::Rng;
use forge::{Forge, encode, pem};

/// How many requests are made up.
const CASES: usize = 30_000;

/// What certgate must find where Go finds these: hosts, and names that are none.
fn expected(go: &Names) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut hosts, mut invalid) = (BTreeSet::new(), BTreeSet::new());
    for name in &go.dns {
        match Host::parse(name) {
            Ok(host) if name.eq_ignore_ascii_case(host.as_str()) => hosts.insert(host.to_string()),
            _ => invalid.insert(certgate::core::finding::clean(name)),
        };
    }
    hosts.extend(go.common.iter().filter_map(|name| Host::parse(name).ok()).map(|host| host.to_string()));
    (hosts, invalid)
}

/// Whether certgate's reading may stand beside Go's. `Ok(true)`: both read it.
fn compare(request: &str, go: &Names) -> Result<bool, String> {
    let ours = csr::names(request);
    if !go.error.is_empty() {
        return Ok(false);
    }
    let Ok(found) = ours else { return Ok(false) };
    let (hosts, invalid) = expected(go);
    let found_hosts: BTreeSet<String> = found.hosts.iter().map(Host::to_string).collect();
    let found_invalid: BTreeSet<String> = found.invalid.iter().cloned().collect();
    if (&found_hosts, &found_invalid) != (&hosts, &invalid) || (go.others && !found.others) {
        return Err(format!("Go finds {go:?}, certgate {found:?} in {request}"));
    }
    Ok(true)
}

#[test]
fn wherever_go_finds_a_name_it_is_found_or_the_request_is_held() {
    let seed = 15;
    let mut forge = Forge::new(Rng::with_seed(seed));
    let requests: Vec<String> = (0..CASES).map(|_| forge.request()).collect();
    let answers = read(&requests).unwrap();
    let (mut both, mut held, mut names) = (0, 0, 0);
    for (request, go) in requests.iter().zip(&answers) {
        names += usize::from(!go.dns.is_empty() || !go.common.is_empty());
        match compare(request, go) {
            Ok(true) => both += 1,
            Ok(false) => held += usize::from(go.error.is_empty()),
            Err(why) => panic!("seed {seed}: {why}"),
        }
    }
    println!("{CASES} requests: {both} read by both, {held} by Go alone; Go finds names in {names}");
    assert!(both > CASES / 5 && held > CASES / 100 && names > CASES / 4, "{both} {held} {names}");
}

#[test]
fn ordinary_requests_in_every_form_that_go_takes_are_read() {
    let mut forge = Forge::new(Rng::with_seed(4));
    let requests: Vec<String> = (0..500).map(|_| forge.ordinary()).collect();
    for (request, go) in requests.iter().zip(read(&requests).unwrap()) {
        assert_eq!(compare(request, &go), Ok(true), "{:?}", csr::names(request));
    }
}

#[test]
fn the_forgeries_that_are_known_are_seen_through() {
    let forge = Forge::new(Rng::with_seed(1));
    let (dead, other) = (forge::dns("dead.example.com"), forge::dns("other.example.com"));
    let san = |names: &[&[u8]]| forge::alternative_names(&names.concat());
    let ask = |extensions: &[Vec<u8>]| forge::attribute(forge::EXTENSION_REQUEST, &[forge::sequence(extensions)]);
    let usage = forge::extension(&[0x55, 0x1d, 0x0f], &[3, 2, 7, 0x80]);
    // With what each is told; none: its name is found.
    let rows = [
        ("a second attribute", vec![ask(std::slice::from_ref(&usage)), ask(&[san(&[&dead])])], None),
        ("both attributes", vec![ask(&[san(&[&other])]), ask(&[san(&[&dead])])], Some("twice")),
        ("two extensions", vec![ask(&[san(&[&other]), san(&[&dead])])], Some("twice")),
        (
            "a second value",
            vec![forge::attribute(
                forge::EXTENSION_REQUEST,
                &[forge::sequence(std::slice::from_ref(&usage)), forge::sequence(&[san(&[&dead])])],
            )],
            Some("several values"),
        ),
        (
            "as Windows asked",
            vec![forge::attribute(forge::MICROSOFT_EXTENSION_REQUEST, &[forge::sequence(&[san(&[&dead])])])],
            Some("not everybody reads"),
        ),
        ("an empty attribute", vec![forge::attribute(forge::EXTENSION_REQUEST, &[])], Some("not an attribute")),
        (
            "behind its names",
            vec![ask(&[forge::extension(
                forge::ALTERNATIVE_NAME,
                &[forge::sequence(std::slice::from_ref(&other)), forge::sequence(std::slice::from_ref(&dead))].concat(),
            )])],
            Some("more after its names"),
        ),
        (
            "a name that is a structure",
            vec![ask(&[san(&[&other, &forge::tlv(0xa2, b"dead.example.com")])])],
            Some("no kind"),
        ),
        (
            "a name that is no ASCII",
            vec![ask(&[san(&[&other, &forge::tlv(0x82, b"d\xe9ad.example.com")])])],
            Some("no kind"),
        ),
    ];
    for (what, attributes, told) in rows {
        let request = encode(pem(&forge.csr(&forge::tlv(0x30, b""), &attributes.concat())));
        match (csr::names(&request), told) {
            (Ok(found), None) => {
                assert!(found.hosts.iter().any(|host| host.as_str() == "dead.example.com"), "{what}: {found:?}");
            }
            (Err(error @ CsrError::Ambiguous(_)), Some(told)) => {
                assert!(error.to_string().contains(told), "{what}: {error}");
            }
            (other, _) => panic!("{what}: {other:?}"),
        }
    }
}
