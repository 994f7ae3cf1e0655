//! certgate beside the CA's own code: Boulder's packages, built as they are, judge the same names, addresses, CAA records,
//! orders and fetches. Where both differ in a way that `differential/known.yaml` does not give a reason for, the test fails.
//!
//! `make differential` runs it; it is ignored elsewhere, as Boulder takes minutes to build.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may end by panicking"
)]

#[path = "differential/budget.rs"]
mod budget;
#[path = "differential/caa.rs"]
mod caa;
#[path = "differential/classes.rs"]
mod classes;
#[path = "differential/names.rs"]
mod names;
#[path = "differential/oracle.rs"]
mod oracle;

use classes::Classes;
use oracle::Oracle;

const WHY: &str = "Boulder takes minutes to build: make differential";

/// `CERTGATE_DIFFERENTIAL_SEED=n` plays one run again.
fn seed() -> u64 {
    let text = std::env::var("CERTGATE_DIFFERENTIAL_SEED").unwrap_or_else(|_| "20261130".to_owned());
    println!("CERTGATE_DIFFERENTIAL_SEED={text}");
    text.parse().expect("CERTGATE_DIFFERENTIAL_SEED is a number")
}

#[test]
#[ignore = "Boulder takes minutes to build: make differential"]
fn names_are_judged_alike() {
    let mut classes = Classes::new("names");
    names::compare(&mut Oracle::start().expect(WHY), seed(), &mut classes);
    assert!(classes.compared() >= 40_000);
    classes.check();
}

#[test]
#[ignore = "Boulder takes minutes to build: make differential"]
fn addresses_are_judged_alike() {
    let mut classes = Classes::new("addresses");
    names::compare_addresses(&mut Oracle::start().expect(WHY), seed(), &mut classes);
    assert!(classes.compared() >= 200_000);
    classes.check();
}

#[test]
#[ignore = "Boulder takes minutes to build: make differential"]
fn caa_is_judged_alike() {
    let mut classes = Classes::new("caa");
    caa::compare(&mut Oracle::start().expect(WHY), seed(), &mut classes);
    assert!(classes.compared() >= 25_000);
    classes.check();
}

#[test]
#[ignore = "Boulder takes minutes to build: make differential"]
fn no_order_that_the_budget_lets_go_is_refused() {
    let mut classes = Classes::new("budget");
    budget::compare(&mut Oracle::start().expect(WHY), seed(), &mut classes);
    assert!(classes.compared() >= 50_000);
    classes.check();
}
