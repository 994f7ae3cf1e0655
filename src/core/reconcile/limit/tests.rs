use super::*;
use crate::core::{finding::Lang, limits::Kind};

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

#[test]
fn who_waits_is_told_for_what_and_until_when() {
    let host = Host::parse("www.example.com").unwrap();
    let wait = Wait {
        limit: Kind::CertificatesPerDomain,
        of: "example.com".into(),
        until: at("2026-11-25T14:04:01Z"),
        refused: false,
    };
    let finding = finding(&host, &wait);
    insta::assert_snapshot!(finding.sentence(Lang::En), @"www.example.com waits so as not to exceed the CA's limit on certificates per registered domain (example.com); next free place 2026-11-25 14:05 UTC");
    insta::assert_snapshot!(finding.sentence(Lang::ZhCn), @"为不超出证书机构对每个注册域名证书数（example.com）的限制，www.example.com 正在排队；下一个名额在 2026-11-25 14:05 UTC");
}
