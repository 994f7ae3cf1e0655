//! Addresses that no public CA connects to: all of IANA's special-purpose
//! registries, as Boulder's `iana` package reads them. Its criterion is presence
//! in a registry; "globally reachable" entries such as NAT64 (`64:ff9b::/96`) and
//! 6to4 (`2002::/16`) are reserved too.

use ::core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// <https://www.iana.org/assignments/iana-ipv4-special-registry>, by prefix and
/// length. Blocks that lie within a listed one are left out.
const V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private use"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared address space"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private use"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "IETF protocol assignments"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 31, 196, 0), 24, "AS112"),
    (Ipv4Addr::new(192, 52, 193, 0), 24, "AMT"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relay anycast"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private use"),
    (Ipv4Addr::new(192, 175, 48, 0), 24, "AS112"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// <https://www.iana.org/assignments/iana-ipv6-special-registry>, likewise.
const V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 1), 128, "loopback"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 128, "unspecified"),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, "IPv4-mapped"),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, "NAT64"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "NAT64"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "discard only"),
    (Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0), 64, "dummy prefix"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "IETF protocol assignments"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, "AS112"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, "segment routing"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "unique local"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link local"),
];

/// What the address is reserved for; `None` for those that a public CA connects to.
///
/// Multicast (`224.0.0.0/4`, `ff00::/8`) stands in neither registry, so Boulder
/// does not drop it; no connection to one succeeds, which is another failure.
pub fn reserved(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => V4
            .iter()
            .find(|(prefix, length, _)| (ip.to_bits() ^ prefix.to_bits()).leading_zeros() >= *length)
            .map(|(_, _, name)| *name),
        IpAddr::V6(ip) => V6
            .iter()
            .find(|(prefix, length, _)| (ip.to_bits() ^ prefix.to_bits()).leading_zeros() >= *length)
            .map(|(_, _, name)| *name),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0.0.0.0", true)]
    #[case("9.255.255.255", false)]
    #[case("10.0.0.1", true)]
    #[case("11.0.0.0", false)]
    #[case("100.63.255.255", false)]
    #[case("100.64.0.0", true)]
    #[case("100.127.255.255", true)]
    #[case("100.128.0.0", false)]
    #[case("127.0.0.1", true)]
    #[case("128.0.0.1", false)]
    #[case("169.254.169.254", true)]
    #[case("172.15.255.255", false)]
    #[case("172.31.255.255", true)]
    #[case("172.32.0.0", false)]
    #[case("192.0.0.170", true)]
    #[case("192.0.1.1", false)]
    #[case("192.0.2.1", true)]
    #[case("192.88.99.1", true)]
    #[case("192.168.254.254", true)]
    #[case("192.169.255.255", false)]
    #[case("198.17.255.255", false)]
    #[case("198.19.255.255", true)]
    #[case("203.0.113.7", true)]
    #[case("224.0.0.1", false)]
    #[case("240.0.0.1", true)]
    #[case("255.255.255.255", true)]
    #[case("::", true)]
    #[case("::1", true)]
    #[case("::2", false)]
    #[case("::ffff:8.8.8.8", true)]
    #[case("64:ff9b::808:808", true)]
    #[case("64:ff9b:1::1", true)]
    #[case("64:ff9b:2::1", false)]
    #[case("100::", true)]
    #[case("100:0:0:1::1", true)]
    #[case("100:0:0:2::", false)]
    #[case("2001::1", true)]
    #[case("2001:1ff:ffff::1", true)]
    #[case("2001:200::1", false)]
    #[case("2001:db8::1", true)]
    #[case("2002:808:808::1", true)]
    #[case("2003::1", false)]
    #[case("2606:4700::1", false)]
    #[case("2620:4f:8000::1", true)]
    #[case("3fff:fff::1", true)]
    #[case("3fff:1000::1", false)]
    #[case("5f00::1", true)]
    #[case("fc00::1", true)]
    #[case("fdff::1", true)]
    #[case("fe00::1", false)]
    #[case("fe80::1", true)]
    #[case("febf:ffff::1", true)]
    #[case("fec0::1", false)]
    fn as_the_registries_have_it(#[case] ip: IpAddr, #[case] expected: bool) {
        assert_eq!(reserved(ip).is_some(), expected, "{ip}");
    }
}
