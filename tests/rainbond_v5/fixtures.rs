//! The objects that the scenarios are made of: what Rainbond 5 itself sent, and
//! solver objects in the shape that cert-manager gives them.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber};
use serde_json::{Value, json};

/// The host of the basic scenario.
pub(crate) const WWW: &str = "www.shop-example.com";
/// Another host of the same domain.
pub(crate) const OTHER: &str = "other.shop-example.com";
/// The path of a challenge.
pub(crate) const CHALLENGE: &str = "/.well-known/acme-challenge/TOKEN";
/// The namespace of all objects.
pub(crate) const NAMESPACE: &str = "team-a";

/// The documents of a file under `tests/fixtures/v5`.
pub(crate) fn documents(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v5").join(file);
    serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The first document of a file.
pub(crate) fn document(file: &str) -> Value {
    documents(file).swap_remove(0)
}

/// Rainbond's rule for `www.shop-example.com`, path `/`, in the clear.
pub(crate) fn rule() -> Value {
    document("http-custom-domain.yaml")
}

/// The same for a second Ingress of the host.
pub(crate) fn second_rule(path: &str) -> Value {
    let mut second = at_path(rule(), path);
    second["metadata"]["name"] = json!("d8e3e70a921de4d91bcb611d833e82ee");
    second
}

/// The Service of Rainbond's application `web`, and its Endpoints.
pub(crate) fn application() -> [Value; 2] {
    [document("service-outer-shop-web-1-5000out.yaml"), document("endpoints-outer-shop-web-1-5000out.yaml")]
}

/// The Endpoints that the endpoints controller makes of a Service with a ready Pod: it copies the labels.
pub(crate) fn endpoints_of(service: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {
            "name": service["metadata"]["name"], "namespace": service["metadata"]["namespace"],
            "labels": service["metadata"]["labels"],
        },
        "subsets": [{"addresses": [{"ip": "10.42.0.9"}], "ports": service["spec"]["ports"]}],
    })
}

/// A certificate for a host and its key, both as PEM.
pub(crate) struct Issued {
    certificate: String,
    key: String,
}

/// Issues a self-signed certificate.
pub(crate) fn issue(hosts: &[&str], serial: u16) -> Issued {
    let mut params = CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, hosts[0]);
    params.serial_number = Some(SerialNumber::from_slice(&serial.to_be_bytes()));
    let key = KeyPair::generate().unwrap();
    Issued { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// A Secret as cert-manager writes it, with the label that the gateway asks for.
pub(crate) fn secret(name: &str, issued: &Issued) -> Value {
    labelled(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {"tls.crt": STANDARD.encode(&issued.certificate), "tls.key": STANDARD.encode(&issued.key)},
    }))
}

/// What answers a challenge of `www.shop-example.com`.
pub(crate) struct Solver {
    pub(crate) ingress: Value,
    pub(crate) service: Value,
}

/// The solver objects as cert-manager makes them, of no use to the gateway yet.
pub(crate) fn solver(host: &str) -> Solver {
    let labels = json!({
        "acme.cert-manager.io/http-domain": "762458732", "acme.cert-manager.io/http-token": "1095461341",
        "acme.cert-manager.io/http01-solver": "true",
    });
    Solver {
        ingress: json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {
                "name": "cm-acme-http-solver-5xqkz", "namespace": NAMESPACE, "labels": labels,
                "annotations": {"nginx.ingress.kubernetes.io/whitelist-source-range": "0.0.0.0/0,::/0"},
            },
            "spec": {"rules": [{"host": host, "http": {"paths": [challenge_path()]}}]},
        }),
        service: json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "cm-acme-http-solver-7d2fh", "namespace": NAMESPACE, "labels": labels},
            "spec": {"ports": [{"name": "http", "port": 8089, "targetPort": 8089}], "type": "NodePort"},
        }),
    }
}

/// A path that leads to the solver.
pub(crate) fn challenge_path() -> Value {
    json!({
        "path": CHALLENGE, "pathType": "ImplementationSpecific",
        "backend": {"service": {"name": "cm-acme-http-solver-7d2fh", "port": {"number": 8089}}},
    })
}

/// A companion Ingress of a host: served by nobody, only there to be noticed.
pub(crate) fn companion(name: &str, host: &str, secret: &str) -> Value {
    labelled(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "ingressClassName": "certgate-companion",
            "defaultBackend": {"service": {"name": "certgate-companion", "port": {"number": 80}}},
            "tls": [{"hosts": [host], "secretName": secret}],
        },
    }))
}

/// With one more TLS entry.
pub(crate) fn with_tls(mut ingress: Value, host: &str, secret: &str) -> Value {
    let entry = json!({"hosts": [host], "secretName": secret});
    match ingress["spec"]["tls"].as_array_mut() {
        Some(entries) => entries.push(entry),
        None => ingress["spec"]["tls"] = json!([entry]),
    }
    ingress
}

/// With Rainbond's switch "HTTP → HTTPS".
pub(crate) fn with_redirect(ingress: Value) -> Value {
    annotated(ingress, "nginx.ingress.kubernetes.io/force-ssl-redirect", "true")
}

/// With an annotation.
pub(crate) fn annotated(mut object: Value, name: &str, value: &str) -> Value {
    object["metadata"]["annotations"][name] = json!(value);
    object
}

/// With the path of its first rule changed.
pub(crate) fn at_path(mut ingress: Value, path: &str) -> Value {
    ingress["spec"]["rules"][0]["http"]["paths"][0]["path"] = json!(path);
    ingress
}

/// With the label that the gateway asks for.
pub(crate) fn labelled(mut object: Value) -> Value {
    object["metadata"]["labels"]["creator"] = json!("Rainbond");
    object
}

/// Without it.
pub(crate) fn unlabelled(mut object: Value) -> Value {
    object["metadata"]["labels"].as_object_mut().unwrap().remove("creator");
    object
}

/// The name of the Secret that the tests bind where it is not the Ingress'.
pub(crate) const SECRET: &str = "certgate-www.shop-example.com";

/// The name of an object.
pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}
