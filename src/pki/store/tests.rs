use std::time::Duration;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn settings() -> Settings {
    Settings {
        namespace: "certgate-system".to_owned(),
        service: "certgate-webhook".to_owned(),
        ca_secret: "certgate-ca".to_owned(),
        tls_secret: "certgate-webhook-tls".to_owned(),
        mutating: vec!["certgate".to_owned()],
        validating: Vec::new(),
        lifetimes: super::super::Lifetimes::default(),
    }
}

fn signer() -> Signer {
    Signer::new(x509::make_ca(now(), DAY * 30).unwrap()).unwrap()
}

fn written(cas: &CaState) -> Secret {
    secret("certgate-ca", "Opaque", cas.data(), None)
}

fn ids(cas: &CaState) -> [Option<Id>; 3] {
    [
        cas.current.as_ref().map(|signer| signer.ca.id),
        cas.next.as_ref().map(|signer| signer.ca.id),
        cas.previous.as_ref().map(|anchor| anchor.ca.id),
    ]
}

#[test]
fn the_ca_secret_reads_back_as_it_was_written() {
    let cas = CaState { current: Some(signer()), next: Some(signer()), previous: None };
    assert_eq!(ids(&CaState::read(&written(&cas))), ids(&cas));
    let [current, next, _] = ids(&cas);
    let promoted = CaState::read(&written(&cas.promoted()));
    assert_eq!(ids(&promoted), [next, None, current]);
    let keys: Vec<String> = promoted.data().into_keys().collect();
    assert_eq!(keys, ["ca.crt", "ca.key", "previous.crt"], "the previous CA's key is not kept");
}

#[test]
fn a_ca_with_another_key_counts_as_absent() {
    let (a, b) = (signer(), signer());
    let mixed = Pair { certificate: a.pair.certificate, key: b.pair.key };
    let mut secret = written(&CaState { current: Some(signer()), ..CaState::default() });
    secret.data.as_mut().unwrap().insert("ca.key".to_owned(), ByteString(mixed.key.into_bytes()));
    assert!(CaState::read(&secret).current.is_none());
}

#[test]
fn a_leaf_knows_its_issuer_among_the_cas() {
    let (current, other) = (signer(), signer());
    let names = settings().dns_names();
    let pair = x509::make_leaf(&current.pair, &names, now(), DAY).unwrap();
    let secret = secret("certgate-webhook-tls", "kubernetes.io/tls", leaf_data(&pair, &current), None);

    let cas = CaState { current: Some(current.clone()), ..CaState::default() };
    let (leaf, carried) = read_leaf(&secret, &cas, &names, now()).unwrap();
    assert_eq!(leaf.issuer, Some(current.ca.id));
    assert!(leaf.names_fit && carried.is_some());

    // The CA's Secret was lost: what is kept beside the leaf still tells.
    let cas = CaState { current: Some(other), ..CaState::default() };
    let (leaf, carried) = read_leaf(&secret, &cas, &names, now()).unwrap();
    assert_eq!(leaf.issuer, Some(current.ca.id));
    assert_eq!(carried.map(|anchor| anchor.ca.id), Some(current.ca.id));

    let elsewhere = ["certgate-webhook.elsewhere.svc".to_owned()];
    assert!(!read_leaf(&secret, &cas, &elsewhere, now()).unwrap().0.names_fit);
}

fn configuration() -> MutatingWebhookConfiguration {
    serde_json::from_value(json!({
        "metadata": {"name": "certgate", "resourceVersion": "7"},
        "webhooks": [
            {"name": "other.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
             "clientConfig": {"service": {"name": "other", "namespace": "certgate-system"}, "caBundle": "b3RoZXI="}},
            {"name": "ingress.certgate.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
             "clientConfig": {"service": {"name": "certgate-webhook", "namespace": "certgate-system", "path": "/mutate"}}},
            {"name": "service.certgate.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
             "clientConfig": {"service": {"name": "certgate-webhook", "namespace": "certgate-system", "path": "/mutate"}}},
        ],
    }))
    .unwrap()
}

#[test]
fn the_bundle_is_written_into_our_webhooks_and_nothing_else_is_touched() {
    let (cas, mut object) =
        (CaState { current: Some(signer()), next: Some(signer()), previous: None }, configuration());
    let mut wanted: Vec<Id> = ids(&cas).into_iter().flatten().collect();
    wanted.sort_unstable();
    let pem = bundle_pem(&wanted, &cas, None);
    let patch = bundle_patch(&object, &settings(), &pem, &wanted);
    let paths: Vec<&str> = patch.iter().filter_map(|op| op["path"].as_str()).collect();
    assert_eq!(
        paths,
        ["/metadata/resourceVersion", "/webhooks/1/clientConfig/caBundle", "/webhooks/2/clientConfig/caBundle"]
    );

    let before = serde_json::to_value(&object).unwrap();
    let mut after = before.clone();
    json_patch::patch(&mut after, &serde_json::from_value::<json_patch::Patch>(Value::Array(patch)).unwrap()).unwrap();
    assert_eq!(after["webhooks"][0], before["webhooks"][0]);
    object = serde_json::from_value(after).unwrap();
    assert_eq!(published(&object, &settings()), [wanted.clone(), wanted.clone()]);
    assert_eq!(bundle_patch(&object, &settings(), &pem, &wanted).len(), 1, "nothing is left to write");
}

#[test]
fn garbage_in_a_bundle_publishes_nothing() {
    let mut object = configuration();
    object.webhooks.as_mut().unwrap()[1].client_config.ca_bundle = Some(ByteString(b"garbage".to_vec()));
    assert_eq!(published(&object, &settings()), [Vec::<Id>::new(), Vec::new()]);
}

#[test]
fn a_secret_is_replaced_only_as_it_was_seen() {
    let mut old = written(&CaState { current: Some(signer()), ..CaState::default() });
    old.metadata.resource_version = Some("41".to_owned());
    old.metadata.uid = Some("u".to_owned());
    let new = secret("certgate-ca", "Opaque", BTreeMap::new(), Some(&old));
    assert_eq!(new.metadata.resource_version.as_deref(), Some("41"));
    assert_eq!(new.metadata.uid.as_deref(), Some("u"));
    assert_eq!(new.metadata.labels.unwrap()[names::MANAGED_BY], names::MANAGER);
}
