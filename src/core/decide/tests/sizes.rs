use super::*;

/// The size of an object's annotations, as Kubernetes counts it.
fn annotations_size(object: &Value) -> usize {
    let all = object["metadata"]["annotations"].as_object().into_iter().flatten();
    all.map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum()
}

#[test]
fn annotations_are_filled_to_the_last_octet_and_not_beyond() {
    const MAX: usize = 256 * 1024;
    let known = with("a.example.com", found(Reason::Verified));
    let issued = with("a.example.com", DomainFacts { issued: true, ..found(Reason::Verified) });
    let fill = |object: &mut Value, size: usize| {
        object["metadata"]["annotations"] = json!({ "big": "x".repeat(size - 3) });
    };
    for plain in [web("a.example.com"), rainbond("a.example.com")] {
        let mut object = plain.clone();
        fill(&mut object, 1_000);
        let ours = annotations_size(&step(&object, &known, &all()).0) - 1_000;
        fill(&mut object, MAX - ours);
        let (after, fates, _) = step(&object, &known, &all());
        assert_eq!((fates, annotations_size(&after)), (vec![(Action::Inject, Reason::Verified)], MAX));
        assert_eq!(step(&after, &known, &all()).0, after);

        fill(&mut object, MAX - ours + 1);
        let (after, fates, _) = step(&object, &known, &all());
        let v5 = plain != web("a.example.com");
        // A companion orders, except where the gateway needs annotations whoever orders.
        let reason = if v5 { Reason::AnnotationsFull } else { Reason::AwaitingCertificate };
        assert_eq!((fates, &after), (vec![(Action::Hold, reason)], &object));
        if !v5 {
            // With no room for a record either the entry goes on without, and off again.
            fill(&mut object, MAX - 20);
            let (bound, fates, _) = step(&object, &issued, &all());
            assert_eq!(fates, [(Action::Inject, Reason::Issued)]);
            assert_eq!(bound["metadata"], object["metadata"]);
            assert_eq!(bound["spec"]["tls"][0]["secretName"], "certgate-a.example.com");
            assert_eq!(step(&bound, &issued, &all()).0, bound);
            assert_eq!(step(&bound, &issued, &Policy::default()).0, object);
        }
    }
}

#[test]
fn many_hosts_take_no_more_annotations_than_one() {
    let hosts: Vec<String> = (0..150).map(|n| format!("shop-{n:03}.example.com")).collect();
    let domains = hosts.iter().map(|host| (&*String::leak(host.clone()), found(Reason::Verified)));
    let known = Known { domains: domains.collect(), ..Known::default() };
    let mut object = web("a.example.com");
    object["spec"]["rules"] = hosts.iter().map(|host| json!({"host": host})).collect();
    object["metadata"]["annotations"] = json!({ "rewrites": "rewrite ^/old$ /new; ".repeat(11_500) });
    let (after, fates, _) = step(&object, &known, &all());
    assert!(fates.iter().all(|fate| *fate == (Action::Inject, Reason::Verified)));
    assert!(annotations_size(&after) <= 256 * 1024 && annotations_size(&after) < annotations_size(&object) + 200);
}

#[test]
fn an_object_near_the_bound_of_storage_gets_as_many_entries_as_fit() {
    let known = Known {
        domains: BTreeMap::from([
            ("a.example.com", found(Reason::Verified)),
            ("b.example.com", found(Reason::Verified)),
        ]),
        ..Known::default()
    };
    let mut object = web("a.example.com");
    object["spec"]["rules"] = json!([{"host": "a.example.com"}, {"host": "b.example.com"}]);
    let text = object.to_string();
    let mut ingress: Ingress<'_> = serde_json::from_str(&text).unwrap();
    let policy = all();
    let mut fates = |octets| {
        ingress.octets = octets;
        let decision = decide(&ingress, &known, &policy, now());
        decision.hosts.iter().map(|host| host.reason()).collect::<Vec<_>>()
    };
    assert_eq!(fates(1024 * 1024), [Reason::Verified, Reason::Verified]);
    assert_eq!(fates(1536 * 1024 - 4 * 1024 - 100), [Reason::Verified, Reason::IngressFull]);
    assert_eq!(fates(1536 * 1024), [Reason::IngressFull, Reason::IngressFull]);
}
