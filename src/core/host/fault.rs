//! [`fault`]: why a text is no host that a CA certifies, as people need it told.

use super::{Host, MAX_HOST_OCTETS, NotPublic};

/// What is wrong with a text that should be a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault<'a> {
    /// A scheme or a path stands beside the host.
    Url,
    /// A port stands behind the host.
    Port,
    /// White space within.
    Blank,
    /// An underscore, which no CA takes (RFC 1123 §2.1; CA/Browser Forum ballot 202).
    Underscore,
    /// `*` elsewhere than as the whole first label.
    Wildcard,
    /// Two dots in a row, or one in front.
    EmptyLabel,
    /// Over 253 octets, or a label of over 63.
    TooLong,
    /// A label that begins or ends with a hyphen.
    EdgeHyphen(&'a str),
    /// Hyphens in places three and four of a label that does not begin with `xn--` (RFC 5891 §4.2.3.1).
    Hyphens(&'a str),
    /// A label that begins with `xn--` and stands for nothing.
    Punycode(&'a str),
    /// So many labels, where Let's Encrypt takes ten (Boulder `policy/pa.go`).
    Labels(usize),
}

/// What is wrong with it; `None`: nothing that can be told so plainly.
pub fn fault(text: &str) -> Option<Fault<'_>> {
    let text = text.trim();
    if text.contains('/') {
        return Some(Fault::Url);
    }
    if text.contains(':') {
        return Some(Fault::Port);
    }
    if text.contains(char::is_whitespace) {
        return Some(Fault::Blank);
    }
    if text.contains('_') {
        return Some(Fault::Underscore);
    }
    let base = text.strip_prefix("*.").unwrap_or(text);
    if base.contains('*') {
        return Some(Fault::Wildcard);
    }
    let base = base.strip_suffix('.').unwrap_or(base);
    let labels = || base.split('.');
    if labels().any(str::is_empty) {
        return Some(Fault::EmptyLabel);
    }
    if text.len() > MAX_HOST_OCTETS || labels().any(|label| label.len() > 63) {
        return Some(Fault::TooLong);
    }
    if let Some(label) = labels().find(|label| label.starts_with('-') || label.ends_with('-')) {
        return Some(Fault::EdgeHyphen(label));
    }
    let reserved = |label: &&str| label.as_bytes().get(2..4) == Some(b"--");
    let encoded = |label: &str| label.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("xn--"));
    if let Some(label) = labels().filter(reserved).find(|label| !encoded(label)) {
        return Some(Fault::Hyphens(label));
    }
    match Host::parse(text) {
        Ok(host) => (host.public() == Err(NotPublic::TooManyLabels)).then(|| Fault::Labels(text.split('.').count())),
        Err(_) => labels().find(|label| encoded(label)).map(Fault::Punycode),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://www.example.com", Some(Fault::Url))]
    #[case("www.example.com/shop", Some(Fault::Url))]
    #[case("www.example.com:8443", Some(Fault::Port))]
    #[case("www example.com", Some(Fault::Blank))]
    #[case("my_app.example.com", Some(Fault::Underscore))]
    #[case("www.*.example.com", Some(Fault::Wildcard))]
    #[case("*www.example.com", Some(Fault::Wildcard))]
    #[case("www..example.com", Some(Fault::EmptyLabel))]
    #[case("-www.example.com", Some(Fault::EdgeHyphen("-www")))]
    #[case("qa--checkout.example.com", Some(Fault::Hyphens("qa--checkout")))]
    #[case("*.qa--checkout.example.com", Some(Fault::Hyphens("qa--checkout")))]
    #[case("xn--999999b.example.com", Some(Fault::Punycode("xn--999999b")))]
    #[case("a.b.c.d.e.f.g.h.i.example.com", Some(Fault::Labels(11)))]
    #[case("www.example.com", None)]
    #[case("a--b.example.com", None)]
    #[case("xn--fiq228c.example.com", None)]
    #[case("例子.example.com", None)]
    fn what_is_wrong_is_told(#[case] text: &str, #[case] expected: Option<Fault<'_>>) {
        assert_eq!(fault(text), expected);
    }

    #[test]
    fn whatever_is_no_host_for_its_length_is_told_so() {
        assert_eq!(fault(&format!("{}.example.com", "a".repeat(64))), Some(Fault::TooLong));
        assert_eq!(fault(&"a.".repeat(200)), Some(Fault::TooLong));
    }
}
