use rstest::rstest;

use super::*;

#[test]
fn an_issuer_is_the_same_however_its_defaults_are_written() {
    let read = |json: &str| serde_json::from_str::<IssuerRef>(json).ok();
    let plain = Some(IssuerRef::cluster("le"));
    for same in [
        r#"{"name":"le"}"#,
        r#"{"name":"le","kind":"","group":""}"#,
        r#"{"name":"le","kind":"ClusterIssuer","group":"cert-manager.io"}"#,
    ] {
        assert_eq!(read(same), plain, "{same}");
    }
    assert_ne!(read(r#"{"name":"le","group":"other.example"}"#), plain);
}

#[rstest]
#[case("*", "", true)]
#[case("*.example.com", "www.example.com", true)]
#[case("*.example.com", "a.b.example.com", true)]
#[case("*.example.com", "example.com", false)]
#[case("team-*-x", "team-a-b-x", true)]
#[case("team-*-x", "team-a-b-y", false)]
#[case("a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaac", false)]
#[case("exact", "exact", true)]
#[case("exact", "exactly", false)]
fn globs(#[case] glob: &str, #[case] text: &str, #[case] expected: bool) {
    assert_eq!(glob_fits(glob, text), expected, "{glob} ~ {text}");
}
