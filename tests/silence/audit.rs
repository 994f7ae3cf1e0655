//! Who wrote what and when, by the API server's audit log.

use anyhow::Result;
use certgate_lab::{Lab, certgate as installed};
use jiff::Timestamp;
use serde_json::Value;

/// A write of a controller, as the API server saw it.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "some of it is only shown")]
pub(crate) struct Write {
    /// The replica, told by its token.
    pub(crate) replica: String,
    pub(crate) at: Timestamp,
    pub(crate) code: i64,
    pub(crate) verb: String,
    pub(crate) what: String,
    /// Whether it is about the Lease.
    pub(crate) lease: bool,
}

fn token(event: &Value) -> Option<&str> {
    event.pointer("/user/extra/authentication.kubernetes.io~1credential-id/0")?.as_str()
}

fn at(event: &Value, key: &str) -> Option<Timestamp> {
    event[key].as_str()?.parse().ok()
}

/// All writes of the controller's replicas, in the order in which the API server received them.
pub(crate) fn writes(lab: &Lab) -> Result<Vec<Write>> {
    let account = format!("system:serviceaccount:{}:{}", installed::NAMESPACE, installed::CONTROLLER);
    let mut events = lab.audit_log()?;
    events.retain(|event| event["user"]["username"] == account.as_str() && event["stage"] == "ResponseComplete");
    events.sort_by_key(|event| at(event, "requestReceivedTimestamp"));
    // Each replica has a token of its own, and says in the Lease who it is.
    let mut names: std::collections::HashMap<String, String> = std::collections::HashMap::new();
    for event in &events {
        let holder = event.pointer("/requestObject/spec/holderIdentity").and_then(Value::as_str);
        if let (Some(token), Some(holder)) = (token(event), holder.filter(|holder| !holder.is_empty())) {
            // Without what tells a restart.
            let pod = holder.rsplit_once('-').map_or(holder, |(pod, _)| pod);
            names.insert(token.to_owned(), pod.to_owned());
        }
    }
    let write = |event: &Value| {
        let object = &event["objectRef"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Some(Write {
            replica: token(event).and_then(|token| names.get(token)).cloned().unwrap_or_else(|| "unknown".to_owned()),
            at: at(event, "requestReceivedTimestamp")?,
            code: event["responseStatus"]["code"].as_i64().unwrap_or_default(),
            verb: text(&event["verb"]),
            what: format!("{}/{} {}", text(&object["resource"]), text(&object["subresource"]), text(&object["name"])),
            lease: object["resource"] == "leases",
        })
    };
    Ok(events.iter().filter_map(write).collect())
}

/// The writes of one replica that changed something other than the Lease.
pub(crate) fn work_of<'w>(writes: &'w [Write], replica: &str) -> Vec<&'w Write> {
    writes.iter().filter(|write| write.replica == replica && !write.lease && write.code < 300).collect()
}
