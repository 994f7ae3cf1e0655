//! cert-manager's part of the simulation.

use serde_json::{Value, json};

use super::{Cluster, Id};
use crate::{
    cluster::world::Key,
    core::{names, reconcile::request::RequestPlan},
};

impl Cluster {
    /// ingress-shim (cert-manager `certificate-shim/sync.go`): acts on this one Ingress, as it is now.
    pub(super) fn shim(&mut self, id: &Id) {
        let Some(ingress) = self.objects.get(id).filter(|_| !self.shim_is_down).cloned() else { return };
        let annotations = &ingress["metadata"]["annotations"];
        let Some(issuer) = annotations["cert-manager.io/cluster-issuer"].as_str() else { return };
        let uid = ingress["metadata"]["uid"].clone();
        let entries: Vec<Value> = ingress["spec"]["tls"].as_array().cloned().unwrap_or_default();
        for entry in &entries {
            let secret = entry["secretName"].as_str().unwrap();
            let certificate = ("Certificate", id.1.clone(), secret.to_owned());
            let spec = json!({"secretName": secret, "dnsNames": entry["hosts"], "issuerRef": {"name": issuer, "kind": "ClusterIssuer"}});
            match self.objects.get(&certificate).cloned() {
                None => self.put("Certificate", json!({"metadata": {"namespace": id.1, "name": secret, "ownerReferences": [
                    {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": id.2, "uid": uid, "controller": true}]}, "spec": spec})),
                Some(mut old) if old["metadata"]["ownerReferences"][0]["uid"] == uid && old["spec"] != spec => {
                    old["spec"] = spec;
                    self.put("Certificate", old);
                }
                // Owned by somebody else: passed over, without a word.
                Some(_) => {}
            }
        }
        let unneeded: Vec<String> = self
            .objects
            .iter()
            .filter(|(other, object)| {
                other.0 == "Certificate" && object["metadata"]["ownerReferences"][0]["uid"] == uid
            })
            .filter(|(other, _)| !entries.iter().any(|entry| entry["secretName"] == other.2.as_str()))
            .map(|(other, _)| other.2.clone())
            .collect();
        for name in unneeded {
            self.delete_in("Certificate", &id.1, &name);
        }
    }

    /// cert-manager: a Secret of that Certificate is taken over, otherwise it orders. Issues at once.
    pub(super) fn issue(&mut self, id: &Id) {
        let mut certificate = self.objects[id].clone();
        if certificate["status"]["conditions"][0]["status"] == "True" {
            return;
        }
        if self.gated && !self.ask_for_approval(id, &certificate, 1) {
            return;
        }
        let secret = certificate["spec"]["secretName"].as_str().unwrap().to_owned();
        let theirs = self.objects.get(&("Secret", id.1.clone(), secret.clone())).is_some_and(|secret| {
            secret["metadata"]["annotations"]["cert-manager.io/certificate-name"] == id.2.as_str()
        });
        if !theirs {
            self.orders.push(certificate["spec"]["dnsNames"][0].as_str().unwrap().to_owned());
            self.put(
                "Order",
                json!({"metadata": {"namespace": id.1, "name": format!("{}-1-{}", id.2, self.versions)},
                "spec": {"dnsNames": certificate["spec"]["dnsNames"], "issuerRef": certificate["spec"]["issuerRef"]},
                "status": {"url": "https://ca.example/order/1", "state": "valid",
                    "certificate": chain(&certificate["spec"]["dnsNames"], BEGINS, ENDS)}}),
            );
            let labels = json!({"creator": "Rainbond"});
            self.put(
                "Secret",
                json!({"metadata": {"namespace": id.1, "name": secret, "labels": labels,
                "annotations": {"cert-manager.io/certificate-name": id.2}}}),
            );
        }
        // Conditions of others stay, as they do in cert-manager.
        let others = certificate["status"]["conditions"].as_array().into_iter().flatten();
        let others = others.filter(|one| one["type"] != "Ready").cloned();
        let ready = json!({"type": "Ready", "status": "True", "reason": "Ready"});
        let conditions: Vec<Value> = std::iter::once(ready).chain(others).collect();
        certificate["status"] = json!({"conditions": conditions,
            "notBefore": BEGINS, "notAfter": ENDS, "renewalTime": "2027-01-23T12:00:00Z"});
        self.put("Certificate", certificate);
    }

    /// cert-manager's request for a revision of a Certificate: whether it has been approved.
    fn ask_for_approval(&mut self, id: &Id, certificate: &Value, revision: u32) -> bool {
        let request = ("CertificateRequest", id.1.clone(), format!("{}-{revision}", id.2));
        if let Some(there) = self.objects.get(&request) {
            return there["status"]["conditions"][0]["type"] == "Approved";
        }
        if certificate["status"]["conditions"].is_null() {
            let mut looked_at = certificate.clone();
            looked_at["status"] =
                json!({"conditions": [{"type": "Ready", "status": "False", "reason": "DoesNotExist"}]});
            self.objects.insert(id.clone(), looked_at.clone());
            self.show("Certificate", looked_at);
        }
        let metadata = &certificate["metadata"];
        let mut annotations = json!({names::CERTIFICATE_NAME: id.2});
        if let Some(word) = metadata["annotations"][names::AUTO_ISSUE].as_str() {
            annotations[names::AUTO_ISSUE] = json!(word);
        }
        self.put("CertificateRequest", json!({
            "metadata": {"namespace": id.1, "name": request.2, "labels": metadata["labels"], "annotations": annotations,
                "ownerReferences": [{"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "name": id.2,
                    "uid": metadata["uid"], "controller": true}]},
            "spec": {"request": signing_request(&certificate["spec"]["dnsNames"]), "issuerRef": certificate["spec"]["issuerRef"]}}));
        false
    }

    /// cert-manager renews a Certificate; once the request is approved, with an order.
    pub(in super::super) fn renew(&mut self, name: &str) {
        let id = ("Certificate", "team-a".to_owned(), name.to_owned());
        let certificate = self.objects[&id].clone();
        assert!(!self.ask_for_approval(&id, &certificate, 2), "a new request");
    }

    pub(super) fn request(&mut self, key: Key, namespace: &str, name: &str) {
        let Some(seen) = self.world.request(namespace, name).cloned() else { return };
        let certificate = seen.certificate.clone();
        let owner = self.world.namespace_name(namespace);
        let place = self.world.place_of_request(&owner, &seen, self.now);
        let mut plan = self.world.plan_request(namespace, &seen, &place, self.now);
        if plan == RequestPlan::Ask {
            let place = self.world.ask_for_request(&owner, &seen, self.now);
            plan = self.world.plan_request(namespace, &seen, &place, self.now);
        }
        match plan {
            RequestPlan::Leave | RequestPlan::Ask => {}
            RequestPlan::Hold { until, .. } => self.wakes.extend(until.map(|at| (key, at))),
            RequestPlan::Approve { .. } => {
                let mut object = self.objects[&("CertificateRequest", namespace.to_owned(), name.to_owned())].clone();
                object["status"] = json!({"conditions": [{"type": "Approved", "status": "True"}]});
                self.put("CertificateRequest", object);
                let Some((certificate, _)) = certificate else { return };
                if name.ends_with("-2") {
                    self.orders.push(format!("{certificate} renewed"));
                } else {
                    self.issue(&("Certificate", namespace.to_owned(), certificate));
                }
            }
        }
    }
}

/// From when to when certificates are valid.
const BEGINS: &str = "2026-11-24T12:00:00Z";
const ENDS: &str = "2027-02-22T12:00:00Z";

/// A certificate as cert-manager writes it into an Order.
pub(in crate::cluster::world) fn chain(names: &Value, begins: &str, ends: &str) -> String {
    use base64::Engine as _;
    let names: Vec<String> = serde_json::from_value(names.clone()).unwrap();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    let moment = |text: &str| std::time::SystemTime::from(text.parse::<jiff::Timestamp>().unwrap()).into();
    (params.not_before, params.not_after) = (moment(begins), moment(ends));
    let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(certificate.pem())
}

/// A CSR as cert-manager writes it into a request.
fn signing_request(names: &Value) -> String {
    use base64::Engine as _;
    let names: Vec<String> = serde_json::from_value(names.clone()).unwrap();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let key = rcgen::KeyPair::generate().unwrap();
    base64::engine::general_purpose::STANDARD.encode(params.serialize_request(&key).unwrap().pem().unwrap())
}
