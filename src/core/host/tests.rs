use rstest::rstest;

use super::*;

fn host(text: &str) -> Host {
    Host::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[rstest]
#[case("www.example.com", "www.example.com")]
#[case("WWW.Shop-Example.COM", "www.shop-example.com")]
#[case(" spaced.example.com ", "spaced.example.com")]
#[case("www.example.com.", "www.example.com")]
#[case("商城.例子.测试", "xn--czru2d.xn--fsqu00a.xn--0zwm56d")]
#[case("*.example.com", "*.example.com")]
#[case("10086.cn", "10086.cn")]
#[case("8.shop-example.com", "8.shop-example.com")]
#[case("localhost", "localhost")]
#[case("xn--z-e17g.io", "xn--z-e17g.io")]
#[case("7eleven.xn--wgbh1c", "7eleven.xn--wgbh1c")]
#[case("3d.xn--mgbh0fb.com", "3d.xn--mgbh0fb.com")]
#[case("7eleven。مصر", "7eleven.xn--wgbh1c")]
fn hosts_are_normalised(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(host(text).as_str(), expected);
    assert_eq!(host(expected).as_str(), expected, "parsing is idempotent");
}

#[rstest]
#[case("", HostError::Empty)]
#[case(" . ", HostError::Empty)]
#[case("203.0.113.10", HostError::IpAddress)]
#[case("2001:db8::1", HostError::IpAddress)]
#[case("[2001:db8::1]", HostError::IpAddress)]
#[case("*", HostError::Wildcard)]
#[case("*.*.example.com", HostError::Wildcard)]
#[case("foo.*.example.com", HostError::Wildcard)]
#[case("my_app.example.com", HostError::Syntax)]
#[case("-a.example.com", HostError::Syntax)]
#[case("a..example.com", HostError::Syntax)]
#[case("example.com:8443", HostError::Syntax)]
#[case("ab--cd.example.com", HostError::Syntax)]
#[case("xn--999999b.example.com", HostError::Syntax)]
#[case("www.example.42", HostError::Syntax)]
fn what_is_no_host_says_why(#[case] text: &str, #[case] expected: HostError) {
    assert_eq!(Host::parse(text), Err(expected), "{text}");
}

#[test]
fn length_bounds_are_those_of_dns() {
    let label = "a".repeat(63);
    assert!(Host::parse(&format!("{label}.example.com")).is_ok());
    assert_eq!(Host::parse(&format!("a{label}.example.com")), Err(HostError::TooLong));
    let name_253 = format!("{0}.{0}.{0}.{1}", label, "b".repeat(57) + ".com");
    assert_eq!(name_253.len(), 253);
    assert!(Host::parse(&name_253).is_ok());
    assert_eq!(Host::parse(&format!("c{name_253}")), Err(HostError::TooLong));
    // The CA counts without the wildcard.
    assert!(Host::parse(&format!("*.{name_253}")).is_ok());
    assert_eq!(Host::parse(&format!("*.c{name_253}")), Err(HostError::TooLong));
    assert_eq!(Host::parse(&"x.".repeat(1 << 20)), Err(HostError::TooLong));
}

#[rstest]
#[case("www.example.com", Ok(()))]
#[case("example.github.io", Ok(()))]
#[case("github.io", Ok(()))]
#[case("shop.corp.local", Err(NotPublic::NoPublicSuffix))]
#[case("intranet", Err(NotPublic::NoPublicSuffix))]
#[case("nas.home.arpa", Err(NotPublic::NoPublicSuffix))]
#[case("4.3.2.1.in-addr.arpa", Err(NotPublic::NoPublicSuffix))]
#[case("2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion", Err(NotPublic::NoPublicSuffix))]
#[case("home.arpa", Err(NotPublic::NoPublicSuffix))]
#[case("com", Err(NotPublic::IsPublicSuffix))]
#[case("co.uk", Err(NotPublic::IsPublicSuffix))]
#[case("*.co.uk", Err(NotPublic::IsPublicSuffix))]
#[case("a.b.c.d.e.f.g.h.i.example.com", Err(NotPublic::TooManyLabels))]
#[case("*.b.c.d.e.f.g.h.i.example.com", Ok(()))]
fn the_icann_section_decides_what_is_public(#[case] text: &str, #[case] expected: Result<(), NotPublic>) {
    assert_eq!(host(text).public(), expected, "{text}");
}

#[test]
fn a_wildcard_covers_exactly_one_label() {
    let wild = host("*.example.com");
    assert!(wild.covers(&host("www.example.com")));
    assert!(!wild.covers(&host("a.b.example.com")));
    assert!(!wild.covers(&host("example.com")));
    assert!(wild.covers(&wild));
}

#[test]
fn object_names_are_injective() {
    let hosts =
        ["*.example.com", "wildcard.example.com", "literal.wildcard.example.com", "literal.example.com", "example.com"];
    let names: std::collections::BTreeSet<_> = hosts.iter().map(|text| host(text).object_name()).collect();
    assert_eq!(names.len(), hosts.len());
    assert_eq!(host("*.example.com").object_name(), "wildcard.example.com");
}

#[test]
fn secret_names_fit_kubernetes_at_any_length() {
    let label = "a".repeat(63);
    let long = host(&format!("{0}.{0}.{0}.{1}", label, "b".repeat(57) + ".com"));
    let other = host(&format!("{0}.{0}.{0}.{1}", label, "c".repeat(57) + ".com"));
    assert!(long.secret_name().len() <= 253);
    assert_ne!(long.secret_name(), other.secret_name());
    assert_eq!(host("www.example.com").secret_name(), "certgate-www.example.com");
}

#[test]
fn names_of_objects_tell_their_host_unless_they_were_cut() {
    let label = "a".repeat(63);
    let long = format!("{0}.{0}.{0}.{1}", label, "b".repeat(50) + ".com");
    for text in [
        "www.example.com",
        "*.example.com",
        "wildcard.example.com",
        "literal.wildcard.example.com",
        "literal.example.com",
    ] {
        assert_eq!(Host::of_object(&host(text).object_name()), Some(host(text)));
        assert_eq!(Host::of_secret(&host(text).secret_name()), Some(host(text)));
    }
    let wild = host(&format!("*.{long}"));
    assert_ne!(Host::of_object(&wild.object_name()).as_ref(), Some(&wild), "cut");
    assert_ne!(Host::of_secret(&host(&long).secret_name()), Some(host(&long)), "cut");
    for none in ["", "wildcard.", "literal.www.example.com", "WWW.example.com", "certgate-", "*.example.com"] {
        assert_eq!((Host::of_object(none), Host::of_secret(none)), (None, None), "{none}");
    }
}

#[test]
fn punycode_is_shown_readable() {
    assert_eq!(host("商城.例子.测试").readable(), "商城.例子.测试");
    assert_eq!(host("*.xn--fsqu00a.com").readable(), "*.例子.com");
}

#[test]
fn suffix_match_respects_label_borders() {
    assert!(host("a.203.0.113.10.nip.io").is_below("nip.io"));
    assert!(!host("xnip.io").is_below("nip.io"));
    assert!(!host("nip.io").is_below("nip.io"));
    assert!(host("*.nip.io").is_below("nip.io"));
}
