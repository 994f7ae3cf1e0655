use std::{collections::BTreeMap, path::Path};

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::core::{
    finding::Finding,
    knowledge::{DomainFacts, VerdictFacts},
    policy::{IssuerRef, Profile},
};

/// Knowledge from a table, and the namespaces it was asked about.
#[derive(Default)]
struct Known(BTreeMap<(String, String), DomainFacts>);

impl Knowledge for Known {
    fn namespace_label(&self, _: &str, _: &str) -> Option<&str> {
        None
    }
    fn domain(&self, namespace: &str, host: &str) -> Option<&DomainFacts> {
        self.0.get(&(namespace.to_owned(), host.to_owned()))
    }
    fn has_profile(&self, namespace: &str, profile: Profile) -> bool {
        namespace == "team-v5" && profile == Profile::RainbondV5
    }
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn policy() -> Policy {
    Policy { issuer: Some(IssuerRef::cluster("letsencrypt")), ..Policy::default() }
}

fn domain(namespace: &str, host: &str, reason: Reason) -> Known {
    let finding = Finding::new(reason, host).required(["203.0.113.7"]);
    let valid_until = "2027-01-01T00:00:00Z".parse().unwrap();
    let verdict =
        Some(VerdictFacts { finding, issuer: Some(IssuerRef::cluster("letsencrypt")), server: None, valid_until });
    let facts = DomainFacts { auto_issue: Some(true), verdict, ..DomainFacts::default() };
    Known(BTreeMap::from([((namespace.to_owned(), host.to_owned()), facts)]))
}

fn review(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "operation": "CREATE", "namespace": "team-a", "name": "shop",
            "resource": {"group": "networking.k8s.io", "version": "v1", "resource": "ingresses"},
            "object": {"metadata": {"name": "shop"}, "spec": {"rules": [{"host": "www.example.com"}]}},
        },
    });
    change(&mut review);
    serde_json::to_vec(&review).unwrap()
}

/// The response of an answer, checked for what every response must be.
fn response(answer: &Answer) -> Value {
    let review: Value = serde_json::from_slice(&answer.bytes).unwrap();
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(review["kind"], "AdmissionReview");
    let response = &review["response"];
    assert_eq!(response["allowed"], true);
    assert_eq!(response.get("patch").is_some(), response.get("patchType").is_some(), "{response}");
    response.clone()
}

fn patch(response: &Value) -> json_patch::Patch {
    assert_eq!(response["patchType"], "JSONPatch");
    serde_json::from_slice(&STANDARD.decode(response["patch"].as_str().unwrap()).unwrap()).unwrap()
}

#[test]
fn a_verified_host_is_injected() {
    let known = domain("team-a", "www.example.com", Reason::Verified);
    let body = review(|_| {});
    let answer = answer(&body, &known, &policy(), now());
    let response = response(&answer);
    assert_eq!(response["uid"], "u-1");
    let mut object = serde_json::from_slice::<Value>(&body).unwrap()["request"]["object"].clone();
    json_patch::patch(&mut object, &patch(&response)).unwrap();
    assert_eq!(object["metadata"]["annotations"]["cert-manager.io/cluster-issuer"], "letsencrypt");
    assert_eq!(object["spec"]["tls"][0]["hosts"], json!(["www.example.com"]));
    assert_eq!(response["auditAnnotations"]["verdict"], "www.example.com=inject/Verified");
    assert_eq!(response.get("warnings"), None);
    let hosts = vec![(Action::Inject, Reason::Verified)];
    let change = Some(Box::new(Change {
        namespace: "team-a".to_owned(),
        name: "shop".to_owned(),
        is_ingress: true,
        hosts: vec![("www.example.com".to_owned(), Action::Inject, Reason::Verified)],
        unsaid: 0,
    }));
    assert_eq!(answer.outcome, Outcome::Decided { patched: true, hosts, change });

    // The same object, decided already: nothing to do.
    let body = review(|review| review["request"]["object"] = object);
    let again = super::answer(&body, &known, &policy(), now());
    assert_eq!(self::response(&again).get("patch"), None);
    assert!(matches!(again.outcome, Outcome::Decided { change: None, .. }), "{:?}", again.outcome);
}

#[test]
fn a_held_host_is_left_alone_and_said_why() {
    let known = domain("team-a", "www.example.com", Reason::DomainNotFound);
    let response = response(&answer(&review(|_| {}), &known, &policy(), now()));
    assert_eq!(response.get("patch"), None);
    insta::assert_snapshot!(
        response["warnings"][0].as_str().unwrap(),
        @"certgate: www.example.com does not exist in DNS yet; the domain's owner must add an A record to 203.0.113.7"
    );
    assert_eq!(response["warnings"].as_array().map(Vec::len), Some(1));
    assert_eq!(response["auditAnnotations"]["verdict"], "www.example.com=hold/DomainNotFound");
}

#[test]
fn a_bad_flag_is_told_before_anything_else() {
    let body = review(|review| {
        review["request"]["object"]["metadata"]["annotations"] = json!({"certgate.dev/auto-issue": "maybe"});
    });
    let known = domain("team-a", "www.example.com", Reason::DomainNotFound);
    let response = response(&answer(&body, &known, &policy(), now()));
    assert!(response["warnings"][0].as_str().unwrap().contains("auto-issue"), "{response}");
}

#[test]
fn of_many_held_hosts_the_first_is_told_and_the_others_counted() {
    let rules: Vec<Value> = (0..40).map(|n| json!({"host": format!("h{n}.example.com")})).collect();
    let body = review(|review| {
        review["request"]["object"]["spec"]["rules"] = json!(rules);
        review["request"]["object"]["metadata"]["annotations"] = json!({"certgate.dev/auto-issue": "true"});
    });
    let response = response(&answer(&body, &Known::default(), &policy(), now()));
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("certgate: h0.example.com") && warning.ends_with("(and 39 more held)"), "{warning}");
    let verdict = response["auditAnnotations"]["verdict"].as_str().unwrap();
    assert_eq!(verdict.split(' ').count(), MAX_AUDITED_HOSTS + 1);
}

#[test]
fn the_requests_namespace_counts_and_not_the_objects() {
    let body = review(|review| review["request"]["object"]["metadata"]["namespace"] = json!("team-b"));
    let response = response(&answer(&body, &domain("team-a", "www.example.com", Reason::Verified), &policy(), now()));
    assert!(response.get("patch").is_some());
}

#[test]
fn an_object_without_a_name_yet_is_decided_about() {
    let body = review(|review| {
        review["request"].as_object_mut().unwrap().remove("name");
        review["request"]["object"]["metadata"] = json!({"generateName": "shop-"});
    });
    let response = response(&answer(&body, &domain("team-a", "www.example.com", Reason::Verified), &policy(), now()));
    assert!(response.get("patch").is_some());
}

#[rstest]
#[case::delete(|r: &mut Value| { r["request"]["operation"] = json!("DELETE"); })]
#[case::delete_as_it_comes(|r: &mut Value| { r["request"]["operation"] = json!("DELETE"); r["request"]["object"] = Value::Null; })]
#[case::connect(|r: &mut Value| { r["request"]["operation"] = json!("CONNECT"); })]
#[case::an_operation_to_come(|r: &mut Value| { r["request"]["operation"] = json!("TELEPORT"); })]
#[case::status(|r: &mut Value| { r["request"]["subResource"] = json!("status"); })]
#[case::another_resource(|r: &mut Value| { r["request"]["resource"]["resource"] = json!("services"); })]
#[case::another_group(|r: &mut Value| { r["request"]["resource"]["group"] = json!("extensions"); })]
#[case::another_version(|r: &mut Value| { r["request"]["resource"]["version"] = json!("v1beta1"); })]
#[case::no_resource(|r: &mut Value| { r["request"].as_object_mut().unwrap().remove("resource"); })]
#[case::no_object(|r: &mut Value| { r["request"].as_object_mut().unwrap().remove("object"); })]
fn what_is_not_decided_about_passes_in_silence(#[case] change: fn(&mut Value)) {
    let known = domain("team-a", "www.example.com", Reason::Verified);
    let answer = answer(&review(change), &known, &policy(), now());
    assert_eq!(response(&answer), json!({"uid": "u-1", "allowed": true}));
    assert_eq!(answer.outcome, Outcome::PassedBy);
}

#[rstest]
#[case::of_a_solver_on_rainbond_5("team-v5", "acme.cert-manager.io/http01-solver", true)]
#[case::of_a_solver_elsewhere("team-a", "acme.cert-manager.io/http01-solver", false)]
#[case::of_an_application("team-v5", "app", false)]
fn a_service_is_labelled_where_the_gateway_would_not_see_the_challenge(
    #[case] namespace: &str,
    #[case] label: &str,
    #[case] expected: bool,
) {
    let body = review(|review| {
        review["request"]["namespace"] = json!(namespace);
        review["request"]["resource"] = json!({"group": "", "version": "v1", "resource": "services"});
        review["request"]["object"] = json!({
            "metadata": {"generateName": "cm-acme-http-solver-", "labels": {label: "true"}},
            "spec": {"ports": [{"port": 8089}], "selector": {"a": "b"}},
        });
    });
    let response = response(&answer(&body, &Known::default(), &policy(), now()));
    assert_eq!(response.get("patch").is_some(), expected, "{response}");
    if expected {
        let mut object = serde_json::from_slice::<Value>(&body).unwrap()["request"]["object"].clone();
        json_patch::patch(&mut object, &patch(&response)).unwrap();
        assert_eq!(object["metadata"]["labels"], json!({label: "true", "creator": "Rainbond"}));
    }
}

#[rstest]
#[case::kind(|r: &mut Value| { r["kind"] = json!("Review"); })]
#[case::version(|r: &mut Value| { r["apiVersion"] = json!("admission.k8s.io/v1beta1"); })]
#[case::neither(|r: &mut Value| { let o = r.as_object_mut().unwrap(); o.remove("kind"); o.remove("apiVersion"); })]
#[case::an_object_that_cannot_be_read(|r: &mut Value| { r["request"]["object"]["spec"]["rules"] = json!({"a": 1}); })]
fn what_cannot_be_understood_passes_with_a_warning(#[case] change: fn(&mut Value)) {
    let known = domain("team-a", "www.example.com", Reason::Verified);
    let response = response(&answer(&review(change), &known, &policy(), now()));
    assert_eq!(response["uid"], "u-1");
    assert_eq!(response.get("patch"), None);
    assert!(response["warnings"][0].as_str().unwrap().starts_with("certgate: left alone, because "), "{response}");
}

#[test]
fn what_is_no_review_gets_a_line_of_text() {
    let answer = answer(b"{}", &Known::default(), &policy(), now());
    assert_eq!(answer.outcome, Outcome::Malformed);
    let text = String::from_utf8(answer.bytes).unwrap();
    assert!(text.starts_with("not an AdmissionReview") && text.ends_with('\n') && text.lines().count() == 1, "{text}");
}

#[test]
fn a_hostile_uid_comes_back_as_it_was() {
    let uid = "\"}],\u{0}\u{1f}\n</script>\u{202e}";
    let body = review(|review| review["request"]["uid"] = json!(uid));
    assert_eq!(response(&answer(&body, &Known::default(), &policy(), now()))["uid"], uid);
}

#[test]
fn warnings_are_short_and_of_one_line() {
    let text = format!("certgate: a\nb\u{7}{}", "é".repeat(1000));
    let shown = presentable(&text);
    assert_eq!(shown.chars().count(), MAX_WARNING_CHARS + 1);
    assert!(!shown.contains(char::is_control) && shown.ends_with('…'));
    assert!(matches!(presentable("short"), Cow::Borrowed("short")));
}

#[rstest]
#[case("admissionreview-create-http.yaml", &["PlatformDomain"])]
#[case("admissionreview-create-https.yaml", &["UserTls"])]
#[case("admissionreview-create-tcp.yaml", &["TcpIngress"])]
#[case("admissionreview-delete.yaml", &[])]
#[case("admissionreview-update-http.yaml", &["Pending"])]
fn reviews_as_the_api_server_sends_them_for_rainbond(#[case] file: &str, #[case] reasons: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v5").join(file);
    let review: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let policy = Policy {
        auto_issue: crate::core::policy::AutoIssue::All,
        platform_domains: vec!["nip.io".to_owned()],
        ..policy()
    };
    let answer = answer(&serde_json::to_vec(&review).unwrap(), &Known::default(), &policy, now());
    let response = response(&answer);
    assert_eq!(response["uid"], review["request"]["uid"]);
    assert_eq!(response.get("patch"), None);
    let found: Vec<&str> = match &answer.outcome {
        Outcome::Decided { hosts, .. } => hosts.iter().map(|(_, reason)| reason.as_str()).collect(),
        _ => Vec::new(),
    };
    assert_eq!(found, reasons);
}

/// JSON of any shape with a liking for the keys that are read.
fn json_value() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "metadata",
        "spec",
        "rules",
        "host",
        "tls",
        "hosts",
        "secretName",
        "annotations",
        "labels",
        "name",
        "uid",
        "request",
        "object",
        "operation",
        "resource",
        "certgate.dev/auto-issue",
        "certgate.dev/injected",
        "creator",
    ]);
    let text = prop::sample::select(vec![
        "true",
        "www.example.com",
        "*.example.com",
        "",
        "CREATE",
        "v1",
        "{\"v\":1}",
        "Rainbond",
        "\u{0}",
        "例子.测试",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Any object at all: an allowing answer with the uid, and a patch that applies if there is one.
    #[test]
    fn whatever_the_object_is_the_write_goes_through(object in json_value(), update in any::<bool>()) {
        let body = review(|review| {
            review["request"]["object"] = object.clone();
            review["request"]["operation"] = json!(if update { "UPDATE" } else { "CREATE" });
        });
        let known = domain("team-a", "www.example.com", Reason::Verified);
        let policy = Policy { auto_issue: crate::core::policy::AutoIssue::All, ..policy() };
        let response = response(&answer(&body, &known, &policy, now()));
        prop_assert_eq!(&response["uid"], "u-1");
        if response.get("patch").is_some() {
            let mut patched = object;
            prop_assert!(json_patch::patch(&mut patched, &patch(&response)).is_ok());
        }
    }

    /// Any octets at all: an answer, and never a panic.
    #[test]
    fn whatever_the_octets_are_there_is_an_answer(
        cut in 0_usize..600,
        splice in prop::collection::vec(any::<u8>(), 0..12),
        rest in any::<bool>(),
    ) {
        let whole = review(|_| {});
        let cut = cut.min(whole.len());
        let mut body = whole[..cut].to_vec();
        body.extend(&splice);
        if rest {
            body.extend(&whole[cut..]);
        }
        let answer = answer(&body, &Known::default(), &policy(), now());
        prop_assert!(answer.outcome == Outcome::Malformed || serde_json::from_slice::<Value>(&answer.bytes).is_ok());
    }
}
