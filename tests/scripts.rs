//! The scripts beside the code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use x509_parser::prelude::*;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn pem(path: &Path) -> Vec<u8> {
    let text = fs::read(path).unwrap();
    parse_x509_pem(&text).unwrap().1.contents
}

#[test]
fn the_development_certificates_chain_and_name_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(root().join("certs/make.sh"))
        .arg(dir.path())
        .args(["certgate-webhook.certgate-system.svc", "127.0.0.1"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (ca, leaf) = (pem(&dir.path().join("ca.crt")), pem(&dir.path().join("tls.crt")));
    let (_, ca) = X509Certificate::from_der(&ca).unwrap();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    assert!(ca.is_ca() && !leaf.is_ca());
    assert_eq!(leaf.issuer(), ca.subject());
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    let expected =
        [GeneralName::DNSName("certgate-webhook.certgate-system.svc"), GeneralName::IPAddress(&[127, 0, 0, 1])];
    assert_eq!(names.as_slice(), expected);
    assert!(leaf.extended_key_usage().unwrap().unwrap().value.server_auth);
    for key in ["ca.key", "tls.key"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(dir.path().join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{key} is its owner's alone");
    }
}

#[test]
fn git_ignores_the_keys() {
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "/certs/*.key"));
}

#[test]
fn every_script_is_bash_that_parses_and_stops_at_the_first_failure() {
    for script in [".ci/run", ".ci/image", "certs/make.sh"] {
        let path = root().join(script);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("#!/usr/bin/env bash\n") && text.contains("set -euo pipefail"), "{script}");
        assert!(Command::new("bash").arg("-n").arg(&path).status().unwrap().success(), "{script}");
    }
}

#[test]
fn every_target_of_the_makefile_says_what_it_does() {
    let text = fs::read_to_string(root().join("Makefile")).unwrap();
    for target in ["help", "build", "test", "demo", "bench", "lint", "manifests", "image", "clean"] {
        let rule = text.lines().find(|line| line.starts_with(&format!("{target}:"))).unwrap();
        assert!(rule.contains(" ## "), "{rule}");
    }
}
