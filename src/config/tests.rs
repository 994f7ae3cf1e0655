use std::path::Path;

use rstest::rstest;

use super::*;
use crate::core::policy::{AutoIssue, HttpReach, IssuerKind, PlainHttp, Profile, Target};

/// Files that are no policy, each with what certgate says to it.
const WRONG: &[(&str, &str)] = &[
    ("a field that is misspelt", "autoIsue: all\n"),
    (
        "a field that is misspelt, deep inside",
        "rules:\n  - autoIssue: true\n    match:\n      host: ['*.example.com']\n",
    ),
    ("a field in snake case", "platform_domains: [grapps.cn]\n"),
    ("a field that is like no other", "issuer: {name: le}\nwatermelon: 1\n"),
    ("a value that is misspelt", "autoIssue: anotated\n"),
    ("a profile that does not exist", "rules:\n  - profile: nginx\n"),
    ("a field that is missing", "issuer: {kind: Issuer}\n"),
    ("a field given twice", "autoIssue: all\nautoIssue: annotated\n"),
    ("text for a number", "dns: {timeoutSeconds: soon}\n"),
    ("a list where one value belongs", "autoIssue: [all]\n"),
    ("one value where a list belongs", "platformDomains: grapps.cn\n"),
    ("a flag that is no boolean", "rules: [{autoIssue: sometimes}]\n"),
    ("a host name for an address", "gateway: {addresses: [gateway.example.com]}\n"),
    ("a port that is too large", "dns: {authoritativePort: 70000}\n"),
    ("a negative number", "dns: {concurrency: -1}\n"),
    ("two documents", "autoIssue: all\n---\nautoIssue: annotated\n"),
    ("no mapping at all", "just some text\n"),
    ("a list", "- autoIssue: all\n"),
    ("broken YAML", "issuer: {name: le\n"),
    ("a tab", "issuer:\n\tname: le\n"),
    ("an alias that does not exist", "issuer: *le\n"),
    ("an issuer without a name", "issuer: {name: ''}\n"),
    ("an issuer kind that is misspelt", "issuer: {kind: Clusterissuer, name: le}\n"),
    ("an issuer kind without its group", "issuer: {kind: AWSPCAClusterIssuer, name: le}\n"),
    ("an issuer group that is none", "issuer: {kind: X, name: le, group: 'https://x'}\n"),
    ("a glob for a namespace to exclude", "excludeNamespaces: [kube-*]\n"),
    ("a wildcard for a suffix", "platformDomains: ['*.grapps.cn']\n"),
    ("a suffix that is everybody's", "platformDomains: [com]\n"),
    ("a suffix that is no name", "platformDomains: ['grapps cn']\n"),
    ("a suffix given twice in other letters", "platformDomains: [grapps.cn, Grapps.CN.]\n"),
    ("a private gateway address", "gateway:\n  addresses:\n    - 10.0.0.7\n"),
    ("a gateway address that nobody has", "gateway: {addresses: [0.0.0.0]}\n"),
    ("a CNAME target without a name", "gateway: {target: cname}\n"),
    ("a CNAME that is a URL", "gateway: {cnames: ['https://gw.example.com']}\n"),
    ("a Service with a bad name", "gateway: {service: {namespace: 'a/b', name: web}}\n"),
    ("a resolver by name", "dns: {servers: [dns.google]}\n"),
    ("a resolver on port 0", "dns: {servers: ['1.1.1.1:0']}\n"),
    ("a resolver given twice", "dns: {servers: [1.1.1.1, 1.1.1.1]}\n"),
    ("a timeout of nothing", "dns: {timeoutSeconds: 0}\n"),
    ("a timeout that is no number", "dns: {timeoutSeconds: .nan}\n"),
    ("a deadline under the timeout", "dns: {timeoutSeconds: 5, deadlineSeconds: 2}\n"),
    ("a recheck of nothing", "dns: {minRecheckSeconds: 0}\n"),
    ("bounds that are crossed", "dns: {minRecheckSeconds: 100, maxRecheckSeconds: 50}\n"),
    ("a renewal that is never let through", "gate: {mode: all, letThroughDays: 0}\n"),
    ("a gate that does not exist", "gate: {mode: strict}\n"),
    ("a console without its region", "console: {url: 'https://console.example.com'}\n"),
    ("a console that is no address", "console: {url: console.example.com, region: rainbond}\n"),
    ("a password in an address", "console: {url: 'https://a:b@console.example.com', region: rainbond}\n"),
    ("a console asked all the time", "console: {url: 'http://rbd-app-ui:7070', region: '', intervalSeconds: 0}\n"),
    ("no questions at all", "dns: {queriesPerSecond: 0}\n"),
    ("an identity that is no URL", "caaIdentities: {letsencrypt: [letsencrypt.org]}\n"),
    ("an identity without names", "caaIdentities: {'https://ca.example/dir': []}\n"),
    ("limits of no CA", "limits: {letsencrypt: {share: 50}}\n"),
    ("a share of nothing", "limits: {'https://ca.example/dir': {share: 0}}\n"),
    ("a limit in no time", "limits: {'https://ca.example/dir': {newOrders: {count: 5, seconds: 0}}}\n"),
    ("a rule that says nothing", "rules: [{match: {hosts: ['*']}}]\n"),
    ("an empty glob", "rules: [{autoIssue: true, match: {hosts: ['']}}]\n"),
    ("a URL for a host", "rules: [{autoIssue: true, match: {hosts: ['https://a.example.com/x']}}]\n"),
    ("a host with a port", "rules: [{autoIssue: true, match: {hosts: ['a.example.com:8443']}}]\n"),
    ("a namespace glob that fits none", "rules: [{autoIssue: true, match: {namespaces: ['Team A']}}]\n"),
    ("a label key that is none", "rules: [{autoIssue: true, match: {labels: {'a b': c}}}]\n"),
    ("an empty class", "rules: [{autoIssue: true, match: {class: ''}}]\n"),
    ("http for another profile", "rules: [{profile: standard, http: keep}]\n"),
    ("a rule that never speaks", "rules:\n  - autoIssue: true\n  - autoIssue: false\n"),
    (
        "several at once, in the order of the file",
        "rules: [{}]\ngateway:\n  target: cname\ndns:\n  concurrency: 0\nplatformDomains: [com, net, org, cn]\n",
    ),
];

#[test]
fn every_wrong_file_is_refused_with_place_field_and_remedy() {
    let mut told = String::new();
    for (what, text) in WRONG {
        let error = parse(Path::new("policy.yaml"), text).expect_err(what);
        told.push_str(&format!("# {what}\n{}\n=> {error}\n\n", text.trim_end()));
        assert!(matches!(error, ConfigError::Invalid { .. }), "{what}");
        assert_eq!(error.to_string().lines().count(), 1, "{what}: one line");
    }
    insta::assert_snapshot!(told);
}

#[test]
fn every_fault_but_of_the_whole_file_has_a_place() {
    for (what, text) in WRONG {
        let ConfigError::Invalid { problems, .. } = parse(Path::new("policy.yaml"), text).expect_err(what) else {
            panic!("{what}")
        };
        for problem in problems.iter() {
            assert!(problem.position.is_some(), "{what}: {problem}");
        }
    }
}

#[test]
fn a_whole_policy_is_read_and_normalised() {
    let text = "
issuer: {kind: ClusterIssuer, name: letsencrypt}
autoIssue: all
excludeNamespaces: [monitoring]
platformDomains: [Grapps.CN., apps.例子.cn]
gateway:
  addresses: [8.8.8.8, '2001:4860:4860::8888']
  cnames: [GW.example.com]
  target: addresses
  service: {namespace: rbd-system, name: gateway}
  rainbond: true
  ingressStatus: true
dns:
  servers: [1.1.1.1, '[2606:4700:4700::1111]:5353']
  timeoutSeconds: 2
httpReach: warn
caaIdentities: {'https://ca.example/directory': [CA.example]}
rules:
  - match: {hosts: ['*.Shop.例子.cn'], namespaces: [team-*], labels: {creator: Rainbond}, namespaceLabels: {a/b: ''}}
    autoIssue: false
  - match: {class: apisix}
    profile: rainbond-v5
    http: keep
    issuer: {kind: StepIssuer, name: internal, group: certmanager.step.sm}
";
    let policy = parse(Path::new("policy.yaml"), text).unwrap();
    assert_eq!(policy.auto_issue, AutoIssue::All);
    assert_eq!(policy.platform_domains, ["grapps.cn", "apps.xn--fsqu00a.cn"]);
    assert_eq!(policy.gateway.cnames, ["gw.example.com"]);
    assert_eq!(policy.gateway.target, Target::Addresses);
    assert_eq!(policy.http_reach, HttpReach::Warn);
    assert_eq!(policy.caa_identities["https://ca.example/directory"], ["ca.example"]);
    assert_eq!(policy.rules[0].r#match.hosts, ["*.shop.xn--fsqu00a.cn"]);
    assert_eq!(policy.rules[1].profile, Some(Profile::RainbondV5));
    assert_eq!(policy.rules[1].http, Some(PlainHttp::Keep));
    assert_eq!(policy.rules[1].issuer.as_ref().unwrap().kind, IssuerKind::Other("StepIssuer".into()));
}

#[rstest]
#[case("")]
#[case("# nothing but a comment\n\n")]
#[case("{}")]
fn an_empty_file_asks_for_the_defaults(#[case] text: &str) {
    assert_eq!(parse(Path::new("policy.yaml"), text).unwrap(), Policy::default());
}

#[test]
fn the_default_policy_written_out_is_read_back() {
    let text = serde_saphyr::to_string(&Policy::default()).unwrap();
    assert_eq!(parse(Path::new("policy.yaml"), &text).unwrap(), Policy::default());
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let error = load(Path::new("/nonexistent/policy.yaml")).unwrap_err();
    assert!(error.to_string().starts_with("policy /nonexistent/policy.yaml: cannot be read: No such file"), "{error}");
}

#[test]
fn a_file_beyond_bounds_is_not_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "#".repeat(MAX_POLICY_OCTETS + 1)).unwrap();
    assert!(matches!(load(file.path()), Err(ConfigError::TooLarge { .. })));
}

#[test]
fn a_file_that_is_no_text_says_so() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [0xff, 0xfe, 0x00]).unwrap();
    let error = load(file.path()).unwrap_err();
    assert!(error.to_string().contains("not UTF-8"), "{error}");
}

#[test]
fn yaml_that_expands_without_end_is_refused_before_it_does() {
    let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (name, inner) in ('b'..='h').zip('a'..='g') {
        let list = vec![format!("*{inner}"); 10].join(", ");
        text.push_str(&format!("{name}: &{name} [{list}]\n"));
    }
    assert!(parse(Path::new("policy.yaml"), &text).is_err());
    assert!(parse(Path::new("policy.yaml"), &"[".repeat(100_000)).is_err());
}

#[test]
fn the_example_is_a_policy() {
    load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/policy.yaml"))).unwrap();
}

#[test]
fn the_schema_describes_every_field_of_the_file() {
    let schema = serde_json::to_value(schema()).unwrap();
    let described: std::collections::BTreeSet<_> = schema["properties"].as_object().unwrap().keys().collect();
    let policy = serde_json::to_value(Policy::default()).unwrap();
    assert_eq!(described, policy.as_object().unwrap().keys().collect());
    assert_eq!(schema["additionalProperties"], false);
    for (name, field) in schema["properties"].as_object().unwrap() {
        assert!(field["description"].is_string(), "{name} is described");
    }
}
