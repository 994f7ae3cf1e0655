//! Reading Kubernetes objects as the gateway does.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{Kind, served::Certificate};

/// A string field, empty where it is absent.
pub(crate) fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The elements of a list, none where it is absent.
pub(crate) fn list<'v>(object: &'v Value, pointer: &str) -> &'v [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `namespace/name`.
pub(crate) fn key(object: &Value) -> String {
    format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

/// The kind, for those that the gateway watches.
pub(crate) fn kind(object: &Value) -> Option<Kind> {
    match text(object, "/kind") {
        "Ingress" => Some(Kind::Ingress),
        "Service" => Some(Kind::Service),
        "Endpoints" => Some(Kind::Endpoints),
        "Secret" => Some(Kind::Secret),
        _ => None,
    }
}

/// Whether the object matches the label selector of all the gateway's watches.
pub(crate) fn selected(object: &Value) -> bool {
    text(object, "/metadata/labels/creator") == "Rainbond"
}

/// Whether an Endpoints has a ready address.
pub(crate) fn ready(endpoints: &Value) -> bool {
    list(endpoints, "/subsets").iter().any(|subset| !list(subset, "/addresses").is_empty())
}

/// An annotation under `nginx.ingress.kubernetes.io`.
pub(crate) fn annotation<'v>(ingress: &'v Value, name: &str) -> &'v str {
    text(ingress, &format!("/metadata/annotations/nginx.ingress.kubernetes.io~1{name}"))
}

/// A boolean annotation, read as Go's `strconv.ParseBool` does; anything else is false.
pub(crate) fn switched_on(ingress: &Value, name: &str) -> bool {
    matches!(annotation(ingress, name), "1" | "t" | "T" | "TRUE" | "true" | "True")
}

/// The certificate of a Secret, whatever the Secret's type: the first PEM block
/// of `tls.crt` followed by `tls.key`.
pub(crate) fn certificate(secret: &Value) -> Option<Certificate> {
    let field = |name: &str| STANDARD.decode(text(secret, &format!("/data/{name}"))).unwrap_or_default();
    let pem = [field("tls.crt"), vec![b'\n'], field("tls.key")].concat();
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
    let (_, parsed) = X509Certificate::from_der(&block.contents).ok()?;
    let common_name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let names = alternative.iter().flat_map(|extension| &extension.value.general_names);
    Some(Certificate {
        common_name: common_name.unwrap_or_default().to_owned(),
        serial: format!("{:x}", parsed.serial),
        names: names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect(),
    })
}
