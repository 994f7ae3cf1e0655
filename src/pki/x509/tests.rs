use super::*;

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn names() -> Vec<String> {
    vec![
        "certgate-webhook.certgate-system.svc".to_owned(),
        "certgate-webhook.certgate-system.svc.cluster.local".to_owned(),
    ]
}

fn ders(pair: &Pair) -> Vec<CertificateDer<'static>> {
    chain(pair.certificate.as_bytes()).unwrap()
}

#[test]
fn a_leaf_verifies_against_its_own_ca_only_for_its_names_and_in_its_time() {
    let (ours, other) = (make_ca(now(), DAY * 30).unwrap(), make_ca(now(), DAY * 30).unwrap());
    let leaf = ders(&make_leaf(&ours, &names(), now(), DAY * 7).unwrap());
    let roots = ders(&ours);
    for name in names() {
        verify(&leaf, &roots, Some(&name), now()).unwrap();
    }
    let both: Vec<_> = ders(&other).into_iter().chain(roots.clone()).collect();
    verify(&leaf, &both, Some(&names()[0]), now()).unwrap();
    assert!(verify(&leaf, &ders(&other), None, now()).is_err());
    assert!(verify(&leaf, &roots, Some("other.certgate-system.svc"), now()).is_err());
    assert!(verify(&leaf, &roots, None, now() + DAY * 8).is_err());
    assert!(verify(&leaf, &roots, None, now() - DAY).is_err());
}

#[test]
fn a_leaf_never_outlives_its_ca() {
    let ca = make_ca(now(), DAY).unwrap();
    let leaf = make_leaf(&ca, &names(), now(), DAY * 7).unwrap();
    assert_eq!(validity(&ders(&leaf)[0]).unwrap().not_after, validity(&ders(&ca)[0]).unwrap().not_after);
}

#[test]
fn certificates_begin_a_little_early_but_not_by_much() {
    let begins =
        |lifetime| now().duration_since(validity(&ders(&make_ca(now(), lifetime).unwrap())[0]).unwrap().not_before);
    assert_eq!(begins(DAY * 365).as_secs(), 3600);
    assert_eq!(begins(Duration::from_secs(60)).as_secs(), 6);
}

#[test]
fn a_key_of_another_pair_is_refused() {
    let ca = make_ca(now(), DAY * 30).unwrap();
    let (a, b) = (make_leaf(&ca, &names(), now(), DAY).unwrap(), make_leaf(&ca, &names(), now(), DAY).unwrap());
    certified_key(a.certificate.as_bytes(), a.key.as_bytes()).unwrap();
    let mixed = certified_key(a.certificate.as_bytes(), b.key.as_bytes());
    assert!(matches!(mixed, Err(X509Error::KeyMismatch)), "{mixed:?}");
}

#[test]
fn hostile_pem_is_an_error_and_no_more() {
    let block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(chain(b""), Err(X509Error::Empty)));
    assert!(matches!(chain(b"no pem at all"), Err(X509Error::Empty)));
    assert!(matches!(chain(block.repeat(100).as_bytes()), Err(X509Error::TooMany)));
    assert!(chain(b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n").is_err());
    assert!(validity(&CertificateDer::from(vec![0; 3])).is_err());
    assert!(certified_key(block.as_bytes(), block.as_bytes()).is_err());
    assert!(verify(&chain(block.as_bytes()).unwrap(), &[], None, now()).is_err());
}
