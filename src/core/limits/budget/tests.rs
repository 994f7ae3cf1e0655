use super::*;
use crate::core::limits::{Progress, RatePolicy};

const CA: &str = "https://ca.example/directory";
/// By how many seconds the clock here may be ahead of the CA's.
const AHEAD: i64 = 15;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + seconds).unwrap()
}

fn account() -> Account {
    Account::new(CA, "https://ca.example/acct/1")
}

fn names(hosts: &str) -> Names {
    Names::new(hosts.split(' ').map(|host| Host::parse(host).unwrap())).unwrap()
}

fn ask(namespace: &str, hosts: &str) -> Ask {
    Ask {
        namespace: namespace.into(),
        account: account(),
        names: names(hosts),
        class: Class::First,
        since: at(0),
        renewal: Renewal::No,
    }
}

fn rate(count: u32, seconds: u32) -> Option<RatePolicy> {
    Some(RatePolicy { count, seconds, share: None })
}

fn policies(orders: u32, domain: u32, set: u32) -> BTreeMap<String, LimitsPolicy> {
    let limits = LimitsPolicy {
        new_orders: rate(orders, 100),
        certificates_per_domain: rate(domain, 1000),
        certificates_per_set: rate(set, 5000),
        failed_authorizations: rate(2, 600),
        ..LimitsPolicy::default()
    };
    [(CA.to_owned(), limits)].into()
}

fn budget(orders: u32, domain: u32, set: u32) -> Budget {
    let mut budget = Budget::new(policies(orders, domain, set));
    budget.settle(at(0));
    budget
}

fn seen(namespace: &str, hosts: &str, uid: &str, progress: Progress) -> Seen {
    Seen {
        uid: uid.into(),
        namespace: namespace.into(),
        account: account(),
        names: names(hosts),
        progress,
        renewal: None,
    }
}

fn ordered(second: i64) -> Progress {
    Progress { ordered: Some(at(second)), ..Progress::default() }
}

fn issued(second: i64) -> Progress {
    Progress { issued: Some(at(second)), ..ordered(second) }
}

fn waits_for(place: Place) -> (Kind, String, i64) {
    match place {
        Place::Waiting(wait) => (wait.limit, wait.of, at(0).duration_until(wait.until).as_secs()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_in_the_same_moment_do_not_both_take_the_last_place() {
    let mut budget = budget(10, 1, 5);
    assert_eq!(budget.ask(ask("a", "x.example.com"), at(0)), Place::Granted);
    let second = budget.ask(ask("b", "y.example.com"), at(0));
    assert_eq!(waits_for(second), (Kind::CertificatesPerDomain, "example.com".into(), 1000 + AHEAD));
    // Another registered domain has places of its own, also beneath the same public suffix.
    assert_eq!(budget.ask(ask("b", "y.example.co.uk"), at(0)), Place::Granted);
    assert_eq!(budget.ask(ask("b", "y.other.co.uk"), at(0)), Place::Granted);
    // Nothing came of the first: its place is the second's.
    budget.withdraw(&ask("a", "x.example.com").id());
    budget.take_granted();
    budget.turn(at(1));
    assert_eq!(budget.take_granted(), [ask("b", "y.example.com").id()]);
}

#[test]
fn a_place_is_kept_from_the_order_to_the_certificate_and_then_used_up() {
    let mut budget = budget(1, 1, 5);
    assert_eq!(budget.ask(ask("a", "x.example.com"), at(0)), Place::Granted);
    assert_eq!(waits_for(budget.ask(ask("a", "x.example.net"), at(0))).0, Kind::NewOrders);
    // The CA took the order: it comes back in time, while the certificate's place stays kept.
    budget.see(seen("a", "x.example.com", "1", ordered(10)));
    assert_eq!(
        waits_for(budget.place(&ask("a", "x.example.net").id(), at(10))),
        (Kind::NewOrders, String::new(), 110 + AHEAD)
    );
    assert_eq!(waits_for(budget.ask(ask("b", "y.example.com"), at(10))).0, Kind::CertificatesPerDomain);
    budget.see(seen("a", "x.example.com", "1", issued(20)));
    budget.turn(at(109));
    assert_eq!(
        budget.place(&ask("a", "x.example.net").id(), at(109)),
        budget.place(&ask("a", "x.example.net").id(), at(109))
    );
    budget.turn(at(110 + AHEAD));
    assert_eq!(budget.place(&ask("a", "x.example.net").id(), at(110 + AHEAD)), Place::Granted);
    assert_eq!(waits_for(budget.place(&ask("b", "y.example.com").id(), at(110 + AHEAD))).2, 1020 + AHEAD);
}

#[test]
fn renewals_are_exempt_as_the_ca_exempts_them() {
    let mut budget = budget(1, 1, 1);
    budget.see(seen("a", "x.example.com", "1", issued(0)));
    let again = |renewal| Ask { class: Class::Again, renewal, ..ask("a", "x.example.com") };
    assert!(budget.is_certified(&account(), &names("x.example.com"), at(0)));
    // Orders and domain are used up, and do not count for it; the set does.
    assert_eq!(
        waits_for(budget.ask(again(Renewal::SameSet), at(200))),
        (Kind::CertificatesPerSet, "x.example.com".into(), 5000 + AHEAD)
    );
    // Nothing is exempt for what it says alone, nor where cert-manager does not renew with ARI.
    budget.withdraw(&again(Renewal::SameSet).id());
    assert_eq!(waits_for(budget.ask(again(Renewal::Ari), at(200))).0, Kind::CertificatesPerSet);
    budget.withdraw(&again(Renewal::SameSet).id());
    // What it was certified with is no order, and no certificate of the domain, to others.
    budget.see(seen("a", "x.example.com", "2", issued(300)));
    assert_eq!(budget.least_left(Kind::NewOrders, at(300)), Some(1));
    let next = budget.ask(ask("a", "y.example.com"), at(1000 + AHEAD));
    assert_eq!(next, Place::Granted);
}

#[test]
fn failures_of_a_name_hold_that_name_alone() {
    let mut budget = budget(10, 10, 10);
    for (uid, second) in [("1", 0), ("2", 10)] {
        let failed =
            Progress { failed: Some(at(second)), failures: names("x.example.com").hosts().to_vec(), ..ordered(second) };
        budget.see(seen("a", "x.example.com y.example.com", uid, failed));
    }
    assert_eq!(
        waits_for(budget.ask(ask("a", "x.example.com"), at(20))),
        (Kind::FailedAuthorizations, "x.example.com".into(), 300 + AHEAD)
    );
    assert_eq!(budget.ask(ask("a", "y.example.com"), at(20)), Place::Granted);
}

#[test]
fn namespaces_take_turns_and_first_certificates_go_first() {
    let mut budget = budget(1, 100, 100);
    assert_eq!(budget.ask(ask("other", "o.example.com"), at(0)), Place::Granted);
    for n in 0..4 {
        budget.ask(ask("crowd", &format!("c{n}.example.com")), at(0));
    }
    budget.ask(Ask { class: Class::Again, ..ask("small", "again.example.com") }, at(0));
    budget.ask(Ask { since: at(5), ..ask("small", "s.example.com") }, at(5));
    let (mut went, mut now) = (Vec::new(), 5);
    budget.take_granted();
    budget.see(seen("other", "o.example.com", "o", ordered(5)));
    while went.len() < 6 {
        now += 1;
        budget.turn(at(now));
        for id in budget.take_granted() {
            budget.see(seen(&id.0, id.1.first().unwrap().as_str(), &format!("{now}"), ordered(now)));
            went.push(id.1.first().unwrap().to_string().replace(".example.com", ""));
        }
    }
    assert_eq!(went, ["c0", "s", "c1", "c2", "c3", "again"]);
    assert!((600..=610 + 6 * AHEAD).contains(&now), "one in 100 s each: {now}");
}

#[test]
fn the_time_that_is_told_is_the_time_at_which_it_goes() {
    let mut budget = budget(2, 100, 100);
    let mut told = BTreeMap::new();
    for n in 0..9 {
        let one = ask(["a", "b", "c"][n % 3], &format!("h{n}.example.com"));
        if let Place::Waiting(_) = budget.ask(one.clone(), at(0)) {
            told.insert(one.id(), at(0));
        }
    }
    for (id, until) in &mut told {
        if let Place::Waiting(wait) = budget.place(id, at(0)) {
            *until = wait.until;
        }
    }
    assert_eq!(told.len(), 7);
    budget.take_granted();
    for n in 0..2 {
        let host = format!("h{n}.example.com");
        budget.see(seen(["a", "b"][n], &host, &host, ordered(0)));
    }
    for second in 1..400 {
        budget.turn(at(second));
        for id in budget.take_granted() {
            assert_eq!(told.remove(&id), Some(at(second)), "{id:?}");
            let host = id.1.first().unwrap().to_string();
            budget.see(seen(&id.0, &host, &host, ordered(second)));
        }
    }
    assert_eq!(told, BTreeMap::new());
}

#[test]
fn what_the_ca_refused_all_the_same_is_obeyed_for_all_that_it_concerns() {
    let mut budget = budget(10, 10, 10);
    let text = "Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: too many certificates (10) already issued for \"example.com\" in the last 168h0m0s, retry after 2026-11-18 07:10:00 UTC: see https://x";
    let until: Timestamp = "2026-11-18T07:10:00Z".parse().unwrap();
    let now = until.checked_sub(SignedDuration::from_secs(500)).unwrap();
    budget.refuse(&Refusal::read(text, &account(), &names("x.example.com"), now).unwrap());
    match budget.ask(ask("b", "y.example.com"), now) {
        Place::Waiting(wait) => assert_eq!((wait.until, wait.refused), (until, true)),
        other => panic!("{other:?}"),
    }
    assert_eq!(budget.ask(ask("b", "y.example.net"), now), Place::Granted);
    budget.ask(ask("b", "z.example.com"), now);
    let then = until.checked_add(SKEW).unwrap();
    budget.turn(then);
    assert_eq!(budget.place(&ask("b", "y.example.com").id(), then), Place::Granted);
    // One place and no more: the CA's bucket was empty.
    assert_eq!(waits_for(budget.place(&ask("b", "z.example.com").id(), then)).0, Kind::CertificatesPerDomain);
}

#[test]
fn of_a_ca_without_known_limits_only_refusals_count() {
    let mut budget = Budget::new(BTreeMap::new());
    budget.settle(at(0));
    assert_eq!(budget.ask(ask("a", "x.example.com"), at(0)), Place::Free);
    let text = "429 urn:ietf:params:acme:error:rateLimited: slow down";
    budget.refuse(&Refusal::read(text, &account(), &names("x.example.com"), at(0)).unwrap());
    assert_eq!(waits_for(budget.ask(ask("a", "y.example.net"), at(10))).2, 3600);
    assert_eq!(budget.ask(ask("a", "y.example.net"), at(3600)), Place::Free);
}

#[test]
fn what_is_remembered_rebuilds_what_was_left() {
    let mut before = budget(4, 3, 10);
    for (n, host) in ["a.example.com", "b.example.com", "c.example.com"].iter().enumerate() {
        let second = i64::try_from(n).unwrap() * 10;
        before.see(seen("t", host, host, issued(second)));
    }
    let mut after = Budget::new(policies(4, 3, 10));
    let namespace: Arc<str> = "t".into();
    for host in ["c.example.com", "a.example.com", "b.example.com"] {
        let host = Host::parse(host).unwrap();
        for spent in before.spent(&namespace, &host) {
            let spent: Spent = serde_json::from_value(serde_json::to_value(spent).unwrap()).unwrap();
            after.remember(spent.seen(&namespace, &host, Some(&account())).unwrap());
        }
    }
    after.settle(at(30));
    for kind in [Kind::NewOrders, Kind::CertificatesPerDomain] {
        assert_eq!(after.least_left(kind, at(30)), before.least_left(kind, at(30)), "{kind:?}");
    }
    assert_eq!(
        waits_for(after.ask(ask("t", "d.example.com"), at(30))),
        waits_for(before.ask(ask("t", "d.example.com"), at(30)))
    );
    assert!(after.is_certified(&account(), &names("a.example.com"), at(30)));
}

#[test]
fn a_place_that_nobody_uses_is_given_up() {
    let mut budget = budget(10, 1, 5);
    budget.ask(ask("a", "x.example.com"), at(0));
    budget.ask(ask("b", "y.example.com"), at(0));
    budget.tidy(at(3599));
    budget.turn(at(3599));
    assert_eq!(waits_for(budget.place(&ask("b", "y.example.com").id(), at(3599))).0, Kind::CertificatesPerDomain);
    budget.tidy(at(3600));
    budget.turn(at(3600));
    assert_eq!(budget.place(&ask("b", "y.example.com").id(), at(3600)), Place::Granted);
    // One that something announces is not.
    budget.announce(&ask("b", "y.example.com"), at(3600));
    budget.tidy(at(9000));
    assert_eq!(budget.place(&ask("b", "y.example.com").id(), at(9000)), Place::Granted);
}

#[test]
fn with_ari_renewals_are_exempt_from_all_that_is_limited() {
    let mut policies = policies(1, 1, 1);
    policies.values_mut().for_each(|limits| limits.ari = true);
    let mut budget = Budget::new(policies);
    budget.settle(at(0));
    budget.see(seen("a", "x.example.com", "1", issued(0)));
    let again = |renewal| Ask { class: Class::Again, renewal, ..ask("a", "x.example.com") };
    // Outside the time that the CA suggests it is a renewal like any other.
    assert_eq!(waits_for(budget.ask(again(Renewal::SameSet), at(1))).0, Kind::CertificatesPerSet);
    budget.withdraw(&again(Renewal::SameSet).id());
    assert_eq!(budget.ask(again(Renewal::Ari), at(1)), Place::Granted);
    assert_eq!(waits_for(budget.ask(ask("a", "y.example.com"), at(1))).0, Kind::CertificatesPerDomain);
}

#[test]
fn limits_that_come_into_force_later_count_what_was_ordered_before() {
    let mut budget = Budget::new(BTreeMap::new());
    budget.settle(at(0));
    assert_eq!(budget.ask(ask("a", "x.example.com"), at(10)), Place::Free);
    budget.see(seen("a", "x.example.com", "1", issued(10)));
    budget.set_policies(&policies(10, 1, 5));
    assert_eq!(
        waits_for(budget.ask(ask("a", "y.example.com"), at(20))),
        (Kind::CertificatesPerDomain, "example.com".into(), 1010 + AHEAD)
    );
}

const DAY: i64 = 24 * 3600;

#[test]
fn a_renewal_is_one_for_120_days_after_the_last_certificate_and_at_that_ca_alone() {
    let mut budget = budget(1, 1, 5);
    budget.see(seen("a", "x.example.com", "1", issued(0)));
    let (ours, names) = (account(), names("x.example.com"));
    for (days, expected) in [(1, true), (118, true), (120, false), (400, false)] {
        assert_eq!(budget.is_certified(&ours, &names, at(days * DAY)), expected, "{days} days");
        budget.tidy(at(days * DAY));
    }
    budget.see(seen("a", "x.example.com", "2", issued(100 * DAY)));
    assert!(budget.is_certified(&ours, &names, at(200 * DAY)));
    assert!(!budget.is_certified(&Account::new("https://other.example/dir", "u"), &names, at(200 * DAY)));
}

#[test]
fn a_refusal_is_obeyed_for_its_names_whatever_exempts_them() {
    let mut budget = budget(10, 10, 10);
    budget.see(seen("a", "x.example.com", "1", issued(0)));
    let text = "429 urn:ietf:params:acme:error:rateLimited: too many certificates (50) already issued for \"example.com\" in the last 168h0m0s, retry after 2026-11-24 07:00:00 UTC: see x";
    let refusal = Refusal::read(text, &account(), &names("x.example.com"), at(100)).unwrap();
    let until = refusal.until;
    budget.refuse(&refusal);
    let again = Ask { class: Class::Again, renewal: Renewal::SameSet, ..ask("a", "x.example.com") };
    match budget.ask(again.clone(), at(200)) {
        Place::Waiting(wait) => {
            assert_eq!((wait.limit, wait.until, wait.refused), (Kind::CertificatesPerDomain, until, true))
        }
        other => panic!("{other:?}"),
    }
    assert!(!budget.is_certified(&account(), &names("x.example.com"), at(200)), "the CA does not know of it");
    let other = budget.ask(Ask { renewal: Renewal::SameSet, ..ask("a", "x.example.net") }, at(200));
    assert_eq!(other, Place::Granted, "names that it did not refuse");
    // What it certified before does not count any more; what it certifies from now on does.
    budget.see(seen("a", "x.example.com", "2", issued(50)));
    assert!(!budget.is_certified(&account(), &names("x.example.com"), at(200)));
    budget.see(seen("a", "x.example.com", "3", issued(300)));
    assert!(budget.is_certified(&account(), &names("x.example.com"), at(400)));
}

#[test]
fn the_last_certificate_is_remembered_for_as_long_as_it_makes_renewals() {
    let mut budget = budget(10, 10, 10);
    budget.see(seen("a", "x.example.com", "1", issued(0)));
    budget.see(seen("a", "x.example.com", "2", issued(DAY)));
    budget.tidy(at(60 * DAY));
    let host = Host::parse("x.example.com").unwrap();
    let orders: Vec<String> = budget.spent(&"a".into(), &host).into_iter().map(|spent| spent.order).collect();
    assert_eq!(orders, ["2"]);
    budget.tidy(at(130 * DAY));
    assert_eq!(budget.spent(&"a".into(), &host), []);
}

#[test]
fn failures_in_a_row_end_with_a_validation() {
    let mut policies = policies(1000, 1000, 1000);
    for limits in policies.values_mut() {
        limits.failed_authorizations = rate(1000, 1000);
        limits.consecutive_failures = rate(2, 1_000_000);
    }
    let mut budget = Budget::new(policies);
    budget.settle(at(0));
    for n in 0..2 {
        let failed = Progress { failed: Some(at(n)), failures: names("x.example.com").hosts().to_vec(), ..ordered(n) };
        budget.see(seen("a", "x.example.com", &format!("{n}"), failed));
    }
    // A certificate by an authorization that was there already is none.
    budget.see(seen("a", "x.example.com", "issued", issued(5)));
    let again = Ask { renewal: Renewal::SameSet, ..ask("a", "x.example.com") };
    assert_eq!(waits_for(budget.ask(again.clone(), at(10))).0, Kind::ConsecutiveFailures);
    budget.withdraw(&again.id());
    budget.validated(&account(), &Host::parse("x.example.com").unwrap());
    assert_eq!(budget.ask(again, at(10)), Place::Granted);
}

#[test]
fn the_time_that_is_told_for_a_set_is_the_latest_of_its_buckets() {
    let mut budget = budget(100, 1, 5);
    budget.see(seen("a", "x.example.com", "1", issued(0)));
    budget.see(seen("a", "x.example.net", "2", issued(500)));
    let told = waits_for(budget.ask(ask("b", "y.example.com y.example.net"), at(600)));
    assert_eq!(told, (Kind::CertificatesPerDomain, "example.net".into(), 1500 + AHEAD));
}

#[test]
fn a_renewal_is_one_for_as_long_as_the_ca_looks_back() {
    let mut budget = budget(10, 1, 5);
    budget.see(seen("a", "x.example.com", "1", issued(0)));
    let is_renewal = |budget: &Budget, day| budget.is_certified(&account(), &names("x.example.com"), at(day * DAY));
    assert_eq!([0, 90, 119, 121].map(|day| is_renewal(&budget, day)), [true, true, true, false]);
    budget.see(seen("a", "x.example.com", "2", issued(60 * DAY)));
    budget.see(seen("a", "x.example.com", "3", issued(10 * DAY)));
    assert_eq!([120, 179, 181].map(|day| is_renewal(&budget, day)), [true, true, false]);
    budget.tidy(at(181 * DAY));
    assert_eq!(budget.sizes().iter().sum::<usize>(), 0);
}

#[test]
fn an_order_that_is_only_remembered_keeps_no_place() {
    let under_way = Progress { ordered: Some(at(0)), ..Progress::default() };
    let mut budget = Budget::new(policies(10, 1, 5));
    budget.remember(seen("a", "x.example.com", "1", under_way.clone()));
    budget.settle(at(10));
    assert_eq!(budget.place(&ask("a", "x.example.com").id(), at(10)), Place::Unasked);
    assert_eq!(budget.least_left(Kind::NewOrders, at(0)), Some(9), "but it counts");
    assert_eq!(budget.ask(ask("a", "y.example.com"), at(20)), Place::Granted);
    // One whose Order stays for ever is over at the CA all the same.
    budget.see(seen("b", "z.example.net", "2", under_way));
    assert_eq!(budget.place(&ask("b", "z.example.net").id(), at(30)), Place::Granted);
    budget.tidy(at(9 * 24 * 3600));
    assert_eq!(budget.place(&ask("b", "z.example.net").id(), at(9 * 24 * 3600)), Place::Unasked);
}

#[test]
fn orders_without_end_fill_no_memory() {
    let mut budget = budget(10, 1, 5);
    let host = Host::parse("x.example.com").unwrap();
    for n in 0..25_000 {
        budget.see(Seen { names: Names::one(&host), ..seen("a", "x.example.com", &n.to_string(), issued(n)) });
    }
    let [orders, namespaces, _] = budget.sizes()[..3] else { panic!() };
    assert!((15_000..=20_000).contains(&orders) && namespaces == 1, "{orders} orders");
    assert_eq!(budget.spent(&"a".into(), &host).last().map(|spent| spent.order.as_str()), Some("24999"));
}

#[test]
fn what_failed_is_forgotten_before_what_was_issued() {
    let mut budget = budget(1000, 1000, 1000);
    let host = Host::parse("x.example.com").unwrap();
    let failed = |second| Progress { ordered: Some(at(second)), failed: Some(at(second)), ..Progress::default() };
    budget.see(seen("a", "x.example.com", "issued", issued(0)));
    for n in 1..100 {
        budget.see(seen("a", "x.example.com", &n.to_string(), failed(n)));
    }
    let spent = budget.spent(&"a".into(), &host);
    assert_eq!(spent.first().map(|spent| spent.order.as_str()), Some("issued"));
    assert_eq!((spent.len(), spent.last().map(|spent| spent.order.as_str())), (24, Some("99")));
    // What a Domain alone tells of stays with what is known here, until it has no say.
    let told = [Spent { order: "of-another-ca".into(), ..spent[0].clone() }];
    let merged = Spent::merged(&told, &spent[20..], at(100));
    assert_eq!(
        merged.iter().map(|spent| spent.order.as_str()).collect::<Vec<_>>(),
        ["of-another-ca", "96", "97", "98", "99"]
    );
    assert_eq!(Spent::merged(&told, &[], at(15 * 24 * 3600)), []);
}

#[test]
fn a_place_at_one_ca_or_account_is_none_at_another() {
    let mut budget = budget(10, 2, 10);
    assert_eq!(budget.ask(ask("a", "www.example.com"), at(0)), Place::Granted);
    let of = |directory: &str, uri: &str| Ask { account: Account::new(directory, uri), ..ask("a", "www.example.com") };
    let (other, private) = (of(CA, "https://ca.example/acct/2"), of("https://private.example/dir", ""));
    assert_eq!(budget.place_by(&other.id(), &account(), at(0)), Place::Granted);
    for ask in [&other, &private] {
        assert_eq!(budget.place_by(&ask.id(), &ask.account, at(0)), Place::Unasked);
    }
    // It goes by what is left there.
    assert_eq!(budget.ask(private, at(0)), Place::Free);
    assert_eq!(budget.ask(other.clone(), at(0)), Place::Granted);
    assert_eq!(budget.ask(ask("b", "shop.example.com"), at(0)), Place::Granted);
    let (kind, of, _) = waits_for(budget.ask(other, at(0)));
    assert_eq!((kind, of.as_str()), (Kind::CertificatesPerDomain, "example.com"));
}
