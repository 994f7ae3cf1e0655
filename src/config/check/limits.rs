//! `limits`.

use std::collections::BTreeMap;

use super::Faults;
use crate::core::limits::policy::{LimitsPolicy, RatePolicy};

/// Longer than the longest limit that is known (failures in a row: 1,152 days to forget them all).
const MAX_SECONDS: u32 = 1_200 * 24 * 3_600;

pub(super) fn limits(faults: &mut Faults, limits: &BTreeMap<String, LimitsPolicy>) {
    for (directory, limits) in limits {
        if !directory.starts_with("https://") && !directory.starts_with("http://") {
            let message = "the key is no URL; write the ACME directory's, as in the issuer's spec.acme.server";
            faults.add_to(directory, message.to_owned());
        }
        faults.within(directory.as_str(), |faults| {
            share(faults, Some(limits.share));
            for (name, rate) in [
                ("newOrders", limits.new_orders),
                ("certificatesPerDomain", limits.certificates_per_domain),
                ("certificatesPerSet", limits.certificates_per_set),
                ("failedAuthorizations", limits.failed_authorizations),
                ("consecutiveFailures", limits.consecutive_failures),
            ] {
                if let Some(rate) = rate {
                    faults.within(name, |faults| one(faults, rate));
                }
            }
        });
    }
}

fn one(faults: &mut Faults, rate: RatePolicy) {
    if !(1..=MAX_SECONDS).contains(&rate.seconds) {
        let message = format!("{} is out of bounds; write 1 to {MAX_SECONDS} seconds", rate.seconds);
        faults.add_to("seconds", message);
    }
    share(faults, rate.share);
}

fn share(faults: &mut Faults, share: Option<u8>) {
    if let Some(share) = share.filter(|share| !(1..=100).contains(share)) {
        faults.add_to(
            "share",
            format!("{share} is no percentage; write 1 to 100, or `enabled: false` to keep to no limits"),
        );
    }
}
