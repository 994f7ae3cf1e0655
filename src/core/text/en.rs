//! English sentences.

use crate::core::{
    finding::{Finding, is_link},
    limits::Kind as Limit,
    reason::Reason,
};

/// "an A record to 1.2.3.4", by what kind of value is required.
fn record(finding: &Finding) -> String {
    let list = |kind: super::Kind| super::of_kind(&finding.required, kind).join(" or ");
    let wanted: Vec<String> = [
        ("an A record to", list(super::Kind::V4)),
        ("an AAAA record to", list(super::Kind::V6)),
        ("a CNAME record to", list(super::Kind::Name)),
    ]
    .into_iter()
    .filter(|(_, values)| !values.is_empty())
    .map(|(what, values)| format!("{what} {values}"))
    .collect();
    if wanted.is_empty() { "an A record to the platform's gateway".to_owned() } else { wanted.join(" or ") }
}

fn seen(finding: &Finding) -> String {
    if finding.observed.is_empty() { "other addresses".to_owned() } else { finding.observed.join(", ") }
}

/// " (note)", the cause in its place, or nothing.
fn note(finding: &Finding) -> String {
    match &finding.cause {
        Some(cause) => format!(" ({})", sentence(cause)),
        None if finding.note.is_empty() => String::new(),
        None => format!(" ({})", finding.note),
    }
}

/// `: "what was seen"` or nothing.
fn quoted(finding: &Finding) -> String {
    finding.observed.first().map_or_else(String::new, |words| format!(": \"{words}\""))
}

/// Who takes things back, as far as it is known.
fn reverters(finding: &Finding) -> String {
    match (&finding.observed[..], &finding.required[..]) {
        ([manager, ..], _) => format!(" by the field manager \"{manager}\""),
        ([], []) => String::new(),
        ([], managers) => format!("; whoever it is left no name there, and these write it: {}", managers.join(", ")),
    }
}

/// The limit that is used up, and of what.
fn limit(finding: &Finding) -> String {
    let what = match finding.observed.first().and_then(|word| Limit::from_name(word)) {
        Some(Limit::NewOrders) => "new orders",
        Some(Limit::CertificatesPerDomain) => "certificates per registered domain",
        Some(Limit::CertificatesPerSet) => "certificates for the same names",
        Some(Limit::FailedAuthorizations) => "failed authorizations",
        Some(Limit::ConsecutiveFailures) => "failures in a row",
        None => "certificates",
    };
    finding.observed.get(1).map_or_else(|| what.to_owned(), |of| format!("{what} ({of})"))
}

fn account_rate_limited(finding: &Finding) -> String {
    let issuer = finding.observed.first().map_or("the issuer", String::as_str);
    let limit = finding.observed.get(1).map_or_else(String::new, |words| format!(": \"{words}\""));
    let acts = match finding.note.as_str() {
        "" => "later the cluster's administrator must".to_owned(),
        link if is_link(link) => format!("the cluster's administrator must lift the pause at {link}, then"),
        from => format!("from {from} the cluster's administrator must"),
    };
    let how = super::touch(issuer).map_or_else(String::new, |command| format!(", e.g. `{command}`"));
    format!(
        "the CA refused the ACME account of {issuer} for its limits{limit}; {acts} edit the issuer{how}, because cert-manager does not ask again by itself for up to ten hours"
    )
}

fn or<'a>(text: &'a str, fallback: &'a str) -> &'a str {
    if text.is_empty() { fallback } else { text }
}

pub(super) fn sentence(finding: &Finding) -> String {
    let host = or(&finding.subject, "the host");
    let observed = seen(finding);
    let note_text = note(finding);
    let first_required = finding.required.first().map_or("", String::as_str);
    match finding.reason {
        Reason::NotFlagged => format!("{host} is not flagged for automatic issuance"),
        Reason::SwitchedOff => format!("automatic issuance is switched off for {host}"),
        Reason::FlagUnreadable => format!("the flag certgate.dev/auto-issue of {host} is neither \"true\" nor \"false\"{note_text}; write one of the two"),
        Reason::HostRemoved if !finding.note.is_empty() => format!("{host} is no longer in the Ingress; its namespace keeps it until {}", finding.note),
        Reason::HostRemoved => format!("{host} is no longer in the Ingress"),
        Reason::NoHost => "the rule names no host, so there is nothing to certify".to_owned(),
        Reason::HostInvalid => format!("{host} is not a valid DNS name{note_text}; correct the host in the gateway rule"),
        Reason::DomainMisnamed => format!("this Domain is not named by its host {host}, and so has no effect; create it under the name {} and delete this one", or(first_required, "of its host")),
        Reason::HostIsIpAddress => format!("{host} is an IP address; bind a domain name to get a certificate"),
        Reason::NotPublicName => format!("{host} is not a public domain name, so no public CA issues for it; bind a registered domain"),
        Reason::IsPublicSuffix => format!("{host} is a public suffix, for which no CA issues; bind a name below it"),
        Reason::PlatformDomain => format!("{host} is one of the platform's own default domains, which get no certificates of their own"),
        Reason::UserTls => format!("{host} already has a TLS entry of yours, which stays as it is"),
        Reason::UserIssuerConflict => "the Ingress names two issuers, which cert-manager refuses; keep one of cert-manager.io/issuer and cert-manager.io/cluster-issuer".to_owned(),
        Reason::TcpIngress => "this is a TCP rule, which carries no HTTPS".to_owned(),
        Reason::PlatformIngress => "this Ingress belongs to the platform itself".to_owned(),
        Reason::SolverIngress => "this Ingress answers an ACME challenge of cert-manager's".to_owned(),
        Reason::CompanionIngress => "this Ingress is a companion that certgate made".to_owned(),
        Reason::NamespaceExcluded => "the namespace is excluded from automatic issuance".to_owned(),
        Reason::BeingDeleted => "the Ingress is being deleted".to_owned(),
        Reason::WildcardNeedsDns01 => format!("{host} is a wildcard, which needs a DNS-01 solver; the cluster's administrator can add one to the issuer{note_text}"),
        Reason::OneHostPerIngress => "Rainbond 5's gateway serves one certificate per Ingress; give each host an Ingress of its own".to_owned(),

        Reason::GatewayManglesHost => format!("Rainbond 5's gateway serves {host} under a wrong name (it drops \"tls\" from it), so the CA could not reach it; bind a name without \"tls\""),

        Reason::Pending => format!("{host} waits for its first DNS check"),
        Reason::VerdictStale => format!("the last check of {host} is too old to act on; a new one is on its way"),
        Reason::IssuerUnset => "certgate's policy names no issuer; the cluster's administrator must set `issuer`".to_owned(),
        Reason::IssuerMissing => format!("the issuer {} does not exist; the cluster's administrator must create it", or(&finding.note, "named in the policy")),
        Reason::IssuerNotReady => format!("the issuer is not ready{note_text}; the cluster's administrator must look at it"),
        Reason::AccountRateLimited => account_rate_limited(finding),
        Reason::NoSolver => format!("the issuer has no solver for {host}{note_text}; the cluster's administrator must add one"),
        Reason::IssuerConflict => format!("{host} needs another issuer than the other hosts of this Ingress; give it an Ingress of its own"),
        Reason::HostTaken => format!("{host} is already in use elsewhere on this platform; remove it there first"),
        Reason::SecretNameTaken => format!("a Secret named {} exists and is not certgate's; rename or remove it", or(&finding.note, "as certgate needs it")),
        Reason::AnnotationsFull => "the annotations of the Ingress are so large that no more fit (256 KiB); shorten them".to_owned(),
        Reason::NoGatewayAddress => format!("it is not known where the gateway is reached from outside; the cluster's administrator must set `{}`", or(&finding.note, "gateway.addresses")),
        Reason::AwaitingCertificate => format!("the certificate of {host} is being issued and is bound as soon as it is there"),
        Reason::ResolverUnreachable => format!("certgate's DNS resolvers do not answer ({observed}); the cluster's administrator must check `dns.servers` and the cluster's way out"),
        Reason::RateLimited => format!("{host} waits so as not to exceed the CA's limit on {}{}", limit(finding), if finding.note.is_empty() { String::new() } else { format!("; next free place {}", finding.note) }),

        Reason::DomainNotFound if !finding.note.is_empty() => format!("{host} does not exist in DNS, because the domain {} is not registered or has no name servers; its owner must see to that, then add {}", finding.note, record(finding)),
        Reason::DomainNotFound => format!("{host} does not exist in DNS yet; the domain's owner must add {}", record(finding)),
        Reason::NoAddress => format!("{host} exists in DNS but has no address; the domain's owner must add {}", record(finding)),
        Reason::DnsServerFailure => format!("the name servers of {host} fail to answer (SERVFAIL){note_text}; the DNS provider must repair the zone"),
        Reason::DnsRefused => format!("the name servers of {host} refuse to answer{note_text}; check at the DNS provider that the zone exists there"),
        Reason::DnsTimeout => format!("the name servers of {host} do not answer in time{note_text}; the DNS provider must look at them"),
        Reason::DnssecBogus => format!("the DNSSEC signatures of {host} do not validate{note_text}; the DNS provider must sign the zone anew or remove the DS record"),
        Reason::DnsMalformed => format!("the DNS answer for {host} is malformed{note_text}; the DNS provider must look at it"),
        Reason::CnameLoop => format!("the CNAME records of {host} lead in a circle ({observed}); the domain's owner must replace them by {}", record(finding)),
        Reason::CnameDangling => format!("{host} is a CNAME to {}, which does not exist; the domain's owner must correct it or add {}", or(&finding.note, "a name"), record(finding)),
        Reason::CnameTooLong => format!("the CNAME chain of {host} is too long for some resolvers{note_text}; the domain's owner must shorten it"),
        Reason::ReservedAddress if !finding.note.is_empty() => format!("{host} also points to addresses that are not public ({observed}); the CA passes over them and uses {}", finding.note),
        Reason::ReservedAddress => format!("{host} points only to addresses that are not public ({observed}); the domain's owner must add {}", record(finding)),
        Reason::WrongTarget if !finding.note.is_empty() => format!("{host} points to {observed}, which is not this platform, beside {}, which is; the CA and visitors may use either, so the domain's owner must remove the wrong one", finding.note),
        Reason::WrongTarget => format!("{host} points to {observed}, not to this platform; the domain's owner must set {}", record(finding)),
        Reason::WrongIpv6 if finding.required.is_empty() => format!("{host} has an AAAA record to {observed}, which the CA tries first and which is not this platform; the domain's owner must remove it"),
        Reason::WrongIpv6 => format!("{host} has an AAAA record to {observed}, which the CA tries first and which is not this platform; the domain's owner must remove it or set {}", record(finding)),
        Reason::WrongCname => format!("{host} must be a CNAME to {} but is {observed}; the domain's owner must change it", or(first_required, "the platform's name")),
        Reason::ServersDisagree => format!("the name servers of {host} give different answers ({observed}); wait for them to agree or ask the DNS provider"),
        Reason::CaaForbids => format!("the CAA records of {} allow other CAs only ({observed}); the domain's owner must add: {}", or(&finding.note, host), or(first_required, "an issue record for the CA")),
        Reason::CaaUnknownCritical => format!("a critical CAA record of {} is one that the CA does not know ({observed}); the domain's owner must remove it", or(&finding.note, host)),
        Reason::CaaOtherAccount if finding.required.is_empty() => format!("the CAA records of {} allow one ACME account only ({observed}); the cluster's administrator must see that it is the issuer's", or(&finding.note, host)),
        Reason::CaaOtherAccount => format!("the CAA records of {} allow another ACME account only ({observed}); the domain's owner must add: {}", or(&finding.note, host), or(first_required, "a record for this account")),
        Reason::CaaOtherMethod => format!("the CAA records of {} do not allow this way of validation ({observed}); the domain's owner must add: {}", or(&finding.note, host), or(first_required, "a record for this method")),
        Reason::CaaLookupFailed => format!("the CAA records of {} cannot be read{}, which the CA takes for a refusal; the DNS provider must repair the zone", host, note_text),
        Reason::ChallengeCnameBroken => format!("_acme-challenge.{} points where no challenge can be answered ({observed}){}; the domain's owner must correct it", host.trim_start_matches("*."), if finding.note.is_empty() { String::new() } else { format!(", because {} is not registered", finding.note) }),

        Reason::HttpUnreachable => format!("nothing answers at port 80 of {host}{note_text}; check firewall and load balancer"),
        Reason::HttpWrongServer => format!("port 80 of {host} is answered by another server{note_text}; the domain's owner must point it to this platform"),
        Reason::HttpBadRedirect => format!("port 80 of {host} redirects where the CA does not follow{note_text}; remove the redirect for /.well-known/acme-challenge/"),

        Reason::Verified => format!("{host} points to this platform; the CA will be able to validate it"),
        Reason::NoValidationNeeded => format!("the issuer of {host} needs no validation through DNS"),
        Reason::BoundExisting => format!("{host} is served with an existing certificate{note_text}"),
        Reason::Issuing => format!("the certificate of {host} is being issued"),
        Reason::Issued if !finding.note.is_empty() => format!("{host} has its certificate, valid until {}", finding.note),
        Reason::Issued => format!("{host} has its certificate"),
        Reason::RenewalAtRisk => format!("{host} has its certificate, but its renewal would fail{note_text}"),
        Reason::IssuanceFailed => format!("issuing the certificate of {host} failed{note_text}; cert-manager tries again"),
        Reason::CaRateLimited => format!("the CA limits how often certificates are issued, and refused {host} for it{}{}", quoted(finding), if finding.note.is_empty() { String::new() } else { format!("; it takes the next order from {}", finding.note) }),
        Reason::CaUnreachable => format!("the CA cannot be reached for {host}{note_text}; the cluster's administrator must check the cluster's way out"),
        Reason::CaPaused => format!("the CA paused issuance for {host} after many failures; the cluster's administrator must lift the pause{}", if finding.note.is_empty() { String::new() } else { format!(" at {}", finding.note) }),
        Reason::ChallengeFailed => format!("the CA's challenge for {host} was answered by something else{note_text}"),
        Reason::CertificateMissing => format!("the Certificate of {host} is gone although it is wanted; it is being brought back"),
        Reason::ChangesReverted => format!("what certgate adds to Ingress {host} is taken away again and again{}; it is added ever more seldom, until whoever does that leaves spec.tls and certgate's annotations alone, or the annotation certgate.dev/auto-issue: \"false\" says that nothing is wanted", reverters(finding)),
        Reason::RouteWithoutCertificate => format!("automatic issuance is on for a route of {host}, but there is no Certificate; switch it off and on again in the gateway page"),
        Reason::CertificateLeftOver => format!("no route of {host} is left, but the Certificate that Rainbond's switch made{note_text} is, and is renewed for ever; delete it unless it is needed"),
    }
}
