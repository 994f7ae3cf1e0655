//! CAA: whether a record set lets a CA issue (RFC 8659, RFC 8657), by the rules
//! of Boulder's `va/caa.go`, its stricter and its laxer ones alike.

use super::verdict::{CaIdentity, Method, answers::Caa};

/// The critical bit of RFC 8659 §4.1, and the bit that many take for it; Boulder honours both.
const CRITICAL: u8 = 128 | 1;

/// What a CAA record set says to one CA about one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It may issue.
    Granted,
    /// It may not.
    Denied(Denial),
}

/// Why a CA may not issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// A critical property that the CA does not know, by its tag.
    UnknownCritical(String),
    /// No record names the CA, or the one that does is malformed.
    OtherCa {
        /// A record that means the CA and is malformed.
        malformed: bool,
    },
    /// A record names the CA, but another account of it. Also where ours is not known yet: an order now could be refused, and
    /// the account is known once the issuer is registered.
    OtherAccount,
    /// A record names the CA, but another challenge method.
    OtherMethod,
}

/// The value of an `issue` or `issuewild` property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue<'a> {
    /// The issuer domain name; empty: nobody may issue.
    pub domain: &'a str,
    /// Parameters, tag and value, in order.
    pub parameters: Vec<(&'a str, &'a str)>,
}

/// Why a property's value cannot be read. Such a record grants nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaaError {
    /// A parameter without `=`.
    #[error("a parameter is not written tag=value")]
    NotTagValue,
    /// A tag that is empty, has a character other than ASCII letters, digits and hyphens, or a hyphen at an end.
    #[error("a parameter's tag is empty or has a character that is not allowed")]
    Tag,
    /// A value with white space or a character beyond ASCII.
    #[error("a parameter's value has a character that is not allowed")]
    Value,
}

/// What the record set says about a name, or about the wildcard below it.
pub fn rule(set: &[&Caa], wildcard: bool, ca: &CaIdentity, method: Method) -> Ruling {
    if let Some(unknown) = set.iter().find(|caa| caa.flags & CRITICAL != 0 && !is_known(&caa.tag)) {
        return Ruling::Denied(Denial::UnknownCritical(unknown.tag.clone()));
    }
    let relevant = relevant(set, wildcard);
    if relevant.is_empty() {
        return Ruling::Granted;
    }
    let mut denial = Denial::OtherCa { malformed: false };
    for caa in relevant {
        match admits(&caa.value, ca, method) {
            Ruling::Granted => return Ruling::Granted,
            Ruling::Denied(why) => denial = denial.nearer(why),
        }
    }
    Ruling::Denied(denial)
}

/// The records of the set that decide about a name (RFC 8659 §4.3): `issuewild`
/// takes the place of `issue` for wildcards, where there is one.
pub fn relevant<'a>(set: &[&'a Caa], wildcard: bool) -> Vec<&'a Caa> {
    let tagged =
        |tag: &str| -> Vec<&'a Caa> { set.iter().copied().filter(|caa| caa.tag.eq_ignore_ascii_case(tag)).collect() };
    let wild = if wildcard { tagged("issuewild") } else { Vec::new() };
    if wild.is_empty() { tagged("issue") } else { wild }
}

/// Reads the value of an `issue` or `issuewild` property (RFC 8659 §4.2).
pub fn parse_issue(value: &str) -> Result<Issue<'_>, CaaError> {
    let blank = [' ', '\t'];
    let mut parts = value.split(';');
    let domain = parts.next().unwrap_or_default().trim_matches(blank);
    let parts: Vec<&str> = parts.collect();
    // A lone semicolon after the name is the RFC's own way of writing "no parameters".
    if let [only] = parts.as_slice()
        && only.trim_matches(blank).is_empty()
    {
        return Ok(Issue { domain, parameters: Vec::new() });
    }
    let mut parameters = Vec::with_capacity(parts.len());
    for part in parts {
        let (tag, value) = part.split_once('=').ok_or(CaaError::NotTagValue)?;
        let (tag, value) = (tag.trim_matches(blank), value.trim_matches(blank));
        if !is_tag(tag) {
            return Err(CaaError::Tag);
        }
        if !value.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(CaaError::Value);
        }
        parameters.push((tag, value));
    }
    Ok(Issue { domain, parameters })
}

/// The grammar of a parameter's tag (RFC 8659 §4.2), as Boulder holds to it since October 2026.
fn is_tag(tag: &str) -> bool {
    !tag.is_empty()
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !tag.starts_with('-')
        && !tag.ends_with('-')
}

/// The value that a record must have to let this CA issue: bound to account and
/// method where the set binds others.
pub fn grant(ca: &CaIdentity, method: Method, denial: &Denial) -> String {
    let name = ca.names.first().map_or("", String::as_str);
    match (denial, &ca.account_uri) {
        (Denial::OtherAccount, Some(uri)) => format!("{name}; accounturi={uri}"),
        (Denial::OtherMethod, _) => format!("{name}; validationmethods={}", method.as_str()),
        _ => name.to_owned(),
    }
}

/// Property tags that Boulder knows, whether or not it acts on them.
fn is_known(tag: &str) -> bool {
    ["issue", "issuewild", "iodef", "issuemail", "issuevmc"].iter().any(|known| tag.eq_ignore_ascii_case(known))
}

/// What one property says to the CA.
fn admits(value: &str, ca: &CaIdentity, method: Method) -> Ruling {
    let issue = match parse_issue(value) {
        Ok(issue) => issue,
        Err(_) => {
            let domain = value.split(';').next().unwrap_or_default().trim();
            return Ruling::Denied(Denial::OtherCa { malformed: ca.names.iter().any(|name| name == domain) });
        }
    };
    if !ca.names.iter().any(|name| name == issue.domain) {
        return Ruling::Denied(Denial::OtherCa { malformed: false });
    }
    let is_ours = |uri| ca.account_uri.as_deref().is_some_and(|ours| same_account(uri, ours));
    match only(&issue, "accounturi") {
        Only::Twice => return Ruling::Denied(Denial::OtherAccount),
        Only::Once(uri) if !is_ours(uri) => return Ruling::Denied(Denial::OtherAccount),
        Only::Once(_) | Only::Never => {}
    }
    match only(&issue, "validationmethods") {
        Only::Twice => return Ruling::Denied(Denial::OtherMethod),
        Only::Once(methods) if !lists_method(methods, method) => return Ruling::Denied(Denial::OtherMethod),
        Only::Once(_) | Only::Never => {}
    }
    Ruling::Granted
}

enum Only<'a> {
    Never,
    Once(&'a str),
    /// Unsatisfiable (RFC 8657 §3; Boulder treats methods likewise).
    Twice,
}

fn only<'a>(issue: &Issue<'a>, tag: &str) -> Only<'a> {
    let mut values = issue.parameters.iter().filter(|(t, _)| *t == tag).map(|(_, value)| *value);
    match (values.next(), values.next()) {
        (None, _) => Only::Never,
        (Some(value), None) => Only::Once(value),
        (Some(_), Some(_)) => Only::Twice,
    }
}

/// Let's Encrypt knows an account registered under ACMEv1 by its old URI too
/// (Boulder's `accountURIPrefixes`).
fn same_account(written: &str, ours: &str) -> bool {
    const V2: &str = "https://acme-v02.api.letsencrypt.org/acme/acct/";
    const V1: &str = "https://acme-v01.api.letsencrypt.org/acme/reg/";
    written == ours || ours.strip_prefix(V2).is_some_and(|id| written.strip_prefix(V1) == Some(id))
}

/// Whether the list names the method. A malformed entry ends the search, but
/// does not undo a match before it.
fn lists_method(methods: &str, method: Method) -> bool {
    for entry in methods.split(',') {
        if entry.is_empty() || !entry.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return false;
        }
        if entry == method.as_str() {
            return true;
        }
    }
    false
}

// === impl Denial ===

impl Denial {
    /// The denial that is nearer to a grant: what remains to be mended is told by it.
    fn nearer(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::UnknownCritical(_) | Self::OtherCa { malformed: false } => 0,
            Self::OtherCa { malformed: true } => 1,
            Self::OtherAccount => 2,
            Self::OtherMethod => 3,
        }
    }
}

#[cfg(test)]
mod tests;
