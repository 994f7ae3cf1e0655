use base64::Engine as _;
use serde_json::{Value, json};

use super::*;
use crate::core::{
    finding::Finding,
    knowledge::{DomainFacts, VerdictFacts},
    policy::{ApprovalGate, GateMode, Profile},
    reason::Reason,
};

const CONTROLLER: &str = "system:serviceaccount:certgate-system:certgate-controller";

struct Known(Option<DomainFacts>);

impl Knowledge for Known {
    fn namespace_label(&self, _: &str, _: &str) -> Option<&str> {
        None
    }
    fn domain(&self, _: &str, host: &str) -> Option<&DomainFacts> {
        self.0.as_ref().filter(|_| host == "a.example.com")
    }
    fn has_profile(&self, _: &str, _: Profile) -> bool {
        false
    }
}

fn found(reason: Reason) -> Known {
    let verdict = VerdictFacts {
        finding: Finding::new(reason, "a.example.com"),
        issuer: Some(IssuerRef::cluster("le")),
        server: None,
        valid_until: Timestamp::MAX,
    };
    Known(Some(DomainFacts { verdict: Some(verdict), ..DomainFacts::default() }))
}

fn policy(mode: GateMode) -> Policy {
    let gate = ApprovalGate { mode, ..ApprovalGate::default() };
    Policy { issuer: Some(IssuerRef::cluster("le")), gate, ..Policy::default() }
}

/// cert-manager's approver approves a request for `a.example.com`.
fn approval() -> Value {
    let mut params = rcgen::CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let pem = params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    let request = base64::engine::general_purpose::STANDARD.encode(pem);
    let object = json!({"apiVersion": "cert-manager.io/v1", "kind": "CertificateRequest",
        "metadata": {"name": "a-1", "namespace": "team", "uid": "u1", "annotations": {"other": "x"}},
        "spec": {"request": request, "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "le"}},
        "status": {"conditions": [{"type": "Approved", "status": "True", "reason": "cert-manager.io", "message": "m"}]}});
    let mut before = object.clone();
    before["status"] = json!({});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "r1", "operation": "UPDATE", "namespace": "team", "name": "a-1", "subResource": "status",
        "resource": {"group": "cert-manager.io", "version": "v1", "resource": "certificaterequests"},
        "userInfo": {"username": "system:serviceaccount:cert-manager:cert-manager", "groups": ["g"]},
        "object": object, "oldObject": before}})
}

fn answer(review: &Value, known: &Known, policy: &Policy) -> (Value, Outcome) {
    let body = review.to_string();
    let answer = read(body.as_bytes(), CONTROLLER).answer(known, policy, Timestamp::UNIX_EPOCH);
    (serde_json::from_slice(&answer.bytes).unwrap_or(Value::Null), answer.outcome)
}

#[test]
fn an_approval_that_comes_too_early_is_refused_with_the_reason_and_who_acts() {
    let (review, outcome) = answer(&approval(), &found(Reason::DomainNotFound), &policy(GateMode::All));
    let response = &review["response"];
    assert_eq!((&response["uid"], &response["allowed"]), (&json!("r1"), &json!(false)));
    assert_eq!(response["status"]["code"], 403);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("a.example.com") && message.contains("domain-owner"), "{message}");
    assert_eq!(outcome, Outcome::Refused(vec![Reason::DomainNotFound]));
    assert!(response.get("patch").is_none());
}

#[test]
fn all_other_writes_are_allowed_and_left_as_they_are() {
    let held = found(Reason::DomainNotFound);
    let changed = |pointer: &str, value: Value| {
        let mut review = approval();
        *review.pointer_mut(pointer).unwrap() = value;
        review
    };
    let approved = approval()["request"]["object"]["status"].clone();
    let rows = [
        ("certgate's own approval", changed("/request/userInfo/username", json!(CONTROLLER))),
        ("approved before", changed("/request/oldObject/status", approved)),
        ("a denial", changed("/request/object/status/conditions/0/type", json!("Denied"))),
        ("not approved", changed("/request/object/status/conditions/0/status", json!("False"))),
        ("no conditions", changed("/request/object/status/conditions", Value::Null)),
        ("no status", changed("/request/object/status", Value::Null)),
        ("the object itself", changed("/request/subResource", json!(""))),
        ("a create", changed("/request/operation", json!("CREATE"))),
        ("another kind", changed("/request/resource/resource", json!("orders"))),
        ("another issuer", changed("/request/object/spec/issuerRef/name", json!("private"))),
        ("no object", changed("/request/object", Value::Null)),
    ];
    for (what, review) in rows {
        let (answer, _) = answer(&review, &held, &policy(GateMode::All));
        assert_eq!(answer["response"], json!({"uid": "r1", "allowed": true}), "{what}");
    }
}

#[test]
fn what_is_verified_or_not_gated_may_be_approved_by_anybody() {
    for (known, mode) in [
        (found(Reason::Verified), GateMode::All),
        (found(Reason::DomainNotFound), GateMode::Off),
        (found(Reason::DomainNotFound), GateMode::Annotated),
    ] {
        let (answer, _) = answer(&approval(), &known, &policy(mode));
        assert_eq!(answer["response"]["allowed"], true);
    }
    let mut flagged = approval();
    flagged["request"]["object"]["metadata"]["annotations"] = json!({"certgate.dev/auto-issue": "true"});
    let (answer, _) = answer(&flagged, &Known(None), &policy(GateMode::Annotated));
    assert_eq!(answer["response"]["allowed"], false, "flagged, and not looked at yet");
}

#[test]
fn a_request_whose_csr_cannot_be_read_is_held_even_where_all_names_are_verified() {
    let mut review = approval();
    review["request"]["object"]["spec"]["request"] = json!("AAAA");
    let (answer, _) = answer(&review, &found(Reason::Verified), &policy(GateMode::All));
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(message.contains("not a PEM certificate request") && message.contains("app-developer"), "{message}");
}

#[test]
fn what_cannot_be_read_is_allowed_with_a_warning() {
    let whole = approval().to_string();
    let uid_at = whole.find("\"uid\":\"r1\"").unwrap();
    for cut in (0..whole.len()).step_by(7) {
        let body = &whole.as_bytes()[..cut];
        let answer =
            read(body, CONTROLLER).answer(&found(Reason::DomainNotFound), &policy(GateMode::All), Timestamp::MIN);
        let text = String::from_utf8(answer.bytes).unwrap();
        match answer.outcome {
            Outcome::Unreadable => assert!(text.contains("\"allowed\":true") && text.contains("certgate: allowed")),
            Outcome::Malformed => assert!(cut < uid_at + 10 || !text.contains("allowed"), "{cut}"),
            other => panic!("{cut}: {other:?}"),
        }
    }
    let mut odd = approval();
    odd["request"]["object"]["spec"]["request"] = json!({"not": "text"});
    let (answer, outcome) = answer(&odd, &found(Reason::DomainNotFound), &policy(GateMode::All));
    assert_eq!((&answer["response"]["allowed"], outcome), (&json!(true), Outcome::Unreadable));
}
