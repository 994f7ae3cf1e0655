//! `certgate crd`: the custom resource definitions, as the chart installs them.

use std::{io::Write as _, process::ExitCode};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

use crate::api::{domain::DomainDefinition, verified_hosts::VerifiedHostsDefinition};

/// Print the custom resource definitions (Domain, VerifiedHosts) as YAML, for `kubectl apply -f -`.
#[derive(Debug, clap::Args)]
pub struct CrdArgs {}

/// Why the definitions cannot be printed.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// They cannot be put into YAML.
    #[error("cannot write the definitions as YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser_error::Error),
    /// They cannot be put into JSON.
    #[error("cannot write the definitions as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// They cannot be written.
    #[error("cannot print the definitions: {0}")]
    Print(#[from] std::io::Error),
}

/// Every definition.
pub fn definitions() -> [CustomResourceDefinition; 2] {
    [DomainDefinition::crd(), VerifiedHostsDefinition::crd()]
}

/// A definition as a YAML document; the same bytes at each call.
///
/// # Errors
/// The definition cannot be serialised.
pub fn yaml(definition: &CustomResourceDefinition) -> Result<String, CrdError> {
    // By way of a JSON value, whose keys are sorted.
    Ok(serde_saphyr::to_string(&serde_json::to_value(definition)?)?)
}

/// Prints them.
///
/// # Errors
/// Standard output is closed.
pub fn run(_: &CrdArgs) -> Result<ExitCode, CrdError> {
    let mut out = anstream::stdout().lock();
    for definition in &definitions() {
        writeln!(out, "---\n{}", yaml(definition)?.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_yaml_reads_back_as_the_definitions() {
        for definition in definitions() {
            let text = yaml(&definition).unwrap();
            assert_eq!(text, yaml(&definition).unwrap());
            let back: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(back, definition);
        }
    }

    /// <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>
    #[test]
    fn every_schema_is_structural() {
        fn look(at: &str, schema: &serde_json::Value) {
            for list in ["anyOf", "oneOf", "allOf"] {
                for option in schema[list].as_array().into_iter().flatten() {
                    for word in ["type", "description", "default"] {
                        assert!(option[word].is_null(), "{at}: {word} within {list}");
                    }
                }
            }
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                assert!(
                    !field["type"].is_null() || field["x-kubernetes-int-or-string"] == true,
                    "{at}.{name}: no type"
                );
                look(&format!("{at}.{name}"), field);
            }
            for inner in ["items", "additionalProperties"] {
                if let Some(schema) = schema.get(inner) {
                    look(&format!("{at}[]"), schema);
                }
            }
        }
        for definition in definitions() {
            let schema = serde_json::to_value(&definition.spec.versions[0].schema).unwrap();
            look(&definition.spec.names.kind, &schema["openAPIV3Schema"]);
        }
    }

    #[test]
    fn every_field_says_what_it_is() {
        for definition in definitions() {
            let schema = definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
            let properties = schema.properties.as_ref().unwrap();
            for part in ["spec", "status"].into_iter().filter_map(|name| properties.get(name)) {
                for (name, field) in part.properties.as_ref().unwrap() {
                    assert!(field.description.is_some(), "{}: {name}", definition.spec.names.kind);
                }
            }
        }
    }
}
