use proptest::prelude::*;
use rstest::rstest;

use super::*;

const ACCOUNT: &str = "https://acme-v02.api.letsencrypt.org/acme/acct/123";

fn letsencrypt(account: Option<&str>) -> CaIdentity {
    CaIdentity { names: vec!["letsencrypt.org".into()], account_uri: account.map(str::to_owned) }
}

/// `flags tag value` per line, the value to the line's end.
fn set(lines: &[&str]) -> Vec<Caa> {
    lines
        .iter()
        .map(|line| {
            let mut parts = line.splitn(3, ' ');
            Caa {
                flags: parts.next().unwrap().parse().unwrap(),
                tag: parts.next().unwrap().to_owned(),
                value: parts.next().unwrap_or_default().to_owned(),
            }
        })
        .collect()
}

fn ruled(lines: &[&str], wildcard: bool, account: Option<&str>) -> Ruling {
    let set = set(lines);
    rule(&set.iter().collect::<Vec<_>>(), wildcard, &letsencrypt(account), Method::Http01)
}

#[rstest]
#[case::nothing(&[], Ruling::Granted)]
#[case::named(&["0 issue letsencrypt.org"], Ruling::Granted)]
#[case::tag_in_any_case(&["0 iSsUe letsencrypt.org"], Ruling::Granted)]
#[case::blanks_around(&["0 issue   letsencrypt.org\t ;foo=bar;baz=bar"], Ruling::Granted)]
#[case::lone_semicolon(&["0 issue letsencrypt.org; "], Ruling::Granted)]
#[case::one_of_several(&["0 issue ca.example", "0 issue letsencrypt.org"], Ruling::Granted)]
#[case::only_issuewild(&["0 issuewild ca.example"], Ruling::Granted)]
#[case::only_iodef(&["0 iodef mailto:a@example.com"], Ruling::Granted)]
#[case::critical_iodef(&["128 iodef mailto:a@example.com"], Ruling::Granted)]
#[case::critical_issuemail(&["128 issuemail ;"], Ruling::Granted)]
#[case::critical_issue(&["128 issue letsencrypt.org"], Ruling::Granted)]
#[case::unknown_uncritical(&["126 foo bar"], Ruling::Granted)]
#[case::our_account(&["0 issue letsencrypt.org; accounturi=https://acme-v02.api.letsencrypt.org/acme/acct/123"], Ruling::Granted)]
#[case::our_old_account(&["0 issue letsencrypt.org; accounturi=https://acme-v01.api.letsencrypt.org/acme/reg/123"], Ruling::Granted)]
#[case::our_method(&["0 issue letsencrypt.org; validationmethods=dns-01,http-01"], Ruling::Granted)]
#[case::match_before_malformed_method(&["0 issue letsencrypt.org; validationmethods=http-01,a_b"], Ruling::Granted)]
#[case::hyphens_within_a_tag(&["0 issue letsencrypt.org; foo--bar-1=baz"], Ruling::Granted)]
#[case::empty_value_is_allowed(&["0 issue letsencrypt.org; x="], Ruling::Granted)]
#[case::equals_in_value(&["0 issue letsencrypt.org; x=a=b"], Ruling::Granted)]
#[case::other_ca(&["0 issue ca.example"], Ruling::Denied(Denial::OtherCa { malformed: false }))]
#[case::nobody(&["0 issue ;"], Ruling::Denied(Denial::OtherCa { malformed: false }))]
#[case::empty(&["0 issue"], Ruling::Denied(Denial::OtherCa { malformed: false }))]
#[case::name_in_another_case(&["0 issue LetsEncrypt.org"], Ruling::Denied(Denial::OtherCa { malformed: false }))]
#[case::final_dot(&["0 issue letsencrypt.org."], Ruling::Denied(Denial::OtherCa { malformed: false }))]
#[case::below(&["0 issue x.letsencrypt.org"], Ruling::Denied(Denial::OtherCa { malformed: false }))]
#[case::quoted(&["0 issue \"letsencrypt.org\""], Ruling::Denied(Denial::OtherCa { malformed: false }))]
#[case::unknown_critical(&["128 foo bar", "0 issue letsencrypt.org"], Ruling::Denied(Denial::UnknownCritical("foo".into())))]
#[case::unknown_flag_one(&["1 foo bar"], Ruling::Denied(Denial::UnknownCritical("foo".into())))]
#[case::tag_with_underscore(&["0 issue letsencrypt.org; a_b=123"], Ruling::Denied(Denial::OtherCa { malformed: true }))]
#[case::tag_with_hyphen_at_an_end(&["0 issue letsencrypt.org; a-=123"], Ruling::Denied(Denial::OtherCa { malformed: true }))]
#[case::empty_tag(&["0 issue letsencrypt.org; =x"], Ruling::Denied(Denial::OtherCa { malformed: true }))]
#[case::value_with_blank(&["0 issue letsencrypt.org; ab=1 2 3"], Ruling::Denied(Denial::OtherCa { malformed: true }))]
#[case::value_beyond_ascii(&["0 issue letsencrypt.org; ab=\u{fffd}"], Ruling::Denied(Denial::OtherCa { malformed: true }))]
#[case::two_semicolons(&["0 issue letsencrypt.org; a=b;"], Ruling::Denied(Denial::OtherCa { malformed: true }))]
#[case::no_equals(&["0 issue letsencrypt.org; policy"], Ruling::Denied(Denial::OtherCa { malformed: true }))]
#[case::other_account(&["0 issue letsencrypt.org; accounturi=https://acme-v02.api.letsencrypt.org/acme/acct/124"], Ruling::Denied(Denial::OtherAccount))]
#[case::account_twice(&["0 issue letsencrypt.org; accounturi=https://acme-v02.api.letsencrypt.org/acme/acct/123; accounturi=https://acme-v02.api.letsencrypt.org/acme/acct/123"], Ruling::Denied(Denial::OtherAccount))]
#[case::other_method(&["0 issue letsencrypt.org; validationmethods=dns-01"], Ruling::Denied(Denial::OtherMethod))]
#[case::methods_twice(&["0 issue letsencrypt.org; validationmethods=http-01; validationmethods=http-01"], Ruling::Denied(Denial::OtherMethod))]
#[case::methods_empty(&["0 issue letsencrypt.org; validationmethods="], Ruling::Denied(Denial::OtherMethod))]
#[case::malformed_method_first(&["0 issue letsencrypt.org; validationmethods=a_b,http-01"], Ruling::Denied(Denial::OtherMethod))]
#[case::the_nearest_denial_is_told(&["0 issue ca.example", "0 issue letsencrypt.org; validationmethods=dns-01"], Ruling::Denied(Denial::OtherMethod))]
#[case::account_param_in_another_case_is_another_tag(&["0 issue letsencrypt.org; AccountURI=https://example.com/1"], Ruling::Granted)]
fn a_plain_name(#[case] lines: &[&str], #[case] expected: Ruling) {
    assert_eq!(ruled(lines, false, Some(ACCOUNT)), expected, "{lines:?}");
}

#[rstest]
#[case::issue_speaks_for_wildcards(&["0 issue ca.example"], Ruling::Denied(Denial::OtherCa { malformed: false }))]
#[case::issuewild_overrides(&["0 issue letsencrypt.org", "0 issuewild ca.example"], Ruling::Denied(Denial::OtherCa { malformed: false }))]
#[case::issuewild_allows(&["0 issue ca.example", "0 issuewild letsencrypt.org"], Ruling::Granted)]
#[case::one_of_two(&["0 issuewild ca.example", "0 issuewild letsencrypt.org"], Ruling::Granted)]
#[case::nobody(&["0 issuewild ;"], Ruling::Denied(Denial::OtherCa { malformed: false }))]
#[case::nothing_relevant(&["0 iodef mailto:a@example.com"], Ruling::Granted)]
fn a_wildcard(#[case] lines: &[&str], #[case] expected: Ruling) {
    assert_eq!(ruled(lines, true, Some(ACCOUNT)), expected, "{lines:?}");
}

#[test]
fn where_the_account_is_not_known_yet_a_grant_to_an_account_is_none() {
    let lines = ["0 issue letsencrypt.org; accounturi=https://example.com/1"];
    assert_eq!(ruled(&lines, false, None), Ruling::Denied(Denial::OtherAccount));
    let lines = ["0 issue letsencrypt.org; accounturi=https://example.com/1", "0 issue letsencrypt.org"];
    assert_eq!(ruled(&lines, false, None), Ruling::Granted);
}

#[test]
fn the_record_to_add_satisfies_the_rule_that_asked_for_it() {
    for lines in [
        vec!["0 issue ca.example"],
        vec!["0 issue letsencrypt.org; accounturi=https://example.com/1"],
        vec!["0 issue letsencrypt.org; validationmethods=dns-01"],
        vec!["0 issuewild ;"],
    ] {
        for wildcard in [false, true] {
            let Ruling::Denied(denial) = ruled(&lines, wildcard, Some(ACCOUNT)) else { continue };
            let mut mended = set(&lines);
            let tag = if wildcard && lines[0].contains("issuewild") { "issuewild" } else { "issue" };
            let value = grant(&letsencrypt(Some(ACCOUNT)), Method::Http01, &denial);
            mended.push(Caa { flags: 0, tag: tag.into(), value });
            let refs: Vec<&Caa> = mended.iter().collect();
            assert_eq!(
                rule(&refs, wildcard, &letsencrypt(Some(ACCOUNT)), Method::Http01),
                Ruling::Granted,
                "{lines:?}"
            );
        }
    }
}

proptest! {
    #[test]
    fn any_value_is_ruled_on(value in "\\PC{0,80}|[ \t;=,a-z0-9.-]{0,80}", flags: u8, tag in "issue|issuewild|[a-z]{0,8}", wildcard: bool) {
        let caa = Caa { flags, tag, value };
        let _ = rule(&[&caa], wildcard, &letsencrypt(Some(ACCOUNT)), Method::Dns01);
    }

    #[test]
    fn what_is_parsed_is_written_back(domain in "[a-z]{1,8}(\\.[a-z]{1,8}){0,2}", parameters in proptest::collection::vec(("[a-z0-9]{1,6}", "[!-:<-~]{0,10}"), 0..4)) {
        let text = parameters.iter().fold(domain.clone(), |text, (tag, value)| format!("{text}; {tag}={value}"));
        let issue = parse_issue(&text).unwrap();
        prop_assert_eq!(issue.domain, domain);
        let expected: Vec<(&str, &str)> = parameters.iter().map(|(t, v)| (t.as_str(), v.as_str())).collect();
        prop_assert_eq!(issue.parameters, expected);
    }
}
