//! Files that are made from the code or the chart, and agree with it.
//!
//! `make manifests` (or `CERTGATE_UPDATE=1 cargo test --test generated`) writes them anew.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

#[path = "support/helm.rs"]
#[allow(dead_code)]
mod helm;
#[path = "generated/reference.rs"]
mod reference;

use std::{env, fs, path::Path};

use certgate::{cli::crd, config};
use serde_json::{Map, Value, json};

/// Compares, or writes where that is asked for.
fn agrees(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if env::var_os("CERTGATE_UPDATE").is_some() {
        fs::create_dir_all(path.parent().expect("a directory")).expect("the directory");
        fs::write(&path, expected).expect("the file is written");
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} is out of date; run `make manifests` and commit the change");
}

#[test]
fn the_charts_definitions_are_the_codes() {
    for definition in crd::definitions() {
        let name = format!("charts/certgate/files/crds/{}.yaml", definition.spec.names.plural);
        agrees(&name, &crd::yaml(&definition).unwrap());
    }
}

#[test]
fn the_charts_values_schema_knows_the_policy_as_the_code_does() {
    let name = "charts/certgate/values.schema.json";
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    let definitions = schema["$defs"].as_object_mut().unwrap();
    // What is written by hand is named `values.…`.
    definitions.retain(|name, _| name.starts_with("values."));
    definitions.append(&mut policy_definitions());
    agrees(name, &(serde_json::to_string_pretty(&schema).unwrap() + "\n"));
}

/// The policy's schema, as definitions to refer to.
fn policy_definitions() -> Map<String, Value> {
    let mut policy = serde_json::to_value(config::schema()).unwrap();
    let policy = policy.as_object_mut().unwrap();
    policy.remove("$schema");
    let mut definitions = match policy.remove("$defs") {
        Some(Value::Object(definitions)) => definitions,
        _ => Map::new(),
    };
    definitions.insert("Policy".to_owned(), Value::Object(policy.clone()));
    definitions.values_mut().for_each(plain);
    definitions
}

/// Turns alternatives into what Helm can name in a message: "'oneOf' failed" helps nobody.
fn plain(schema: &mut Value) {
    if let Some(words) = alternatives(schema, "oneOf")
        .and_then(|words| words.iter().map(|word| word.get("const").cloned()).collect::<Option<Vec<_>>>())
    {
        // YAML 1.1, which Helm reads, takes a bare off for false; the chart writes the word again.
        let off = words.iter().any(|word| word == "off").then_some(json!(false));
        *schema =
            json!({ "description": schema["description"], "enum": words.into_iter().chain(off).collect::<Vec<_>>() });
    }
    // Left out is the way to say null.
    if let Some([one]) = alternatives(schema, "anyOf")
        .map(|options| options.into_iter().filter(|option| option["type"] != "null").collect::<Vec<_>>())
        .as_deref()
    {
        let mut one = one.clone();
        if let Some(description) = schema.get("description") {
            one["description"] = description.clone();
        }
        *schema = one;
    }
    if let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        fields.values_mut().for_each(plain);
    }
}

fn alternatives(schema: &Value, of: &str) -> Option<Vec<Value>> {
    schema.get(of).and_then(Value::as_array).cloned()
}

#[test]
fn the_plain_manifests_are_the_charts() {
    let definitions: String =
        crd::definitions().iter().map(|definition| format!("---\n{}", crd::yaml(definition).unwrap())).collect();
    agrees(
        "webhook-config/crds.yaml",
        &format!("# Generated from the code by `make manifests`; do not edit.\n{definitions}"),
    );
    let rendered = helm::template(&["--skip-tests", "--set", "crds.install=false"]).unwrap();
    let kept: Vec<_> = rendered
        .lines()
        .filter(|line| {
            let line = line.trim_start();
            !["# Source:", "helm.sh/chart:", "app.kubernetes.io/managed-by: Helm"].iter().any(|of| line.starts_with(of))
        })
        .collect();
    let head = "\
# Generated from charts/certgate by `make manifests`; do not edit. Set issuer and gateway in the ConfigMap certgate-policy.
---
apiVersion: v1
kind: Namespace
metadata:
  name: certgate-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
";
    agrees("webhook-config/certgate.yaml", &format!("{head}{}\n", kept.join("\n")));
}

#[test]
fn the_documented_schema_is_the_codes() {
    agrees("docs/policy.schema.json", &(serde_json::to_string_pretty(&config::schema()).unwrap() + "\n"));
}

#[test]
fn the_policy_reference_describes_every_field() {
    agrees("docs/policy.md", &reference::policy(&serde_json::to_value(config::schema()).unwrap()));
}

#[test]
fn the_reasons_table_has_every_reason() {
    agrees("docs/reasons.md", &reference::reasons());
}
