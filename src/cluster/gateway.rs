//! Where the gateway is reached from outside.

use crate::core::{policy::Policy, verdict::GatewayTarget};

/// What policy says by itself.
pub fn from_policy(policy: &Policy) -> GatewayTarget {
    let gateway = &policy.gateway;
    let mut addresses = gateway.addresses.clone();
    addresses.sort_unstable();
    addresses.dedup();
    GatewayTarget {
        addresses,
        cnames: gateway.cnames.clone(),
        target: gateway.target,
        allow_reserved: gateway.allow_reserved,
    }
}
