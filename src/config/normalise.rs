//! Brings a policy's names into the form in which hosts are compared: lower case, ASCII, without a final dot.

use crate::core::{host::Host, policy::Policy};

/// Normalises what has more than one spelling. What is no name at all stays as it is, for [`super::check`] to refuse.
pub(super) fn normalise(policy: &mut Policy) {
    for name in policy.platform_domains.iter_mut().chain(&mut policy.gateway.cnames) {
        canonical(name);
    }
    for rule in &mut policy.rules {
        rule.r#match.hosts.iter_mut().for_each(canonical);
    }
    for names in policy.caa_identities.values_mut() {
        names.iter_mut().for_each(canonical);
    }
}

fn canonical(name: &mut String) {
    // A glob is seldom a host: `*` in the middle, or alone. Its letters still have a case.
    *name = match Host::parse(name) {
        Ok(host) => host.as_str().to_owned(),
        Err(_) => name.trim().to_ascii_lowercase(),
    };
}
