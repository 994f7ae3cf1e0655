//! The matrix: who × what × what is in place → what comes of it.

use serde_json::{Value, json};

use super::{
    ask::{Ask, Who},
    ingress,
};

const INGRESSES: &str = "networking.k8s.io/v1";
const CERTGATE: &str = "certgate.dev/v1alpha1";
const CERT_MANAGER: &str = "cert-manager.io/v1";

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Expect {
    /// Nothing is in the way, whatever the mode.
    Free,
    /// Refused where policies deny, warned of where they warn, with this text; free where they are off.
    Held(&'static str),
}
use Expect::{Free, Held};

/// One row.
pub(crate) struct Row {
    /// In words.
    pub(crate) what: &'static str,
    /// Who asks.
    pub(crate) who: Who,
    /// What is asked.
    pub(crate) ask: Ask,
    /// What comes of it.
    pub(crate) expect: Expect,
}

// === impl Row ===

impl Row {
    /// Whether the row shows that its policy is in force.
    pub(crate) fn is_first_of_its_policy(&self) -> bool {
        [
            "an unverified host with a cluster-issuer",
            "VerifiedHosts made",
            "the mark of a companion",
            "a Certificate made",
        ]
        .contains(&self.what)
    }
}

/// What the controller wrote for a namespace.
pub(crate) fn verified_hosts(namespace: &str) -> Value {
    json!({
        "apiVersion": CERTGATE, "kind": "VerifiedHosts",
        "metadata": { "name": "certgate", "namespace": namespace },
        "spec": {
            "issuer": "le",
            "hosts": {
                "ok.example.com": "certgate-ok.example.com", "private.example.com": "certgate-private.example.com",
                "bound.example.com": "bought",
            },
            "issuers": { "private.example.com": "Issuer/private", "bound.example.com": "*" },
        },
    })
}

fn certificate(name: &str) -> Value {
    json!({
        "apiVersion": CERT_MANAGER, "kind": "Certificate", "metadata": { "name": name },
        "spec": { "secretName": name, "dnsNames": ["ok.example.com"], "issuerRef": { "name": "le" } },
    })
}

fn companion(name: &str) -> Value {
    let mut object =
        ingress(name, &json!({ "cert-manager.io/cluster-issuer": "le" }), &tls(&[("new.example.com", "c")]));
    object["metadata"]["labels"] = json!({ "certgate.dev/companion-of": "new.example.com" });
    object["spec"]["ingressClassName"] = json!("certgate-companion");
    object
}

fn domain(name: &str) -> Value {
    json!({
        "apiVersion": CERTGATE, "kind": "Domain", "metadata": { "name": name }, "spec": { "host": name },
    })
}

/// What the rows find in place.
pub(crate) fn in_place(namespace: &str) -> Value {
    let le = json!({ "cert-manager.io/cluster-issuer": "le" });
    let mut objects = vec![
        verified_hosts(namespace),
        domain("ok.example.com"),
        certificate("standing"),
        companion("companion"),
        ingress("plain", &Value::Null, &Value::Null),
        ingress("with-tls", &json!({ "a": "b" }), &tls(&[("new.example.com", "mine")])),
        // Verified once, and ordered; its DNS has flapped since.
        ingress("ordered", &le, &tls(&[("old.example.com", "old")])),
    ];
    for object in &mut objects {
        object["metadata"]["namespace"] = json!(namespace);
    }
    Value::Array(objects)
}

fn tls(entries: &[(&str, &str)]) -> Value {
    entries.iter().map(|(host, secret)| json!({ "hosts": [host], "secretName": secret })).collect()
}

fn create(annotations: &Value, tls: &Value) -> Ask {
    Ask::Create(ingress("new", annotations, tls))
}

fn change(name: &'static str, change: Value) -> Ask {
    Ask::Change(INGRESSES, "ingresses", name, change)
}

/// Every row.
pub(crate) fn all() -> Vec<Row> {
    let row = |what, who, ask, expect| Row { what, who, ask, expect };
    let tenant = |what, ask, expect| Row { what, who: Who::Tenant, ask, expect };
    let le = json!({ "cert-manager.io/cluster-issuer": "le" });
    let new = tls(&[("new.example.com", "s")]);
    let ok = tls(&[("ok.example.com", "certgate-ok.example.com")]);
    // Under a Secret of one's own: certgate takes off itself what looks like its own on an Ingress without that host.
    let own = tls(&[("ok.example.com", "s")]);
    let not_verified = Held("not verified yet: new.example.com; remove the issuer annotation and TLS entry");
    let not_yours = Held("written by certgate's controller alone");
    let not_a_companion = Held("are for certgate's own Ingresses");
    let not_by_hand = Held("certificates are ordered by certgate");
    let mut labelled = ingress("new", &Value::Null, &Value::Null);
    labelled["metadata"]["labels"] = json!({ "certgate.dev/companion-of": "x" });
    let mut classed = ingress("new", &le, &ok);
    classed["spec"]["ingressClassName"] = json!("certgate-companion");
    let mut solver = ingress("cm-acme-http-solver-x", &Value::Null, &Value::Null);
    solver["metadata"]["labels"] = json!({ "acme.cert-manager.io/http01-solver": "true" });
    let mut other_verified = verified_hosts("");
    other_verified["metadata"] = json!({ "name": "other" });
    let hosts = json!({ "spec": { "hosts": { "new.example.com": "s" } } });
    let status = json!({ "status": { "message": "all is well" } });
    let issuer = json!({
        "apiVersion": CERT_MANAGER, "kind": "Issuer", "metadata": { "name": "own" }, "spec": { "selfSigned": {} },
    });
    let request = json!({
        "apiVersion": CERT_MANAGER, "kind": "CertificateRequest", "metadata": { "name": "own" },
        "spec": { "request": "LS0=", "issuerRef": { "name": "le" } },
    });
    let order = json!({
        "apiVersion": "acme.cert-manager.io/v1", "kind": "Order", "metadata": { "name": "own" },
        "spec": { "request": "LS0=", "issuerRef": { "name": "le" }, "dnsNames": ["new.example.com"] },
    });
    let certificates = |name, change| Ask::Change(CERT_MANAGER, "certificates", name, change);
    vec![
        // --- Only verified hosts order -------------------------------------------------
        tenant("an unverified host with a cluster-issuer", create(&le, &new), not_verified),
        tenant("a plain Ingress", create(&Value::Null, &Value::Null), Free),
        tenant("a verified host with an issuer", create(&le, &ok), Free),
        tenant(
            "an unverified host with an issuer",
            create(&json!({ "cert-manager.io/issuer": "i" }), &new),
            not_verified,
        ),
        tenant(
            "a host that is verified for another issuer",
            create(&json!({ "cert-manager.io/cluster-issuer": "other" }), &own),
            Held("not verified yet: ok.example.com"),
        ),
        tenant(
            "one of that name in its namespace",
            create(&json!({ "cert-manager.io/issuer": "le" }), &own),
            Held("not verified yet: ok.example.com"),
        ),
        tenant(
            "the platform's issuer for a host that is verified for a private one",
            create(&le, &tls(&[("private.example.com", "certgate-private.example.com")])),
            Held("not verified yet: private.example.com"),
        ),
        tenant(
            "the private one for it",
            create(
                &json!({ "cert-manager.io/issuer": "private", "cert-manager.io/issuer-kind": "" }),
                &tls(&[("private.example.com", "certgate-private.example.com")]),
            ),
            Free,
        ),
        tenant("a bound Secret", create(&le, &tls(&[("bound.example.com", "bought")])), Free),
        tenant(
            "a new Secret for a bound host",
            create(&le, &tls(&[("bound.example.com", "new")])),
            Held("not verified yet: bound.example.com"),
        ),
        tenant(
            "an unverified host with tls-acme",
            create(&json!({ "kubernetes.io/tls-acme": "true" }), &new),
            not_verified,
        ),
        tenant(
            "an unverified host with tls-acme off",
            create(&json!({ "kubernetes.io/tls-acme": "false" }), &new),
            Free,
        ),
        tenant("an issuer without TLS", create(&le, &Value::Null), Free),
        tenant("TLS without an issuer", create(&json!({ "a": "b" }), &new), Free),
        tenant(
            "a verified and an unverified host",
            create(&le, &tls(&[("ok.example.com", "a"), ("new.example.com", "b")])),
            not_verified,
        ),
        tenant(
            "both in one entry",
            create(&le, &json!([{ "hosts": ["ok.example.com", "new.example.com"], "secretName": "s" }])),
            not_verified,
        ),
        tenant(
            "several unverified hosts, all named",
            create(&le, &tls(&[("b.example.com", "b"), ("a.example.com", "a")])),
            Held("not verified yet: b.example.com, a.example.com"),
        ),
        tenant("a wildcard", create(&le, &tls(&[("*.example.com", "w")])), Held("not verified yet: *.example.com")),
        tenant("an entry without hosts", create(&le, &json!([{ "secretName": "s" }])), Free),
        tenant("an entry without a Secret", create(&le, &json!([{ "hosts": ["new.example.com"] }])), Free),
        tenant(
            "another annotation on what stands",
            change("ordered", json!({ "metadata": { "annotations": { "a": "b" } } })),
            Free,
        ),
        tenant(
            "an unverified host beside what stands",
            change(
                "ordered",
                json!({ "spec": { "tls": tls(&[("old.example.com", "old"), ("new.example.com", "s")]) } }),
            ),
            not_verified,
        ),
        tenant(
            "a verified host beside what stands",
            change(
                "ordered",
                json!({ "spec": { "tls": tls(&[("old.example.com", "old"), ("ok.example.com", "s")]) } }),
            ),
            Free,
        ),
        tenant(
            "another Secret for what stands",
            change("ordered", json!({ "spec": { "tls": tls(&[("old.example.com", "other")]) } })),
            Held("not verified yet: old.example.com"),
        ),
        tenant(
            "another issuer for what stands",
            change("ordered", json!({ "metadata": { "annotations": { "cert-manager.io/cluster-issuer": "other" } } })),
            Held("not verified yet: old.example.com"),
        ),
        tenant("TLS taken off what stands", change("ordered", json!({ "spec": { "tls": null } })), Free),
        tenant(
            "the issuer taken off what stands",
            change("ordered", json!({ "metadata": { "annotations": null } })),
            Free,
        ),
        tenant(
            "an issuer added to a TLS entry",
            change("with-tls", json!({ "metadata": { "annotations": le } })),
            not_verified,
        ),
        tenant("a plain Ingress changed", change("plain", json!({ "metadata": { "labels": { "a": "b" } } })), Free),
        row("the controller orders", Who::Controller, create(&le, &new), Free),
        row("an exempt user orders", Who::GitOps, create(&le, &new), Free),
        row("an administrator orders", Who::Admin, create(&le, &new), Free),
        row("the webhook's account has no privilege", Who::Webhook, create(&le, &new), not_verified),
        row("cert-manager answers a challenge", Who::CertManager, Ask::Create(solver), Free),
        // --- certgate's own objects and fields -----------------------------------------
        tenant("VerifiedHosts made", Ask::Create(other_verified.clone()), not_yours),
        tenant("VerifiedHosts changed", Ask::Change(CERTGATE, "verifiedhosts", "certgate", hosts.clone()), not_yours),
        tenant("VerifiedHosts deleted", Ask::Delete(CERTGATE, "verifiedhosts", "certgate"), not_yours),
        row(
            "VerifiedHosts changed by the webhook",
            Who::Webhook,
            Ask::Change(CERTGATE, "verifiedhosts", "certgate", hosts.clone()),
            not_yours,
        ),
        row(
            "VerifiedHosts changed by the controller",
            Who::Controller,
            Ask::Change(CERTGATE, "verifiedhosts", "certgate", hosts),
            Free,
        ),
        row("VerifiedHosts made by the controller", Who::Controller, Ask::Create(other_verified), Free),
        row(
            "VerifiedHosts deleted by the controller",
            Who::Controller,
            Ask::Delete(CERTGATE, "verifiedhosts", "certgate"),
            Free,
        ),
        row(
            "VerifiedHosts deleted with the namespace",
            Who::GarbageCollector,
            Ask::Delete(CERTGATE, "verifiedhosts", "certgate"),
            Free,
        ),
        tenant("a Domain made", Ask::Create(domain("other.example.com")), Free),
        tenant(
            "a Domain asked to be checked",
            Ask::Change(
                CERTGATE,
                "domains",
                "ok.example.com",
                json!({ "metadata": { "annotations": { "certgate.dev/check-now": "1" } } }),
            ),
            Free,
        ),
        tenant(
            "a Domain switched off",
            Ask::Change(CERTGATE, "domains", "ok.example.com", json!({ "spec": { "autoIssue": false } })),
            Free,
        ),
        tenant("a Domain deleted", Ask::Delete(CERTGATE, "domains", "ok.example.com"), Free),
        tenant(
            "a Domain's status",
            Ask::Change(CERTGATE, "domains", "ok.example.com/status", status.clone()),
            not_yours,
        ),
        row(
            "a Domain's status by the controller",
            Who::Controller,
            Ask::Change(CERTGATE, "domains", "ok.example.com/status", status),
            Free,
        ),
        tenant("the mark of a companion", Ask::Create(labelled), not_a_companion),
        tenant("the class of a companion", Ask::Create(classed), not_a_companion),
        tenant(
            "a companion changed",
            change("companion", json!({ "metadata": { "annotations": { "a": "b" } } })),
            not_a_companion,
        ),
        tenant(
            "a companion disguised",
            change("companion", json!({ "metadata": { "labels": null }, "spec": { "ingressClassName": "nginx" } })),
            not_a_companion,
        ),
        tenant("a companion deleted", Ask::Delete(INGRESSES, "ingresses", "companion"), Free),
        row("a companion made by the controller", Who::Controller, Ask::Create(companion("new")), Free),
        // --- Certificates by hand --------------------------------------------------------
        tenant("a Certificate made", Ask::Create(certificate("own")), not_by_hand),
        tenant(
            "a Certificate's names changed",
            certificates("standing", json!({ "spec": { "dnsNames": ["new.example.com"] } })),
            not_by_hand,
        ),
        tenant(
            "a Certificate labelled",
            certificates("standing", json!({ "metadata": { "labels": { "a": "b" } } })),
            Free,
        ),
        tenant("a Certificate deleted", Ask::Delete(CERT_MANAGER, "certificates", "standing"), Free),
        tenant("an Issuer made", Ask::Create(issuer), not_by_hand),
        tenant("a CertificateRequest made", Ask::Create(request), not_by_hand),
        tenant("an Order made", Ask::Create(order.clone()), not_by_hand),
        row("a Certificate made by cert-manager", Who::CertManager, Ask::Create(certificate("own")), Free),
        row("an Order made by cert-manager", Who::CertManager, Ask::Create(order), Free),
        row("a Certificate made by an exempt user", Who::GitOps, Ask::Create(certificate("own")), Free),
        row("a Certificate made by an administrator", Who::Admin, Ask::Create(certificate("own")), Free),
    ]
}
