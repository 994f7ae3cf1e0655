//! Content delivery networks, told by their addresses or by the shape of a CNAME. Only for hints: a host behind one
//! points where its owner wants it to, and is told otherwise what it has done already.

use ::core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks that publish their addresses and keep them for years:
/// <https://www.cloudflare.com/ips/>, <https://api.fastly.com/public-ip-list>.
const V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(103, 21, 244, 0), 22, "Cloudflare"),
    (Ipv4Addr::new(103, 22, 200, 0), 22, "Cloudflare"),
    (Ipv4Addr::new(103, 31, 4, 0), 22, "Cloudflare"),
    (Ipv4Addr::new(104, 16, 0, 0), 13, "Cloudflare"),
    (Ipv4Addr::new(104, 24, 0, 0), 14, "Cloudflare"),
    (Ipv4Addr::new(108, 162, 192, 0), 18, "Cloudflare"),
    (Ipv4Addr::new(131, 0, 72, 0), 22, "Cloudflare"),
    (Ipv4Addr::new(141, 101, 64, 0), 18, "Cloudflare"),
    (Ipv4Addr::new(151, 101, 0, 0), 16, "Fastly"),
    (Ipv4Addr::new(162, 158, 0, 0), 15, "Cloudflare"),
    (Ipv4Addr::new(172, 64, 0, 0), 13, "Cloudflare"),
    (Ipv4Addr::new(173, 245, 48, 0), 20, "Cloudflare"),
    (Ipv4Addr::new(188, 114, 96, 0), 20, "Cloudflare"),
    (Ipv4Addr::new(190, 93, 240, 0), 20, "Cloudflare"),
    (Ipv4Addr::new(197, 234, 240, 0), 22, "Cloudflare"),
    (Ipv4Addr::new(198, 41, 128, 0), 17, "Cloudflare"),
    (Ipv4Addr::new(199, 232, 0, 0), 16, "Fastly"),
];
const V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::new(0x2400, 0xcb00, 0, 0, 0, 0, 0, 0), 32, "Cloudflare"),
    (Ipv6Addr::new(0x2405, 0x8100, 0, 0, 0, 0, 0, 0), 32, "Cloudflare"),
    (Ipv6Addr::new(0x2405, 0xb500, 0, 0, 0, 0, 0, 0), 32, "Cloudflare"),
    (Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, 0, 0), 32, "Cloudflare"),
    (Ipv6Addr::new(0x2803, 0xf800, 0, 0, 0, 0, 0, 0), 32, "Cloudflare"),
    (Ipv6Addr::new(0x2a04, 0x4e42, 0, 0, 0, 0, 0, 0), 32, "Fastly"),
    (Ipv6Addr::new(0x2a06, 0x98c0, 0, 0, 0, 0, 0, 0), 29, "Cloudflare"),
    (Ipv6Addr::new(0x2c0f, 0xf248, 0, 0, 0, 0, 0, 0), 32, "Cloudflare"),
];

/// Domains that networks give their customers CNAME targets in.
const DOMAINS: &[(&str, &str)] = &[
    ("cloudfront.net", "Amazon CloudFront"),
    ("cdn.cloudflare.net", "Cloudflare"),
    ("edgekey.net", "Akamai"),
    ("edgesuite.net", "Akamai"),
    ("akamaized.net", "Akamai"),
    ("fastly.net", "Fastly"),
    ("azureedge.net", "Azure CDN"),
    ("azurefd.net", "Azure Front Door"),
    ("b-cdn.net", "bunny.net"),
    ("kunlunsl.com", "Alibaba Cloud CDN"),
    ("kunlunar.com", "Alibaba Cloud CDN"),
    ("kunlunca.com", "Alibaba Cloud CDN"),
    ("kunluncan.com", "Alibaba Cloud CDN"),
    ("kunlunle.com", "Alibaba Cloud CDN"),
    ("kunlunaq.com", "Alibaba Cloud CDN"),
    ("alikunlun.com", "Alibaba Cloud CDN"),
    ("alicdn.com", "Alibaba Cloud CDN"),
    ("cdn.dnsv1.com", "Tencent Cloud CDN"),
    ("dnsv1.com.cn", "Tencent Cloud CDN"),
    ("tdnsv5.com", "Tencent Cloud CDN"),
    ("cdnhwc1.com", "Huawei Cloud CDN"),
    ("cdnhwc2.com", "Huawei Cloud CDN"),
    ("bdydns.com", "Baidu AI Cloud CDN"),
    ("volcgslb.com", "Volcengine CDN"),
    ("qiniudns.com", "Qiniu CDN"),
    ("aicdn.com", "UPYUN CDN"),
    ("wscdns.com", "Wangsu CDN"),
    ("wsglb0.com", "Wangsu CDN"),
    ("ctdns.cn", "CTYun CDN"),
    ("ksyuncdn.com", "Kingsoft Cloud CDN"),
];

/// The network that a host stands behind: its name, or the CNAME target where the name is not known.
pub(super) fn before<'c>(
    host: &str,
    mut chain: impl Iterator<Item = &'c str>,
    addresses: impl Iterator<Item = IpAddr>,
) -> Option<String> {
    let by_name = chain.find_map(|target| {
        let below = |domain: &str| target.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        if let Some((_, network)) = DOMAINS.iter().find(|(domain, _)| below(domain)) {
            return Some((*network).to_owned());
        }
        // A target that begins with the whole host is one made for that host: www.example.com.w.network.example.
        target.strip_prefix(host).is_some_and(|rest| rest.starts_with('.')).then(|| target.to_owned())
    });
    let mut networks = addresses.map(network);
    by_name.or_else(|| {
        let first = networks.next()??;
        networks.all(|other| other == Some(first)).then(|| first.to_owned())
    })
}

fn network(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => V4
            .iter()
            .find(|(prefix, length, _)| (ip.to_bits() ^ prefix.to_bits()).leading_zeros() >= *length)
            .map(|(.., name)| *name),
        IpAddr::V6(ip) => V6
            .iter()
            .find(|(prefix, length, _)| (ip.to_bits() ^ prefix.to_bits()).leading_zeros() >= *length)
            .map(|(.., name)| *name),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::by_address(&[], &["104.21.8.9", "172.67.130.4", "2606:4700:3030::6815:809"], Some("Cloudflare"))]
    #[case::by_a_known_domain(&["d111.cloudfront.net"], &["13.32.1.1"], Some("Amazon CloudFront"))]
    #[case::by_a_target_made_for_the_host(
        &["img.example.com.w.kunlun.example"], &["47.246.23.8"], Some("img.example.com.w.kunlun.example")
    )]
    #[case::not_all_of_one(&[], &["104.21.8.9", "5.6.7.8"], None)]
    #[case::any_other_host(&["shop.example.net"], &["5.6.7.8"], None)]
    #[case::nothing(&[], &[], None)]
    fn a_network_is_told(#[case] chain: &[&str], #[case] addresses: &[&str], #[case] expected: Option<&str>) {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap());
        assert_eq!(before("img.example.com", chain.iter().copied(), addresses).as_deref(), expected);
    }
}
