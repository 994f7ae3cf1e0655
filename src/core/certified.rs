//! [`Certified`]: what a CA is known to have certified, and how late a renewal of it may be.
//!
//! A certificate in a tenant's Secret, and what a Certificate says of it, prove nothing: both are the tenant's to write.
//! What counts is an Order whose status holds the CA's own answer. That status is cert-manager's to write alone
//! (cert-manager's roles for tenants do not grant it), and of it only what the certificate itself says is taken, for
//! an Order's spec is the tenant's again. It is then kept in the status of the Domain, which is the controller's alone.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{host::Host, policy::IssuerRef};

/// Of which part of its lifetime so little may be left that it counts as about to end. cert-manager renews when a third
/// is left, so a third would leave a short certificate with no time in which its renewal is held at all: half of that.
const SHARE: i32 = 6;
/// The most certificates of a host that are kept.
const MOST: usize = 8;

/// A certificate that a CA is known to have issued, for the host and whatever else is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Certified {
    /// By which issuer.
    pub issuer: IssuerRef,
    /// The issuer's ACME directory then: it may since have become another CA's.
    pub server: String,
    /// A digest of its names, all of them.
    pub names: String,
    /// From when on it is valid.
    pub not_before: Time,
    /// Until when.
    pub not_after: Time,
}

/// A digest of a set of names.
pub fn digest<'h>(hosts: impl IntoIterator<Item = &'h Host>) -> String {
    let mut names: Vec<&str> = hosts.into_iter().map(Host::as_str).collect();
    names.sort_unstable();
    names.dedup();
    Sha256::digest(names.join(" ")).iter().take(16).map(|octet| format!("{octet:02x}")).collect()
}

/// How much of a certificate's lifetime may be left when it counts as about to end: a sixth, and no more than that many days.
pub fn last_part(not_before: Option<Timestamp>, not_after: Timestamp, days: u32) -> SignedDuration {
    let most = SignedDuration::from_hours(24 * i64::from(days));
    not_before.map_or(most, |from| (from.duration_until(not_after) / SHARE).clamp(SignedDuration::ZERO, most))
}

/// What is to be kept of what is known (`kept`) and of what Orders show: of each issuer and set of names the one that
/// ends last. `stands`: whether it is still the same CA that the issuer names.
pub fn keep(
    kept: &[Certified],
    shown: impl IntoIterator<Item = Certified>,
    stands: impl Fn(&Certified) -> bool,
    days: u32,
    now: Timestamp,
) -> Vec<Certified> {
    let mut all: Vec<Certified> = kept.iter().cloned().chain(shown).collect();
    all.retain(|one| one.until(days) > now && stands(one));
    all.sort_by(|a, b| {
        let what = |one: &Certified| (one.issuer.clone(), one.server.clone(), one.names.clone());
        what(a).cmp(&what(b)).then(b.not_after.0.cmp(&a.not_after.0))
    });
    all.dedup_by(|a, b| (&a.issuer, &a.server, &a.names) == (&b.issuer, &b.server, &b.names));
    if all.len() > MOST {
        all.sort_by_key(|one| std::cmp::Reverse(one.not_after.0));
        all.truncate(MOST);
    }
    all
}

// === impl Certified ===

impl Certified {
    /// Whether it is one of that issuer for exactly those names.
    pub fn is_of(&self, issuer: &IssuerRef, names: &str) -> bool {
        self.issuer == *issuer && self.names == names
    }

    /// From when on its renewal is let through, whatever DNS shows.
    pub fn from(&self, days: u32) -> Timestamp {
        let end = self.not_after.0;
        end.checked_sub(last_part(Some(self.not_before.0), end, days)).unwrap_or(end)
    }

    /// Until when: a renewal that comes too late is still better than none, but not for ever.
    pub fn until(&self, days: u32) -> Timestamp {
        let end = self.not_after.0;
        end.checked_add(last_part(Some(self.not_before.0), end, days)).unwrap_or(end)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    fn one(issuer: &str, names: &str, from: i64, to: i64) -> Certified {
        Certified {
            issuer: IssuerRef::cluster(issuer),
            server: "https://ca.example/dir".into(),
            names: names.into(),
            not_before: Time(at(from)),
            not_after: Time(at(to)),
        }
    }

    #[rstest]
    // cert-manager renews these when 53, 360 and 720 hours are left.
    #[case::six_days(160, 26)]
    #[case::forty_five_days(45 * 24, 7 * 24)]
    #[case::ninety_days(90 * 24, 7 * 24)]
    #[case::ten_years(87_600, 7 * 24)]
    fn a_certificate_is_about_to_end_in_the_last_sixth_of_its_life(#[case] life: i64, #[case] left: i64) {
        let certified = one("le", "n", 0, life);
        assert_eq!(certified.from(7).duration_until(at(life)).as_hours(), left);
        assert_eq!(at(life).duration_until(certified.until(7)).as_hours(), left);
    }

    #[test]
    fn a_certificate_that_ends_before_it_begins_is_never_about_to() {
        let certified = one("le", "n", 10, 5);
        assert_eq!((certified.from(7), certified.until(7)), (at(5), at(5)));
    }

    #[test]
    fn the_latest_of_each_issuer_and_set_of_names_is_kept_until_it_is_over() {
        let kept = [one("le", "a", 0, 100), one("le", "b", 0, 100), one("other", "a", 0, 90)];
        let shown = [one("le", "a", 50, 150), one("gone", "a", 0, 200)];
        let keep = |now| keep(&kept, shown.clone(), |one| one.issuer.name != "gone", 7, at(now));
        let ends = |all: &[Certified]| all.iter().map(|one| one.not_after.0.as_second() / 3600).collect::<Vec<_>>();
        assert_eq!(ends(&keep(60)), [150, 100, 90]);
        assert_eq!(ends(&keep(120)), [150]);
        let many = (0..20).map(|n| one("le", &n.to_string(), 0, 100 + n));
        assert_eq!(ends(&super::keep(&[], many, |_| true, 7, at(1))), [119, 118, 117, 116, 115, 114, 113, 112]);
    }

    #[test]
    fn a_digest_is_one_of_a_set() {
        let hosts = |names: &[&str]| names.iter().map(|name| Host::parse(name).unwrap()).collect::<Vec<_>>();
        assert_eq!(
            digest(&hosts(&["b.example.com", "a.example.com"])),
            digest(&hosts(&["a.example.com", "b.example.com"]))
        );
        assert_ne!(digest(&hosts(&["a.example.com"])), digest(&hosts(&["a.example.com", "b.example.com"])));
    }
}
