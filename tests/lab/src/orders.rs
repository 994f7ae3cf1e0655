//! Orders: how many there were, and how each came about.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::lab::Lab;

/// The kinds by which an order comes about and ends.
const KINDS: [&str; 4] = ["certificates", "certificaterequests", "orders", "challenges"];

/// How many orders cert-manager has made for a host since the lab was started, deleted ones included. Read from the
/// API server's audit log, so the lab needs one; where the host is the only one of a lab, Pebble must say the same.
pub fn made(lab: &Lab, host: &str) -> Result<usize> {
    let log = lab.audit_log()?;
    let made = log.iter().filter(|event| {
        let names = event.pointer("/requestObject/spec/dnsNames").and_then(Value::as_array);
        text(event, "/verb") == "create"
            && text(event, "/objectRef/resource") == "orders"
            && is_done(event)
            && names.into_iter().flatten().any(|name| name == host)
    });
    let made = made.count();
    let seen = lab.pebble().orders()?;
    ensure!(seen >= made, "Pebble has seen {seen} orders, cert-manager made {made} for {host} alone");
    Ok(made)
}

/// Every write to cert-manager's objects, a line each: when, what, by whom, and what the object then said of itself; and
/// the lines in which Pebble tells of orders. For the message of a test that counted another number than it should.
pub fn account(lab: &Lab) -> Result<String> {
    let mut lines = Vec::new();
    for event in lab.audit_log()? {
        let kind = text(&event, "/objectRef/resource");
        if KINDS.contains(&kind) && is_done(&event) {
            lines.push(format!(
                "{} {} {kind} {} by {}: {}",
                text(&event, "/requestReceivedTimestamp"),
                text(&event, "/verb"),
                text(&event, "/responseObject/metadata/name"),
                text(&event, "/userAgent"),
                said(&event),
            ));
        }
    }
    lines.extend(lab.pebble().order_lines()?);
    Ok(lines.join("\n"))
}

/// State and reasons of the object that a write has led to.
fn said(event: &Value) -> String {
    let status = event.pointer("/responseObject/status");
    let conditions = status.and_then(|status| status.get("conditions")).and_then(Value::as_array);
    let conditions = conditions.into_iter().flatten().map(|condition| {
        format!(
            "{}={} {} {}",
            text(condition, "/type"),
            text(condition, "/status"),
            text(condition, "/reason"),
            text(condition, "/message"),
        )
    });
    let fields = ["state", "reason", "url"].map(|field| status.map_or("", |status| text(status, &format!("/{field}"))));
    let said: Vec<String> =
        fields.map(str::to_owned).into_iter().chain(conditions).filter(|part| !part.is_empty()).collect();
    said.join("; ")
}

fn is_done(event: &Value) -> bool {
    text(event, "/stage") == "ResponseComplete"
        && event.pointer("/responseStatus/code").and_then(Value::as_u64).is_some_and(|code| code < 300)
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
