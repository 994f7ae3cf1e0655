//! What certificates are like: as cert-manager itself would take it.

use std::collections::BTreeMap;

use super::Faults;
use crate::core::{
    names,
    policy::CertificateSettings,
    shim::{Version, wishes},
};

pub(super) fn certificate(faults: &mut Faults, settings: &CertificateSettings) {
    let annotations: BTreeMap<&str, String> = settings.annotations(|_| false).into_iter().collect();
    let get = |key: &str| annotations.get(key).map(String::as_str);
    let read = wishes::read(get, Version::NEWEST).and_then(|wishes| wishes::admitted(&wishes, get));
    let Err(fault) = read else { return };
    let (parent, field) = match fault.annotation {
        names::DURATION => (None, "duration"),
        names::RENEW_BEFORE => (None, "renewBefore"),
        names::PRIVATE_KEY_SIZE => (Some("privateKey"), "size"),
        names::PRIVATE_KEY_ALGORITHM => (Some("privateKey"), "algorithm"),
        // All other parts can hold nothing but what cert-manager knows.
        _ => return,
    };
    let write = match fault.instead.as_str() {
        "" => String::new(),
        instead => format!("; write one like {instead}"),
    };
    let message = format!("`{}` is refused by cert-manager ({}){write}", fault.value, fault.words);
    match parent {
        Some(parent) => faults.within(parent, |faults| faults.add_to(field, message)),
        None => faults.add_to(field, message),
    }
}
