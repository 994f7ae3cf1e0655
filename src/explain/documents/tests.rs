use serde_json::json;

use super::*;

fn read(text: &str) -> Documents {
    let mut documents = Documents::default();
    documents.add("in.yaml", text);
    documents
}

fn faults(text: &str) -> Vec<String> {
    read(text).faults.iter().map(ToString::to_string).collect()
}

const INGRESS: &str = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, namespace: shop}\n";

#[test]
fn a_mix_of_kinds_is_sorted() {
    let list = "apiVersion: v1\nkind: List\nitems: [{apiVersion: networking.k8s.io/v1, kind: Ingress}]\n";
    let documents = read(&format!(
        "# a comment\n{INGRESS}---\napiVersion: v1\nkind: Namespace\n---\n---\napiVersion: v1\nkind: Service\n---\n{list}"
    ));
    assert_eq!((documents.ingresses.len(), documents.namespaces.len()), (2, 1));
    assert_eq!(documents.faults, []);
}

#[test]
fn lists_of_lists_and_lists_that_name_their_kind_once_are_read() {
    let text = json!({"kind": "List", "apiVersion": "v1", "items": [
        {"kind": "IngressList", "apiVersion": "networking.k8s.io/v1", "items": [
            {"metadata": {"name": "a", "namespace": "n"}}, {"metadata": {"name": "b", "namespace": "n"}}]},
        {"kind": "DomainList", "apiVersion": "certgate.dev/v1alpha1", "items": [
            {"metadata": {"name": "h", "namespace": "n"}, "spec": {"host": "h"}}]},
        {"kind": "NamespaceList", "apiVersion": "v1", "items": null},
    ]});
    let documents = read(&text.to_string());
    assert_eq!((documents.ingresses.len(), documents.domains.len(), documents.faults.len()), (2, 1, 0));
    let mut deep = json!({"kind": "Ingress"});
    for _ in 0..20 {
        deep = json!({"kind": "List", "items": [deep]});
    }
    assert_eq!(faults(&deep.to_string()), ["in.yaml:1: List: lists stand in lists too deep"]);
}

#[test]
fn a_kind_of_that_name_in_another_group_is_another_kind() {
    for (version, kind) in [
        ("networking.internal.knative.dev/v1alpha1", "Ingress"),
        ("networking.internal.knative.dev/v1alpha1", "Certificate"),
        ("config.openshift.io/v1", "Ingress"),
        ("awspca.cert-manager.io/v1beta1", "Issuer"),
    ] {
        let documents = read(&format!("apiVersion: {version}\nkind: {kind}\nspec: 7\n"));
        assert!(documents.ingresses.is_empty() && documents.certificates.is_empty() && documents.issuers.is_empty());
        assert_eq!(documents.faults, []);
    }
    for version in ["networking.k8s.io/v1beta1", "extensions/v1beta1"] {
        let documents = read(&format!("apiVersion: {version}\nkind: Ingress\nmetadata: {{name: web}}\n"));
        assert!(documents.ingresses[0].is_old(), "read all the same: what certgate decides by is where it was");
    }
}

#[test]
fn what_is_null_is_not_there() {
    let text = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, annotations: null, labels: null}\n\
        spec: {ingressClassName: null, tls: null, rules: [{host: null, http: null}]}\nstatus: null\n";
    let documents = read(text);
    assert_eq!(documents.faults, []);
    assert_eq!(documents.ingresses[0].object["spec"], json!({"rules": [{}]}));
}

#[test]
fn an_admission_review_gives_its_object_with_what_the_request_says() {
    let review = |request: Value| {
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}).to_string()
    };
    let create = json!({"operation": "CREATE", "namespace": "n", "name": "", "oldObject": null,
        "object": {"kind": "Ingress", "metadata": {"generateName": "web-"}}});
    let documents = read(&review(create));
    assert_eq!(documents.ingresses[0].object["metadata"], json!({"generateName": "web-", "namespace": "n"}));
    assert_eq!(documents.ingresses[0].name(), "web-*");
    assert_ne!(documents.ingresses[0].named()["metadata"]["name"], Value::Null);
    let update = json!({"operation": "UPDATE", "namespace": "n", "name": "web", "object": {"kind": "Ingress"}});
    assert_eq!(read(&review(update)).ingresses[0].object["metadata"], json!({"name": "web", "namespace": "n"}));
    let delete = json!({"operation": "DELETE", "object": null, "oldObject": {"kind": "Ingress"}});
    assert_eq!(
        faults(&review(delete)),
        ["in.yaml:1: AdmissionReview: a deletion, on which there is nothing to decide"]
    );
    assert_eq!(faults(r#"{"kind": "AdmissionReview", "response": {}}"#).len(), 1);
}

#[test]
fn a_fault_names_file_line_kind_and_name_and_all_else_is_read() {
    let text = format!(
        "---\na: 1\n---\n{INGRESS}spec: {{rules: 7}}\n---\nkind: Ingress\n  bad: [\n---\n{INGRESS}---\n\
         kind: Ingress\nmetadata: {{name: flagged, annotations: {{certgate.dev/auto-issue: true}}}}\n---\nNAME: shop\nSTATUS: deployed\n"
    );
    let documents = read(&text);
    assert_eq!(documents.ingresses.len(), 1);
    let told: Vec<String> = documents.faults.iter().map(ToString::to_string).collect();
    let begins = [
        "in.yaml:2: no Kubernetes object: it has no `kind`",
        "in.yaml:4: Ingress shop/web: invalid type: integer `7`, expected a sequence",
        "in.yaml:10: neither YAML nor JSON: ",
        "in.yaml:16: Ingress flagged: metadata.annotations: the value of certgate.dev/auto-issue is no text; write it in quotes: \"true\"",
        "in.yaml:19: no Kubernetes object: it has no `kind`",
    ];
    assert_eq!(told.len(), begins.len(), "{told:#?}");
    for (told, begins) in told.iter().zip(begins) {
        assert!(told.starts_with(begins) && told.lines().count() == 1, "{told}");
    }
}
