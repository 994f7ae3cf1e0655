use std::time::Duration;

use super::*;
use crate::pki::x509::{Pair, make_ca, make_leaf};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn leaf(ca: &Pair) -> Pair {
    make_leaf(ca, &["certgate-webhook.certgate-system.svc".to_owned()], now(), DAY).unwrap()
}

fn install(
    certificate: &ServingCertificate,
    leaf: &Pair,
    key: &str,
    roots: Option<&Pair>,
    now: Timestamp,
) -> Result<bool, CertificateFault> {
    let roots = roots.map(|pair| pair.certificate.as_bytes());
    certificate.install(leaf.certificate.as_bytes(), key.as_bytes(), roots, now)
}

#[test]
fn what_is_not_proved_fit_leaves_the_old_one_in_place() {
    let (ca, other) = (make_ca(now(), DAY * 30).unwrap(), make_ca(now(), DAY * 30).unwrap());
    let (first, second) = (leaf(&ca), leaf(&ca));
    let certificate = ServingCertificate::default();
    assert!(install(&certificate, &first, &first.key, Some(&ca), now()).unwrap());
    assert!(!install(&certificate, &first, &first.key, Some(&ca), now()).unwrap(), "the same again is no swap");
    let shown = certificate.current().unwrap().chain().to_vec();

    let refused = |result: Result<bool, CertificateFault>| result.unwrap_err().to_string();
    let mismatch = refused(install(&certificate, &second, &first.key, Some(&ca), now()));
    assert!(mismatch.contains("does not belong"), "{mismatch}");
    let stranger = refused(install(&certificate, &second, &second.key, Some(&other), now()));
    assert!(stranger.contains("does not verify"), "{stranger}");
    let over = refused(install(&certificate, &second, &second.key, Some(&ca), now() + DAY * 2));
    assert!(over.contains("which is not now"), "{over}");
    let garbage = Pair { certificate: "garbage".to_owned(), key: "garbage".to_owned() };
    assert!(install(&certificate, &garbage, &garbage.key, None, now()).is_err());
    assert_eq!(certificate.current().unwrap().chain(), shown);

    assert!(install(&certificate, &second, &second.key, Some(&ca), now()).unwrap());
    assert_ne!(certificate.current().unwrap().chain(), shown);
}

#[test]
fn a_chain_must_hang_together() {
    let (ca, other) = (make_ca(now(), DAY * 30).unwrap(), make_ca(now(), DAY * 30).unwrap());
    let leaf = leaf(&ca);
    let chained =
        |issuer: &Pair| Pair { certificate: format!("{}{}", leaf.certificate, issuer.certificate), key: String::new() };
    let certificate = ServingCertificate::default();
    assert!(install(&certificate, &chained(&other), &leaf.key, None, now()).is_err());
    assert!(install(&certificate, &chained(&ca), &leaf.key, None, now()).unwrap());
    assert_eq!(certificate.current().unwrap().chain().len(), 2);
}
