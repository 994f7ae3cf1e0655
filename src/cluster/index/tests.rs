use kube::api::ObjectMeta;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::core::reason::Reason;

fn guard(domain: serde_json::Value) -> Read<Domain> {
    serde_json::from_value(domain).unwrap()
}

fn domain(namespace: &str, host: &str, reason: &str) -> Read<Domain> {
    let name = Host::parse(host).unwrap().object_name();
    guard(json!({
        "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"host": host},
        "status": {
            "observed": ["198.51.100.9"], "required": ["203.0.113.7"], "profile": "standard",
            "verdict": {"reason": reason, "subject": host, "validUntil": "2030-01-01T00:00:00Z"},
        },
    }))
}

fn namespace(name: &str, labels: &[(&str, &str)]) -> Read<Metadata<Namespace>> {
    let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    Read::Object(Metadata::new(metadata))
}

fn policy() -> Policy {
    serde_json::from_value(json!({"rules": [{"match": {"namespaceLabels": {"tier": "gold"}}}]})).unwrap()
}

fn index() -> Index {
    Index::new(&policy())
}

#[test]
fn a_domain_is_found_by_namespace_and_host_until_it_is_deleted() {
    let index = index();
    for host in ["www.example.com", "*.example.com"] {
        index.on_domain(Event::Apply(domain("team-a", host, "WrongTarget")));
        let view = index.read();
        let facts = view.domain("team-a", host).unwrap();
        assert_eq!(facts.verdict.as_ref().map(|v| v.finding.reason), Some(Reason::WrongTarget));
        assert!(view.domain("team-b", host).is_none());
    }
    for host in ["www.example.com", "*.example.com"] {
        index.on_domain(Event::Delete(domain("team-a", host, "WrongTarget")));
        assert!(index.read().domain("team-a", host).is_none());
    }
    assert_eq!(index.size(), Size::default());
}

#[test]
fn only_labels_that_matter_are_kept() {
    let index = index();
    index.on_namespace(Event::Apply(namespace(
        "team-a",
        &[("tier", "gold"), ("app", "x"), (names::AUTO_ISSUE, "true")],
    )));
    index.on_namespace(Event::Apply(namespace("plain", &[("app", "x")])));
    let view = index.read();
    assert_eq!(view.namespace_label("team-a", "tier"), Some("gold"));
    assert_eq!(view.namespace_label("team-a", names::AUTO_ISSUE), Some("true"));
    assert_eq!(view.namespace_label("team-a", "app"), None);
    drop(view);
    assert_eq!(index.size(), Size { namespaces: 1, domains: 0 });
}

#[tokio::test]
async fn another_policy_has_namespaces_listed_again_only_if_it_asks_for_more() {
    let index = index();
    index.follow(&Policy::default());
    index.follow(&Policy::default());
    assert!(futures::poll!(std::pin::pin!(index.list_namespaces.notified())).is_pending());
    index.follow(&policy());
    assert!(futures::poll!(std::pin::pin!(index.list_namespaces.notified())).is_ready());
}

#[test]
fn it_is_complete_when_both_kinds_have_been_listed() {
    let index = index();
    index.on_domain(Event::Init);
    index.on_domain(Event::InitApply(domain("team-a", "www.example.com", "Verified")));
    assert_eq!(index.complete(), Err("Domains and Namespaces are not listed yet"));
    index.on_domain(Event::InitDone);
    assert_eq!(index.complete(), Err("Namespaces are not listed yet"));
    index.on_namespace(Event::Init);
    index.on_namespace(Event::InitDone);
    assert_eq!(index.complete(), Ok(()));
    index.on_domain(Event::Init);
    assert_eq!(index.complete(), Ok(()), "a new list takes nothing away while it is under way");
}

#[test]
fn a_new_list_keeps_everything_until_its_end_and_then_only_what_it_showed() {
    let index = index();
    for host in ["a.example.com", "b.example.com"] {
        index.on_domain(Event::Apply(domain("team-a", host, "Verified")));
    }
    index.on_namespace(Event::Apply(namespace("team-a", &[("tier", "gold")])));
    index.on_domain(Event::Init);
    index.on_domain(Event::InitApply(domain("team-a", "a.example.com", "Verified")));
    assert!(index.read().domain("team-a", "b.example.com").is_some());
    index.on_domain(Event::InitDone);
    assert!(index.read().domain("team-a", "a.example.com").is_some());
    assert!(index.read().domain("team-a", "b.example.com").is_none());
    index.on_namespace(Event::Init);
    assert_eq!(index.read().namespace_label("team-a", "tier"), Some("gold"));
    index.on_namespace(Event::InitDone);
    assert_eq!(index.read().namespace_label("team-a", "tier"), None);
}

#[test]
fn a_domain_that_cannot_be_read_is_as_it_was_or_not_known_and_never_absent() {
    let index = index();
    let host = |text: &str| Host::parse(text).unwrap();
    let broken = |host: &str| {
        let name = Host::parse(host).unwrap().object_name();
        let broken = guard(json!({
            "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
            "metadata": {"namespace": "team-a", "name": name, "resourceVersion": "9"}, "spec": {"host": 7},
        }));
        assert!(matches!(broken, Read::Unreadable(_)));
        broken
    };
    index.on_domain(Event::Init);
    for name in ["a.example.com", "b.example.com"] {
        index.on_domain(Event::InitApply(domain("team-a", name, "Verified")));
    }
    index.on_domain(Event::InitDone);
    index.on_domain(Event::Apply(broken("a.example.com")));
    index.on_domain(Event::Apply(broken("*.example.com")));
    // A new list shows it broken too, and b no longer.
    index.on_domain(Event::Init);
    index.on_domain(Event::InitApply(broken("a.example.com")));
    index.on_domain(Event::InitApply(broken("*.example.com")));
    index.on_domain(Event::InitDone);
    {
        let view = index.read();
        assert!(view.domain("team-a", "a.example.com").is_some(), "as it was");
        assert!(!view.is_unknown("team-a", &host("a.example.com")));
        assert!(view.is_unknown("team-a", &host("*.example.com")), "there, and never known");
        assert!(view.domain("team-a", "b.example.com").is_none() && !view.is_unknown("team-a", &host("b.example.com")));
    }
    assert_eq!(index.watches.unread(), [("Domain".to_owned(), 2), ("Namespace".to_owned(), 0)]);
    // One of which not even the name can be read may be any.
    index.on_domain(Event::Init);
    index.on_domain(Event::InitApply(guard(json!({"metadata": {"name": 7}}))));
    index.on_domain(Event::InitDone);
    assert!(index.read().domain("team-a", "a.example.com").is_some());
    for name in ["a.example.com", "*.example.com"] {
        index.on_domain(Event::Apply(domain("team-a", name, "Verified")));
    }
    index.on_domain(Event::Init);
    index.on_domain(Event::InitApply(domain("team-a", "*.example.com", "Verified")));
    index.on_domain(Event::InitDone);
    assert!(index.read().domain("team-a", "a.example.com").is_none(), "gone for good");
    assert!(!index.read().has_unknown("team-a"));
    assert!(index.watches.unread().iter().all(|(_, count)| *count == 0));
}

#[test]
fn a_namespace_that_cannot_be_read_keeps_its_labels_or_is_not_known() {
    let index = index();
    let broken = |name: &str| serde_json::from_value(json!({"metadata": {"name": name, "labels": 7}})).unwrap();
    index.on_namespace(Event::Apply(namespace("team-a", &[("tier", "gold")])));
    index.on_namespace(Event::Init);
    index.on_namespace(Event::InitApply(broken("team-a")));
    index.on_namespace(Event::InitApply(broken("team-b")));
    index.on_namespace(Event::InitDone);
    assert_eq!(index.read().namespace_label("team-a", "tier"), Some("gold"));
    let host = Host::parse("a.example.com").unwrap();
    assert!(!index.read().is_unknown("team-a", &host) && index.read().is_unknown("team-b", &host));
    index.on_namespace(Event::Apply(namespace("team-b", &[])));
    assert!(!index.read().has_unknown("team-b"));
}

#[test]
fn a_domain_under_a_name_that_is_not_its_hosts_counts_for_nothing() {
    let index = index();
    index.on_domain(Event::Apply(domain("team-a", "a.example.com", "Verified")));
    let renamed = guard(json!({
        "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
        "metadata": {"namespace": "team-a", "name": "a.example.com"}, "spec": {"host": "victim.example.com"},
    }));
    index.on_domain(Event::Apply(renamed));
    assert!(index.read().domain("team-a", "victim.example.com").is_none());
    assert!(index.read().domain("team-a", "a.example.com").is_none(), "it is no longer that host's Domain");
}

#[test]
fn a_profile_is_there_while_a_host_of_it_is() {
    let index = index();
    let has = |index: &Index| index.read().has_profile("team-a", Profile::Standard);
    index.on_domain(Event::Apply(domain("team-a", "a.example.com", "Verified")));
    index.on_domain(Event::Apply(domain("team-a", "a.example.com", "WrongTarget")));
    index.on_domain(Event::Apply(domain("team-a", "b.example.com", "Verified")));
    assert!(has(&index));
    index.on_domain(Event::Delete(domain("team-a", "a.example.com", "Verified")));
    assert!(has(&index));
    index.on_domain(Event::Init);
    index.on_domain(Event::InitDone);
    assert!(!has(&index));
}

#[test]
fn what_is_shown_of_a_held_host_is_kept_and_of_an_open_one_is_not() {
    let index = index();
    index.on_domain(Event::Apply(domain("team-a", "held.example.com", "WrongTarget")));
    index.on_domain(Event::Apply(domain("team-a", "open.example.com", "Verified")));
    let view = index.read();
    let finding = |host| view.domain("team-a", host).unwrap().verdict.as_ref().unwrap().finding.clone();
    assert_eq!(finding("held.example.com").observed, ["198.51.100.9"]);
    assert_eq!(finding("open.example.com"), Finding::new(Reason::Verified, ""));
}

proptest! {
    /// Whatever comes in whatever order, the index is what the last word on each object says.
    #[test]
    fn the_index_is_the_last_word_on_each_object(
        events in prop::collection::vec((0_usize..4, 0_usize..3, any::<bool>(), any::<bool>()), 0..60),
    ) {
        let hosts = ["a.example.com", "*.example.com", "wildcard.example.com", "literal.example.com"];
        let index = index();
        let mut expected = std::collections::BTreeMap::new();
        for (host, space, delete, held) in events {
            let (host, space) = (hosts[host], ["x", "y", "z"][space]);
            let object = domain(space, host, if held { "NoAddress" } else { "Verified" });
            if delete {
                expected.remove(&(space, host));
                index.on_domain(Event::Delete(object));
            } else {
                expected.insert((space, host), held);
                index.on_domain(Event::Apply(object));
            }
        }
        prop_assert_eq!(index.size().domains, expected.len());
        for space in ["x", "y", "z"] {
            let view = index.read();
            prop_assert_eq!(view.has_profile(space, Profile::Standard), expected.keys().any(|(s, _)| *s == space));
            for host in hosts {
                let held = view.domain(space, host).map(|f| !f.verdict.as_ref().unwrap().finding.reason.opens_gate());
                prop_assert_eq!(held, expected.get(&(space, host)).copied());
            }
        }
    }
}
