//! Pre-flight against real servers: knot serves zones, unbound resolves and
//! validates them. Both are started on loopback from Debian's packages knot,
//! unbound and bind9-utils; where those are absent the tests say so and end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use certgate::{
    core::{
        host::Host,
        policy::{Dns, Target},
        reason::Reason,
        verdict::{CaIdentity, GatewayTarget, Method, Request, Verdict},
    },
    dns::Preflight,
};

#[path = "real_dns/cases.rs"]
mod cases;
#[path = "real_dns/servers.rs"]
mod servers;

use servers::{More, Servers};

fn request(host: &str) -> Request {
    Request {
        host: Host::parse(host).unwrap(),
        method: Method::Http01,
        gateway: GatewayTarget {
            addresses: vec!["1.2.3.4".parse().unwrap()],
            cnames: Vec::new(),
            target: Target::Addresses,
            allow_reserved: false,
        },
        ca: CaIdentity { names: vec!["letsencrypt.org".into()], account_uri: None },
    }
}

fn detail<'a>(verdict: &'a Verdict, name: &str) -> &'a str {
    &verdict.checks.iter().find(|check| check.name == name).unwrap().detail
}

#[tokio::test(flavor = "multi_thread")]
async fn real_servers_are_judged_as_they_are() {
    let Some(servers) = Servers::start(&More::default()) else { return };
    let policy = Dns {
        servers: vec![servers.unbound.to_string()],
        timeout_seconds: 1.0,
        deadline_seconds: 6.0,
        ..Dns::default()
    };
    let preflight = Preflight::with_authoritative(&policy, &[servers.knot]).unwrap();
    servers.wait_until_they_answer(&preflight).await;
    let check = |host: &'static str| {
        let preflight = preflight.clone();
        async move { preflight.check(&request(host)).await }
    };

    let plain = check("www.plain.com").await;
    assert_eq!(plain.finding.reason, Reason::Verified, "{plain:#?}");
    let caa = check("www.forbidden.com").await;
    assert_eq!(caa.finding.reason, Reason::CaaForbids, "{caa:#?}");

    let signed = check("www.signed.com").await;
    assert_eq!(signed.finding.reason, Reason::Verified, "{signed:#?}");
    assert!(detail(&signed, "A").ends_with("DNSSEC)"), "{signed:#?}");
    let expired = check("www.expired.com").await;
    assert_eq!(expired.finding.reason, Reason::DnssecBogus, "{expired:#?}");
    assert!(expired.finding.note.to_lowercase().contains("expired"), "{:?}", expired.finding);
    let forged = check("www.forged.com").await;
    assert_eq!(forged.finding.reason, Reason::DnssecBogus, "{forged:#?}");

    let lame = check("www.lame.net").await;
    assert_eq!(lame.finding.reason, Reason::LameDelegation, "{lame:#?}");
    // Unbound may give up before we do, or let us wait.
    let dead = check("www.dead.com").await;
    assert!(matches!(dead.finding.reason, Reason::DnsTimeout | Reason::DnsServerFailure), "{dead:#?}");
    let large = check("www.large.com").await;
    assert_eq!(large.finding.reason, Reason::CaaForbids, "60 records need TCP: {large:#?}");

    let looped = check("www.loop.com").await;
    assert_eq!(looped.finding.reason, Reason::CnameLoop, "{looped:#?}");
    let dangling = check("dangling.plain.com").await;
    assert_eq!(dangling.finding.reason, Reason::CnameDangling, "{dangling:#?}");

    // Unbound remembers for an hour that there is no such name; the zone's own server knows better.
    let missing = check("new.plain.com").await;
    assert_eq!(missing.finding.reason, Reason::DomainNotFound, "{missing:#?}");
    assert!(missing.next_check > Duration::from_secs(3000), "{:?}", missing.next_check);
    servers.add("plain.com", "new A 1.2.3.4");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let added = check("new.plain.com").await;
        if added.ready() {
            assert!(detail(&added, "A").contains("1.2.3.4"), "{added:#?}");
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the new record is not seen: {added:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
