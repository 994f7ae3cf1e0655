//! What certgate's two accounts need to be allowed. The chart grants the same,
//! which a test holds against its rendered roles.

use super::observed::Names;
use crate::core::policy::{GateMode, Policy};

/// One right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The ServiceAccount that needs it.
    pub account: String,
    /// What is to be done.
    pub verb: &'static str,
    /// The API group; empty: the core group.
    pub group: &'static str,
    /// The resource, or resource/subresource.
    pub resource: &'static str,
    /// Only to the object of this name.
    pub name: Option<String>,
    /// Only in this namespace; `None`: everywhere.
    pub namespace: Option<String>,
}

const READ: &[&str] = &["list", "watch"];

/// Collects the rights of one account.
struct Needs<'a> {
    account: &'a str,
    found: Vec<Permission>,
}

impl Needs<'_> {
    fn add(
        &mut self,
        group: &'static str,
        resource: &'static str,
        verbs: &[&'static str],
        name: Option<&str>,
        namespace: Option<&str>,
    ) {
        self.found.extend(verbs.iter().map(|verb| Permission {
            account: self.account.to_owned(),
            verb,
            group,
            resource,
            name: name.map(str::to_owned),
            namespace: namespace.map(str::to_owned),
        }));
    }

    fn everywhere(&mut self, group: &'static str, resource: &'static str, verbs: &[&'static str]) {
        self.add(group, resource, verbs, None, None);
    }
}

/// The rights that the accounts need under a policy.
pub fn needed(names: &Names, policy: &Policy) -> Vec<Permission> {
    let own = Some(names.namespace.as_str());
    let gated = policy.gate.mode != GateMode::Off;

    let mut webhook = Needs { account: &names.accounts.webhook, found: Vec::new() };
    webhook.everywhere("certgate.dev", "domains", READ);
    webhook.everywhere("", "namespaces", READ);
    let configurations = "mutatingwebhookconfigurations";
    webhook.add("admissionregistration.k8s.io", configurations, READ, Some(&names.prefix), None);
    if gated {
        let group = "admissionregistration.k8s.io";
        webhook.add(group, "validatingwebhookconfigurations", READ, Some(&names.approval()), None);
    }
    if names.self_managed {
        webhook.add("", "secrets", READ, Some(&names.tls_secret), own);
    }

    let mut controller = Needs { account: &names.accounts.controller, found: webhook.found };
    for (group, resource, verbs) in CONTROLLER {
        controller.everywhere(group, resource, verbs);
    }
    controller.add("coordination.k8s.io", "leases", &["create"], None, own);
    controller.add("coordination.k8s.io", "leases", &["get", "patch"], Some(&names.controller()), own);
    if gated {
        controller.everywhere("cert-manager.io", "certificaterequests/status", &["patch"]);
        for signer in ["clusterissuers.cert-manager.io/*", "issuers.cert-manager.io/*"] {
            controller.add("cert-manager.io", "signers", &["approve"], Some(signer), None);
        }
    }
    if names.self_managed {
        let group = "admissionregistration.k8s.io";
        controller.add(group, configurations, &["list", "watch", "patch"], Some(&names.prefix), None);
        let verbs: &[&str] = if gated { &["list", "watch", "patch"] } else { READ };
        controller.add(group, "validatingwebhookconfigurations", verbs, Some(&names.approval()), None);
        controller.add("", "secrets", &["create"], None, own);
        for secret in [&names.ca_secret(), &names.tls_secret] {
            controller.add("", "secrets", &["list", "watch", "update"], Some(secret), own);
        }
    }
    if policy.rainbond.routes {
        controller.everywhere("apisix.apache.org", "apisixroutes", READ);
        controller.everywhere("cert-manager.io", "certificates/status", &["patch"]);
    }
    if let Some(console) = &policy.console {
        controller.everywhere("certgate.dev", "domains", &["patch"]);
        controller.add("", "secrets", &["get"], Some(&console.secret), own);
    }
    if names.page_asks {
        controller.everywhere("authentication.k8s.io", "tokenreviews", &["create"]);
        controller.everywhere("authorization.k8s.io", "subjectaccessreviews", &["create"]);
    }
    if policy.gateway.rainbond {
        controller.everywhere("rainbond.io", "rainbondclusters", READ);
    }
    if let Some(service) = &policy.gateway.service {
        controller.add("", "services", READ, Some(&service.name), Some(&service.namespace));
    }
    controller.found
}

/// What the controller does everywhere, whatever the policy.
const CONTROLLER: &[(&str, &str, &[&str])] = &[
    ("certgate.dev", "domains", &["list", "watch", "create", "delete"]),
    ("certgate.dev", "domains/status", &["update"]),
    ("certgate.dev", "verifiedhosts", &["list", "watch", "create", "patch", "delete"]),
    ("networking.k8s.io", "ingresses", &["get", "list", "watch", "create", "update", "patch", "delete"]),
    ("", "namespaces", READ),
    ("", "secrets", READ),
    ("cert-manager.io", "certificates", &["list", "watch", "delete"]),
    ("cert-manager.io", "certificaterequests", READ),
    ("cert-manager.io", "issuers", READ),
    ("cert-manager.io", "clusterissuers", READ),
    ("acme.cert-manager.io", "orders", READ),
    ("acme.cert-manager.io", "challenges", READ),
    ("events.k8s.io", "events", &["create", "patch"]),
];

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{} {}{dot}{}", self.verb, self.resource, self.group)?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => Ok(()),
        }
    }
}
