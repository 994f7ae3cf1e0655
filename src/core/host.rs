//! [`Host`]: a DNS name as an Ingress rule or a certificate names it.

mod fault;

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use fault::{Fault, fault};

/// The longest name DNS can carry in text form without the final dot (RFC 1035 §3.1).
pub const MAX_HOST_OCTETS: usize = 253;
/// Kubernetes' bound on object names of the DNS-subdomain kind.
const MAX_OBJECT_NAME: usize = 253;

/// A host in lower-case ASCII (IDNA A-labels), without a final dot; possibly a
/// wildcard (`*.example.com`).
///
/// Holding a `Host` means the text is a syntactically valid DNS name. Whether a
/// public CA would issue for it is another question: [`Host::public`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(Box<str>);

/// Why a text is not a [`Host`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing, or only white space and dots.
    #[error("the host is empty")]
    Empty,
    /// Over 253 octets without `*.`, or a label of over 63.
    #[error("the host is longer than DNS allows (253 octets, 63 per label)")]
    TooLong,
    /// An IPv4 or IPv6 literal.
    #[error("the host is an IP address")]
    IpAddress,
    /// `*` anywhere but as the whole first label.
    #[error("a wildcard may only be the whole first label, as in *.example.com")]
    Wildcard,
    /// A character, hyphen position or A-label that IDNA or RFC 1123 refuses.
    #[error("the host is not a valid DNS name")]
    Syntax,
}

/// Why no public CA issues for a syntactically valid name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPublic {
    /// Fewer than two labels, or no suffix of the ICANN section of the public suffix list.
    NoPublicSuffix,
    /// The name is itself a public suffix (`com`, `co.uk`), or the wildcard of one.
    IsPublicSuffix,
    /// Over ten labels without `*.`, which Let's Encrypt refuses (Boulder `policy/pa.go`).
    TooManyLabels,
}

// === impl Host ===

impl Host {
    /// Reads a host leniently: surrounding white space, upper case, one final
    /// dot and Unicode labels are normalised.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if let Some(ready) = Self::parse_canonical(text) {
            return Ok(ready);
        }
        // Any host that could still be valid is far shorter; bounds the work on hostile input.
        if text.len() > 4 * MAX_HOST_OCTETS + 16 {
            return Err(HostError::TooLong);
        }
        let text = text.trim();
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if is_ip_literal(text) {
            return Err(HostError::IpAddress);
        }
        let (wildcard, base) = match text.strip_prefix("*.") {
            Some(base) => (true, base),
            None => (false, text),
        };
        if base.contains('*') {
            return Err(HostError::Wildcard);
        }
        let ascii = ascii_name(base)?;
        if is_ip_literal(&ascii) {
            return Err(HostError::IpAddress);
        }
        Ok(Self(if wildcard { format!("*.{ascii}") } else { ascii }.into_boxed_str()))
    }

    /// The fast path: a host that needs no normalisation, as the API server
    /// stores them. `None` is no verdict, only "not obviously canonical".
    fn parse_canonical(text: &str) -> Option<Self> {
        canonical(text).then(|| Self(text.into()))
    }

    /// The host as text, `*.` included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the host is `*.something`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The name without `*.`: the one that DNS and CAA are asked about.
    pub fn base(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    /// The wildcard that covers it; `None` for a wildcard and for a name of one label.
    pub fn wildcard(&self) -> Option<Self> {
        let (_, parent) = self.as_str().split_once('.').filter(|_| !self.is_wildcard())?;
        Self::parse(&format!("*.{parent}")).ok()
    }

    /// Whether a certificate or TLS entry for `self` also serves `other`
    /// (RFC 6125 §6.4.3: a wildcard stands for exactly one label).
    pub fn covers(&self, other: &Self) -> bool {
        self == other
            || (self.is_wildcard()
                && !other.is_wildcard()
                && other.0.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && rest == self.base()))
    }

    /// Whether the host lies beneath `suffix` (`example.com` is not beneath itself).
    pub fn is_below(&self, suffix: &str) -> bool {
        self.base().strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
            || (self.is_wildcard() && self.base() == suffix)
    }

    /// `Ok` if a public CA issues for such a name, judged by the ICANN section
    /// of the public suffix list as Boulder does (`policy/pa.go`).
    pub fn public(&self) -> Result<(), NotPublic> {
        let base = self.base();
        if base.split('.').count() > 10 {
            return Err(NotPublic::TooManyLabels);
        }
        if !base.contains('.') {
            return Err(if icann_suffix(base).is_some() {
                NotPublic::IsPublicSuffix
            } else {
                NotPublic::NoPublicSuffix
            });
        }
        match icann_suffix(base) {
            // Listed as suffixes, and yet no CA issues below: names of the network's own and of Tor.
            Some(_) if [".arpa", ".onion"].iter().any(|suffix| base.ends_with(suffix)) => {
                Err(NotPublic::NoPublicSuffix)
            }
            None => Err(NotPublic::NoPublicSuffix),
            Some(suffix) if suffix == base => Err(NotPublic::IsPublicSuffix),
            Some(_) => Ok(()),
        }
    }

    /// The registered domain that CA limits count by: one label below the
    /// public suffix, private section included. The base name where there is none.
    pub fn registered_domain(&self) -> &str {
        psl::domain_str(self.base()).unwrap_or_else(|| self.base())
    }

    /// The name of this host's Domain object. Injective: hosts that would
    /// clash with a wildcard's name are set apart by `literal.`.
    pub fn object_name(&self) -> String {
        let name = if self.is_wildcard() {
            format!("wildcard.{}", self.base())
        } else if self.0.starts_with("wildcard.") || self.0.starts_with("literal.") {
            format!("literal.{}", self.0)
        } else {
            return self.0.to_string();
        };
        bounded_name(name)
    }

    /// The host whose Domain has that name. `None`: none has, or the name was cut, so that nothing tells the host.
    pub fn of_object(name: &str) -> Option<Self> {
        let host = match name.strip_prefix("wildcard.") {
            Some(base) => Self::parse(&format!("*.{base}")),
            None => Self::parse(name.strip_prefix("literal.").unwrap_or(name)),
        };
        host.ok().filter(|host| host.object_name() == name)
    }

    /// The host whose Secret has that name, likewise.
    pub fn of_secret(name: &str) -> Option<Self> {
        Self::of_object(name.strip_prefix("certgate-")?).filter(|host| host.secret_name() == name)
    }

    /// The name of the Secret, and so of the Certificate, that holds this
    /// host's chain. The same after every re-creation, so that cert-manager
    /// reuses the Secret instead of ordering again.
    pub fn secret_name(&self) -> String {
        if self.is_plain() {
            let mut name = String::with_capacity(9 + self.0.len());
            name.push_str("certgate-");
            name.push_str(&self.0);
            return bounded_name(name);
        }
        bounded_name(format!("certgate-{}", self.object_name()))
    }

    /// Whether the Domain of this host is named just like it.
    fn is_plain(&self) -> bool {
        !["*.", "wildcard.", "literal."].iter().any(|prefix| self.0.starts_with(prefix))
    }

    /// The host for people: A-labels shown as Unicode where they decode.
    pub fn readable(&self) -> Cow<'_, str> {
        if !self.0.contains("xn--") {
            return Cow::Borrowed(&self.0);
        }
        let (unicode, result) = idna::domain_to_unicode(self.base());
        match result {
            Ok(()) if self.is_wildcard() => Cow::Owned(format!("*.{unicode}")),
            Ok(()) => Cow::Owned(unicode),
            Err(_) => Cow::Borrowed(&self.0),
        }
    }
}

impl AsRef<str> for Host {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Host {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({})", self.0)
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.0.into_string()
    }
}

impl TryFrom<String> for Host {
    type Error = HostError;
    fn try_from(text: String) -> Result<Self, HostError> {
        Self::parse(&text)
    }
}

impl FromStr for Host {
    type Err = HostError;
    fn from_str(text: &str) -> Result<Self, HostError> {
        Self::parse(text)
    }
}

/// Whether `text` is already what [`Host::parse`] would make of it, judged
/// without allocating. False for A-labels: those go through IDNA's own check.
pub fn canonical(text: &str) -> bool {
    let base = text.strip_prefix("*.").unwrap_or(text);
    if base.is_empty() || base.len() > MAX_HOST_OCTETS {
        return false;
    }
    // One pass: this is asked of every host of every write.
    let mut label = 0;
    let (mut before, mut digits) = (b'.', true);
    let bytes = base.as_bytes();
    for (index, &byte) in bytes.iter().enumerate() {
        match byte {
            b'.' => {
                if before == b'.' || before == b'-' {
                    return false;
                }
                label = 0;
                digits = true;
                before = byte;
                continue;
            }
            b'0'..=b'9' => {}
            b'a'..=b'z' => digits = false,
            // Hyphens in places three and four are IDNA's business ("R-LDH" labels).
            b'-' if before != b'.' && !(label == 2 && bytes.get(index + 1) == Some(&b'-')) => digits = false,
            _ => return false,
        }
        label += 1;
        before = byte;
        if label > 63 {
            return false;
        }
    }
    // An all-digit last label is an IPv4 address or nothing (WHATWG URL, "ends in a number").
    before != b'.' && before != b'-' && !digits
}

/// A name without `*.` in lower-case ASCII. Labels are judged one by one, as the CA judges them (Boulder `policy/pa.go`,
/// `validNonWildcardDomain`): IDNA's bidi rule for the whole name would refuse `7eleven.xn--wgbh1c`, which it certifies.
fn ascii_name(name: &str) -> Result<String, HostError> {
    let mut ascii = String::with_capacity(name.len());
    // IDNA takes these for full stops (UTS #46 §4).
    for (index, label) in name.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).enumerate() {
        if index > 0 {
            ascii.push('.');
        }
        if label.is_ascii() {
            ascii.push_str(&label.to_ascii_lowercase());
        } else {
            ascii.push_str(&idna::domain_to_ascii_strict(label).map_err(|_| too_long_or(name, HostError::Syntax))?);
        }
    }
    match ascii.split('.').all(is_label) {
        true if ascii.len() > MAX_HOST_OCTETS => Err(HostError::TooLong),
        true if ascii.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) => {
            Err(if is_ip_literal(&ascii) { HostError::IpAddress } else { HostError::Syntax })
        }
        true => Ok(ascii),
        false => Err(too_long_or(&ascii, HostError::Syntax)),
    }
}

fn too_long_or(name: &str, error: HostError) -> HostError {
    let long = name.len() > MAX_HOST_OCTETS || name.split('.').any(|label| label.len() > 63);
    if long { HostError::TooLong } else { error }
}

/// Whether a label in lower case is one for which the CA issues: letters, digits and hyphens (RFC 5890 §2.3.1), with hyphens
/// in places three and four only in an A-label that decodes to a normalised text.
fn is_label(label: &str) -> bool {
    let plain = (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-');
    if !plain || label.get(2..4) != Some("--") {
        return plain;
    }
    let decoded = label.strip_prefix("xn--").and_then(idna::punycode::decode_to_string);
    decoded.is_some_and(|text| icu_normalizer::ComposingNormalizerBorrowed::new_nfc().is_normalized(&text))
}

fn is_ip_literal(text: &str) -> bool {
    text.parse::<::core::net::IpAddr>().is_ok()
        || text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|inner| inner.parse::<::core::net::Ipv6Addr>().is_ok())
}

/// The ICANN-section public suffix of a name; `None` where only a private
/// rule or the list's default rule (`*`) applies to every ancestor.
fn icann_suffix(name: &str) -> Option<&str> {
    let mut rest = name;
    loop {
        let suffix = psl::suffix(rest.as_bytes())?;
        let text = std::str::from_utf8(suffix.as_bytes()).ok()?;
        match suffix.typ() {
            Some(psl::Type::Icann) => return Some(text),
            // A private suffix (`github.io`) lies beneath an ICANN one: look at what is left of it.
            Some(psl::Type::Private) => rest = text.split_once('.')?.1,
            None => return None,
        }
    }
}

/// Whether a name, whatever its labels, ends in a suffix of the ICANN section of the public suffix list (Boulder `iana`,
/// `ExtractSuffix`).
pub fn ends_in_icann_suffix(name: &str) -> bool {
    !name.ends_with('.') && name.is_ascii() && icann_suffix(name).is_some()
}

/// Cuts a name to what Kubernetes accepts, keeping it unique by a hash of the whole.
fn bounded_name(name: String) -> String {
    if name.len() <= MAX_OBJECT_NAME {
        return name;
    }
    let digest = Sha256::digest(name.as_bytes());
    let tag: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let keep: String = name.chars().take(MAX_OBJECT_NAME - 17).collect();
    format!("{}-{tag}", keep.trim_end_matches(['.', '-']))
}

#[cfg(test)]
mod tests;
