use jiff::Timestamp;
use proptest::{prelude::*, sample::select};

use super::*;

const NAMES: [&str; 5] = ["*.example.com", "a.example.com", "b.example.com", "c.example.com", "d.example.com"];
const NAMESPACES: [&str; 4] = ["north", "east", "south", "west"];

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn rank(namespace: &str, since: i64, holds: bool, in_use: bool) -> Rank {
    Rank {
        waits: !holds,
        unused: !in_use,
        since: Timestamp::from_second(since).unwrap(),
        namespace: namespace.into(),
        name: "web".into(),
    }
}

fn zone<'a>(claims: impl IntoIterator<Item = (&'a str, &'a Rank)>) -> Zone {
    let mut zone = Zone::new(host(NAMES[0]));
    for (name, rank) in claims {
        zone.set(&host(name), &rank.namespace, Some(rank.clone()));
    }
    zone
}

/// By the rule as it is told: the foremost first.
fn holders(claims: &[(&'static str, Rank)]) -> Vec<(&'static str, Rank)> {
    let mut sorted = claims.to_vec();
    sorted.sort_by(|one, other| one.1.cmp(&other.1));
    let mut held: Vec<(&'static str, Rank)> = Vec::new();
    for (name, rank) in sorted {
        let touches = |other: &str| name == other || name == NAMES[0] || other == NAMES[0];
        if !held.iter().any(|(other, holder)| holder.namespace != rank.namespace && touches(other)) {
            held.push((name, rank));
        }
    }
    held
}

#[test]
fn the_older_of_a_wildcard_and_a_name_holds_both_ways() {
    let (old, young) = (rank("north", 1, false, false), rank("east", 2, false, false));
    let narrow_first = zone([("a.example.com", &old), ("*.example.com", &young)]);
    assert!(
        narrow_first.is_taken(&host("*.example.com"), &young) && !narrow_first.is_taken(&host("a.example.com"), &old)
    );
    let wide_first = zone([("*.example.com", &old), ("a.example.com", &young)]);
    assert!(wide_first.is_taken(&host("a.example.com"), &young) && !wide_first.is_taken(&host("*.example.com"), &old));
    // One's own wildcard is no rival, and nor is a name beside.
    let own = zone([("*.example.com", &old), ("a.example.com", &rank("north", 9, false, false))]);
    assert!(!own.is_taken(&host("a.example.com"), &rank("north", 9, false, false)));
}

#[test]
fn a_wildcard_that_is_kept_out_keeps_out_nobody() {
    let claims = [
        ("a.example.com", rank("north", 1, false, false)),
        ("*.example.com", rank("east", 2, false, false)),
        ("b.example.com", rank("south", 3, false, false)),
    ];
    let zone = zone(claims.iter().map(|(name, rank)| (*name, rank)));
    let taken: Vec<bool> = claims.iter().map(|(name, rank)| zone.is_taken(&host(name), rank)).collect();
    assert_eq!(taken, [false, true, false]);
}

#[test]
fn who_only_asks_is_kept_out_as_a_claim_would_be_and_keeps_out_nobody() {
    let zone = zone([("a.example.com", &rank("north", 1, true, true))]);
    let asks = rank("east", 5, false, false);
    assert!(zone.is_taken(&host("*.example.com"), &asks) && zone.is_taken(&host("a.example.com"), &asks));
    assert!(!zone.is_taken(&host("b.example.com"), &asks));
}

fn claims() -> impl Strategy<Value = Vec<(&'static str, Rank)>> {
    let claim = (select(&NAMES[..]), select(&NAMESPACES[..]), 0..6_i64, any::<bool>(), any::<bool>());
    let claim = claim.prop_map(|(name, namespace, since, holds, used)| (name, rank(namespace, since, holds, used)));
    proptest::collection::vec(claim, 0..14).prop_map(|mut claims| {
        // One for each name and namespace.
        claims.sort_by(|one, other| (one.0, &one.1.namespace).cmp(&(other.0, &other.1.namespace)));
        claims.dedup_by(|one, other| one.0 == other.0 && one.1.namespace == other.1.namespace);
        claims
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_namespace_holds_what_overlaps_whatever_was_seen_first(
        claims in claims().prop_shuffle(),
        passing in claims(),
    ) {
        // Others come and go before, and all that is left is what counts.
        let mut seen = zone(passing.iter().map(|(name, rank)| (*name, rank)));
        for (name, rank) in &claims {
            seen.set(&host(name), &rank.namespace, Some(rank.clone()));
        }
        for (name, rank) in &passing {
            if !claims.iter().any(|(other, claim)| other == name && claim.namespace == rank.namespace) {
                seen.set(&host(name), &rank.namespace, None);
            }
        }
        let expected = holders(&claims);
        for (name, rank) in &claims {
            let holds = expected.iter().any(|(other, holder)| other == name && holder == rank);
            prop_assert_eq!(!seen.is_taken(&host(name), rank), holds, "{} {:?} of {:?}", name, rank, &claims);
        }
        // Of any two claims that overlap and that nobody keeps out, both are of one namespace; and somebody holds.
        for (name, rank) in &expected {
            for (other, rival) in &expected {
                let overlap = name == other || *name == NAMES[0] || *other == NAMES[0];
                prop_assert!(!overlap || rank.namespace == rival.namespace);
            }
        }
        prop_assert!(claims.is_empty() || !expected.is_empty());
        for (name, rank) in &claims {
            seen.set(&host(name), &rank.namespace, None);
        }
        prop_assert!(seen.is_empty() && seen.leaders.is_empty() && seen.foremost.is_empty());
    }
}

#[test]
fn a_claim_among_ten_thousand_costs_what_one_among_ten_does() {
    // Not by a clock: by how many ranks are looked at, which the leaders tell.
    let mut zone = Zone::new(host(NAMES[0]));
    for n in 0..10_000_i64 {
        let claim = rank("north", n, false, false);
        zone.set(&host(&format!("h{n}.example.com")), "north", Some(claim));
    }
    assert_eq!(zone.leaders.len(), 1);
    assert!(zone.is_taken(&host(NAMES[0]), &rank("east", 20_000, false, false)));
    assert!(!zone.is_taken(&host(NAMES[0]), &rank("north", 20_000, false, false)));
}
