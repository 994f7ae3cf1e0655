//! Zones reduced from trouble reports, in `cases/`, served by knot and resolved by unbound, each with what an expert would
//! say of it.

use certgate::{
    core::{
        finding::Lang,
        policy::{Dns, Target},
        reason::{
            Reason,
            WhoActs::{self, ClusterAdmin, DomainOwner, Nobody},
        },
        text,
        verdict::Verdict,
    },
    dns::Preflight,
};

use super::{
    request,
    servers::{More, Servers},
};

/// The gateway's address.
const GATEWAY: &str = "8.8.8.8";

const FILES: [&str; 12] = [
    include_str!("cases/caa-at-cname-target.zone"),
    include_str!("cases/caa-at-parent-of-alias.zone"),
    include_str!("cases/caa-nobody.zone"),
    include_str!("cases/stale-ds.zone"),
    include_str!("cases/aaaa-of-old-host.zone"),
    include_str!("cases/cname-loop.zone"),
    include_str!("cases/lame-delegation.zone"),
    include_str!("cases/dname.zone"),
    include_str!("cases/negative-cache.zone"),
    include_str!("cases/flattened-alias.zone"),
    include_str!("cases/behind-a-cdn.zone"),
    include_str!("cases/platform-name-gone.zone"),
];

/// The domain that its provider does not have.
const LAME: &str = "lame-acme.com";

/// Zones that the cases speak of and no file has.
const OTHERS: [(&str, &str); 3] = [
    ("net", "@ NS ns1.dns-acme.net.\n"),
    ("dns-acme.net", "@ NS ns1.dns-acme.net.\nns1 A 127.0.0.1\nns2 A 127.0.0.1\n"),
    ("platform-acme.net", "@ NS ns1.dns-acme.net.\nlb A 8.8.8.8\n"),
];

/// One host, and what is right to say of it.
struct Case {
    host: &'static str,
    /// Where the gateway is: an address, or a name.
    gateway: &'static str,
    reason: Reason,
    who: WhoActs,
    /// What the sentence must say, and what it must not.
    says: &'static [&'static str],
    never: &'static [&'static str],
}

const fn case(host: &'static str, gateway: &'static str, reason: Reason, who: WhoActs) -> Case {
    Case { host, gateway, reason, who, says: &[], never: &[] }
}

const CASES: &[Case] = &[
    Case {
        says: &["shops.hosting-acme.net. CAA 0 issue \"letsencrypt.org\"", "an A record to 8.8.8.8"],
        never: &["www.bakery-acme.com. CAA"],
        ..case("www.bakery-acme.com", GATEWAY, Reason::CaaForbids, DomainOwner)
    },
    Case {
        says: &["florist-acme.com. CAA 0 issue \"letsencrypt.org\""],
        ..case("www.florist-acme.com", GATEWAY, Reason::CaaForbids, DomainOwner)
    },
    Case {
        says: &["no CA at all"],
        never: &["other CAs"],
        ..case("www.parked-acme.com", GATEWAY, Reason::CaaForbids, DomainOwner)
    },
    Case {
        says: &["moved-acme.com has a DS record at its registrar", "remove the DS record at the registrar"],
        ..case("www.moved-acme.com", GATEWAY, Reason::DnssecBogus, DomainOwner)
    },
    case("www.dual-acme.com", GATEWAY, Reason::WrongIpv6, DomainOwner),
    Case {
        says: &["www.loop-acme.com → web.loop-acme.com → www.loop-acme.com"],
        ..case("www.loop-acme.com", GATEWAY, Reason::CnameLoop, DomainOwner)
    },
    Case {
        says: &["create the zone", "registrar"],
        never: &["DNS provider must"],
        ..case("www.lame-acme.com", GATEWAY, Reason::LameDelegation, DomainOwner)
    },
    case("www.shop.brand-acme.com", GATEWAY, Reason::Verified, Nobody),
    case("www.fresh-acme.com", GATEWAY, Reason::Verified, Nobody),
    case("www.aws-acme.com", "lb.platform-acme.net", Reason::Verified, Nobody),
    case("aws-acme.com", "lb.platform-acme.net", Reason::Verified, Nobody),
    Case { says: &["Cloudflare", "any-public"], ..case("www.cdn-acme.com", GATEWAY, Reason::WrongTarget, DomainOwner) },
    Case { says: &["any-public"], ..case("img.cdn-acme.com", GATEWAY, Reason::WrongTarget, DomainOwner) },
    Case {
        says: &["lb.gone-acme.net does not exist"],
        never: &["domain's owner", "CNAME record to"],
        ..case("www.tenant-acme.com", "lb.gone-acme.net", Reason::GatewayNameBroken, ClusterAdmin)
    },
];

/// The zones of a file: name and text.
fn zones(file: &str) -> Vec<(String, String)> {
    file.split("$ORIGIN ")
        .skip(1)
        .map(|text| {
            let (name, _) = text.split_once('\n').unwrap();
            (name.trim_end_matches('.').to_owned(), format!("$ORIGIN {text}"))
        })
        .collect()
}

fn more() -> More {
    let mut zones: Vec<_> = FILES.iter().flat_map(|file| zones(file)).filter(|(name, _)| name != LAME).collect();
    zones.extend(OTHERS.map(|(name, records)| {
        let soa = "@ SOA ns1.dns-acme.net. hostmaster.dns-acme.net. 1 7200 900 1209600 60";
        (name.to_owned(), format!("$ORIGIN {name}.\n$TTL 300\n{soa}\n{records}"))
    }));
    More {
        zones,
        lame: vec![LAME.to_owned()],
        // As the registrar has it, of a key that nobody has any more.
        anchors: vec![format!("moved-acme.com. DS 4711 13 2 {}", "5a".repeat(32))],
        com: "lame-acme NS ns1.dns-acme.net.\nlame-acme NS ns2.dns-acme.net.\n".to_owned(),
    }
}

fn wrong(case: &Case, by: &str, verdict: &Verdict) -> Option<String> {
    let finding = &verdict.finding;
    let sentence = format!("{}\n{}", finding.sentence(Lang::En), text::records(finding).join("\n"));
    let right = finding.reason == case.reason
        && finding.who_acts() == case.who
        && case.says.iter().all(|words| sentence.contains(words))
        && !case.never.iter().any(|words| sentence.contains(words));
    (!right).then(|| format!("{}, {by}:\n{sentence}\n{verdict:#?}", case.host))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_expert_would_say_of_each_zone_is_said() {
    let Some(servers) = Servers::start(&more()) else { return };
    let policy = Dns {
        servers: vec![servers.unbound.to_string()],
        timeout_seconds: 2.0,
        deadline_seconds: 20.0,
        authoritative_port: servers.knot.port(),
        allow_private_authoritative: true,
        ..Dns::default()
    };
    // Told where the zones' servers are, and left to find them by the delegations.
    let told = Preflight::with_authoritative(&policy, &[servers.knot]).unwrap();
    let finding = Preflight::new(&policy).unwrap();
    servers.wait_until_they_answer(&told).await;
    let mut failed = Vec::new();
    for case in CASES {
        let mut request = request(case.host);
        (request.gateway.addresses, request.gateway.cnames) = (Vec::new(), Vec::new());
        match case.gateway.parse() {
            Ok(address) => request.gateway.addresses.push(address),
            Err(_) => {
                request.gateway.cnames.push(case.gateway.to_owned());
                request.gateway.target = Target::Cname;
            }
        }
        for (by, preflight) in [("told", &told), ("by delegation", &finding)] {
            failed.extend(wrong(case, by, &preflight.check(&request).await));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
