//! What ARCHITECTURE.md promises of the tree, checked.

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
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn the_core_knows_of_no_cluster_network_file_or_clock() {
    let forbidden = [
        "kube::",
        "tokio",
        "hickory",
        "std::net",
        "std::fs",
        "std::env",
        "SystemTime",
        "Instant",
        "Timestamp::now",
        "Zoned::now",
        "tracing",
        "async fn",
        ".await",
        "crate::cluster",
        "crate::dns",
        "crate::server",
    ];
    let mut files = rust_files("src/core");
    files.push(root().join("src/core.rs"));
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        // Of Kubernetes' own types only plain data: conditions and times.
        let code = code.replace("k8s_openapi::apimachinery::pkg::apis::meta::v1", "");
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            assert!(!line.contains("k8s_openapi"), "{} names a Kubernetes API: {line}", file.display());
            for word in forbidden {
                assert!(!line.contains(word), "{} names {word}: {line}", file.display());
            }
        }
    }
    assert!(files.len() > 10, "the core was found");
}

#[test]
fn no_file_is_longer_than_500_lines() {
    for folder in ["src", "tests", "benches"] {
        for file in rust_files(folder) {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            assert!(lines <= 500, "{} has {lines} lines", file.display());
        }
    }
}

/// The anchor that a heading has.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect::<String>().replace(' ', "-")
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut documents = vec![root().join("README.md"), root().join("README.zh-CN.md"), root().join("ARCHITECTURE.md")];
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    documents.extend(pages.filter(|page| page.extension().is_some_and(|extension| extension == "md")));
    let mut count = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link}", document.display());
            if !fragment.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let known = text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == fragment);
                assert!(known, "{}: {link}", document.display());
            }
            count += 1;
        }
    }
    assert!(count > 50, "{count} links");
}

#[test]
fn no_module_is_called_mod_rs() {
    assert!(rust_files("src").iter().chain(&rust_files("tests")).all(|file| !file.ends_with("mod.rs")));
}

#[test]
fn the_map_names_every_source_file_and_no_other() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for file in rust_files("src") {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        // A folder's line speaks for what lies in it.
        let spoken_for = map.contains(&format!("`{name}`"))
            || file.ancestors().any(|folder| {
                folder.strip_prefix(root()).is_ok_and(|f| {
                    !f.as_os_str().is_empty() && f != Path::new("src") && map.contains(&format!("`{}/`", f.display()))
                })
            });
        assert!(spoken_for, "ARCHITECTURE.md does not mention {name}");
    }
    for name in map.split('`').filter(|name| name.starts_with("src/")) {
        assert!(root().join(name).exists(), "ARCHITECTURE.md mentions {name}, which does not exist");
    }
}
