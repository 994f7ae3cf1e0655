//! A week of 5,000 hosts under a CA's limits, on a clock of its own: bursts,
//! failures, renewals, re-issues, and restarts after which only objects are
//! left. A model of the CA, written apart from what is tested, must never have
//! to refuse; nobody starves; and little of what the limits allow is left unused.
//!
//! `CERTGATE_LIMITS_SEED=n` plays one week again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a test may end by panicking"
)]

#[path = "limits_simulation/ca.rs"]
mod ca;
#[path = "limits_simulation/week.rs"]
mod week;

use week::{Outcome, Week};

/// Of what the limits allow this much must have been used.
const LEAST_USED: f64 = 0.95;

fn seeds() -> Vec<u64> {
    match std::env::var("CERTGATE_LIMITS_SEED") {
        Ok(text) => vec![text.parse().expect("CERTGATE_LIMITS_SEED is a number")],
        Err(_) => vec![1, 20_261_125],
    }
}

#[test]
fn a_week_under_lets_encrypts_limits_is_never_refused_and_starves_nobody() {
    for seed in seeds() {
        let Outcome { refused, used, allowed, orders, certificates, renewals, failures, late, longest } =
            Week::new(seed).run();
        let again = format!("CERTGATE_LIMITS_SEED={seed}");
        println!(
            "{again}: {orders} orders, {certificates} first certificates that use {used} of {allowed} places ({:.3}), \
             {renewals} renewals and re-issues, {failures} failures; longest wait {:.1} h",
            used as f64 / allowed as f64,
            longest as f64 / 3_600_000.0,
        );
        assert_eq!(refused, Vec::<String>::new(), "{again}: the CA refused");
        assert_eq!(late, Vec::<String>::new(), "{again}: waited longer than their own namespaces' crowds explain");
        assert!(used as f64 >= LEAST_USED * allowed as f64, "{again}: {used} of {allowed}");
        // The week is what it claims to be.
        assert!(failures > 100 && renewals > 500 && orders > 2_500, "{again}: {failures} {renewals} {orders}");
    }
}

/// Without the budget the same week is refused many times: the model of the CA does refuse.
#[test]
fn the_same_week_without_a_budget_is_refused() {
    let outcome = Week::new(1).unlimited().run();
    assert!(outcome.refused.len() > 500, "{}", outcome.refused.len());
}
