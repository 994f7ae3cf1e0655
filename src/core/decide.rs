//! [`decide`]: the product. What to do with an Ingress, given what is known and what policy wants.

use jiff::Timestamp;

use super::{
    decision::Decision,
    ingress::Ingress,
    knowledge::Knowledge,
    policy::{Policy, Profile},
};

/// Decides about an Ingress. Total: no I/O, no clock, no error.
pub fn decide<'a, K: Knowledge>(
    ingress: &'a Ingress<'a>,
    knowledge: &'a K,
    policy: &'a Policy,
    now: Timestamp,
) -> Decision<'a> {
    let _ = (ingress, knowledge, policy, now);
    Decision { profile: Profile::Standard, lead: false, hosts: Vec::new(), patch: Vec::new() }
}
