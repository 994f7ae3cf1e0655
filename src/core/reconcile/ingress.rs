//! What is to be written to an application's Ingress: what [`decide`] says, and as seldom as possible.

use jiff::Timestamp;
use serde_json::Value;

use super::twin;
use crate::core::{
    decide::decide,
    finding::{Finding, Lang},
    host::Host,
    ingress::Ingress,
    knowledge::Knowledge,
    names,
    patch::{PatchOp, annotation_path},
    policy::Policy,
    reason::{Action, Reason, WhoActs},
};

/// What to do about an Ingress.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IngressPlan {
    /// The patch; none: leave it alone.
    pub patch: Vec<PatchOp>,
    /// Each host with what is done and why, for logs.
    pub hosts: Vec<(String, Action, Reason)>,
    /// What must be told and no Domain tells.
    pub trouble: Vec<Trouble>,
    /// Certificates, by name and uid, that were made of entries of the user's while an issuer of ours stood on the Ingress.
    /// They go once that is gone, lest they go on ordering.
    pub strays: Vec<(String, String)>,
    /// The host for which it is to have a twin that keeps HTTP open; `None`: it is to have none.
    pub twin: Option<Host>,
}

/// What keeps a flagged host from being served, for reasons that no Domain tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// The host.
    pub host: String,
    /// Why.
    pub reason: Reason,
    /// In a sentence.
    pub message: String,
}

// === impl IngressPlan ===

impl IngressPlan {
    /// An Ingress that is not certgate's has the name of its twin, where it is to have one.
    pub fn lacks_twin(&mut self, ingress: &str) {
        let Some((host, name)) = self.twin.as_ref().zip(twin::name(ingress)) else { return };
        let finding = Finding::new(Reason::CompanionNameTaken, host).note(name);
        let (host, reason, message) = (host.to_string(), finding.reason, finding.sentence(Lang::En));
        self.trouble.push(Trouble { host, reason, message });
    }
}

/// Plans for an Ingress as last seen.
pub fn plan<K: Knowledge>(ingress: &Ingress<'_>, knowledge: &K, policy: &Policy, now: Timestamp) -> IngressPlan {
    let decision = decide(ingress, knowledge, policy, now);
    let namespace = ingress.metadata.namespace.as_ref();
    let twin = twin::wanted(ingress, &decision, knowledge, policy);
    let mut plan = IngressPlan {
        patch: decision.patch,
        hosts: decision.hosts.iter().map(|d| (d.host.to_string(), d.action, d.reason())).collect(),
        trouble: Vec::new(),
        strays: Vec::new(),
        twin,
    };
    for host in &decision.hosts {
        let told_by_domain = knowledge
            .domain(namespace, &host.host)
            .is_some_and(|d| d.verdict.as_ref().is_some_and(|v| v.finding.reason == host.reason()));
        let concerns = match host.action {
            Action::Skip | Action::Withdraw => host.reason().who_acts() == WhoActs::AppDeveloper,
            Action::Hold => host.reason().who_acts() != WhoActs::Nobody,
            Action::Inject => false,
        };
        if concerns && !told_by_domain {
            plan.trouble.push(Trouble {
                host: host.host.to_string(),
                reason: host.reason(),
                message: host.finding().sentence(Lang::En),
            });
        }
    }
    if decision.hosts.iter().any(|host| host.reason() == Reason::CompanionIngress) {
        return plan;
    }
    let holds_parts = decision.hosts.iter().any(|host| host.action == Action::Inject);
    if plan.patch.is_empty() && !holds_parts && ingress.annotation(names::INJECTED).is_none() {
        // Off means off: our nudges go with the rest.
        plan.patch
            .extend(ingress.annotation(names::NUDGE).map(|_| PatchOp::Remove { path: annotation_path(names::NUDGE) }));
    }
    plan
}

/// The patch as it is sent: applies to the version that the plan was made for and to no other.
pub fn guarded(patch: &[PatchOp], resource_version: &str) -> Result<Value, serde_json::Error> {
    let mut ops = vec![serde_json::json!({
        "op": "test", "path": "/metadata/resourceVersion", "value": resource_version,
    })];
    for op in patch {
        ops.push(serde_json::to_value(op)?);
    }
    Ok(Value::Array(ops))
}
