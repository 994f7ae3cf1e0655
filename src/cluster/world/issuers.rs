//! What an issuer's own words mean for a host.

use serde_json::Value;

use crate::{
    api::partial::issuer::Body,
    core::{
        host::Host,
        policy::Policy,
        reason::Reason,
        reconcile::IssuerView,
        verdict::{CaIdentity, Method},
    },
};

/// Whether the issuer speaks ACME.
pub fn is_acme(issuer: &Body) -> bool {
    issuer.spec.get("acme").is_some()
}

/// What is known of an issuer with respect to a host.
pub fn view(issuer: &Body, host: &Host, policy: &Policy) -> IssuerView {
    let conditions = issuer.status.get("conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().find(|c| c.get("type").and_then(Value::as_str) == Some("Ready"));
    let text = |value: Option<&Value>, key: &str| {
        value.and_then(|v| v.get(key)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    if text(ready, "status") != "True" {
        return IssuerView::NotReady(text(ready, "message"));
    }
    let Some(acme) = issuer.spec.get("acme") else { return IssuerView::NoValidation };
    let solvers = || acme.get("solvers").and_then(Value::as_array).into_iter().flatten();
    let has = |kind: &str| solvers().any(|solver| solver.get(kind).is_some());
    let method = if host.is_wildcard() {
        if !has("dns01") {
            return IssuerView::NoSolver(Reason::WildcardNeedsDns01, String::new());
        }
        Method::Dns01
    } else if has("http01") {
        Method::Http01
    } else if has("dns01") {
        Method::Dns01
    } else {
        return IssuerView::NoSolver(Reason::NoSolver, String::new());
    };
    let server = text(Some(acme), "server");
    let names = policy.caa_identities.get(&server).cloned().unwrap_or_default();
    let account = issuer.status.get("acme").map(|status| text(Some(status), "uri")).filter(|uri| !uri.is_empty());
    IssuerView::Acme { method, ca: CaIdentity { names, account_uri: account } }
}
