//! What certgate makes of every object that Rainbond itself sends. The
//! snapshot reads as documentation: file, then each host's fate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

use std::{fmt::Write as _, fs, path::Path};

use certgate::{
    core::policy::{ApprovalGate, AutoIssue, GateMode, IssuerRef, Policy, Rainbond},
    explain::{documents::Documents, explain, render},
};

fn policy() -> Policy {
    Policy {
        issuer: Some(IssuerRef::cluster("letsencrypt")),
        auto_issue: AutoIssue::All,
        platform_domains: vec!["nip.io".into(), "grapps.cn".into(), "goodrain.me".into()],
        gate: ApprovalGate { mode: GateMode::All, ..ApprovalGate::default() },
        rainbond: Rainbond { routes: true, ..Rainbond::default() },
        ..Policy::default()
    }
}

fn table(folder: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut out = String::new();
    for file in files {
        let mut documents = Documents::default();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        documents.add(&name, &fs::read_to_string(&file).unwrap());
        // A review of a deletion holds no object.
        if let Some(fault) = documents.faults.first() {
            let _ = writeln!(out, "{name}\n    {fault}");
            continue;
        }
        // Of "before, after" files each document is an object of its own.
        let (explained, faults) = explain(&documents, &policy(), "2026-11-24T12:00:00Z".parse().unwrap(), true);
        assert_eq!(faults, []);
        if explained.is_empty() {
            continue;
        }
        let json: serde_json::Value = serde_json::from_str(&render::json(&explained).unwrap()).unwrap();
        let _ = writeln!(out, "{name}");
        for decision in json["decisions"].as_array().unwrap() {
            let patch = decision["patch"].as_array().unwrap();
            for host in decision["hosts"].as_array().unwrap() {
                let host_text = host["host"].as_str().unwrap();
                let short =
                    if host_text.len() > 60 { format!("{}…", &host_text[..40]) } else { host_text.to_owned() };
                let _ = writeln!(
                    out,
                    "    {:<11} {:<8} {:<16} {short} [{} ops]",
                    decision["profile"].as_str().unwrap(),
                    host["action"].as_str().unwrap(),
                    host["reason"].as_str().unwrap(),
                    patch.len()
                );
            }
        }
    }
    out
}

#[test]
fn every_object_of_rainbond_5() {
    insta::assert_snapshot!(table("v5"));
}

#[test]
fn every_object_of_rainbond_6() {
    insta::assert_snapshot!(table("v6"));
}
