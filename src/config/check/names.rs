//! The shapes of names: of Kubernetes' objects and labels, and of DNS.

use crate::core::host::{Host, NotPublic};

/// An RFC 1123 label, as namespaces and Services have for a name.
pub(super) fn is_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// An RFC 1123 subdomain, as most objects have for a name.
pub(super) fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

/// A label's key: a name, possibly after a DNS prefix and `/`.
pub(super) fn is_label_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

/// A label's value; it may be empty.
pub(super) fn is_label_value(value: &str) -> bool {
    let bytes = value.as_bytes();
    value.len() <= 63
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && bytes.first().is_none_or(u8::is_ascii_alphanumeric)
        && bytes.last().is_none_or(u8::is_ascii_alphanumeric)
}

/// A host in canonical form, and no wildcard.
pub(super) fn is_host(name: &str) -> bool {
    Host::parse(name).is_ok_and(|host| host.as_str() == name && !host.is_wildcard())
}

/// A suffix under which hosts are the platform's own.
pub(super) fn suffix(suffix: &str) -> Result<(), String> {
    if let Some(bare) = suffix.strip_prefix("*.").or_else(|| suffix.strip_prefix('.')) {
        return Err(format!("a suffix covers all beneath it as it is; write `{bare}`"));
    }
    match Host::parse(suffix) {
        Ok(host) if host.public() == Err(NotPublic::IsPublicSuffix) => {
            Err(format!("`{suffix}` would exempt everybody's domains beneath it; write the platform's own suffix"))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error}; write a suffix like apps.example.com")),
    }
}

/// A glob of which a canonical host can be an instance.
pub(super) fn host_glob(glob: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'*' | b'_');
    if glob.is_empty() {
        return Err("the glob is empty and fits no host; remove it, or write `*` for all".to_owned());
    }
    if let Some((_, rest)) = glob.split_once("://") {
        let host = rest.split('/').next().unwrap_or_default();
        return Err(format!("a host has no scheme; write `{host}`"));
    }
    match glob.bytes().find(|b| !fits(*b)) {
        None if glob.len() > 253 => Err("the glob is longer than any host".to_owned()),
        None if glob.contains("..") || glob.starts_with('.') => {
            Err(format!("no host fits `{glob}`: hosts have no empty labels; write one like *.example.com"))
        }
        None => Ok(()),
        Some(b'/') => Err(format!("no host fits `{glob}`: a host has no path; write one like *.example.com")),
        Some(b':') => Err(format!("no host fits `{glob}`: a host has no port; write one like *.example.com")),
        Some(_) if !glob.is_ascii() => {
            Err(format!("no host fits `{glob}`: hosts are held in ASCII; write its xn-- form"))
        }
        Some(_) => Err(format!("no host fits `{glob}`; use letters, digits, `-`, `.` and `*`")),
    }
}

/// A glob of which a namespace's name can be an instance.
pub(super) fn namespace_glob(glob: &str) -> Result<(), String> {
    if glob.is_empty() {
        return Err("the glob is empty and fits no namespace; remove it, or write `*` for all".to_owned());
    }
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'*');
    if glob.len() > 63 || !glob.bytes().all(fits) {
        return Err(format!("no namespace fits `{glob}`; use lower-case letters, digits, `-` and `*`"));
    }
    Ok(())
}
