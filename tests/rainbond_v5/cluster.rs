//! One namespace of a Rainbond 5 cluster with certgate in it: each write of an
//! Ingress passes certgate's decision, and the gateway sees what comes of it.

use std::collections::BTreeMap;

use certgate::core::{
    decide::decide,
    finding::Finding,
    ingress::Ingress,
    knowledge::{DomainFacts, Knowledge, VerdictFacts},
    names,
    policy::{AutoIssue, IssuerRef, PlainHttp, Policy, Profile, Rule},
    reason::Reason,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    fixtures::{NAMESPACE, application, issue, name, secret},
    gateway::{
        Gateway, Kind, Order,
        objects::{list, text},
        served,
    },
};

/// The namespace, its gateway, and what certgate knows.
pub(crate) struct Cluster {
    /// One lists Ingresses forwards, the other backwards; both must serve the same.
    gateways: [Gateway; 2],
    ingresses: BTreeMap<String, Value>,
    known: Known,
    policy: Policy,
}

/// The Domains of the namespace.
#[derive(Default)]
struct Known(BTreeMap<String, DomainFacts>);

impl Knowledge for Known {
    fn namespace_label(&self, _: &str, _: &str) -> Option<&str> {
        None
    }
    fn domain(&self, _: &str, host: &str) -> Option<&DomainFacts> {
        self.0.get(host)
    }
    fn has_profile(&self, _: &str, profile: Profile) -> bool {
        profile == Profile::RainbondV5
    }
}

// === impl Cluster ===

impl Cluster {
    /// Rainbond's application `web` runs; all hosts are flagged.
    pub(crate) fn new() -> Self {
        let policy =
            Policy { issuer: Some(IssuerRef::cluster("letsencrypt")), auto_issue: AutoIssue::All, ..Policy::default() };
        let gateways = [Gateway::listing(Order::Forwards), Gateway::listing(Order::Backwards)];
        let mut cluster = Self { gateways, ingresses: BTreeMap::new(), known: Known::default(), policy };
        application().into_iter().for_each(|object| cluster.store(object));
        cluster
    }

    /// From now on plain HTTP is to be kept for all hosts.
    pub(crate) fn keep_http(&mut self) {
        self.policy.rules = vec![Rule { http: Some(PlainHttp::Keep), ..Rule::default() }];
    }

    /// Someone writes an Ingress; the webhook decides. Returns what is stored.
    pub(crate) fn put(&mut self, ingress: Value) -> Value {
        let admitted = self.decided(&ingress);
        self.ingresses.insert(name(&admitted).to_owned(), admitted.clone());
        self.store(admitted.clone());
        admitted
    }

    /// Any other object is written.
    pub(crate) fn store(&mut self, object: Value) {
        self.gateways.iter_mut().for_each(|gateway| gateway.apply(object.clone()));
    }

    /// An Ingress is deleted.
    pub(crate) fn delete(&mut self, ingress: &Value) {
        self.ingresses.remove(name(ingress));
        self.gateways.iter_mut().for_each(|gateway| gateway.delete(Kind::Ingress, NAMESPACE, name(ingress)));
    }

    /// The gateway's process is replaced.
    pub(crate) fn restart_gateway(&mut self) {
        self.gateways.iter_mut().for_each(Gateway::restart);
    }

    /// The controller learns something about a host, and writes each Ingress for which the
    /// decision is another now. Returns the names of those it wrote.
    pub(crate) fn learn(&mut self, host: &str, change: impl FnOnce(&mut DomainFacts)) -> Vec<String> {
        change(self.known.0.entry(host.to_owned()).or_default());
        let mut written = Vec::new();
        for (name, ingress) in self.ingresses.clone() {
            if self.decided(&ingress) != ingress {
                self.put(ingress);
                written.push(name);
            }
        }
        written
    }

    /// What the check of a host concluded, and which Ingress leads.
    pub(crate) fn check(&mut self, host: &str, reason: Reason, lead: &str) -> Vec<String> {
        let verdict = VerdictFacts {
            finding: Finding::new(reason, host),
            issuer: None,
            server: None,
            valid_until: Timestamp::MAX,
        };
        self.learn(host, |domain| {
            domain.released |= reason.opens_gate();
            domain.verdict = Some(verdict);
            domain.lead = Some(lead.into());
        })
    }

    /// cert-manager's turn: a Secret for each TLS entry of an Ingress that names an
    /// issuer, made as its annotations say. Returns the names of the Secrets.
    pub(crate) fn issue(&mut self, serial: u16) -> Vec<String> {
        let mut issued = Vec::new();
        for ingress in self.ingresses.clone().values() {
            let annotation = |key: &str| ingress["metadata"]["annotations"][key].as_str();
            if annotation(names::CLUSTER_ISSUER).is_none() {
                continue;
            }
            let template: Value = serde_json::from_str(annotation(names::SECRET_TEMPLATE).unwrap_or("{}")).unwrap();
            for entry in list(ingress, "/spec/tls") {
                let hosts: Vec<&str> = list(entry, "/hosts").iter().filter_map(Value::as_str).collect();
                let mut made = secret(text(entry, "/secretName"), &issue(&hosts, serial));
                made["metadata"]["labels"] = template.get("labels").cloned().unwrap_or_else(|| json!({}));
                issued.push(name(&made).to_owned());
                self.store(made);
            }
        }
        issued
    }

    /// The gateway, which serves the same in whatever order it lists Ingresses.
    pub(crate) fn gateway(&self) -> &Gateway {
        let [forwards, backwards] = &self.gateways;
        let cell = |gateway: &Gateway| gateway.served().map(|servers| served::cell(&servers));
        assert_eq!(cell(forwards), cell(backwards), "the order of the list shows");
        forwards
    }

    /// What nginx serves, as the table writes it.
    pub(crate) fn served(&self) -> String {
        served::cell(&self.gateway().served().unwrap())
    }

    fn decided(&self, ingress: &Value) -> Value {
        let text = ingress.to_string();
        let parsed: Ingress<'_> = serde_json::from_str(&text).unwrap();
        let decision = decide(&parsed, &self.known, &self.policy, "2026-11-24T12:00:00Z".parse().unwrap());
        let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(&decision.patch).unwrap()).unwrap();
        let mut after = ingress.clone();
        json_patch::patch(&mut after, &patch).unwrap();
        after
    }
}
