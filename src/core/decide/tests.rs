use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::core::{
    finding::Finding,
    knowledge::{Bind, VerdictFacts},
    names,
    policy::{AutoIssue, IssuerKind, Match, Rule},
};

mod sizes;

#[derive(Default)]
struct Known {
    labels: BTreeMap<&'static str, &'static str>,
    domains: BTreeMap<&'static str, DomainFacts>,
    v5: bool,
}

impl Knowledge for Known {
    fn namespace_label(&self, _: &str, key: &str) -> Option<&str> {
        self.labels.get(key).copied()
    }
    fn domain(&self, _: &str, host: &str) -> Option<&DomainFacts> {
        self.domains.get(host)
    }
    fn has_profile(&self, _: &str, profile: Profile) -> bool {
        self.v5 && profile == Profile::RainbondV5
    }
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn found(reason: Reason) -> DomainFacts {
    DomainFacts {
        verdict: Some(VerdictFacts {
            finding: Finding::new(reason, "h"),
            issuer: None,
            server: None,
            valid_until: Timestamp::MAX,
        }),
        ..DomainFacts::default()
    }
}

fn all() -> Policy {
    Policy { issuer: Some(IssuerRef::cluster("le")), auto_issue: AutoIssue::All, ..Policy::default() }
}

fn web(host: &str) -> Value {
    json!({"metadata": {"name": "web", "namespace": "team-a"}, "spec": {"rules": [{"host": host}]}})
}

fn rainbond(host: &str) -> Value {
    let mut object = web(host);
    object["metadata"]["labels"] = json!({"creator": "Rainbond", "service_id": "s"});
    object
}

/// Decides and applies: the object after, and what was said of each host.
fn step(object: &Value, known: &Known, policy: &Policy) -> (Value, Vec<(Action, Reason)>, bool) {
    let text = object.to_string();
    let ingress: Ingress<'_> = serde_json::from_str(&text).unwrap();
    let decision = decide(&ingress, known, policy, now());
    let mut after = object.clone();
    let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(&decision.patch).unwrap()).unwrap();
    json_patch::patch(&mut after, &patch).unwrap();
    (after, decision.hosts.iter().map(|host| (host.action, host.reason())).collect(), decision.lead)
}

fn fate(object: &Value, known: &Known, policy: &Policy) -> (Action, Reason) {
    step(object, known, policy).1.first().copied().expect("a host")
}

fn with(host: &'static str, facts: DomainFacts) -> Known {
    Known { domains: BTreeMap::from([(host, facts)]), ..Known::default() }
}

#[test]
fn the_first_flag_that_speaks_wins() {
    let annotated = Policy { auto_issue: AutoIssue::Annotated, ..all() };
    let on = (Action::Hold, Reason::Pending);
    let off = (Action::Skip, Reason::SwitchedOff);
    // annotation, Domain, namespace label, rule, default → outcome
    type Row = (Option<&'static str>, Option<bool>, Option<&'static str>, Option<bool>, bool, (Action, Reason));
    let rows: &[Row] = &[
        (None, None, None, None, false, (Action::Skip, Reason::NotFlagged)),
        (None, None, None, None, true, on),
        (None, None, None, Some(true), false, on),
        (None, None, None, Some(false), true, off),
        (None, None, Some("true"), Some(false), false, on),
        (None, None, Some("false"), Some(true), true, off),
        (None, Some(true), Some("false"), None, false, on),
        (None, Some(false), Some("true"), None, true, off),
        (Some("true"), Some(false), Some("false"), Some(false), false, on),
        (Some("false"), Some(true), Some("true"), Some(true), true, off),
        (Some("ture"), Some(true), None, None, true, (Action::Skip, Reason::FlagUnreadable)),
        (None, None, Some("maybe"), None, true, (Action::Skip, Reason::FlagUnreadable)),
    ];
    for (annotation, domain, label, rule, default, expected) in rows {
        let mut object = web("www.example.com");
        if let Some(text) = annotation {
            object["metadata"]["annotations"] = json!({ names::AUTO_ISSUE: text });
        }
        let mut known = match domain {
            Some(word) => with("www.example.com", DomainFacts { auto_issue: Some(*word), ..DomainFacts::default() }),
            None => Known::default(),
        };
        known.labels.extend(label.map(|text| (names::AUTO_ISSUE, text)));
        let mut policy = if *default { all() } else { annotated.clone() };
        policy.rules.extend(rule.map(|word| Rule { auto_issue: Some(word), ..Rule::default() }));
        assert_eq!(fate(&object, &known, &policy), *expected, "{annotation:?} {domain:?} {label:?} {rule:?} {default}");
    }
}

#[test]
fn rules_speak_in_order_and_only_where_they_match() {
    let rule = |glob: &str, word| Rule {
        r#match: Match { hosts: vec![glob.to_owned()], ..Match::default() },
        auto_issue: Some(word),
        ..Rule::default()
    };
    let policy = Policy {
        rules: vec![rule("*.internal.example.com", false), rule("*.example.com", true)],
        auto_issue: AutoIssue::Annotated,
        ..all()
    };
    assert_eq!(fate(&web("a.internal.example.com"), &Known::default(), &policy).1, Reason::SwitchedOff);
    assert_eq!(fate(&web("a.example.com"), &Known::default(), &policy).1, Reason::Pending);
    assert_eq!(fate(&web("a.example.org"), &Known::default(), &policy).1, Reason::NotFlagged);
}

#[test]
fn what_is_never_eligible_whatever_the_flag() {
    let policy = Policy { platform_domains: vec!["grapps.cn".into()], exclude_namespaces: vec!["own".into()], ..all() };
    let mut rows: Vec<(Value, Reason)> = vec![
        (web("x.grapps.cn"), Reason::PlatformDomain),
        (web("203.0.113.10"), Reason::HostIsIpAddress),
        (web("intranet"), Reason::NotPublicName),
        (web("shop.corp.local"), Reason::NotPublicName),
        (web("co.uk"), Reason::IsPublicSuffix),
        (web("a_b.example.com"), Reason::HostInvalid),
        (json!({"metadata": {"name": "w", "namespace": "t"}, "spec": {"rules": [{}]}}), Reason::NoHost),
    ];
    let mut edit = |reason, change: &dyn Fn(&mut Value)| {
        let mut object = web("www.example.com");
        change(&mut object);
        rows.push((object, reason));
    };
    edit(Reason::NamespaceExcluded, &|o| o["metadata"]["namespace"] = json!("own"));
    edit(Reason::NamespaceExcluded, &|o| o["metadata"]["namespace"] = json!("kube-system"));
    edit(Reason::BeingDeleted, &|o| o["metadata"]["deletionTimestamp"] = json!("2026-11-24T12:00:00Z"));
    edit(Reason::SolverIngress, &|o| o["metadata"]["labels"] = json!({ names::SOLVER_LABEL: "true" }));
    edit(Reason::CompanionIngress, &|o| o["spec"]["ingressClassName"] = json!(names::COMPANION_CLASS));
    edit(Reason::TcpIngress, &|o| o["metadata"]["annotations"] = json!({ names::L4_ENABLE: "true" }));
    edit(Reason::PlatformIngress, &|o| {
        o["metadata"]["labels"] = json!({"creator": "Rainbond", "belongTo": "rainbond-operator"})
    });
    edit(Reason::UserTls, &|o| o["spec"]["tls"] = json!([{"hosts": ["www.example.com"], "secretName": "s"}]));
    edit(Reason::UserTls, &|o| o["spec"]["tls"] = json!([{"hosts": ["*.example.com"], "secretName": "s"}]));
    edit(Reason::UserTls, &|o| o["spec"]["tls"] = json!([{"secretName": "s"}]));
    edit(Reason::UserIssuerConflict, &|o| {
        o["metadata"]["annotations"] = json!({ names::ISSUER: "a", names::CLUSTER_ISSUER: "b" })
    });
    for (object, reason) in rows {
        let known = with("www.example.com", found(Reason::Verified));
        let (after, fates, _) = step(&object, &known, &policy);
        assert_eq!(fates.first().copied(), Some((Action::Skip, reason)), "{object}");
        assert_eq!(after, object, "{reason} leaves the object alone");
    }
}

#[test]
fn a_verdict_gates_the_first_injection_only() {
    let stale = {
        let mut facts = found(Reason::Verified);
        facts.verdict.as_mut().unwrap().valid_until = now();
        facts
    };
    let released = DomainFacts { released: true, ..found(Reason::DomainNotFound) };
    let other = DomainFacts { released_issuer: Some(IssuerRef::cluster("other")), ..released.clone() };
    // Anybody may make a Certificate of our name.
    let issued = DomainFacts { issued: true, ..found(Reason::WrongTarget) };
    let rows: Vec<(DomainFacts, (Action, Reason))> = vec![
        (found(Reason::Verified), (Action::Inject, Reason::Verified)),
        (found(Reason::NoValidationNeeded), (Action::Inject, Reason::NoValidationNeeded)),
        (found(Reason::DomainNotFound), (Action::Hold, Reason::DomainNotFound)),
        (found(Reason::CaaForbids), (Action::Hold, Reason::CaaForbids)),
        (found(Reason::HostTaken), (Action::Hold, Reason::HostTaken)),
        (found(Reason::WildcardNeedsDns01), (Action::Skip, Reason::WildcardNeedsDns01)),
        (DomainFacts::default(), (Action::Hold, Reason::Pending)),
        (stale, (Action::Hold, Reason::VerdictStale)),
        (released, (Action::Inject, Reason::Issuing)),
        (other, (Action::Hold, Reason::DomainNotFound)),
        (issued, (Action::Hold, Reason::WrongTarget)),
    ];
    for (facts, expected) in rows {
        assert_eq!(
            fate(&web("www.example.com"), &with("www.example.com", facts.clone()), &all()),
            expected,
            "{facts:?}"
        );
    }
}

#[test]
fn tls_stays_when_dns_flaps_or_the_domain_object_is_lost() {
    let (injected, ..) = step(&web("www.example.com"), &with("www.example.com", found(Reason::Verified)), &all());
    let released = DomainFacts { released: true, ..found(Reason::DnsTimeout) };
    let (after, fates, _) = step(&injected, &with("www.example.com", released), &all());
    assert_eq!((after, fates), (injected.clone(), vec![(Action::Inject, Reason::Issuing)]));
    // With the Domain goes all that vouches for the entry: it stays, and is not ordered for until the host is verified.
    let (after, fates, _) = step(&injected, &Known::default(), &all());
    assert_eq!(fates, [(Action::Hold, Reason::Pending)]);
    assert_eq!(after["spec"], injected["spec"]);
    assert_eq!(after["metadata"].get("annotations"), None);
    let (again, ..) = step(&after, &with("www.example.com", found(Reason::Verified)), &all());
    assert_eq!(again, injected);
}

#[test]
fn a_verdict_for_one_issuer_says_nothing_about_another() {
    let mut facts = found(Reason::Verified);
    facts.verdict.as_mut().unwrap().issuer = Some(IssuerRef::cluster("staging"));
    assert_eq!(fate(&web("www.example.com"), &with("www.example.com", facts), &all()), (Action::Hold, Reason::Pending));
}

#[test]
fn injection_as_it_is_seen_on_a_plain_ingress() {
    let (after, _, lead) = step(&web("www.example.com"), &with("www.example.com", found(Reason::Verified)), &all());
    assert!(lead);
    insta::assert_snapshot!(serde_json::to_string_pretty(&after).unwrap(), @r#"
    {
      "metadata": {
        "annotations": {
          "cert-manager.io/cluster-issuer": "le",
          "certgate.dev/injected": "{\"annotations\":{\"cert-manager.io/cluster-issuer\":\"le\"},\"made\":{\"annotations\":true,\"tls\":true}}"
        },
        "name": "web",
        "namespace": "team-a"
      },
      "spec": {
        "rules": [
          {
            "host": "www.example.com"
          }
        ],
        "tls": [
          {
            "hosts": [
              "www.example.com"
            ],
            "secretName": "certgate-www.example.com"
          }
        ]
      }
    }
    "#);
}

#[test]
fn rainbond_5_gets_a_visible_secret_and_keeps_port_80_useful() {
    let known = with("www.example.com", found(Reason::Verified));
    let (after, ..) = step(&rainbond("www.example.com"), &known, &all());
    assert_eq!(after["metadata"]["annotations"][names::SECRET_TEMPLATE], r#"{"labels":{"creator":"Rainbond"}}"#);
    assert_eq!(after["metadata"]["annotations"][names::FORCE_SSL_REDIRECT], "true");
    let keep = Policy { rules: vec![Rule { http: Some(PlainHttp::Keep), ..Rule::default() }], ..all() };
    let (after, ..) = step(&rainbond("www.example.com"), &known, &keep);
    assert_eq!(after["metadata"]["annotations"].get(names::FORCE_SSL_REDIRECT), None);
}

#[test]
fn rainbond_5_serves_one_certificate_an_ingress() {
    let mut object = rainbond("a.example.com");
    object["spec"]["rules"] = json!([{"host": "a.example.com"}, {"host": "b.example.com"}]);
    assert_eq!(fate(&object, &with("a.example.com", found(Reason::Verified)), &all()).1, Reason::OneHostPerIngress);
    object["spec"]["rules"] = json!([{"host": "a.example.com"}, {"host": "a.example.com"}]);
    assert_eq!(fate(&object, &with("a.example.com", found(Reason::Verified)), &all()).1, Reason::Verified);
}

#[test]
fn rainbond_5_cannot_serve_names_with_tls_in_them() {
    let known = |host| with(host, found(Reason::Verified));
    for (host, expected) in [("mytls.example.com", Reason::GatewayManglesHost), ("tls.example.com", Reason::Verified)] {
        assert_eq!(fate(&rainbond(host), &known(host), &all()).1, expected, "{host}");
        assert_eq!(fate(&web(host), &known(host), &all()).1, Reason::Verified, "{host} on another gateway");
    }
}

#[test]
fn a_rainbond_put_without_our_parts_is_injected_again_in_the_same_write() {
    let known =
        with("www.example.com", DomainFacts { released: true, lead: Some("web".into()), ..found(Reason::Verified) });
    let (first, ..) = step(&rainbond("www.example.com"), &known, &all());
    let (second, ..) = step(&rainbond("www.example.com"), &known, &all());
    assert_eq!(first, second, "name, issuer and hosts come out the same, so nothing is ordered again");
}

#[test]
fn only_the_lead_carries_the_issuer() {
    let known = with("www.example.com", DomainFacts { lead: Some("other".into()), ..found(Reason::Verified) });
    let (after, fates, lead) = step(&web("www.example.com"), &known, &all());
    assert!(!lead);
    assert_eq!(fates, [(Action::Inject, Reason::Verified)]);
    assert_eq!(after["spec"]["tls"][0]["secretName"], "certgate-www.example.com");
    assert_eq!(after["metadata"]["annotations"].get(names::CLUSTER_ISSUER), None);
}

#[test]
fn a_lead_that_became_a_follower_gives_up_the_issuer_and_keeps_tls() {
    let (leading, ..) = step(&web("www.example.com"), &with("www.example.com", found(Reason::Verified)), &all());
    let known =
        with("www.example.com", DomainFacts { lead: Some("other".into()), released: true, ..found(Reason::Verified) });
    let (after, ..) = step(&leading, &known, &all());
    assert_eq!(after["metadata"]["annotations"].get(names::CLUSTER_ISSUER), None);
    assert_eq!(after["spec"]["tls"], leading["spec"]["tls"]);
}

#[test]
fn the_users_issuer_is_used_and_no_second_one_added() {
    let mut object = web("www.example.com");
    object["metadata"]["annotations"] = json!({ names::ISSUER: "mine" });
    let mut facts = found(Reason::Verified);
    facts.verdict.as_mut().unwrap().issuer =
        Some(IssuerRef { kind: IssuerKind::Issuer, name: "mine".into(), group: None });
    let (after, fates, _) = step(&object, &with("www.example.com", facts), &all());
    assert_eq!(fates, [(Action::Inject, Reason::Verified)]);
    assert_eq!(after["metadata"]["annotations"].get(names::CLUSTER_ISSUER), None);
    assert_eq!(after["metadata"]["annotations"][names::ISSUER], "mine");
    assert_eq!(after["spec"]["tls"][0]["secretName"], "certgate-www.example.com");
}

#[test]
fn apisix_gets_its_tls_entry_only_when_the_secret_is_there() {
    let mut object = web("www.example.com");
    object["spec"]["ingressClassName"] = json!("apisix");
    let (after, fates, _) = step(&object, &with("www.example.com", found(Reason::Verified)), &all());
    assert_eq!((fates, &after), (vec![(Action::Hold, Reason::AwaitingCertificate)], &object));
    let issued = DomainFacts { issued: true, ..found(Reason::Verified) };
    let (after, fates, lead) = step(&object, &with("www.example.com", issued), &all());
    assert_eq!((fates, lead), (vec![(Action::Inject, Reason::Issued)], false));
    assert_eq!(after["spec"]["tls"][0]["secretName"], "certgate-www.example.com");
    assert_eq!(after["metadata"]["annotations"].get(names::CLUSTER_ISSUER), None);
}

#[test]
fn an_existing_certificate_is_bound_without_an_order() {
    let bind = Bind { secret_name: "wild-tls".into(), certificate: "wild-tls".into() };
    let facts = DomainFacts { bind: Some(bind), ..DomainFacts::default() };
    let known = Known {
        domains: BTreeMap::from([("a.example.com", facts.clone()), ("b.example.com", facts)]),
        ..Known::default()
    };
    let mut object = web("a.example.com");
    object["spec"]["rules"] = json!([{"host": "b.example.com"}, {"host": "a.example.com"}]);
    let (after, fates, lead) = step(&object, &known, &all());
    assert_eq!((fates, lead), (vec![(Action::Inject, Reason::BoundExisting); 2], false));
    assert_eq!(after["spec"]["tls"], json!([{"hosts": ["a.example.com", "b.example.com"], "secretName": "wild-tls"}]));
    assert_eq!(after["metadata"]["annotations"].get(names::CLUSTER_ISSUER), None);
}

#[test]
fn the_users_certificate_on_another_ingress_of_the_host_counts_too() {
    let known = with("www.example.com", found(Reason::Verified));
    let (injected, ..) = step(&web("www.example.com"), &known, &all());
    let injected_secrets = vec!["certgate-www.example.com".to_owned()];
    let known = with("www.example.com", DomainFacts { injected_secrets, ..found(Reason::UserTls) });
    for object in [web("www.example.com"), injected] {
        let (after, fates, _) = step(&object, &known, &all());
        assert_eq!(fates.first().map(|fate| fate.1), Some(Reason::UserTls));
        assert_eq!(after, web("www.example.com"));
    }
}

#[test]
fn one_bad_host_never_blocks_another() {
    let known = Known {
        domains: BTreeMap::from([
            ("good.example.com", found(Reason::Verified)),
            ("bad.example.com", found(Reason::DomainNotFound)),
        ]),
        ..Known::default()
    };
    let mut object = web("good.example.com");
    object["spec"]["rules"] = json!([{"host": "bad.example.com"}, {"host": "good.example.com"}]);
    let (after, fates, _) = step(&object, &known, &all());
    assert_eq!(fates, [(Action::Hold, Reason::DomainNotFound), (Action::Inject, Reason::Verified)]);
    assert_eq!(
        after["spec"]["tls"],
        json!([{"hosts": ["good.example.com"], "secretName": "certgate-good.example.com"}])
    );
}

#[test]
fn hosts_of_two_issuers_do_not_fit_one_ingress() {
    let other = DomainFacts { issuer: Some(IssuerRef::cluster("zero")), ..found(Reason::Verified) };
    let known = Known {
        domains: BTreeMap::from([("a.example.com", found(Reason::Verified)), ("b.example.com", other)]),
        ..Known::default()
    };
    let mut object = web("a.example.com");
    object["spec"]["rules"] = json!([{"host": "a.example.com"}, {"host": "b.example.com"}]);
    assert_eq!(
        step(&object, &known, &all()).1,
        [(Action::Inject, Reason::Verified), (Action::Hold, Reason::IssuerConflict)]
    );
}

#[test]
fn a_users_secret_of_our_name_is_never_shared() {
    let mut object = web("a.example.com");
    object["spec"]["tls"] = json!([{"hosts": ["u.example.com"], "secretName": "certgate-a.example.com"}]);
    let (after, fates, _) = step(&object, &with("a.example.com", found(Reason::Verified)), &all());
    assert_eq!((fates, &after), (vec![(Action::Hold, Reason::SecretNameTaken)], &object));
}

#[test]
fn an_old_record_that_says_the_same_is_left_as_it_is() {
    let known = with("www.example.com", found(Reason::Verified));
    let (mut injected, ..) = step(&web("www.example.com"), &known, &all());
    injected["metadata"]["annotations"][names::INJECTED] = json!(
        r#"{"annotations":{"cert-manager.io/cluster-issuer":"le"},"tls":{"www.example.com":"certgate-www.example.com"},"made":{"annotations":true,"tls":true}}"#
    );
    assert_eq!(step(&injected, &known, &all()).0, injected);
    assert_eq!(step(&injected, &known, &Policy::default()).0, web("www.example.com"));
}

#[test]
fn the_flag_off_withdraws_and_a_removed_host_too() {
    let known = with("www.example.com", found(Reason::Verified));
    let (mut injected, ..) = step(&web("www.example.com"), &known, &all());
    let (after, fates, _) = step(&injected, &known, &Policy::default());
    assert_eq!(fates, [(Action::Withdraw, Reason::NotFlagged)]);
    assert_eq!(after, web("www.example.com"));
    injected["spec"]["rules"] = json!([{"host": "new.example.com"}]);
    let (after, fates, _) = step(&injected, &known, &all());
    assert_eq!(fates, [(Action::Hold, Reason::Pending), (Action::Withdraw, Reason::HostRemoved)]);
    assert_eq!(after, web("new.example.com"));
}

#[test]
fn a_manual_certificate_bound_over_an_injected_host_takes_over() {
    let known = with("www.example.com", DomainFacts { released: true, ..found(Reason::Verified) });
    let (injected, ..) = step(&rainbond("www.example.com"), &known, &all());
    let mut bound = injected;
    bound["spec"]["tls"].as_array_mut().unwrap().push(json!({"hosts": ["www.example.com"], "secretName": "manual"}));
    let (after, fates, _) = step(&bound, &known, &all());
    assert_eq!(fates, [(Action::Withdraw, Reason::UserTls)]);
    assert_eq!(after["spec"]["tls"], json!([{"hosts": ["www.example.com"], "secretName": "manual"}]));
    assert_eq!(after["metadata"].get("annotations"), None);
}

#[test]
fn solvers_are_labelled_where_the_v5_gateway_must_see_them() {
    let mut object = web("www.example.com");
    object["metadata"]["labels"] = json!({ names::SOLVER_LABEL: "true" });
    let (after, ..) = step(&object, &Known { v5: true, ..Known::default() }, &all());
    assert_eq!(after["metadata"]["labels"], json!({ names::SOLVER_LABEL: "true", "creator": "Rainbond" }));
    let (again, ..) = step(&after, &Known { v5: true, ..Known::default() }, &all());
    assert_eq!(again, after);
    assert_eq!(step(&object, &Known::default(), &all()).0, object);
}

#[test]
fn ten_thousand_hosts_are_decided_in_linear_time() {
    let hosts: Vec<Value> = (0..10_000).map(|n| json!({"host": format!("h{n}.example.com")})).collect();
    let tls: Vec<Value> =
        (0..10_000).map(|n| json!({"hosts": [format!("h{n}.example.com")], "secretName": format!("s{n}")})).collect();
    let object = json!({"metadata": {"name": "web", "namespace": "t"}, "spec": {"rules": hosts, "tls": tls}});
    assert!(step(&object, &Known::default(), &all()).1.iter().all(|fate| *fate == (Action::Skip, Reason::UserTls)));
    // And when all of them are to be injected, and withdrawn again.
    let text =
        json!({"metadata": {"name": "web", "namespace": "t"}, "spec": {"rules": object["spec"]["rules"]}}).to_string();
    let ingress: Ingress<'_> = serde_json::from_str(&text).unwrap();
    struct Everywhere(DomainFacts);
    impl Knowledge for Everywhere {
        fn namespace_label(&self, _: &str, _: &str) -> Option<&str> {
            None
        }
        fn domain(&self, _: &str, _: &str) -> Option<&DomainFacts> {
            Some(&self.0)
        }
        fn has_profile(&self, _: &str, _: Profile) -> bool {
            false
        }
    }
    let policy = all();
    let known = Everywhere(found(Reason::Verified));
    assert_eq!(
        decide(&ingress, &known, &policy, now()).hosts.iter().filter(|h| h.action == Action::Inject).count(),
        10_000
    );
}
