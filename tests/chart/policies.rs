//! The API server's own policies, as rendered. What they do is the lab's to show.

use rstest::rstest;
use serde_json::{Value, json};

use super::{helm, render, template};

const POLICIES: [(&str, &[&str]); 4] = [
    ("verifiedHosts", &["certgate-verified-hosts"]),
    ("reservedFields", &["certgate-own-objects", "certgate-own-fields"]),
    ("certificates", &["certgate-certificates"]),
    ("ungated", &["certgate-orders", "certgate-gateways"]),
];

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

#[test]
fn no_policy_is_installed_unasked() {
    let objects = render(&[]);
    assert!(objects.iter().all(|object| !object["kind"].as_str().unwrap().contains("AdmissionPolicy")));
}

#[rstest]
#[case::warn("warn", "Warn", "Ignore")]
#[case::deny("deny", "Deny", "Fail")]
fn each_policy_warns_or_denies_and_a_warning_never_refuses(
    #[case] mode: &str,
    #[case] action: &str,
    #[case] failure: &str,
) {
    for (value, names) in POLICIES {
        let objects = render(&["--set", &format!("admissionPolicy.{value}={mode}")]);
        assert_eq!(of_kind(&objects, "ValidatingAdmissionPolicy").len(), names.len(), "{value} alone");
        for name in names {
            let policy = helm::find(&objects, "ValidatingAdmissionPolicy", name);
            assert_eq!(policy["spec"]["failurePolicy"], failure, "{name}");
            for validation in policy["spec"]["validations"].as_array().unwrap() {
                assert!(validation["message"].as_str().unwrap().len() > 30, "{name} says what to do");
            }
            let binding = helm::find(&objects, "ValidatingAdmissionPolicyBinding", name);
            assert_eq!(binding["spec"]["policyName"], *name);
            assert_eq!(binding["spec"]["validationActions"], json!([action, "Audit"]));
        }
    }
}

#[test]
fn a_bare_off_is_off() {
    let objects = render(&["--set-json", r#"admissionPolicy={"verifiedHosts":false}"#]);
    assert!(of_kind(&objects, "ValidatingAdmissionPolicy").is_empty());
}

#[test]
fn no_policy_holds_for_certgate_the_exempt_and_the_excluded() {
    let objects = render(&[
        "--set",
        "admissionPolicy.verifiedHosts=deny,admissionPolicy.reservedFields=deny,admissionPolicy.certificates=deny,\
         admissionPolicy.ungated=deny",
        "--set",
        "admissionPolicy.exemptUsers={argo},webhook.excludeNamespaces={left},policy.excludeNamespaces={alone}",
    ]);
    for policy in of_kind(&objects, "ValidatingAdmissionPolicy") {
        let conditions = policy["spec"]["matchConditions"].to_string();
        for who in
            ["system:serviceaccount:certgate-system:certgate-controller", r#"[\"argo\"]"#, r#"[\"system:masters\"]"#]
        {
            assert!(conditions.contains(who), "{who}: {conditions}");
        }
    }
    for binding in of_kind(&objects, "ValidatingAdmissionPolicyBinding") {
        let excluded = &binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"][0]["values"];
        assert_eq!(*excluded, json!(["certgate-system", "kube-system", "left", "alone"]));
    }
}

#[test]
fn a_namespace_without_verified_hosts_is_let_be_unless_it_is_said_otherwise() {
    let action = |more: &str| {
        let objects = render(&["--set", &format!("admissionPolicy.verifiedHosts=deny{more}")]);
        helm::find(&objects, "ValidatingAdmissionPolicyBinding", "certgate-verified-hosts")["spec"]["paramRef"].clone()
    };
    assert_eq!(action(""), json!({ "name": "certgate", "parameterNotFoundAction": "Allow" }));
    assert_eq!(action(",admissionPolicy.denyUnknownNamespaces=true")["parameterNotFoundAction"], "Deny");
}

#[test]
fn injection_by_the_api_server_needs_one_that_can_and_never_refuses() {
    let error = template(&["--set", "admissionPolicy.mutating=true", "--kube-version", "1.35.2"]).unwrap_err();
    assert!(error.contains("needs Kubernetes 1.36 or later, and this is v1.35.2"), "{error}");
    let objects = render(&["--set", "admissionPolicy.mutating=true"]);
    let [policy] = of_kind(&objects, "MutatingAdmissionPolicy")[..] else { panic!("one policy") };
    assert_eq!(policy["spec"]["failurePolicy"], "Ignore");
    assert_eq!(policy["spec"]["reinvocationPolicy"], "IfNeeded");
    let binding = helm::find(&objects, "MutatingAdmissionPolicyBinding", "certgate-inject");
    assert_eq!(binding["spec"]["paramRef"]["parameterNotFoundAction"], "Allow");
}
