//! `certgate explain` as a person and a program meet it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

use std::{fs, path::PathBuf, process::Output};

use assert_cmd::Command;
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn policy() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/policy.yaml")
}

fn explain(arguments: &[&str], stdin: &str) -> Output {
    let mut command = Command::cargo_bin("certgate").unwrap();
    command.arg("explain").args(arguments).write_stdin(stdin).output().unwrap()
}

fn decisions(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn json_has_the_documented_shape() {
    let file = fixture("v5/http-custom-domain.yaml");
    let output = explain(
        &["-f", file.to_str().unwrap(), "--policy", policy().to_str().unwrap(), "-o", "json", "--assume-verified"],
        "",
    );
    let document = decisions(&output);
    let decision = &document["decisions"][0];
    assert_eq!(decision["namespace"], "team-a");
    assert_eq!(decision["name"], "0ab557100ce616b17cb040331e12523a");
    assert_eq!(decision["profile"], "rainbond-v5");
    assert_eq!(decision["lead"], true);
    let host = &decision["hosts"][0];
    assert_eq!(host["host"], "www.shop-example.com");
    assert_eq!(host["action"], "inject");
    assert_eq!(host["reason"], "Verified");
    assert_eq!(host["whoActs"], "nobody");
    assert!(host["message"].as_str().is_some_and(|text| text.contains("www.shop-example.com")));
    assert!(decision["patch"].as_array().is_some_and(|ops| !ops.is_empty()));
}

#[test]
fn text_reads_as_sentences_with_a_diff_and_no_colour_in_a_pipe() {
    let file = fixture("v5/http-custom-domain.yaml");
    let output =
        explain(&["-f", file.to_str().unwrap(), "--policy", policy().to_str().unwrap(), "--assume-verified"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(
        text.starts_with("team-a/0ab557100ce616b17cb040331e12523a (rainbond-v5, orders the certificate)\n"),
        "{text}"
    );
    assert!(text.contains("  +     secretName: certgate-www.shop-example.com"), "{text}");
}

#[test]
fn each_host_is_named_also_where_the_sentence_is_not_about_it() {
    let ingress = r#"{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "web", "namespace": "shop", "annotations": {"certgate.dev/auto-issue": "true"}},
        "spec": {"rules": [{"host": "www.example.com"}, {"host": "xn--fsqu00a.com"}]}}"#;
    let text = String::from_utf8(explain(&["-f", "-"], ingress).stdout).unwrap();
    for host in ["www.example.com", "例子.com"] {
        assert!(text.contains(&format!("  hold     {host}: certgate's policy names no issuer")), "{text}");
    }
}

#[test]
fn yaml_is_the_ingress_as_it_would_be_and_deciding_on_it_changes_nothing() {
    let file = fixture("v5/http-custom-domain.yaml");
    let policy = policy();
    let arguments = ["--policy", policy.to_str().unwrap(), "--assume-verified"];
    let first = explain(&[&["-f", file.to_str().unwrap(), "-o", "yaml"], &arguments[..]].concat(), "");
    let yaml = String::from_utf8(first.stdout).unwrap();
    let again = explain(&[&["-f", "-", "-o", "json"], &arguments[..]].concat(), &yaml);
    assert_eq!(decisions(&again)["decisions"][0]["patch"], serde_json::json!([]));
}

#[test]
fn documents_of_many_kinds_have_their_say() {
    let mix = r#"
{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"certgate.dev/auto-issue": "true"}}}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: private}
spec: {ca: {secretName: ca}}
status: {conditions: [{type: Ready, status: "True"}]}
---
apiVersion: certgate.dev/v1alpha1
kind: Domain
metadata: {name: www.example.com, namespace: shop}
spec: {host: www.example.com, issuerRef: {kind: ClusterIssuer, name: private}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: wild, namespace: shop}
spec: {secretName: wild, dnsNames: ["*.bound.example.com"], issuerRef: {name: private, kind: ClusterIssuer}}
status: {conditions: [{type: Ready, status: "True"}], notAfter: "2099-01-01T00:00:00Z"}
---
apiVersion: v1
kind: Secret
metadata: {name: wild, namespace: shop, annotations: {cert-manager.io/certificate-name: wild}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  rules: [{host: www.example.com}, {host: a.bound.example.com}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: elsewhere}
spec:
  rules: [{host: other.example.com}]
"#;
    let document = decisions(&explain(&["-f", "-", "-o", "json"], mix));
    let reason = |ingress: usize, host: usize| {
        document["decisions"][ingress]["hosts"][host]["reason"].as_str().map(str::to_owned)
    };
    assert_eq!(reason(0, 0).as_deref(), Some("NoValidationNeeded"), "an issuer with a private CA needs no DNS");
    assert_eq!(reason(0, 1).as_deref(), Some("BoundExisting"), "a wildcard certificate of the namespace is bound");
    assert_eq!(reason(1, 0).as_deref(), Some("NotFlagged"), "the label is the other namespace's");
}

#[test]
fn the_same_host_in_two_namespaces_goes_to_the_first_claim() {
    let mix = r#"
apiVersion: certgate.dev/v1alpha1
kind: Domain
metadata: {name: www.example.com, namespace: team-one, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {host: www.example.com, autoIssue: true}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: team-two, annotations: {certgate.dev/auto-issue: "true"}}
spec: {rules: [{host: www.example.com}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: team-one}
spec: {rules: [{host: www.example.com}]}
"#;
    let output = explain(&["-f", "-", "-o", "json", "--policy", policy().to_str().unwrap(), "--assume-verified"], mix);
    let document = decisions(&output);
    let host = &document["decisions"][0]["hosts"][0];
    assert_eq!((host["action"].as_str(), host["reason"].as_str()), (Some("hold"), Some("HostTaken")));
    assert!(!host["message"].as_str().unwrap().contains("team-one"), "the other tenant is not named");
    assert_eq!(document["decisions"][1]["hosts"][0]["action"], "inject");
}

/// Explains files of Rainbond 6's under a policy that heeds its switch, changed by `more`.
fn rainbond(files: &[&str], more: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.yaml");
    let policy = "issuer: {name: letsencrypt-http}\ngateway: {addresses: [8.8.8.8]}\n";
    fs::write(&path, format!("{policy}{more}")).unwrap();
    let files: Vec<String> =
        files.iter().map(|name| fixture(&format!("v6/{name}.yaml")).to_str().unwrap().to_owned()).collect();
    let mut all: Vec<&str> = files.iter().flat_map(|file| ["-f", file.as_str()]).collect();
    all.extend(["--policy", path.to_str().unwrap()]);
    all.extend(arguments);
    explain(&all, "")
}

const HEEDED: &str = "gate: {mode: annotated}\nrainbond: {routes: true}\n";
const SWITCHED: [&str; 2] = ["apisixroute-labelled-custom-domain", "certificate-custom-domain"];

#[test]
fn rainbonds_routes_and_the_certificates_of_its_switch_are_told_of_like_ingresses() {
    let document = decisions(&rainbond(&SWITCHED, HEEDED, &["-o", "json"]));
    for (index, kind) in ["ApisixRoute", "Certificate"].into_iter().enumerate() {
        let decision = &document["decisions"][index];
        assert_eq!((&decision["kind"], &decision["namespace"]), (&kind.into(), &"team-a".into()));
        assert_eq!(decision["name"], "www.shop-example.comp-ps-s");
        let host = &decision["hosts"][0];
        assert_eq!(host["host"], "www.shop-example.com");
        assert_eq!((host["action"].as_str(), host["reason"].as_str()), (Some("hold"), Some("Pending")), "{kind}");
        assert_eq!((&decision["patch"], &decision["remark"]), (&serde_json::json!([]), &Value::Null));
    }
    let document = decisions(&rainbond(&SWITCHED, HEEDED, &["-o", "json", "--assume-verified"]));
    for index in 0..2 {
        assert_eq!(document["decisions"][index]["hosts"][0]["action"], "approve", "{document}");
    }
    // A route alone: its label asks for a certificate that is not there.
    let alone = decisions(&rainbond(&SWITCHED[..1], HEEDED, &["-o", "json", "--assume-verified"]));
    let host = &alone["decisions"][0]["hosts"][0];
    assert_eq!((&host["action"], &host["reason"]), (&"tell".into(), &"RouteWithoutCertificate".into()));
    assert_eq!(host["whoActs"], "app-developer");
}

#[test]
fn a_switch_that_policy_does_not_heed_is_said_to_be_ignored() {
    let off = "gate: {mode: annotated}\n";
    let document = decisions(&rainbond(&SWITCHED, off, &["-o", "json"]));
    for index in 0..2 {
        let decision = &document["decisions"][index];
        let host = &decision["hosts"][0];
        assert_eq!((&host["action"], &host["reason"]), (&"skip".into(), &"NotFlagged".into()));
        assert!(decision["remark"].as_str().unwrap().contains("`rainbond.routes` is off"), "{decision}");
    }
    let text = String::from_utf8(rainbond(&SWITCHED, off, &[]).stdout).unwrap();
    assert!(
        text.starts_with("team-a/www.shop-example.comp-ps-s (ApisixRoute)\n  skip     www.shop-example.com is"),
        "{text}"
    );
    assert!(text.contains("(Certificate of Rainbond's switch)\n"), "{text}");
    assert_eq!(text.matches("but ignored: `rainbond.routes` is off in the policy").count(), 2, "{text}");
    let chinese = String::from_utf8(rainbond(&SWITCHED, off, &["--lang", "zh-CN"]).stdout).unwrap();
    assert_eq!(chinese.matches("被忽略：策略中的 `rainbond.routes`").count(), 2, "{chinese}");
    // Where the switch is off there is nothing to ignore.
    let plain = decisions(&rainbond(&["apisixroute-custom-domain"], off, &["-o", "json"]));
    assert_eq!(plain["decisions"][0]["hosts"][0]["reason"], "NotFlagged");
    assert_eq!(plain["decisions"][0]["remark"], Value::Null);
}

#[test]
fn what_else_keeps_the_gate_from_a_switch_is_said() {
    let remark = |more: &str| {
        let document = decisions(&rainbond(&SWITCHED, more, &["-o", "json", "--assume-verified"]));
        let decision = &document["decisions"][1];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&decision["hosts"][0]["action"]), text(&decision["remark"]))
    };
    let (action, told) = remark("rainbond: {routes: true}\n");
    assert_eq!(action, "tell");
    assert!(told.contains("`gate.mode` is off"), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.yaml");
    fs::write(&path, "issuer: {name: other}\ngate: {mode: annotated}\nrainbond: {routes: true}\n").unwrap();
    let file = fixture("v6/certificate-custom-domain.yaml");
    let output = explain(&["-f", file.to_str().unwrap(), "--policy", path.to_str().unwrap(), "-o", "json"], "");
    let told = decisions(&output)["decisions"][0]["remark"].to_string();
    assert!(told.contains("does not name its issuer ClusterIssuer/letsencrypt-http"), "{told}");
}

#[test]
fn odd_hosts_of_routes_are_told_of_too() {
    let files = ["apisixroute-two-hosts", "apisixroute-ipv4", "apisixroute-wildcard", "certificate-digits-first"];
    let document = decisions(&rainbond(&files, HEEDED, &["-o", "json"]));
    let reasons: Vec<(String, String)> = document["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|one| one["hosts"].as_array().unwrap())
        .map(|host| (host["host"].as_str().unwrap().to_owned(), host["reason"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [
        ("a.shop-example.com", "NotFlagged"),
        ("b.shop-example.com", "NotFlagged"),
        ("203.0.113.10", "HostIsIpAddress"),
        ("*.shop-example.com", "NotFlagged"),
        ("3w.shop-example.com", "Pending"),
    ];
    let expected: Vec<(String, String)> = expected.map(|(host, reason)| (host.into(), reason.into())).into();
    assert_eq!(reasons, expected);
}

#[test]
fn a_route_and_an_ingress_of_two_namespaces_compete_for_a_host() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ingress.yaml");
    let mix = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: team-b, creationTimestamp: "2026-11-25T00:00:00Z", annotations: {certgate.dev/auto-issue: "true"}}
spec: {rules: [{host: www.shop-example.com}]}
"#;
    fs::write(&file, mix).unwrap();
    let arguments = ["-f", file.to_str().unwrap(), "-o", "json", "--assume-verified"];
    let document = decisions(&rainbond(&SWITCHED[..1], HEEDED, &arguments));
    assert_eq!(document["decisions"][0]["hosts"][0]["reason"], "HostTaken", "the route is a day older");
    assert_eq!(document["decisions"][1]["hosts"][0]["reason"], "RouteWithoutCertificate");
}

#[test]
fn unusable_input_is_one_line_and_exit_code_two() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.yaml");
    fs::write(&broken, "kind: Ingress\nmetadata: [\n").unwrap();
    let wrong_type = folder.path().join("wrong.json");
    fs::write(&wrong_type, r#"{"kind":"Ingress","metadata":{"name":"a"},"spec":{"rules":7}}"#).unwrap();
    let policy = folder.path().join("policy.yaml");
    fs::write(&policy, "autoIsue: all\n").unwrap();
    let good = fixture("v5/http-custom-domain.yaml");
    let service = fixture("v5/service-outer-shop-web-1-5000out.yaml");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let rows: [(Vec<&str>, &str); 6] = [
        (vec!["-f", "/does/not/exist.yaml"], "/does/not/exist.yaml: cannot be read"),
        (vec!["-f", broken.to_str().unwrap()], "broken.yaml:2: neither YAML nor JSON"),
        (vec!["-f", wrong_type.to_str().unwrap()], "wrong.json:1: Ingress a: invalid type: integer `7`"),
        (vec!["-f", empty.to_str().unwrap()], "a folder without a .yaml, .yml or .json file"),
        (vec!["-f", service.to_str().unwrap()], "no Ingress or ApisixRoute"),
        (vec!["-f", good.to_str().unwrap(), "--policy", policy.to_str().unwrap()], "did you mean `autoIssue`"),
    ];
    for (arguments, expected) in rows {
        let output = explain(&arguments, "");
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
        assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    }
}

/// What `kubectl get ingress -A -o yaml` prints, an object whose name is made up, a review, and Helm's rendering.
const AS_PEOPLE_HAVE_IT: &str = r#"
apiVersion: v1
items:
- apiVersion: networking.k8s.io/v1
  kind: Ingress
  metadata: {name: one, namespace: team-a, annotations: {certgate.dev/auto-issue: "true"}}
  spec: {rules: [{host: one.shop-example.com}]}
  status: {loadBalancer: {}}
kind: List
metadata: {resourceVersion: ""}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {generateName: gen-, namespace: team-a, annotations: {certgate.dev/auto-issue: "true"}}
spec: {rules: [{host: two.shop-example.com}]}
---
{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "u", "operation": "CREATE",
  "namespace": "team-b", "name": "", "object": {"kind": "Ingress", "apiVersion": "networking.k8s.io/v1",
  "metadata": {"generateName": "new-"}, "spec": {"rules": [{"host": "three.shop-example.com"}]}}, "oldObject": null}}
---
# Source: shop/templates/serviceaccount.yaml
---
# Source: shop/templates/service.yaml
apiVersion: v1
kind: Service
metadata: {name: web}
---
# Source: shop/templates/ingress.yaml
apiVersion: extensions/v1beta1
kind: Ingress
metadata: {name: old, labels: null, annotations: null}
spec: {tls: null, rules: [{host: four.shop-example.com, http: null}]}
"#;

#[test]
fn what_people_have_is_read_as_they_have_it() {
    let policy = policy();
    let arguments = ["-f", "-", "-o", "json", "--policy", policy.to_str().unwrap(), "--assume-verified"];
    let document = decisions(&explain(&arguments, AS_PEOPLE_HAVE_IT));
    let told: Vec<(&str, &str, &str)> = document["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["name"], &one["hosts"][0]["host"], &one["hosts"][0]["action"]))
        .map(|(name, host, action)| (name.as_str().unwrap(), host.as_str().unwrap(), action.as_str().unwrap()))
        .collect();
    let expected = [
        ("one", "one.shop-example.com", "inject"),
        ("gen-*", "two.shop-example.com", "inject"),
        ("new-*", "three.shop-example.com", "inject"),
        ("old", "four.shop-example.com", "inject"),
    ];
    assert_eq!(told, expected);
    let remark = document["decisions"][3]["remark"].as_str().unwrap();
    assert!(remark.contains("networking.k8s.io/v1"), "{remark}");
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_explained() {
    let folder = tempfile::tempdir().unwrap();
    let ingress = |name: &str, rest: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: shop}}\n{rest}\n"
        )
    };
    fs::write(
        folder.path().join("a.yaml"),
        format!("{}---\n{}", ingress("bad", "spec: {rules: 7}"), ingress("good", "")),
    )
    .unwrap();
    fs::write(
        folder.path().join("b.json"),
        r#"{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "json"}}"#,
    )
    .unwrap();
    // As PowerShell writes it.
    let utf16: Vec<u8> =
        format!("\u{feff}{}", ingress("windows", "")).encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(folder.path().join("c.yml"), utf16).unwrap();
    fs::write(folder.path().join("README.md"), "kind: [").unwrap();
    let output = explain(&["-f", folder.path().to_str().unwrap(), "-o", "json"], "");
    assert_eq!(output.status.code(), Some(2), "for scripts");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> =
        document["decisions"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["good", "json", "windows"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("a.yaml:1: Ingress shop/bad: invalid type: integer `7`") && told.lines().count() == 1,
        "{told}"
    );
}
