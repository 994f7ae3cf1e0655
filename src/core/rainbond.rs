//! Rainbond 6's switch for automatic issuance, as it is seen in the cluster.
//!
//! From 6.7 on the switch *is* a Certificate: its names include a route's host. What Rainbond makes is told from what
//! people write (their own YAML gets the label `app_id` too) by its name, which Rainbond derives from the route.

use super::{
    host::Host,
    policy::{IssuerKind, IssuerRef},
};

/// What a Certificate, or a request for it, shows of where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The Certificate's name.
    pub name: &'a str,
    /// The label `app_id`.
    pub app_id: Option<&'a str>,
    /// Its issuer.
    pub issuer: &'a IssuerRef,
}

// === impl Origin ===

impl Origin<'_> {
    /// Whether Rainbond's switch made it, for this one name of it.
    pub fn is_switch(&self, host: &Host) -> bool {
        self.app_id.is_some_and(|id| !id.is_empty())
            && self.issuer.kind == IssuerKind::ClusterIssuer
            && self.issuer.is_builtin()
            && is_named_for(self.name, host)
    }
}

/// Whether a Certificate's name is one that Rainbond gives to that of a host's route: host and path in lower case, `*` in
/// the host written `wildcard`, `_` dropped, `/` written `p-p` (rainbond v6.9.8 api_gateway_route.go:236-313).
/// `removeLeadingDigits` (:758-778) spoils two kinds: a host that begins with digits loses them, and a route of no
/// component whose path does not end in `*` loses its last part.
fn is_named_for(name: &str, host: &Host) -> bool {
    let plain = host.as_str().replacen('*', "wildcard", 1).replace('_', "");
    let bare = plain.trim_start_matches(|c: char| c.is_ascii_digit());
    let path = name.strip_prefix(plain.as_str()).or_else(|| name.strip_prefix(bare).filter(|_| !bare.is_empty()));
    path.is_some_and(|path| path == "p" || path.starts_with("p-p"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::every_path("www.shop-example.comp-ps-s", "www.shop-example.com", true)]
    #[case::root("root.shop-example.comp-p", "root.shop-example.com", true)]
    #[case::wildcard("wildcard.shop-example.comp-ps-s", "*.shop-example.com", true)]
    #[case::digits_lost("w.shop-example.comp-ps-s", "3w.shop-example.com", true)]
    #[case::digits_kept("3w.shop-example.comp-ps-s", "3w.shop-example.com", true)]
    #[case::no_component("nocomp.shop-example.comp", "nocomp.shop-example.com", true)]
    #[case::written_by_a_person("www-tls", "www.shop-example.com", false)]
    #[case::named_by_its_host("www.shop-example.com", "www.shop-example.com", false)]
    #[case::ours("certgate-www.shop-example.com", "www.shop-example.com", false)]
    #[case::of_another_host("www.shop-example.comp-ps-s", "shop-example.com", false)]
    #[case::of_another_host_by_digits("w.shop-example.comp-ps-s", "www.shop-example.com", false)]
    fn the_switchs_certificates_are_told_by_their_names(
        #[case] name: &str,
        #[case] host: &str,
        #[case] expected: bool,
    ) {
        let (host, issuer) = (Host::parse(host).unwrap(), IssuerRef::cluster("letsencrypt-http"));
        let origin = Origin { name, app_id: Some("6def"), issuer: &issuer };
        assert_eq!(origin.is_switch(&host), expected);
        assert!(!Origin { app_id: None, ..origin }.is_switch(&host), "without an application");
        let own = IssuerRef { kind: IssuerKind::Issuer, ..issuer.clone() };
        assert!(!Origin { issuer: &own, ..origin }.is_switch(&host), "by an Issuer of the namespace");
    }
}
