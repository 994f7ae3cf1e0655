//! Ways in which an installation can be broken, and what doctor is to say of each.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::change::{At, Change};

const NAMESPACE: Option<&str> = Some("certgate-system");

/// One way.
pub(crate) struct Broken {
    pub(crate) what: &'static str,
    pub(crate) changes: Vec<Change>,
    /// All that is named, and nothing else.
    pub(crate) faults: &'static [&'static str],
}

const fn at(
    api_version: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespace: Option<&'static str>,
    name: &'static str,
) -> At {
    At { api_version, kind, plural, namespace, name }
}

const CONFIGURATION: At = at(
    "admissionregistration.k8s.io/v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    None,
    "certgate",
);
const CONFIG_MAP: At = at("v1", "ConfigMap", "configmaps", NAMESPACE, "certgate-policy");
const LEASE: At = at("coordination.k8s.io/v1", "Lease", "leases", NAMESPACE, "certgate-controller");
const WEBHOOK: At = at("apps/v1", "Deployment", "deployments", NAMESPACE, "certgate-webhook");
const CERT_MANAGER: At = at("apps/v1", "Deployment", "deployments", Some("cert-manager"), "cert-manager");
const SECRET: At = at("v1", "Secret", "secrets", NAMESPACE, "certgate-webhook-tls");
const DOMAINS: At = at(
    "apiextensions.k8s.io/v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    None,
    "domains.certgate.dev",
);
const NETWORK: At = at("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", NAMESPACE, "certgate-controller");

fn replace(path: &str, value: Value) -> Value {
    json!([{ "op": "replace", "path": path, "value": value }])
}

fn broken(what: &'static str, faults: &'static [&'static str], changes: Vec<Change>) -> Broken {
    Broken { what, changes, faults }
}

/// Broken while everything runs. `policy` is the one that is installed.
pub(crate) fn rows(policy: &Value) -> Vec<Broken> {
    let configuration = |path, value| vec![Change::Patch(CONFIGURATION, replace(path, value))];
    let with_policy = |change: &dyn Fn(&mut Value)| {
        let mut policy = policy.clone();
        change(&mut policy);
        Change::Patch(CONFIG_MAP, replace("/data/policy.yaml", json!(policy.to_string())))
    };
    let cert_manager_args = json!(["--controllers=*,-ingress-shim"]);
    let denied: Value = json!([{ "op": "replace", "path": "/rules/0/verbs", "value": ["list", "watch"] }]);
    let issuer = at("cert-manager.io/v1", "ClusterIssuer", "clusterissuers", None, "nobody-home");
    let policy_kind = "ValidatingAdmissionPolicy";
    let unbound = at(
        "admissionregistration.k8s.io/v1",
        policy_kind,
        "validatingadmissionpolicies",
        None,
        "certgate-verified-hosts",
    );
    let rainbond = at("networking.k8s.io/v1", "Ingress", "ingresses", Some("default"), "rainbond-5");
    let role = at("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", None, "certgate-controller");
    let balancer = at("v1", "Service", "services", Some("default"), "balancer");
    let lab_class = at("networking.k8s.io/v1", "IngressClass", "ingressclasses", None, "lab");
    let slices = at("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", NAMESPACE, "certgate-webhook-lab");
    vec![
        broken("failurePolicy Fail", &["FailurePolicyFail"], configuration("/webhooks/0/failurePolicy", json!("Fail"))),
        broken("a long timeout", &["TimeoutTooLong"], configuration("/webhooks/0/timeoutSeconds", json!(30))),
        broken(
            "called for its own namespace",
            &["OwnNamespaceSeen"],
            configuration("/webhooks/0/namespaceSelector", json!({})),
        ),
        broken(
            "another path",
            &["WrongTarget", "WebhookSilent"],
            configuration("/webhooks/0/clientConfig/service/path", json!("/elsewhere")),
        ),
        broken(
            "no creations",
            &["ScopeWrong", "WebhookSilent"],
            configuration("/webhooks/0/rules/0/operations", json!(["UPDATE"])),
        ),
        broken("no configuration", &["ConfigurationMissing", "WebhookSilent"], vec![Change::Delete(CONFIGURATION)]),
        broken("a right taken away", &["PermissionMissing"], vec![Change::Patch(role, denied)]),
        broken(
            "a policy with a mistake",
            &["PolicyInvalid"],
            vec![Change::Patch(CONFIG_MAP, replace("/data/policy.yaml", json!("autoIsue: all\n")))],
        ),
        broken("no policy", &["PolicyMissing"], vec![Change::Patch(CONFIG_MAP, replace("/data", json!({})))]),
        broken(
            "an issuer that does not exist",
            &["IssuerMissing"],
            vec![with_policy(&|policy| policy["issuer"]["name"] = json!("nope"))],
        ),
        broken(
            "an issuer whose CA is away",
            &["IssuerNotReady"],
            vec![
                Change::Create(
                    issuer,
                    json!({ "spec": { "acme": { "server": "https://127.0.0.1:1/dir",
                        "privateKeySecretRef": { "name": "nobody-home" },
                        "solvers": [{ "http01": { "ingress": { "ingressClassName": "lab" } } }] } } }),
                ),
                with_policy(&|policy| policy["issuer"]["name"] = json!("nobody-home")),
            ],
        ),
        broken(
            "no issuer",
            &["IssuerUnset"],
            vec![with_policy(&|policy| {
                policy.as_object_mut().unwrap().remove("issuer");
            })],
        ),
        broken(
            "nobody knows the gateway",
            &["NoGatewayAddress"],
            vec![with_policy(&|policy| policy["gateway"] = json!({}))],
        ),
        broken(
            "a private gateway",
            &["GatewayPrivate", "PermissionMissing"],
            vec![
                Change::Create(
                    balancer.clone(),
                    json!({ "spec": { "type": "LoadBalancer", "ports": [{ "port": 80 }] } }),
                ),
                Change::Status(balancer, json!({ "loadBalancer": { "ingress": [{ "ip": "10.0.0.7" }] } })),
                with_policy(&|policy| {
                    policy["gateway"] = json!({ "service": { "namespace": "default", "name": "balancer" } });
                }),
            ],
        ),
        broken(
            "a resolver that is away",
            &["ResolverUnreachable"],
            vec![with_policy(&|policy| {
                policy["dns"] = json!({ "servers": ["127.0.0.1:53"], "timeoutSeconds": 0.2 });
            })],
        ),
        broken(
            "a resolver on a port that is shut",
            &["DnsPortShut", "ResolverUnreachable"],
            vec![with_policy(&|policy| {
                policy["dns"] = json!({ "servers": ["127.0.0.1:5399"], "timeoutSeconds": 0.2 });
            })],
        ),
        broken(
            "the API server's port shut",
            &["ApiServerPortShut"],
            vec![Change::Patch(NETWORK, replace("/spec/egress/0/ports", json!([{ "port": 443, "protocol": "TCP" }])))],
        ),
        broken(
            "no gate where policy wants one",
            &["ApprovalMissing", "PermissionMissing"],
            vec![with_policy(&|policy| policy["gate"] = json!({ "mode": "annotated" }))],
        ),
        broken(
            "a policy without binding",
            &["NotGuarded", "PolicyUnbound"],
            vec![Change::Create(
                unbound,
                json!({ "spec": {
                "matchConstraints": { "resourceRules": [{ "apiGroups": ["x.example"], "apiVersions": ["v1"],
                    "resources": ["xs"], "operations": ["CREATE"] }] },
                "validations": [{ "expression": "true" }] } }),
            )],
        ),
        broken(
            "ingress-shim off",
            &["IngressShimOff"],
            vec![Change::Patch(CERT_MANAGER, replace("/spec/template/spec/containers/0/args", cert_manager_args))],
        ),
        broken(
            "an old cert-manager",
            &["CertManagerTooOld"],
            vec![Change::Patch(CERT_MANAGER, replace("/metadata/labels/app.kubernetes.io~1version", json!("v1.16.5")))],
        ),
        broken(
            "cert-manager down",
            &["CertManagerNotReady"],
            vec![Change::Status(CERT_MANAGER, json!({ "readyReplicas": null, "availableReplicas": null }))],
        ),
        broken("the gateway's class gone", &["SolverClassUnknown"], vec![Change::Delete(lab_class)]),
        broken(
            "an older definition",
            &["DefinitionOutdated"],
            vec![Change::Patch(
                DOMAINS,
                json!([{ "op": "remove",
                "path": "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/warnings" }]),
            )],
        ),
        broken(
            "no webhook ready",
            &["NoReplicaReady", "NoEndpoints"],
            vec![
                Change::Status(WEBHOOK, json!({ "readyReplicas": null, "availableReplicas": null })),
                Change::Delete(slices),
            ],
        ),
        broken("scaled to zero", &["ScaledToZero"], vec![Change::Patch(WEBHOOK, replace("/spec/replicas", json!(0)))]),
        broken(
            "Rainbond 6's gateway on another port",
            &["GatewayPortMoved"],
            vec![Change::Create(
                at("v1", "ConfigMap", "configmaps", Some("default"), "apisix-gw-config.yaml"),
                json!({ "data": { "config.yaml": "apisix:\n  node_listen:\n    - 8080\n    - 7070\n  ssl:\n    listen:\n      - port: 8443\n" } }),
            )],
        ),
        broken(
            "Rainbond 5 without labels for its gateway",
            &["SolverUnlabelled"],
            vec![Change::Create(
                rainbond,
                json!({
                "metadata": { "labels": { "creator": "Rainbond", "service_id": "s" },
                    "annotations": { "certgate.dev/auto-issue": "false" } },
                "spec": { "defaultBackend": { "service": { "name": "web", "port": { "number": 80 } } } } }),
            )],
        ),
    ]
}

/// Broken in what a running controller would mend. `authority`: the certificate of some other authority.
pub(crate) fn rows_without_controller(authority: &str) -> Vec<Broken> {
    let bundle = |pem: &str| {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        Change::Patch(CONFIGURATION, replace("/webhooks/0/clientConfig/caBundle", json!(STANDARD.encode(pem))))
    };
    let renewed = |offset: i64| {
        let time = Timestamp::now() + SignedDuration::from_secs(offset);
        Change::Patch(LEASE, replace("/spec/renewTime", json!(format!("{time:.6}"))))
    };
    // The Lease of one that was killed is fresh for a while, and then it is not.
    let fresh = || renewed(0);
    vec![
        broken("another CA", &["LeafUntrusted", "WebhookSilent"], vec![fresh(), bundle(authority)]),
        broken(
            "no caBundle",
            &["CaBundleEmpty", "WebhookSilent"],
            vec![
                fresh(),
                Change::Patch(CONFIGURATION, json!([{ "op": "remove", "path": "/webhooks/0/clientConfig/caBundle" }])),
            ],
        ),
        broken("no serving certificate", &["LeafMissing"], vec![fresh(), Change::Delete(SECRET)]),
        broken("a leader that is gone", &["LeaseStale"], vec![renewed(-120)]),
        broken("a controller whose clock is ahead", &["ControllerClockAhead"], vec![renewed(90)]),
        broken("nobody leads", &["NoLeader"], vec![Change::Patch(LEASE, replace("/spec/holderIdentity", json!("")))]),
    ]
}
