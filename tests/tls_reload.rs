//! Serving certificates that change under a running server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "helpers of tests fail by panicking, like the tests"
)]

#[path = "serving/support.rs"]
#[allow(dead_code)]
mod support;

use std::{os::unix::fs::symlink, path::Path, sync::Arc, time::Duration};

use certgate::{
    pki::x509::{self, Pair},
    server::source::{Files, follow_files, load_files},
    telemetry::metrics::ServerMetrics,
};
use prometheus_client::registry::Registry;
use support::*;

/// A Secret as the kubelet mounts it: files are symlinks into `..data`, which
/// is a symlink to a dated folder, and a change swaps that one link.
struct Mount {
    folder: tempfile::TempDir,
    version: u32,
}

impl Mount {
    fn new(leaf: &Pair) -> Self {
        let mut mount = Self { folder: tempfile::tempdir().unwrap(), version: 0 };
        mount.put(&leaf.certificate, &leaf.key);
        for file in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(file), mount.folder.path().join(file)).unwrap();
        }
        mount
    }

    fn put(&mut self, certificate: &str, key: &str) {
        let old = format!("..2026_{}", self.version);
        self.version += 1;
        let new = format!("..2026_{}", self.version);
        let root = self.folder.path();
        std::fs::create_dir(root.join(&new)).unwrap();
        std::fs::write(root.join(&new).join("tls.crt"), certificate).unwrap();
        std::fs::write(root.join(&new).join("tls.key"), key).unwrap();
        symlink(&new, root.join("..data_tmp")).unwrap();
        std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        if root.join(&old).exists() {
            std::fs::remove_dir_all(root.join(&old)).unwrap();
        }
    }

    fn files(&self) -> Files {
        Files { certificate: self.folder.path().join("tls.crt"), key: self.folder.path().join("tls.key") }
    }
}

fn der(leaf: &Pair) -> rustls_pki_types::CertificateDer<'static> {
    x509::chain(leaf.certificate.as_bytes()).unwrap().remove(0)
}

#[tokio::test]
async fn every_swap_of_the_mounted_files_is_seen_and_no_connection_is_cut() {
    let server = serve(Setup::default()).await;
    let mut mount = Mount::new(&leaf(&server.ca));
    let (certificate, files) = (Arc::clone(&server.certificate), mount.files());
    let mut registry = Registry::default();
    let metrics = ServerMetrics::register(&mut registry);
    load_files(&files, &certificate, &metrics).await.unwrap();
    tokio::spawn(async move { match follow_files(files, Duration::from_millis(5), &certificate, &metrics).await {} });
    let mut kept = server.connect().await;
    for _ in 0..5 {
        let new = leaf(&server.ca);
        mount.put(&new.certificate, &new.key);
        eventually("the new certificate", async || server.connect().await.leaf == der(&new)).await;
        kept.ask("kept", "www.example.com").await;
    }
}

#[tokio::test]
async fn a_pair_that_does_not_fit_is_not_taken_and_the_next_good_one_is() {
    let server = serve(Setup::default()).await;
    let good = leaf(&server.ca);
    let mut mount = Mount::new(&good);
    let (certificate, files) = (Arc::clone(&server.certificate), mount.files());
    let mut registry = Registry::default();
    let metrics = ServerMetrics::register(&mut registry);
    load_files(&files, &certificate, &metrics).await.unwrap();
    let watched = metrics.clone();
    tokio::spawn(async move { match follow_files(files, Duration::from_millis(5), &certificate, &watched).await {} });
    let bad = [
        (leaf(&server.ca).certificate, good.key.clone()),
        (String::new(), good.key.clone()),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(), "x".to_owned()),
    ];
    for (round, (chain, key)) in (1..).zip(bad) {
        mount.put(&chain, &key);
        eventually("the fault is counted", async || metrics.certificate_faults.get() == round).await;
        assert_eq!(server.connect().await.leaf, der(&good), "the old one stays");
    }
    let next = leaf(&server.ca);
    mount.put(&next.certificate, &next.key);
    eventually("the next good one", async || server.connect().await.leaf == der(&next)).await;
    assert_eq!(metrics.certificate_faults.get(), 3, "a fault is told once");
}

#[tokio::test]
async fn files_that_cannot_be_served_with_are_named_at_the_start() {
    crypto();
    let (ca, good) = certificates();
    let certificate = certgate::server::certificate::ServingCertificate::default();
    let metrics = ServerMetrics::register(&mut Registry::default());
    let mount = Mount::new(&Pair { certificate: leaf(&ca).certificate, key: good.key });
    let error = load_files(&mount.files(), &certificate, &metrics).await.unwrap_err().to_string();
    assert!(error.starts_with("--tls-cert-file ") && error.contains("its own key"), "{error}");
    let absent = Files { key: "/nowhere/tls.key".into(), ..mount.files() };
    let error = load_files(&absent, &certificate, &metrics).await.unwrap_err().to_string();
    assert!(error.starts_with("--tls-key-file /nowhere/tls.key: "), "{error}");
}
