use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::core::finding::Lang;

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn domain(namespace: &str, host: &str, ready: bool, reason: Reason) -> Domain {
    let since = if ready { "2026-11-24T11:00:00Z" } else { "2026-11-24T11:57:00Z" };
    serde_json::from_value(json!({
        "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
        "metadata": {"namespace": namespace, "name": host},
        "spec": {"host": host},
        "status": {
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }, "reason": reason.as_str(), "message": "", "lastTransitionTime": since}],
            "verdict": {"reason": reason.as_str(), "subject": host},
            "required": ["203.0.113.7"],
            "nextCheckTime": "2026-11-24T12:00:30Z",
        },
    }))
    .unwrap()
}

fn hosts() -> Vec<Domain> {
    vec![
        domain("team-b", "shop.example.com", true, Reason::Issued),
        domain("team-a", "new.example.com", false, Reason::Pending),
        domain("team-a", "www.example.com", false, Reason::DomainNotFound),
        domain("team-a", "xn--fsqu00a.com", false, Reason::IssuerMissing),
    ]
}

#[test]
fn hosts_are_grouped_by_who_must_act() {
    insta::assert_snapshot!(anstream::adapter::strip_str(&render::person(&rows(&hosts()), false, Lang::En, now())).to_string(), @r"
    1 of 4 hosts ready

    The domain's owner must act (1)
      www.example.com  team-a  for 3 min
        www.example.com does not exist in DNS yet; the domain's owner must add an A record to 203.0.113.7
        next check in 30 s

    The cluster's administrator must act (1)
      例子.com  team-a  for 3 min
        the issuer that the policy names does not exist; the cluster's administrator must create it
        next check in 30 s

    In progress, nobody needs to act (1)
      new.example.com  team-a  for 3 min
        new.example.com waits for its first DNS check
        next check in 30 s
    ");
}

#[test]
fn the_same_in_chinese() {
    insta::assert_snapshot!(anstream::adapter::strip_str(&render::person(&rows(&hosts()[2..3]), true, Lang::ZhCn, now())).to_string(), @r"
    共 1 个域名，0 个就绪

    请域名所有者处理 (1)
      www.example.com  team-a  已 3 分钟
        www.example.com 还没有 DNS 解析记录；请域名所有者添加 A 记录，记录值 203.0.113.7
        30 秒后重新检查
        原因: DomainNotFound
    ");
}

#[test]
fn of_thousands_a_person_is_shown_counts_and_those_that_wait_longest() {
    let reason = |n: usize| if n.is_multiple_of(4) { Reason::WrongTarget } else { Reason::DomainNotFound };
    let mut many: Vec<Domain> =
        (0..1_000).map(|n| domain("team-a", &format!("h{n:04}.example.com"), false, reason(n))).collect();
    many.extend((0..20).map(|n| domain("team-b", &format!("i{n}.example.com"), false, Reason::IssuerMissing)));
    let shown = |wide| anstream::adapter::strip_str(&render::person(&rows(&many), wide, Lang::En, now())).to_string();
    let text = shown(false);
    assert!(text.contains("The domain's owner must act (1000: DomainNotFound 750, WrongTarget 250)\n"), "{text}");
    assert!(text.contains("  … and 980 more: -o wide shows all, -n NAMESPACE or HOST some\n"), "{text}");
    assert!(text.contains("h0019.example.com") && !text.contains("h0020.example.com"), "{text}");
    // A group that is shown in full says no more than its size.
    assert!(text.contains("must act (20)\n") && text.contains("i19.example.com"), "{text}");
    assert!(shown(true).contains("h0999.example.com") && !shown(true).contains(" more: "));
}

#[test]
fn a_certificate_at_risk_tells_how_long_it_still_serves() {
    let mut domain = domain("team-a", "www.example.com", true, Reason::RenewalAtRisk);
    domain.status.as_mut().unwrap().certificate = serde_json::from_value(
        json!({"name": "certgate-x", "secretName": "certgate-x", "notAfter": "2026-12-04T12:00:00Z"}),
    )
    .unwrap();
    let text = render::person(&rows(&[domain]), false, Lang::En, now());
    assert!(text.contains("certificate ends in 10 d") && !text.contains("for 60 min"), "{text}");
}

#[test]
fn programs_get_every_host_with_its_reason() {
    let value: serde_json::Value = serde_json::from_str(&render::json(&rows(&hosts()), Lang::En).unwrap()).unwrap();
    let reasons: Vec<_> =
        value["hosts"].as_array().unwrap().iter().map(|row| row["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["DomainNotFound", "IssuerMissing", "Pending", "Issued"]);
    assert_eq!(value["hosts"][0]["whoActs"], "domain-owner");
    assert_eq!(value["hosts"][0]["nextCheckTime"], "2026-11-24T12:00:30Z");
}

#[test]
fn a_renewal_at_risk_is_told_in_the_readers_language_with_its_cause() {
    let mut issuance = domain("team-a", "www.example.com", true, Reason::RenewalAtRisk);
    let status = issuance.status.as_mut().unwrap();
    status.verdict.as_mut().unwrap().reason = "Verified".into();
    let cause = Finding::new(Reason::CaRateLimited, "www.example.com").note("2026-11-25 13:37 UTC");
    let finding = Finding::new(Reason::RenewalAtRisk, "www.example.com").because(cause);
    status.issuance = Some(crate::api::domain::IssuanceStatus::of(&finding));
    let mut dns = domain("team-a", "www.example.com", true, Reason::RenewalAtRisk);
    dns.status.as_mut().unwrap().verdict.as_mut().unwrap().reason = "DomainNotFound".into();
    for (domain, zh, en) in [
        (issuance, "11-25 13:37 UTC 起可再次申请", "it accepts the next order from 2026-11-25 13:37 UTC"),
        (dns, "www.example.com 还没有 DNS 解析记录", "does not exist in DNS yet"),
    ] {
        let row = Row::of(&domain);
        let said = row.finding.sentence(Lang::ZhCn);
        assert!(said.contains("续期将会失败") && said.contains(zh) && !said.contains("DNS yet"), "{said}");
        assert!(row.finding.sentence(Lang::En).contains(en));
    }
}

#[test]
fn spans_are_said_as_people_do() {
    for (seconds, expected) in
        [(0, "0 s"), (99, "99 s"), (100, "1 min"), (5_999, "99 min"), (6_000, "1 h"), (172_800, "2 d"), (-5, "0 s")]
    {
        assert_eq!(render::span(SignedDuration::from_secs(seconds), Lang::En), expected);
    }
}
