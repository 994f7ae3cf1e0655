use std::time::Duration;

use k8s_openapi::{ByteString, api::admissionregistration::v1::MutatingWebhookConfiguration};
use serde_json::json;

use super::*;
use crate::pki::x509::{Pair, make_ca, make_leaf};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn configuration(namespace: &str, bundle: Option<&str>) -> MutatingWebhookConfiguration {
    let mut object: MutatingWebhookConfiguration = serde_json::from_value(json!({
        "metadata": {"name": "certgate"},
        "webhooks": [{
            "name": "ingress.certgate.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"service": {"name": "certgate-webhook", "namespace": namespace}},
        }],
    }))
    .unwrap();
    object.webhooks.as_mut().unwrap()[0].client_config.ca_bundle = bundle.map(|pem| ByteString(pem.into()));
    object
}

struct World {
    ca: Pair,
    other: Pair,
    certificate: ServingCertificate,
    trust: Arc<PublishedTrust<MutatingWebhookConfiguration>>,
}

fn world(system_roots: bool) -> World {
    let (ca, other) = (make_ca(now(), DAY * 30).unwrap(), make_ca(now(), DAY * 30).unwrap());
    let leaf = make_leaf(&ca, &["certgate-webhook.certgate-system.svc".to_owned()], now(), DAY).unwrap();
    let certificate = ServingCertificate::default();
    certificate.install(leaf.certificate.as_bytes(), leaf.key.as_bytes(), None, now()).unwrap();
    let trust = PublishedTrust::new("certgate".to_owned(), "certgate-system".to_owned(), system_roots);
    World { ca, other, certificate, trust }
}

impl World {
    fn says(&self, object: Option<MutatingWebhookConfiguration>) -> Result<(), String> {
        self.trust.take(object);
        self.trust.accepts(&self.certificate, now())
    }
}

#[test]
fn only_a_certificate_that_the_published_bundle_vouches_for_is_ready() {
    let world = world(false);
    let not_read = world.trust.accepts(&world.certificate, now());
    assert_eq!(not_read, Err("MutatingWebhookConfiguration certgate is not read yet".to_owned()));
    let (ours, other) = (&world.ca.certificate, &world.other.certificate);
    assert_eq!(world.says(None), Err("MutatingWebhookConfiguration certgate does not exist".to_owned()));
    assert!(world.says(Some(configuration("certgate-system", None))).unwrap_err().contains("is empty"));
    assert!(world.says(Some(configuration("certgate-system", Some(other)))).unwrap_err().contains("does not verify"));
    assert!(world.says(Some(configuration("certgate-system", Some("garbage")))).is_err());
    assert!(world.says(Some(configuration("elsewhere", Some(ours)))).unwrap_err().contains("no webhook of certgate"));
    assert_eq!(world.says(Some(configuration("certgate-system", Some(ours)))), Ok(()));
    let both = format!("{other}{ours}");
    assert_eq!(world.says(Some(configuration("certgate-system", Some(&both)))), Ok(()));
    assert!(world.trust.accepts(&world.certificate, now() + DAY * 2).is_err(), "over");
    let none = ServingCertificate::default();
    assert_eq!(world.trust.accepts(&none, now()), Err("no serving certificate yet".to_owned()));
}

#[test]
fn files_may_rest_on_roots_that_only_the_api_server_knows() {
    let world = world(true);
    assert_eq!(world.says(Some(configuration("certgate-system", None))), Ok(()));
    let other = &world.other.certificate;
    assert!(world.says(Some(configuration("certgate-system", Some(other)))).is_err(), "a bundle that is there counts");
}

#[test]
fn the_gates_bundle_counts_as_the_other_does() {
    use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
    let World { ca, other, certificate, .. } = world(false);
    let trust = PublishedTrust::<ValidatingWebhookConfiguration>::new(
        "certgate-approval".to_owned(),
        "certgate-system".to_owned(),
        false,
    );
    let says = |bundle: &str| {
        let mut object = serde_json::to_value(configuration("certgate-system", Some(bundle))).unwrap();
        object["kind"] = json!("ValidatingWebhookConfiguration");
        trust.take(Some(serde_json::from_value(object).unwrap()));
        trust.accepts(&certificate, now())
    };
    let not_read = trust.accepts(&certificate, now());
    assert_eq!(not_read, Err("ValidatingWebhookConfiguration certgate-approval is not read yet".to_owned()));
    assert!(says(&other.certificate).unwrap_err().contains("certgate-approval"));
    assert_eq!(says(&ca.certificate), Ok(()));
}
