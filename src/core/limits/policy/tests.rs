use super::*;

const LE: &str = "https://acme-v02.api.letsencrypt.org/directory";

fn limits(policies: &[(&str, &str)], directory: &str) -> Option<CaLimits> {
    let read = |(url, json): &(&str, &str)| ((*url).to_owned(), serde_json::from_str(json).unwrap());
    CaLimits::of(directory, &policies.iter().map(read).collect())
}

#[test]
fn lets_encrypts_limits_are_known_and_come_back_as_it_says() {
    let limits = limits(&[], LE).unwrap();
    let of = |kind| limits.rate(kind).map(|rate| (rate.burst(), rate.interval()));
    assert_eq!(of(Kind::NewOrders), Some((300, SignedDuration::from_secs(36))));
    assert_eq!(of(Kind::CertificatesPerDomain), Some((50, SignedDuration::from_secs(12_096))), "202 minutes");
    assert_eq!(of(Kind::CertificatesPerSet), Some((5, SignedDuration::from_secs(120_960))), "34 hours");
    assert_eq!(of(Kind::FailedAuthorizations), Some((5, SignedDuration::from_mins(12))));
    assert_eq!(of(Kind::ConsecutiveFailures), Some((1152, SignedDuration::from_hours(24))));
}

#[test]
fn staging_has_its_own() {
    let limits = limits(&[], "https://acme-staging-v02.api.letsencrypt.org/directory").unwrap();
    assert_eq!(limits.rate(Kind::NewOrders).map(|rate| rate.burst()), Some(1500));
    assert_eq!(limits.rate(Kind::ConsecutiveFailures), None);
}

#[test]
fn of_other_cas_nothing_is_known_but_what_policy_says() {
    let ca = "https://ca.example/acme/directory";
    assert_eq!(limits(&[], ca), None);
    let told = limits(&[(ca, r#"{"newOrders": {"count": 10, "seconds": 60}}"#)], "https://ca.example/acme/directory/");
    let told = told.unwrap();
    assert_eq!(told.rate(Kind::NewOrders).map(|rate| rate.burst()), Some(10));
    assert_eq!(told.rate(Kind::CertificatesPerDomain), None);
}

#[test]
fn policy_takes_a_share_of_all_changes_one_or_switches_off() {
    let some =
        limits(&[(LE, r#"{"share": 40, "certificatesPerSet": {"count": 5, "seconds": 604800, "share": 100}}"#)], LE);
    let some = some.unwrap();
    assert_eq!(some.rate(Kind::NewOrders).map(|rate| rate.burst()), Some(120));
    assert_eq!(some.rate(Kind::CertificatesPerSet).map(|rate| rate.burst()), Some(5));
    let one_off = limits(&[(LE, r#"{"newOrders": {"count": 0, "seconds": 1}}"#)], LE).unwrap();
    assert_eq!(one_off.rate(Kind::NewOrders), None);
    assert!(one_off.rate(Kind::CertificatesPerDomain).is_some());
    assert_eq!(limits(&[(LE, r#"{"enabled": false}"#)], LE), None);
}
