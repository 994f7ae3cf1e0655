use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;

const WWW: &str = "www.example.com";

fn rule(id: &str, host: &str, flagged: bool) -> Rule {
    Rule { id: id.into(), host: Host::parse(host).unwrap(), team: "t1".into(), flagged }
}

fn place(host: &str) -> Place {
    ("team-a".to_owned(), Host::parse(host).unwrap())
}

fn seen(auto_issue: Option<bool>, mark: Option<&str>) -> Seen {
    Seen { auto_issue, mark: mark.map(Mark::parse), managed: false }
}

fn domains(all: &[(&str, Seen)]) -> BTreeMap<Place, Seen> {
    all.iter().map(|(host, seen)| (place(host), seen.clone())).collect()
}

/// A rule as the console lists it: its model's fields, and three more.
fn wire(id: &str, host: &str, region: &str, auto_ssl: bool) -> serde_json::Value {
    json!({
        "ID": 7, "http_rule_id": id, "region_id": "6e4b", "tenant_id": "4f6e", "service_id": "0d9c",
        "service_name": "gr3d4e5f", "domain_name": host, "container_port": 5000, "protocol": "http",
        "certificate_id": 0, "domain_type": "www", "service_alias": "gr3d4e5f", "is_senior": false,
        "domain_path": "/", "domain_cookie": "", "domain_heander": "", "type": 1, "the_weight": 100,
        "rule_extensions": "", "is_outer_service": true, "auto_ssl": auto_ssl, "auto_ssl_config": "aliyun",
        "path_rewrite": false, "rewrites": "", "region_name": region, "team_name": "t1", "app_id": 12,
    })
}

#[test]
fn the_consoles_list_is_read_and_other_clusters_are_left_out() {
    let body = json!([
        wire("7d1f", WWW, "rainbond", true),
        wire("8e2a", "b.example.com", "elsewhere", true),
        wire("9f3b", "not a host", "rainbond", true),
        wire("../x", "c.example.com", "rainbond", true),
    ]);
    let page = read(body.to_string().as_bytes(), "rainbond").unwrap();
    assert_eq!(page, Page { rules: vec![rule("7d1f", WWW, true)], count: 4, total: None, unreadable: 2 });
}

#[test]
fn pages_say_how_many_there_are() {
    let body = json!({"list": [wire("7d1f", WWW, "rainbond", false)], "total": 3, "page": 1, "page_size": 1});
    let page = read(body.to_string().as_bytes(), "rainbond").unwrap();
    assert_eq!((page.count, page.total, page.rules), (1, Some(3), vec![rule("7d1f", WWW, false)]));
}

#[rstest]
#[case::cut_short(r#"[{"http_rule_id": "a", "#, "the answer is no JSON, or cut short")]
#[case::a_page_of_html("<html>", "the answer is no JSON")]
#[case::nothing("", "the answer is no JSON")]
#[case::an_error_of_the_console(
    r#"{"code": 403, "msg": "No token"}"#,
    r#"no list of rules ({"code": 403, "msg": "No token"})"#
)]
#[case::a_rule_without_its_flag(
    r#"[{"http_rule_id": "a", "domain_name": "a.b", "region_name": "r", "team_name": "t"}]"#,
    "no list of rules"
)]
fn what_is_no_list_of_rules_is_refused_whole(#[case] body: &str, #[case] expected: &str) {
    let error = read(body.as_bytes(), "rainbond").unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[rstest]
#[case::new(&[], &[(WWW, "a")], &[])]
#[case::made_by_the_controller(&[(WWW, seen(None, None))], &[(WWW, "a")], &[])]
#[case::in_step(&[(WWW, seen(Some(true), Some("a")))], &[], &[])]
#[case::another_rule_of_the_host_is_gone(&[(WWW, seen(Some(true), Some("a,b")))], &[(WWW, "a")], &[])]
#[case::a_person_said_no(&[(WWW, seen(Some(false), None))], &[], &[])]
#[case::a_person_said_no_after_us(&[(WWW, seen(Some(false), Some("a")))], &[], &[])]
#[case::a_person_said_yes(&[(WWW, seen(Some(true), None))], &[], &[])]
#[case::somebody_took_our_flag_but_left_the_mark(&[(WWW, seen(None, Some("a")))], &[(WWW, "a")], &[])]
#[case::another_host_is_flagged_no_more(
    &[(WWW, seen(Some(true), Some("a"))), ("old.example.com", seen(Some(true), Some("z")))], &[], &["old.example.com"]
)]
#[case::the_rule_moved_to_another_host(
    &[("old.example.com", seen(Some(true), Some("a")))], &[(WWW, "a")], &["old.example.com"]
)]
fn one_flagged_rule_makes(#[case] all: &[(&str, Seen)], #[case] flag: &[(&str, &str)], #[case] doubtful: &[&str]) {
    let plan = plan(&[rule("a", WWW, true), rule("n", "no.example.com", false)], |_| Some("team-a"), &domains(all));
    let flag = flag.iter().map(|(host, ids)| Flag {
        place: place(host),
        mark: Mark::parse(ids),
        // One that is there was a person's in these cases; one that is made is ours.
        managed: all.iter().all(|(other, _)| other != host),
    });
    let flag = flag.collect();
    assert_eq!(plan, Plan { flag, doubtful: doubtful.iter().map(|host| place(host)).collect() });
}

#[test]
fn a_component_that_is_stopped_keeps_its_flag() {
    let all = domains(&[(WWW, seen(Some(true), Some("a")))]);
    assert_eq!(plan(&[rule("a", WWW, true)], |_| None, &all), Plan::default());
    // Nothing is made for rules without an Ingress.
    assert_eq!(plan(&[rule("a", WWW, true)], |_| None, &BTreeMap::new()), Plan::default());
}

#[rstest]
#[case::twice_and_known_to_be_off(&[WWW], &[rule("a", WWW, false)], true, true)]
#[case::twice_and_the_rule_is_gone(&[WWW], &[rule("b", "b.example.com", false)], true, true)]
#[case::only_once(&[], &[rule("a", WWW, false)], true, false)]
#[case::the_full_list_has_it_flagged(&[WWW], &[rule("a", WWW, true)], true, false)]
#[case::flagged_for_another_host(&[WWW], &[rule("a", "b.example.com", true)], true, true)]
#[case::all_is_empty_but_the_ingress_is_there(&[WWW], &[], true, false)]
#[case::all_is_empty_and_so_is_the_cluster(&[WWW], &[], false, true)]
fn a_flag_is_taken_back(#[case] before: &[&str], #[case] all: &[Rule], #[case] exists: bool, #[case] expected: bool) {
    let seen = domains(&[(WWW, seen(Some(true), Some("a")))]);
    let before = before.iter().map(|host| place(host)).collect();
    let taken = confirmed(&[place(WWW)].into(), &before, all, &seen, |_, _| exists);
    assert_eq!(taken.contains(&place(WWW)), expected);
}

proptest! {
    /// Whatever the console answers and whatever stands: a person's word is not written over, nothing is taken back at
    /// once, and what was written is in step.
    #[test]
    fn a_persons_word_stands_and_plans_converge(
        rules in proptest::collection::vec((0..6_u8, 0..4_u8, any::<bool>(), any::<bool>()), 0..12),
        standing in proptest::collection::vec((0..4_u8, proptest::option::of(any::<bool>()), proptest::option::of(0..6_u8)), 0..4),
    ) {
        let host = |n: u8| format!("h{n}.example.com");
        let there: BTreeSet<String> = rules.iter().filter(|rule| rule.3).map(|rule| format!("r{}", rule.0)).collect();
        let rules: Vec<Rule> = rules.iter().map(|(id, n, on, _)| rule(&format!("r{id}"), &host(*n), *on)).collect();
        let mut all: BTreeMap<Place, Seen> = standing
            .into_iter()
            .map(|(n, auto_issue, id)| (place(&host(n)), seen(auto_issue, id.map(|id| format!("r{id}")).as_deref())))
            .collect();
        let namespace_of = |rule: &Rule| there.contains(&rule.id).then_some("team-a");
        let first = plan(&rules, namespace_of, &all);
        for Flag { place, mark, .. } in first.flag {
            let before = all.get(&place);
            prop_assert!(before.is_none_or(|seen| seen.auto_issue != Some(false)));
            prop_assert!(!before.is_some_and(|seen| seen.auto_issue.is_some() && seen.mark.is_none()));
            all.insert(place, Seen { auto_issue: Some(true), mark: Some(mark), managed: true });
        }
        let second = plan(&rules, namespace_of, &all);
        prop_assert!(second.flag.is_empty(), "{second:?}");
        prop_assert!(confirmed(&second.doubtful, &BTreeSet::new(), &rules, &all, |_, _| true).is_empty());
    }

    #[test]
    fn no_answer_breaks_the_reading(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&body, "rainbond");
    }
}
