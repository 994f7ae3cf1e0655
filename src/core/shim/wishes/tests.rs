use std::collections::BTreeMap;

use rstest::rstest;

use super::*;

fn refused(pairs: &[(&str, &str)]) -> Option<Fault> {
    let all: BTreeMap<&str, &str> = pairs.iter().copied().collect();
    let get = |key: &str| all.get(key).copied();
    match read(get, Version::NEWEST) {
        Ok(wishes) => admitted(&wishes, get).err(),
        Err(fault) => Some(fault),
    }
}

#[rstest]
#[case::days(names::DURATION, "90d", "time: unknown unit \"d\" in duration \"90d\"", "2160h")]
#[case::years(names::DURATION, "1y", "time: unknown unit \"y\" in duration \"1y\"", "8760h")]
#[case::no_unit(names::RENEW_BEFORE, "30", "time: missing unit in duration \"30\"", "720h")]
#[case::short(names::DURATION, "30m", "certificate duration must be greater than 1h0m0s", "2160h")]
#[case::renewed_at_once(
    names::RENEW_BEFORE,
    "2160h",
    "certificate duration 2160h0m0s must be greater than renewBefore 2160h0m0s",
    "720h0m0s"
)]
#[case::percentage(names::RENEW_BEFORE_PERCENTAGE, "33%", "strconv.ParseInt: parsing \"33%\": invalid syntax", "33")]
#[case::usage(names::USAGES, "server auth,tls", "invalid key usage name \"tls\"", "digital signature,key encipherment")]
#[case::algorithm(
    names::PRIVATE_KEY_ALGORITHM,
    "ecdsa",
    "invalid private key algorithm \"ecdsa\"",
    "RSA / ECDSA / Ed25519"
)]
#[case::size(
    names::PRIVATE_KEY_SIZE,
    "1024",
    "invalid private key size for RSA algorithm \"1024\"",
    "2048 / 3072 / 4096"
)]
#[case::policy(
    names::PRIVATE_KEY_ROTATION_POLICY,
    "always",
    "invalid private key rotation policy \"always\"",
    "Never / Always"
)]
#[case::history(names::REVISION_HISTORY_LIMIT, "0", "revision history limit must be a positive number \"0\"", "1")]
#[case::mail(names::EMAIL_SANS, "me", "\"me\": invalid email address", "name@example.com")]
fn what_cert_manager_refuses(
    #[case] annotation: &str,
    #[case] value: &str,
    #[case] words: &str,
    #[case] instead: &str,
) {
    let fault = refused(&[(annotation, value)]).unwrap();
    assert_eq!((fault.annotation, fault.value.as_str()), (annotation, value));
    assert_eq!((fault.words.as_str(), fault.instead.as_str()), (words, instead));
}

#[rstest]
#[case(&[(names::DURATION, "2160h"), (names::RENEW_BEFORE, "720h")])]
#[case(&[(names::PRIVATE_KEY_ALGORITHM, "ECDSA"), (names::PRIVATE_KEY_SIZE, "384")])]
#[case(&[(names::USAGES, "server auth, client auth")])]
#[case(&[(names::RENEW_BEFORE_PERCENTAGE, "33")])]
#[case(&[("cert-manager.io/subject-organizations", "\"Acme, Inc.\",Other")])]
fn what_it_takes(#[case] pairs: &[(&str, &str)]) {
    assert_eq!(refused(pairs), None);
}

#[test]
fn a_time_of_renewal_is_said_once() {
    let fault = refused(&[(names::RENEW_BEFORE, "720h"), (names::RENEW_BEFORE_PERCENTAGE, "33")]).unwrap();
    assert_eq!(fault.annotation, names::RENEW_BEFORE_PERCENTAGE);
}
