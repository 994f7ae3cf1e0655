//! "Automatically matched and bound": a usable certificate that the namespace
//! already has is taken before one is ordered. Judged by the Certificate
//! object alone; nobody reads the Secret.

use jiff::Timestamp;

use super::CertificateView;
use crate::core::{host::Host, knowledge::Bind};

/// The certificate to bind, if any. The present one stays while it is usable,
/// then an exact name goes before a wildcard, then the one that lasts longest.
pub fn find(
    host: &Host,
    others: &[CertificateView<'_>],
    current: Option<&Bind>,
    rainbond_v5: bool,
    now: Timestamp,
) -> Option<Bind> {
    others
        .iter()
        .filter(|certificate| usable(certificate, rainbond_v5, now))
        .filter_map(|certificate| coverage(certificate, host).map(|exact| (certificate, exact)))
        .max_by_key(|(certificate, exact)| {
            let present = current.is_some_and(|bind| bind.certificate == certificate.name);
            (present, *exact, certificate.not_after, std::cmp::Reverse(certificate.name))
        })
        .map(|(certificate, _)| Bind {
            secret_name: certificate.secret_name.to_owned(),
            certificate: certificate.name.to_owned(),
        })
}

/// How a certificate covers the host: `Some(true)` by its very name.
fn coverage(certificate: &CertificateView<'_>, host: &Host) -> Option<bool> {
    // Names are compared as written first: most are canonical, and parsing each is dear.
    if certificate.dns_names.iter().any(|name| name == host.as_str()) {
        return Some(true);
    }
    let by_wildcard = |name: &String| name.starts_with("*.") && Host::parse(name).is_ok_and(|name| name.covers(host));
    certificate.dns_names.iter().any(by_wildcard).then_some(false)
}

/// Whether a certificate serves now and somebody sees to it that it goes on doing so.
fn usable(certificate: &CertificateView<'_>, rainbond_v5: bool, now: Timestamp) -> bool {
    let seen = certificate.secret.is_some_and(|secret| !rainbond_v5 || secret.rainbond);
    certificate.ready && seen && deadline(certificate).is_some_and(|deadline| now < deadline)
}

/// Until when a certificate is relied on, unless renewed: half of what is left after the due renewal is granted to
/// a late one.
pub fn deadline(certificate: &CertificateView<'_>) -> Option<Timestamp> {
    let ends = certificate.not_after?;
    match certificate.renewal_time {
        Some(due) if due < ends => due.checked_add(due.duration_until(ends) / 2).ok(),
        _ => Some(ends),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::core::reconcile::SecretView;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400).unwrap_or_default()
    }

    fn certificate<'a>(name: &'a str, dns_names: &'a [String], ready: bool, ends: i64) -> CertificateView<'a> {
        CertificateView {
            name,
            secret_name: name,
            dns_names,
            ready,
            not_after: Some(at(ends)),
            renewal_time: Some(at(ends - 30)),
            secret: Some(SecretView::default()),
            ..CertificateView::default()
        }
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn found(others: &[CertificateView<'_>], current: Option<&str>, v5: bool, day: i64) -> Option<String> {
        let host = Host::parse("www.example.com").unwrap();
        let current = current.map(|name| Bind { secret_name: name.into(), certificate: name.into() });
        find(&host, others, current.as_ref(), v5, at(day)).map(|bind| bind.certificate)
    }

    #[test]
    fn exact_before_wildcard_before_nothing() {
        let (exact, wild, other) = (
            names(&["a.b", "www.example.com"]),
            names(&["*.example.com"]),
            names(&["example.com", "*.www.example.com"]),
        );
        let all = [
            certificate("wild", &wild, true, 200),
            certificate("exact", &exact, true, 100),
            certificate("other", &other, true, 300),
        ];
        assert_eq!(found(&all, None, false, 10).as_deref(), Some("exact"));
        assert_eq!(found(&all[..1], None, false, 10).as_deref(), Some("wild"));
        assert_eq!(found(&all[2..], None, false, 10), None);
        assert_eq!(found(&all, Some("wild"), false, 10).as_deref(), Some("wild"), "what is bound stays bound");
    }

    #[rstest]
    #[case::fresh(true, 100, 10, Some("c"))]
    #[case::not_ready(false, 100, 10, None)]
    #[case::renewal_a_little_late(true, 100, 84, Some("c"))]
    #[case::nobody_renews_it(true, 100, 86, None)]
    #[case::expired(true, 100, 101, None)]
    fn only_usable_ones(#[case] ready: bool, #[case] ends: i64, #[case] day: i64, #[case] expected: Option<&str>) {
        let dns_names = names(&["www.example.com"]);
        assert_eq!(found(&[certificate("c", &dns_names, ready, ends)], None, false, day).as_deref(), expected);
    }

    #[test]
    fn a_secret_that_the_gateway_cannot_see_is_no_use() {
        let dns_names = names(&["www.example.com"]);
        let mut one = certificate("c", &dns_names, true, 100);
        assert_eq!(found(&[one], None, true, 10), None);
        one.secret = Some(SecretView { rainbond: true, ..SecretView::default() });
        assert_eq!(found(&[one], None, true, 10).as_deref(), Some("c"));
        one.secret = None;
        assert_eq!(found(&[one], None, false, 10), None, "no Secret, no certificate");
    }
}
