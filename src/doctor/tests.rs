//! Faults on plain data: those that a test cluster cannot have, and what every sentence must be.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use kube::CustomResourceExt as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    observed::{Access, Resolvers, Server, Trial},
    *,
};
use crate::{api::domain::DomainDefinition, pki::x509};

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn now() -> jiff::Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

/// A CA and a leaf that it signed for the webhook, made `hours` after now for a week.
fn certificates(hours: i64) -> (String, Vec<u8>) {
    let made = now() + jiff::SignedDuration::from_hours(hours);
    let ca = x509::make_ca(made, HOUR * 24 * 365).unwrap();
    let leaf = x509::make_leaf(&ca, &[observed::Names::default().host()], made, HOUR * 24 * 7).unwrap();
    (ca.certificate, leaf.certificate.into_bytes())
}

fn deployment(name: &str, replicas: i32, labels: Value, args: Value) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "here", "labels": labels },
        "spec": { "replicas": replicas, "selector": {}, "template": { "spec": { "containers": [{ "name": "x", "args": args }] } } },
        "status": { "readyReplicas": replicas },
    })
}

fn established(name: &str) -> Value {
    let spec = json!({ "group": "g", "names": { "kind": "K", "plural": "p" }, "scope": "Namespaced", "versions": [] });
    json!({ "metadata": { "name": name }, "spec": spec,
        "status": { "conditions": [{ "type": "Established", "status": "True" }] } })
}

/// An installation that is well.
fn well() -> Observed {
    let (ca, leaf) = certificates(-24);
    let policy = json!({ "issuer": { "name": "le" }, "gateway": { "addresses": ["8.8.8.8"] } });
    let version = json!({ "app.kubernetes.io/version": env!("CARGO_PKG_VERSION") });
    let mut domain = serde_json::to_value(DomainDefinition::crd()).unwrap();
    domain["status"] = established("x")["status"].clone();
    let issuer = json!({ "apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": { "name": "le" },
        "spec": { "acme": { "server": "s", "solvers": [{ "dns01": {} }] } },
        "status": { "acme": { "uri": "u" }, "conditions": [{ "type": "Ready", "status": "True" }] } });
    Observed {
        now: now(),
        server: Server { version: (1, 36), git_version: "v1.36.3".into(), date: Some(now()) },
        definitions: vec![(DomainDefinition::crd(), Seen::Here(object(domain)))],
        webhook: Seen::Here(object(deployment("certgate-webhook", 2, version.clone(), json!([])))),
        controller: Seen::Here(object(deployment("certgate-controller", 1, version, json!([])))),
        lease: Seen::Here(object(json!({ "metadata": {},
            "spec": { "holderIdentity": "one", "renewTime": "2026-11-24T11:59:58.000000Z" } }))),
        access: Access::OfAccounts(Vec::new()),
        policy: Seen::Here(Ok(object(policy))),
        configuration: Seen::Here(object(json!({ "metadata": {}, "webhooks": [{
            "name": "ingress.certgate.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Ignore", "timeoutSeconds": 2, "reinvocationPolicy": "IfNeeded",
            "clientConfig": { "caBundle": ByteString(ca.into_bytes()), "service": {
                "namespace": "certgate-system", "name": "certgate-webhook", "path": "/mutate" } },
            "rules": [{ "apiGroups": ["networking.k8s.io"], "apiVersions": ["v1"], "resources": ["ingresses"],
                "operations": ["CREATE", "UPDATE"] }],
            "namespaceSelector": { "matchExpressions": [{ "key": "kubernetes.io/metadata.name", "operator": "NotIn",
                "values": ["certgate-system", "kube-system"] }] },
        }] }))),
        serving: Seen::Here(leaf),
        endpoints: Seen::Here(vec![object(
            json!({ "addressType": "IPv4", "endpoints": [{ "addresses": ["1.2.3.4"] }] }),
        )]),
        trial: Trial::Answered {
            namespace: "default".into(),
            status: 201,
            message: String::new(),
            warnings: vec!["299 - \"certgate: the flag says neither\"".into()],
            millis: 3,
        },
        admission_policies: Seen::Here(Vec::new()),
        bindings: Seen::Here(Vec::new()),
        cert_manager_definitions: CERT_MANAGER_KINDS
            .iter()
            .map(|name| (*name, Seen::Here(object(established(name)))))
            .collect(),
        cert_manager: Seen::Here(vec![object(deployment(
            "cert-manager",
            1,
            json!({ "app.kubernetes.io/version": "v1.21.1" }),
            json!([]),
        ))]),
        issuers: vec![(crate::core::policy::IssuerRef::cluster("le"), Seen::Here(object(issuer)))],
        classes: Seen::Here(Vec::new()),
        domains: Seen::Here(Vec::new()),
        ..Observed::default()
    }
}

/// Changes an object by its JSON.
fn edit<T: Serialize + DeserializeOwned>(seen: &mut Seen<T>, change: impl FnOnce(&mut Value)) {
    let Seen::Here(before) = seen else { panic!("it is not there") };
    let mut value = serde_json::to_value(before).unwrap();
    change(&mut value);
    *seen = Seen::Here(object(value));
}

fn policy(o: &mut Observed, value: Value) {
    o.policy = Seen::Here(Ok(object(value)));
}

type Break = (&'static str, Level, fn(&mut Observed));

/// What is named, how bad it is, and what breaks it.
const BREAKS: &[Break] = &[
    ("ServerTooOld", Level::Fail, |o| o.server.version = (1, 32)),
    ("ClockDiffersHere", Level::Warn, |o| o.now = now() + jiff::SignedDuration::from_mins(7)),
    ("DefinitionMissing", Level::Fail, |o| o.definitions[0].1 = Seen::Absent),
    ("DefinitionNotEstablished", Level::Fail, |o| edit(&mut o.definitions[0].1, |crd| crd["status"] = Value::Null)),
    ("DeploymentMissing", Level::Fail, |o| o.controller = Seen::Absent),
    ("ReplicasMissing", Level::Warn, |o| edit(&mut o.webhook, |d| d["status"]["readyReplicas"] = json!(1))),
    ("OneReplica", Level::Warn, |o| edit(&mut o.webhook, |d| d["spec"]["replicas"] = json!(1))),
    ("OtherVersion", Level::Warn, |o| {
        edit(&mut o.webhook, |d| d["metadata"]["labels"]["app.kubernetes.io/version"] = json!("99.0.0"));
    }),
    ("NoLeader", Level::Fail, |o| o.lease = Seen::Absent),
    ("PermissionsUnknown", Level::Warn, |o| {
        o.access = Access::OfOneself { user: "me".into(), lacking: Vec::new() };
    }),
    ("SideEffects", Level::Fail, |o| edit(&mut o.configuration, |c| c["webhooks"][0]["sideEffects"] = json!("Some"))),
    ("NotReinvoked", Level::Warn, |o| {
        edit(&mut o.configuration, |c| c["webhooks"][0]["reinvocationPolicy"] = json!("Never"));
    }),
    ("ScopeTooBroad", Level::Warn, |o| {
        edit(&mut o.configuration, |c| c["webhooks"][0]["rules"][0]["resources"] = json!(["ingresses", "pods"]));
    }),
    ("LeafUnreadable", Level::Fail, |o| o.serving = Seen::Here(b"no PEM".to_vec())),
    ("LeafExpired", Level::Fail, |o| expired(o)),
    ("LeafNotYetValid", Level::Fail, |o| {
        let (ca, leaf) = certificates(48);
        edit(&mut o.configuration, |c| {
            c["webhooks"][0]["clientConfig"]["caBundle"] = json!(ByteString(ca.into_bytes()))
        });
        o.serving = Seen::Here(leaf);
    }),
    ("LeafUntrusted", Level::Fail, |o| o.serving = Seen::Here(certificates(-24).1)),
    ("CaBundleUnreadable", Level::Fail, |o| {
        edit(&mut o.configuration, |c| c["webhooks"][0]["clientConfig"]["caBundle"] = json!("AAAA"));
    }),
    ("NowhereToTry", Level::Warn, |o| o.trial = Trial::Nowhere),
    ("NotTried", Level::Warn, |o| o.trial = Trial::Failed("no answer".into())),
    ("TrialRefused", Level::Warn, |o| answered(o, 403, &[], 3)),
    ("WebhookSilent", Level::Fail, |o| answered(o, 201, &["299 - \"somebody else's\""], 3)),
    ("SlowWrites", Level::Warn, |o| answered(o, 201, &["299 - \"certgate: hello\""], 1_900)),
    ("ApprovalLeft", Level::Warn, |o| o.approval = Seen::Here(object(json!({ "metadata": {}, "webhooks": [] })))),
    ("OrdersUngated", Level::Warn, |o| {
        gated(o, |_| {});
        edit(&mut o.bindings, |bindings| bindings[0]["spec"]["validationActions"] = json!(["Warn", "Audit"]));
    }),
    ("FailurePolicyFail", Level::Fail, |o| gated(o, |hook| hook["failurePolicy"] = json!("Fail"))),
    ("CaBundleEmpty", Level::Fail, |o| gated(o, |hook| hook["clientConfig"]["caBundle"] = Value::Null)),
    ("BindingWithoutPolicy", Level::Fail, |o| {
        o.bindings =
            Seen::Here(vec![object(json!({ "metadata": {}, "spec": { "policyName": "certgate-own-fields" } }))]);
    }),
    ("PolicyMistyped", Level::Warn, |o| {
        o.admission_policies = Seen::Here(vec![object(
            json!({ "metadata": { "name": "certgate-own-fields" }, "spec": {},
            "status": { "typeChecking": { "expressionWarnings": [{ "fieldRef": "f", "warning": "undefined field" }] } } }),
        )]);
        o.bindings = Seen::Here(vec![object(json!({ "metadata": {},
            "spec": { "policyName": "certgate-own-fields", "validationActions": ["Deny"] } }))]);
    }),
    ("NotGuarded", Level::Fail, |o| held(o, json!([]))),
    ("NamespacesUnguarded", Level::Warn, |o| {
        held(o, json!(["--guarded"]));
        o.namespaces = Seen::Here(["kube-system", "certgate-system", "team", "bare"].map(String::from).into());
        o.guarded = Seen::Here(vec!["team".to_owned()]);
    }),
    ("CertManagerMissing", Level::Fail, |o| o.cert_manager_definitions[1].1 = Seen::Absent),
    ("CertManagerNotFound", Level::Warn, |o| o.cert_manager = Seen::Here(Vec::new())),
    ("CertManagerVersionUnknown", Level::Warn, |o| {
        let Seen::Here(list) = &mut o.cert_manager else { panic!() };
        list[0].metadata.labels = None;
    }),
    ("AccountUnregistered", Level::Fail, |o| edit(&mut o.issuers[0].1, |i| i["status"]["acme"] = Value::Null)),
    ("IssuerNotReady", Level::Fail, |o| edit(&mut o.issuers[0].1, |i| i["status"] = Value::Null)),
    ("AccountRateLimited", Level::Fail, |o| {
        let message = "Failed to register ACME account: 429 urn:ietf:params:acme:error:rateLimited: too many new registrations (10) from this IP address in the last 3h0m0s, retry after 2026-11-25 13:37:01 UTC: see https://x";
        edit(&mut o.issuers[0].1, |i| {
            i["status"] = json!({ "conditions": [{ "type": "Ready", "status": "False", "message": message }] });
        });
    }),
    ("NoSolver", Level::Fail, |o| edit(&mut o.issuers[0].1, |i| i["spec"]["acme"]["solvers"] = json!([]))),
    ("SolverClassUnset", Level::Warn, |o| {
        edit(&mut o.issuers[0].1, |i| i["spec"]["acme"]["solvers"] = json!([{ "http01": { "ingress": {} } }]));
    }),
    ("ResolverUnreachable", Level::Fail, |o| {
        o.resolvers = Resolvers::Asked { inside: true, answers: vec![("10.0.0.1:53".into(), Err("timeout".into()))] };
    }),
    ("ResolverFaulty", Level::Fail, |o| resolver(o, true, Some(true))),
    ("ResolverNotValidating", Level::Warn, |o| resolver(o, false, Some(false))),
    ("GatewayNameBroken", Level::Fail, |o| gateway_name(o, Err("NXDOMAIN".into()))),
    ("GatewayNamePrivate", Level::Fail, |o| gateway_name(o, Ok(vec!["10.0.0.1".parse().unwrap()]))),
    ("GatewayPortMoved", Level::Warn, |o| {
        apisix(o, "apisix:\n  node_listen:\n    - 8080\n    - port: 7070\n      enable_http2: true\n")
    }),
    ("NoGatewayName", Level::Fail, |o| {
        policy(o, json!({ "issuer": { "name": "le" }, "gateway": { "target": "cname" } }))
    }),
    ("GatewayServiceMissing", Level::Fail, |o| {
        policy(
            o,
            json!({ "issuer": { "name": "le" }, "gateway": { "addresses": ["8.8.8.8"],
            "service": { "namespace": "a", "name": "b" } } }),
        );
    }),
    ("RainbondClusterMissing", Level::Warn, |o| {
        policy(o, json!({ "issuer": { "name": "le" }, "gateway": { "addresses": ["8.8.8.8"], "rainbond": true } }));
    }),
    ("GatewayPartlyPrivate", Level::Warn, |o| {
        policy(o, json!({ "issuer": { "name": "le" }, "gateway": { "addresses": ["8.8.8.8"], "rainbond": true } }));
        o.rainbond_cluster =
            Seen::Here(object(json!({ "metadata": {}, "spec": { "gatewayIngressIPs": ["10.0.0.1"] } })));
    }),
    ("ConsoleNeverAnswered", Level::Fail, |o| console(o, None)),
    ("ConsoleSilent", Level::Fail, |o| console(o, Some("2026-11-24T11:49:00Z"))),
    ("IssuerMissing", Level::Warn, |o| {
        o.domains = Seen::Here(vec![object(json!({ "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
            "metadata": { "name": "a.example.com", "namespace": "team" }, "spec": { "host": "a.example.com" },
            "status": { "conditions": [{ "type": "Ready", "status": "False", "reason": "IssuerMissing", "message": "",
                "lastTransitionTime": "2026-11-24T11:00:00Z" }] } }))]);
    }),
    ("ObjectsUnreadable", Level::Warn, |o| {
        let metadata = kube::api::ObjectMeta {
            name: Some("shop".into()),
            namespace: Some("team".into()),
            ..kube::api::ObjectMeta::default()
        };
        let found =
            crate::api::read::Unreadable { metadata, error: "status.notAfter: a text is no time".into(), names: None };
        o.unreadable = vec![("Certificate".into(), Seen::Here(vec![found]))];
    }),
    ("NotAllowed", Level::Warn, |o| o.lease = Seen::Forbidden("leases is forbidden".into())),
    ("NotSeen", Level::Warn, |o| o.domains = Seen::Failed("no answer within 10s".into())),
];

fn resolver(o: &mut Observed, denies: bool, validates: Option<bool>) {
    let manner = crate::dns::Manner { took: std::time::Duration::from_millis(3), denies, validates };
    o.resolvers = Resolvers::Asked { inside: true, answers: vec![("10.0.0.1:53".into(), Ok(manner))] };
}

fn gateway_name(o: &mut Observed, found: Result<Vec<std::net::IpAddr>, String>) {
    policy(o, json!({ "issuer": { "name": "le" }, "gateway": { "cnames": ["lb.example.net"] } }));
    o.gateway_names = observed::GatewayNames { by_pods_resolvers: true, each: vec![("lb.example.net".into(), found)] };
}

fn apisix(o: &mut Observed, file: &str) {
    o.apisix_config = Seen::Here(("rbd-system".into(), file.into()));
}

#[test]
fn resolvers_names_and_ports_as_they_should_be_are_well() {
    let mut observed = well();
    resolver(&mut observed, false, None);
    gateway_name(&mut observed, Ok(vec!["10.0.0.1".parse().unwrap(), "8.8.8.8".parse().unwrap()]));
    for file in [
        "apisix:\n  node_listen:\n    - 80\n    - 7070\n  ssl:\n    listen:\n      - port: 443\n",
        "apisix:\n  node_listen: 80\n",
        "apisix: {}\n",
        "plugins: [real-ip]\n",
        "no: [yaml",
    ] {
        apisix(&mut observed, file);
        let findings = diagnose(&observed);
        assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{file} {findings:#?}");
    }
    // Where names are private too, nobody need know the public ones.
    resolver(&mut observed, true, None);
    policy(
        &mut observed,
        json!({ "issuer": { "name": "le" }, "gateway": { "addresses": ["10.0.0.1"], "allowReserved": true } }),
    );
    assert!(diagnose(&observed).iter().all(|finding| finding.check != Check::Resolver || finding.level == Level::Ok));
}

/// Policy names a console, which last answered then.
fn console(o: &mut Observed, at: Option<&str>) {
    policy(
        o,
        json!({ "issuer": { "name": "le" }, "gateway": { "addresses": ["8.8.8.8"] },
            "console": { "url": "https://console.example.com", "region": "rainbond" } }),
    );
    if let Some(at) = at {
        edit(&mut o.lease, |lease| lease["metadata"]["annotations"] = json!({ "certgate.dev/console-answered": at }));
    }
}

#[test]
fn a_console_that_answered_minutes_ago_is_well() {
    let mut observed = well();
    console(&mut observed, Some("2026-11-24T11:52:00Z"));
    let findings = diagnose(&observed);
    assert!(findings.iter().any(|finding| finding.check == Check::Console && finding.level == Level::Ok));
}

fn answered(o: &mut Observed, code: u16, said: &[&str], took: u64) {
    let Trial::Answered { status, warnings, millis, .. } = &mut o.trial else { panic!() };
    (*status, *millis) = (code, took);
    *warnings = said.iter().map(|warning| (*warning).to_owned()).collect();
}

/// Ingresses are held against VerifiedHosts, with a controller of these arguments.
fn held(o: &mut Observed, args: Value) {
    let policy = json!({ "metadata": { "name": "certgate-verified-hosts" }, "spec": {} });
    o.admission_policies = Seen::Here(vec![object(policy)]);
    o.bindings = Seen::Here(vec![object(json!({ "metadata": {},
        "spec": { "policyName": "certgate-verified-hosts", "validationActions": ["Deny"] } }))]);
    edit(&mut o.controller, |d| d["spec"]["template"]["spec"]["containers"][0]["args"] = args);
}

/// The gate is on, and its webhook like this.
fn gated(o: &mut Observed, change: fn(&mut Value)) {
    policy(
        o,
        json!({ "issuer": { "name": "le" }, "gateway": { "addresses": ["8.8.8.8"] }, "gate": { "mode": "all" } }),
    );
    let mut hook = serde_json::to_value(o.configuration.get().unwrap()).unwrap()["webhooks"][0].take();
    change(&mut hook);
    o.approval = Seen::Here(object(json!({ "metadata": {}, "webhooks": [hook] })));
    // And it cannot be walked around.
    o.admission_policies = Seen::Here(vec![object(json!({ "metadata": { "name": "certgate-orders" }, "spec": {} }))]);
    o.bindings = Seen::Here(vec![object(json!({ "metadata": {},
        "spec": { "policyName": "certgate-orders", "validationActions": ["Deny", "Audit"] } }))]);
}

fn expired(o: &mut Observed) {
    let (ca, leaf) = certificates(-24 * 8);
    edit(&mut o.configuration, |c| c["webhooks"][0]["clientConfig"]["caBundle"] = json!(ByteString(ca.into_bytes())));
    o.serving = Seen::Here(leaf);
}

#[test]
fn what_is_well_has_no_fault() {
    let findings = diagnose(&well());
    let faults: Vec<_> = findings.iter().filter(|finding| finding.level != Level::Ok).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(findings.len() >= 15, "{findings:#?}");
}

#[test]
fn a_gate_that_is_on_and_trusted_is_well() {
    let mut observed = well();
    gated(&mut observed, |_| {});
    let findings = diagnose(&observed);
    assert!(findings.iter().all(|finding| finding.level == Level::Ok), "{findings:#?}");
    assert!(findings.iter().any(|f| f.check == Check::ApprovalGate && f.what.of(Lang::En) == "on, and trusted"));
}

#[test]
fn each_fault_is_named_and_nothing_else() {
    for (fault, level, damage) in BREAKS {
        let mut observed = well();
        damage(&mut observed);
        let findings = diagnose(&observed);
        let found: Vec<_> =
            findings.iter().filter(|finding| finding.level != Level::Ok).map(|f| (f.fault, f.level)).collect();
        assert_eq!(found, [(*fault, *level)], "{findings:#?}");
    }
}

#[test]
fn every_sentence_is_in_both_languages_and_every_fault_has_a_remedy() {
    let chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    let mut remedies: BTreeMap<&str, &str> = BTreeMap::new();
    for (fault, _, damage) in BREAKS {
        let mut observed = well();
        damage(&mut observed);
        for finding in diagnose(&observed).into_iter().filter(|finding| finding.level != Level::Ok) {
            let remedy = finding.remedy.unwrap();
            assert!(chinese(finding.what.of(Lang::ZhCn)) && !chinese(finding.what.of(Lang::En)), "{fault}");
            assert!(chinese(remedy.of(Lang::ZhCn)) && remedy.of(Lang::En).len() > 10, "{fault}");
            remedies.insert(fault, "told");
        }
    }
    assert_eq!(remedies.len(), BREAKS.len(), "a fault was broken twice");
}

#[test]
fn what_is_to_be_fixed_stands_last_for_people_and_by_name_for_programs() {
    let mut observed = well();
    observed.server.version = (1, 32);
    let findings = diagnose(&observed);
    let text = render::person(&findings, Lang::ZhCn);
    let plain = anstream::adapter::strip_str(&text).to_string();
    let end: Vec<&str> = plain.lines().rev().take(4).collect();
    assert_eq!(
        end,
        [
            "1 项需要修复，0 项需要留意",
            "",
            "      → 请将集群升级到 1.33 或更高版本",
            "FAIL  API 服务器：Kubernetes v1.36.3 版本过旧"
        ]
    );
    let json: Value = serde_json::from_str(&render::json(&findings, Lang::En).unwrap()).unwrap();
    assert_eq!(
        json["findings"][0],
        json!({ "check": "api-server", "level": "fail", "fault": "ServerTooOld",
            "what": "Kubernetes v1.36.3 is too old", "remedy": "upgrade the cluster to 1.33 or later" })
    );
}

#[test]
fn what_comes_from_the_cluster_cannot_steer_a_terminal() {
    let mut observed = well();
    edit(&mut observed.lease, |lease| lease["spec"]["holderIdentity"] = json!("\u{1b}[31mred\nline"));
    let text = render::person(&diagnose(&observed), Lang::En);
    assert!(
        !anstream::adapter::strip_str(&text).to_string().contains('\u{1b}') && !text.contains("red\nline"),
        "{text}"
    );
}
