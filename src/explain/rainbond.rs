//! Rainbond 6: its routes, and the Certificates of its switch. They are changed in nothing; what there is to tell is what
//! becomes of their hosts.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    documents::Document,
    render::{Explained, Remark},
};
use crate::{
    cluster::world::World,
    core::{
        finding::Finding,
        host::Host,
        names,
        policy::{GateMode, Policy},
        reason::{Action, Reason},
        settings::{self, Flag},
        verdict::refuse,
    },
    status::Row,
};

/// What becomes of a host that no Ingress names.
#[derive(Clone, Debug)]
pub struct Fate {
    /// The host, as written where it is no host.
    pub host: String,
    /// What the gate does with requests for it; `tell`: there are none that it holds back or lets go.
    pub word: &'static str,
    /// As what it is shown.
    pub action: Action,
    /// Why.
    pub finding: Finding,
}

/// What becomes of a route's hosts.
pub fn route(document: &Document, world: &World, policy: &Policy) -> Explained {
    let (namespace, name) = id(document);
    let rules = document.object.pointer("/spec/http").and_then(Value::as_array).into_iter().flatten();
    let hosts = rules.filter_map(|rule| rule.pointer("/match/hosts")?.as_array()).flatten().filter_map(Value::as_str);
    let mut seen = BTreeSet::new();
    let mut wanted = false;
    let fates = hosts.filter(|text| seen.insert(*text)).map(|text| {
        let host = match Host::parse(text) {
            Ok(host) => host,
            Err(error) => return Fate { finding: refuse(text, error).finding, ..skipped(text, Reason::HostInvalid) },
        };
        match world.flag_of_route(namespace, name, &host) {
            Flag::On => {
                wanted = true;
                fate(&host, namespace, world, policy)
            }
            Flag::Off(reason) => skipped(text, reason),
        }
    });
    let fates: Vec<Fate> = fates.collect();
    let label = document.object.pointer("/metadata/labels").and_then(|labels| labels.get(names::RAINBOND_ISSUANCE));
    let switched = label.and_then(Value::as_str).and_then(settings::parse_flag) == Some(true);
    let remark = match (wanted, switched) {
        (true, _) => gate_off(policy),
        (false, true) if !policy.rainbond.routes => Some(Remark::RoutesOff),
        _ => None,
    };
    Explained::checked("ApisixRoute", namespace, name, fates, remark)
}

/// What becomes of the host of a Certificate of Rainbond's switch; `None`: it is not one.
pub fn certificate(document: &Document, world: &World, policy: &Policy) -> Option<Explained> {
    let (namespace, name) = id(document);
    let switch = world.switch_certificate(namespace, name)?;
    let (host, issuer) = (&switch.host, &switch.issuer);
    let (fate, remark) = if switch.looked_after {
        (fate(host, namespace, world, policy), gate_off(policy))
    } else if policy.excludes(namespace) {
        (skipped(host.as_str(), Reason::NamespaceExcluded), None)
    } else if !policy.issuers().any(|named| named == issuer) {
        (skipped(host.as_str(), Reason::NotFlagged), Some(Remark::OtherIssuer(issuer.to_string())))
    } else {
        let remark = (!policy.rainbond.routes).then_some(Remark::RoutesOff);
        (skipped(host.as_str(), Reason::NotFlagged), remark)
    };
    Some(Explained::checked("Certificate", namespace, name, vec![fate], remark))
}

fn id(document: &Document) -> (&str, &str) {
    let text = |pointer: &str| document.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    (text("/metadata/namespace"), text("/metadata/name"))
}

fn gate_off(policy: &Policy) -> Option<Remark> {
    (policy.gate.mode == GateMode::Off).then_some(Remark::GateOff)
}

/// What the host's Domain says.
fn fate(host: &Host, namespace: &str, world: &World, policy: &Policy) -> Fate {
    let finding = match world.domain_object(namespace, host) {
        Some(seen) => Row::of(&seen.domain).finding,
        None => Finding::new(Reason::Pending, host),
    };
    let action = finding.reason.action();
    let nothing_asks = matches!(finding.reason, Reason::RouteWithoutCertificate | Reason::CertificateLeftOver);
    let word = match action {
        _ if nothing_asks || policy.gate.mode == GateMode::Off => "tell",
        Action::Inject => "approve",
        action => action.as_str(),
    };
    Fate { host: host.to_string(), word, action, finding }
}

fn skipped(host: &str, reason: Reason) -> Fate {
    Fate {
        host: host.to_owned(),
        word: Action::Skip.as_str(),
        action: Action::Skip,
        finding: Finding::new(reason, host),
    }
}
