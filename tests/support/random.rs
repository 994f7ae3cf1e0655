//! Random Ingresses, states of knowledge and policies, and a decision about them.

use std::collections::BTreeMap;

use certgate::core::{
    decide::decide,
    decision::Decision,
    finding::Finding,
    ingress::Ingress,
    knowledge::{Bind, DomainFacts, Knowledge, PlaceFacts, VerdictFacts},
    names,
    patch::PatchOp,
    policy::{AutoIssue, CertificateSettings, Issuance, IssuerRef, Match, PlainHttp, Policy, Profile, Rule},
    reason::{Action, Reason},
};
use jiff::Timestamp;
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

const HOSTS: &[&str] = &[
    "www.example.com",
    "api.example.com",
    "*.example.com",
    "a.b.example.com",
    "xn--fsqu00a.com",
    "8.shop-example.com",
    "WWW.Example.COM",
    "intranet",
    "203.0.113.10",
    "x.nip.io",
    "bad_host.example.com",
    "",
];
const SECRETS: &[&str] = &["theirs", "certgate-www.example.com", "certgate-api.example.com", "wild-tls"];

/// A state of knowledge.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The namespace's label.
    pub namespace_flag: Option<String>,
    /// By host.
    pub domains: BTreeMap<String, DomainFacts>,
    /// Whether Rainbond 5's gateway serves a host of it.
    pub v5: bool,
}

impl Knowledge for Known {
    fn namespace_label(&self, _: &str, key: &str) -> Option<&str> {
        (key == names::AUTO_ISSUE).then_some(self.namespace_flag.as_deref()).flatten()
    }
    fn domain(&self, _: &str, host: &str) -> Option<&DomainFacts> {
        self.domains.get(host)
    }
    fn has_profile(&self, _: &str, profile: Profile) -> bool {
        self.v5 && profile == Profile::RainbondV5
    }
}

/// The time of all decisions.
pub fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn optional<T: std::fmt::Debug + Clone + 'static>(values: &'static [T]) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(select(values))
}

fn tls_entry() -> impl Strategy<Value = Value> {
    (proptest::collection::vec(select(HOSTS), 0..3), optional(SECRETS)).prop_map(|(hosts, secret)| {
        let mut entry = serde_json::Map::new();
        if !hosts.is_empty() {
            entry.insert("hosts".into(), json!(hosts));
        }
        if let Some(secret) = secret {
            entry.insert("secretName".into(), json!(secret));
        }
        Value::Object(entry)
    })
}

/// What people write of their certificates, well or not.
const WISHES: &[(&str, &str)] = &[
    (names::CLUSTER_ISSUER, ""),
    (names::ISSUER_KIND, "ClusterIssuer"),
    (names::ISSUER_KIND, "Custom"),
    (names::ISSUER_GROUP, "example.com"),
    (names::COMMON_NAME, "www.example.com"),
    (names::COMMON_NAME, "api.example.com"),
    (names::ALT_NAMES, "alt.example.com"),
    (names::IP_SANS, "203.0.113.7"),
    (names::EMAIL_SANS, "me@example.com"),
    (names::DURATION, "2160h"),
    (names::DURATION, "90d"),
    (names::RENEW_BEFORE, "720h"),
    (names::RENEW_BEFORE_PERCENTAGE, "33"),
    (names::USAGES, "server auth"),
    (names::USAGES, "nonsense"),
    (names::PRIVATE_KEY_ALGORITHM, "ECDSA"),
    (names::PRIVATE_KEY_SIZE, "384"),
    (names::SECRET_TEMPLATE, "{\"labels\":{\"a\":\"b\"}}"),
    (names::SECRET_TEMPLATE, "[]"),
    (names::HTTP01_EDIT_IN_PLACE, "true"),
    (names::HTTP01_INGRESS_CLASS, "nginx"),
];

fn annotations() -> impl Strategy<Value = Option<Value>> {
    let pairs: &'static [(&str, &str)] = &[
        (names::AUTO_ISSUE, "true"),
        (names::AUTO_ISSUE, "false"),
        (names::AUTO_ISSUE, "perhaps"),
        (names::CLUSTER_ISSUER, "theirs"),
        (names::ISSUER, "theirs"),
        ("kubernetes.io/tls-acme", "true"),
        (names::SECRET_TEMPLATE, "{}"),
        (names::FORCE_SSL_REDIRECT, "false"),
        ("nginx.ingress.kubernetes.io/weight", "100"),
        ("a~b/c", "odd key"),
        (
            names::INJECTED,
            "{\"tls\":{\"www.example.com\":\"theirs\"},\"annotations\":{\"cert-manager.io/issuer\":\"theirs\"}}",
        ),
        (names::INJECTED, "garbage"),
    ];
    let wishes = proptest::option::weighted(0.3, proptest::collection::vec(select(WISHES), 1..4));
    (proptest::option::of(proptest::collection::vec(select(pairs), 0..5)), wishes).prop_map(|(pairs, wishes)| {
        let all = |pairs: Vec<(&str, &str)>, wishes: Option<Vec<(&str, &str)>>| {
            json!(pairs.into_iter().chain(wishes.into_iter().flatten()).collect::<BTreeMap<_, _>>())
        };
        pairs.map(|pairs| all(pairs, wishes))
    })
}

fn labels() -> impl Strategy<Value = Option<Value>> {
    select(vec![
        None,
        Some(json!({"app": "x"})),
        Some(json!({"creator": "Rainbond", "service_id": "s", "app_id": "a"})),
        Some(json!({"creator": "Rainbond", "belongTo": "rainbond-operator"})),
        Some(json!({"acme.cert-manager.io/http01-solver": "true"})),
    ])
}

/// An Ingress of any kind, also such that no API server accepts.
pub fn ingress() -> impl Strategy<Value = Value> {
    (
        annotations(),
        labels(),
        proptest::collection::vec(select(HOSTS), 0..5),
        proptest::option::of(proptest::collection::vec(tls_entry(), 0..3)),
        optional(&["apisix", "nginx"]),
        any::<bool>(),
    )
        .prop_map(|(annotations, labels, hosts, tls, class, backend)| {
            let mut metadata = json!({"name": "web", "namespace": "team-a"});
            let mut spec = json!({});
            if let Some(annotations) = annotations {
                metadata["annotations"] = annotations;
            }
            if let Some(labels) = labels {
                metadata["labels"] = labels;
            }
            let path = json!([{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]);
            spec["rules"] = hosts.iter().map(|host| if host.is_empty() { json!({"http": {"paths": path}}) } else { json!({"host": host, "http": {"paths": path}}) }).collect();
            if let Some(tls) = tls {
                spec["tls"] = Value::Array(tls);
            }
            if let Some(class) = class {
                spec["ingressClassName"] = json!(class);
            }
            if backend {
                spec["defaultBackend"] = json!({"service": {"name": "web", "port": {"number": 80}}});
            }
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec})
        })
}

/// Where a host may stand with the CA's limits.
fn places() -> Vec<PlaceFacts> {
    let finding = Finding::new(Reason::RateLimited, "host");
    let waiting = VerdictFacts { finding, issuer: None, server: None, valid_until: Timestamp::MAX };
    vec![PlaceFacts::Unasked, PlaceFacts::Granted, PlaceFacts::Waiting(Box::new(waiting))]
}

/// A host as the API server stores it.
pub fn host() -> impl Strategy<Value = String> {
    select(HOSTS).prop_map(str::to_lowercase).prop_filter("a host", |host| !host.is_empty())
}

/// What a Domain says.
pub fn facts() -> impl Strategy<Value = DomainFacts> {
    // Good verdicts weigh more: what is held exercises little of the patch.
    let reasons = &[
        Reason::Verified,
        Reason::Verified,
        Reason::Verified,
        Reason::NoValidationNeeded,
        Reason::DomainNotFound,
        Reason::WrongTarget,
        Reason::WildcardNeedsDns01,
        Reason::HostTaken,
    ];
    (
        optional(&[true, true, true, false]),
        optional(reasons),
        any::<(bool, bool, bool)>(),
        optional(&["web", "other"]),
        proptest::option::weighted(0.7, select(&["le", "zero"][..])),
        proptest::option::weighted(0.2, select(&["le", "zero"][..])),
        proptest::option::weighted(0.2, select(&[("wild-tls", "wild-tls"), ("wild-tls", "wild")][..])),
        proptest::option::weighted(0.2, select(places())),
    )
        .prop_map(|(auto_issue, reason, (issued, released, fresh), lead, by, issuer, bind, place)| {
            let issuer = issuer.map(IssuerRef::cluster);
            DomainFacts {
                auto_issue,
                settings: None,
                place,
                verdict: reason.map(|reason| VerdictFacts {
                    finding: Finding::new(reason, "host"),
                    issuer: issuer.clone(),
                    server: None,
                    valid_until: if fresh { Timestamp::MAX } else { Timestamp::MIN },
                }),
                issuer,
                issued,
                released,
                released_issuer: by.map(IssuerRef::cluster).filter(|_| released),
                injected_secrets: Vec::new(),
                lead: lead.map(Into::into),
                bind: bind
                    .map(|(secret, certificate)| Bind { secret_name: secret.into(), certificate: certificate.into() }),
                profile: None,
                certificate: None,
                certified: Vec::new(),
                other_verdicts: Vec::new(),
            }
        })
}

/// What is known of the cluster.
pub fn known() -> impl Strategy<Value = Known> {
    (
        optional(&["true", "false", "?"]),
        proptest::collection::btree_map(select(HOSTS).prop_map(|host| host.to_lowercase()), facts(), 2..9),
        any::<bool>(),
    )
        .prop_map(|(flag, domains, v5)| Known { namespace_flag: flag.map(str::to_owned), domains, v5 })
}

/// A policy.
pub fn policy() -> impl Strategy<Value = Policy> {
    let rule = (
        optional(&["*.example.com", "api*"]),
        optional(&[true, false]),
        optional(&["le", "zero"]),
        optional(&[Issuance::Inline, Issuance::Companion]),
        optional(&[PlainHttp::Keep, PlainHttp::Redirect]),
    )
        .prop_map(|(glob, auto_issue, issuer, issuance, http)| Rule {
            r#match: Match { hosts: glob.into_iter().map(str::to_owned).collect(), ..Match::default() },
            auto_issue,
            issuer: issuer.map(IssuerRef::cluster),
            profile: None,
            issuance,
            http,
        });
    let issuer = proptest::option::weighted(0.9, select(&["le"][..]));
    (any::<bool>(), issuer, proptest::collection::vec(rule, 0..3), proptest::bool::weighted(0.2)).prop_map(
        |(all, issuer, rules, lasts)| Policy {
            issuer: issuer.map(IssuerRef::cluster),
            auto_issue: if all { AutoIssue::All } else { AutoIssue::Annotated },
            platform_domains: vec!["nip.io".into()],
            certificate: CertificateSettings {
                duration: lasts.then(|| "1000h".to_owned()),
                ..CertificateSettings::default()
            },
            rules,
            ..Policy::default()
        },
    )
}

/// An object, changed by a decision; the patch; what was decided for each host.
pub type Step = (Value, Vec<PatchOp>, Vec<(String, Action, Reason)>);

/// Decides on the object's text and applies the patch to the object.
pub fn step(object: &Value, known: &Known, policy: &Policy) -> Step {
    let text = object.to_string();
    let ingress: Ingress<'_> = serde_json::from_str(&text).expect("the object parses");
    let decision: Decision<'_> = decide(&ingress, known, policy, now());
    let mut result = object.clone();
    let patch: json_patch::Patch =
        serde_json::from_value(serde_json::to_value(&decision.patch).unwrap()).expect("RFC 6902");
    json_patch::patch(&mut result, &patch).unwrap_or_else(|error| panic!("{error}: {patch} on {object}"));
    let hosts = decision.hosts.iter().map(|d| (d.host.to_string(), d.action, d.reason())).collect();
    (result, decision.patch, hosts)
}
