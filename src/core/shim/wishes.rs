//! What annotations ask of a Certificate: `translateAnnotations` (`pkg/controller/certificate-shim/helper.go`), and what
//! cert-manager's own webhook then refuses (`internal/apis/certmanager/validation/certificate.go`).

use serde::Deserialize as _;
use serde_json::Value;

use super::{
    Version,
    certificate::{SecretTemplate, Wishes},
    go,
};
use crate::core::names;

/// All that ingress-shim copies to each Certificate of an Ingress, in the order in which it reads them.
pub const KEYS: [&str; 23] = [
    names::COMMON_NAME,
    names::ALT_NAMES,
    names::IP_SANS,
    names::EMAIL_SANS,
    SUBJECT[0],
    SUBJECT[1],
    SUBJECT[2],
    SUBJECT[3],
    SUBJECT[4],
    SUBJECT[5],
    SUBJECT[6],
    SERIAL_NUMBER,
    names::DURATION,
    names::RENEW_BEFORE,
    names::RENEW_BEFORE_PERCENTAGE,
    names::USAGES,
    names::REVISION_HISTORY_LIMIT,
    names::PRIVATE_KEY_ALGORITHM,
    names::PRIVATE_KEY_ENCODING,
    names::PRIVATE_KEY_SIZE,
    names::PRIVATE_KEY_ROTATION_POLICY,
    names::SECRET_TEMPLATE,
    names::HTTP01_EDIT_IN_PLACE,
];

/// The fields of the subject that hold several values.
const SUBJECT: [&str; 7] = [
    "cert-manager.io/subject-organizations",
    "cert-manager.io/subject-organizationalunits",
    "cert-manager.io/subject-countries",
    "cert-manager.io/subject-provinces",
    "cert-manager.io/subject-localities",
    "cert-manager.io/subject-postalcodes",
    "cert-manager.io/subject-streetaddresses",
];
const SERIAL_NUMBER: &str = "cert-manager.io/subject-serialnumber";

/// The names of key usages (`pkg/apis/certmanager/v1`).
const USAGES: [&str; 23] = [
    "signing",
    "digital signature",
    "content commitment",
    "key encipherment",
    "key agreement",
    "data encipherment",
    "cert sign",
    "crl sign",
    "encipher only",
    "decipher only",
    "any",
    "server auth",
    "client auth",
    "code signing",
    "email protection",
    "s/mime",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "timestamping",
    "ocsp signing",
    "microsoft sgc",
    "netscape sgc",
];

const HOUR: go::Nanoseconds = 3_600_000_000_000;
/// cert-manager's `DefaultCertificateDuration`.
const DEFAULT_DURATION: go::Nanoseconds = 90 * 24 * HOUR;
const MIN_DURATION: go::Nanoseconds = HOUR;
const MIN_RENEW_BEFORE: go::Nanoseconds = 5 * 60 * 1_000_000_000;
/// The longest common name (X.520 `ub-common-name`).
pub const MAX_COMMON_NAME: usize = 64;

/// An annotation that cert-manager refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its key.
    pub annotation: &'static str,
    /// Its value.
    pub value: String,
    /// cert-manager's words.
    pub words: String,
    /// What may stand there instead; empty: nothing is known to.
    pub instead: String,
}

/// Reads the wishes of an Ingress whose annotations `get` looks up.
///
/// # Errors
/// ingress-shim cannot read one, and then makes no Certificate of the Ingress at all.
pub fn read<'a>(get: impl Fn(&str) -> Option<&'a str>, version: Version) -> Result<Wishes, Fault> {
    let mut wishes = Wishes::default();
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    if let Some(name) = get(names::COMMON_NAME) {
        name.clone_into(&mut wishes.common_name);
    }
    if version >= Version::V1_21 {
        let set = |key| get(key).filter(|text| !text.is_empty()).map(list).unwrap_or_default();
        wishes.alt_names = set(names::ALT_NAMES);
        wishes.ip_sans = set(names::IP_SANS);
    }
    if let Some(addresses) = get(names::EMAIL_SANS) {
        wishes.email_addresses = list(addresses);
    }
    subject(&get, &mut wishes)?;
    lifetime(&get, version, &mut wishes)?;
    if let Some(text) = get(names::USAGES) {
        wishes.usages = usages(text)?;
    }
    if let Some(text) = get(names::REVISION_HISTORY_LIMIT) {
        let fault = |words| Fault::new(names::REVISION_HISTORY_LIMIT, text, words, "1");
        let limit = go::int32(text).map_err(fault)?;
        if limit < 1 {
            return Err(fault(format!("revision history limit must be a positive number {text:?}")));
        }
        wishes.revision_history_limit = Some(limit);
    }
    private_key(&get, &mut wishes)?;
    if version >= Version::V1_15
        && let Some(text) = get(names::SECRET_TEMPLATE)
    {
        let example = r#"{"labels":{"example.com/key":"value"}}"#;
        wishes.secret_template =
            secret_template(text).map_err(|words| Fault::new(names::SECRET_TEMPLATE, text, words, example))?;
    }
    Ok(wishes)
}

fn subject<'a>(get: &impl Fn(&str) -> Option<&'a str>, wishes: &mut Wishes) -> Result<(), Fault> {
    let subject = &mut wishes.subject;
    let fields = [
        &mut subject.organizations,
        &mut subject.organizational_units,
        &mut subject.countries,
        &mut subject.provinces,
        &mut subject.localities,
        &mut subject.postal_codes,
        &mut subject.street_addresses,
    ];
    for (key, field) in SUBJECT.into_iter().zip(fields) {
        if let Some(text) = get(key) {
            *field = go::record(text).map_err(|words| Fault::new(key, text, words, r#""a, b",c"#))?;
        }
    }
    if let Some(text) = get(SERIAL_NUMBER) {
        text.clone_into(&mut subject.serial_number);
    }
    Ok(())
}

fn lifetime<'a>(get: &impl Fn(&str) -> Option<&'a str>, version: Version, wishes: &mut Wishes) -> Result<(), Fault> {
    let duration = |key: &'static str, example: &str| {
        let read = |text: &str| {
            go::duration(text)
                .map_err(|words| Fault::new(key, text, words, in_hours(text).unwrap_or_else(|| example.to_owned())))
        };
        get(key).map(read).transpose()
    };
    wishes.duration = duration(names::DURATION, "2160h")?;
    wishes.renew_before = duration(names::RENEW_BEFORE, "720h")?;
    if version >= Version::V1_16
        && let Some(text) = get(names::RENEW_BEFORE_PERCENTAGE)
    {
        let percentage =
            go::int32(text).map_err(|words| Fault::new(names::RENEW_BEFORE_PERCENTAGE, text, words, "33"))?;
        wishes.renew_before_percentage = Some(percentage);
    }
    Ok(())
}

/// Days, weeks or years, as people write them, in hours.
fn in_hours(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let (number, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)?;
    let days: u32 = match unit.trim() {
        "d" | "day" | "days" => 1,
        "w" | "week" | "weeks" => 7,
        "y" | "year" | "years" => 365,
        _ => return None,
    };
    let hours = number.parse::<u32>().ok()?.checked_mul(days)?.checked_mul(24)?;
    Some(format!("{hours}h"))
}

fn usages(text: &str) -> Result<Vec<String>, Fault> {
    let mut usages = Vec::new();
    for written in text.split(',') {
        let usage = written.trim_matches(' ');
        if !USAGES.contains(&usage) {
            let words = format!("invalid key usage name {written:?}");
            return Err(Fault::new(names::USAGES, text, words, "digital signature,key encipherment"));
        }
        usages.push(usage.to_owned());
    }
    Ok(usages)
}

fn private_key<'a>(get: &impl Fn(&str) -> Option<&'a str>, wishes: &mut Wishes) -> Result<(), Fault> {
    let key = &mut wishes.private_key;
    let one_of = |annotation: &'static str, what: &str, words: &[&str]| match get(annotation) {
        None => Ok(String::new()),
        Some(text) if words.contains(&text) => Ok(text.to_owned()),
        Some(text) => {
            Err(Fault::new(annotation, text, format!("invalid private key {what} {text:?}"), words.join(" / ")))
        }
    };
    key.algorithm = one_of(names::PRIVATE_KEY_ALGORITHM, "algorithm", &["RSA", "ECDSA", "Ed25519"])?;
    key.encoding = one_of(names::PRIVATE_KEY_ENCODING, "encoding", &["PKCS1", "PKCS8"])?;
    if let Some(text) = get(names::PRIVATE_KEY_SIZE) {
        let (algorithm, sizes) = match key.algorithm.as_str() {
            "ECDSA" => ("ECDSA", "256 / 384 / 521"),
            "Ed25519" => ("Ed25519", ""),
            _ => ("RSA", "2048 / 3072 / 4096"),
        };
        let fault = |words| Fault::new(names::PRIVATE_KEY_SIZE, text, words, sizes);
        key.size = go::int(text).map_err(fault)?;
        let fits = match algorithm {
            "RSA" => (2048..=8192).contains(&key.size),
            "ECDSA" => matches!(key.size, 256 | 384 | 521),
            _ => true,
        };
        if !fits {
            return Err(fault(format!("invalid private key size for {algorithm} algorithm {text:?}")));
        }
    }
    key.rotation_policy = one_of(names::PRIVATE_KEY_ROTATION_POLICY, "rotation policy", &["Never", "Always"])?;
    Ok(())
}

/// Go's decoder takes the first value of a text, and member names in any case.
fn secret_template(text: &str) -> Result<SecretTemplate, String> {
    let wrong = |why: &str| format!("error parsing secret template JSON: {why}");
    let mut decoder = serde_json::Deserializer::from_str(text);
    let value = Value::deserialize(&mut decoder).map_err(|error| wrong(&error.to_string()))?;
    let mut template = SecretTemplate::default();
    let members = match value {
        Value::Null => return Ok(template),
        Value::Object(members) => members,
        _ => return Err(wrong("not an object")),
    };
    for (name, member) in members {
        let place = match name.to_ascii_lowercase().as_str() {
            "annotations" => &mut template.annotations,
            "labels" => &mut template.labels,
            _ => return Err(wrong(&format!("json: unknown field {name:?}"))),
        };
        match member {
            Value::Null => {}
            Value::Object(pairs) => {
                for (key, value) in pairs {
                    let value = match value {
                        Value::Null => String::new(),
                        Value::String(text) => text,
                        _ => return Err(wrong(&format!("{name}: {key:?} is no string"))),
                    };
                    place.insert(key, value);
                }
            }
            _ => return Err(wrong(&format!("{name} is no object"))),
        }
    }
    match template.annotations.keys().find(|key| key.starts_with("cert-manager.io/")) {
        Some(key) => Err(format!("secretTemplate must not have cert-manager.io/ annotations: {key:?}")),
        None => Ok(template),
    }
}

/// What cert-manager's webhook refuses of a Certificate with these wishes, which ingress-shim then tries to make for ever.
///
/// # Errors
/// It refuses this.
pub fn admitted<'a>(wishes: &Wishes, get: impl Fn(&str) -> Option<&'a str>) -> Result<(), Fault> {
    let fault = |key: &'static str, words: String, instead: &str| {
        Err(Fault::new(key, get(key).unwrap_or_default(), words, instead))
    };
    if wishes.common_name.len() > MAX_COMMON_NAME {
        return fault(names::COMMON_NAME, format!("Too long: may not be more than {MAX_COMMON_NAME} bytes"), "");
    }
    if let Some(ip) = wishes.ip_sans.iter().find(|ip| !go::is_ip(ip)) {
        return fault(names::IP_SANS, format!("{ip:?}: invalid IP address"), "203.0.113.7");
    }
    if let Some(address) = wishes.email_addresses.iter().find(|address| !is_mail_address(address)) {
        return fault(names::EMAIL_SANS, format!("{address:?}: invalid email address"), "name@example.com");
    }
    let duration = wishes.duration.unwrap_or(DEFAULT_DURATION);
    let long = |duration| go::written(duration);
    if duration < MIN_DURATION {
        let words = format!("certificate duration must be greater than {}", long(MIN_DURATION));
        return fault(names::DURATION, words, "2160h");
    }
    if wishes.renew_before.is_some() && wishes.renew_before_percentage.is_some() {
        let words = "renewBefore and renewBeforePercentage are mutually exclusive and cannot both be set";
        return fault(names::RENEW_BEFORE_PERCENTAGE, words.to_owned(), "");
    }
    if let Some(before) = wishes.renew_before {
        if before < MIN_RENEW_BEFORE {
            let words = format!("certificate renewBefore must be greater than {}", long(MIN_RENEW_BEFORE));
            return fault(names::RENEW_BEFORE, words, "720h");
        }
        if before >= duration {
            let words =
                format!("certificate duration {} must be greater than renewBefore {}", long(duration), long(before));
            return fault(names::RENEW_BEFORE, words, &long(duration / 3));
        }
    }
    if let Some(percentage) = wishes.renew_before_percentage {
        let before = i128::from(duration) * (100 - i128::from(percentage)) / 100;
        if before < i128::from(MIN_RENEW_BEFORE) || before >= i128::from(duration) {
            let words = "certificate renewBeforePercentage must result in a renewBefore less than duration";
            return fault(names::RENEW_BEFORE_PERCENTAGE, words.to_owned(), "33");
        }
    }
    Ok(())
}

/// Nearly what Go's `mail.ParseAddress` takes for an address alone.
fn is_mail_address(text: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>()[]:;,\\\"".contains(c);
    text.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !local.contains('@') && text.chars().all(plain)
    })
}

// === impl Fault ===

impl Fault {
    fn new(annotation: &'static str, value: &str, words: String, instead: impl Into<String>) -> Self {
        Self { annotation, value: value.to_owned(), words, instead: instead.into() }
    }
}

#[cfg(test)]
mod tests;
