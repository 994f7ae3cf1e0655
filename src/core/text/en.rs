//! English sentences.

use crate::core::{
    finding::{CDN, Finding, is_link},
    host::{Fault, fault},
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
        ("an ALIAS record (also called ANAME or CNAME flattening) to", list(super::Kind::Alias)),
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
        "the CA refused the ACME account of {issuer} because of its rate limits{limit}; {acts} edit the issuer{how}, because cert-manager does not ask again by itself for up to ten hours"
    )
}

fn annotation_refused(finding: &Finding, host: &str) -> String {
    let key = finding.observed.first().map_or("of yours", String::as_str);
    let value = finding.observed.get(1).map_or_else(String::new, |value| format!(": \"{value}\""));
    if finding.note.is_empty() {
        return format!(
            "the annotation {key}{value} needs the issuer on this very Ingress, where it would order for your own TLS entries or names too; remove the annotation, or give {host} an Ingress of its own"
        );
    }
    let remedy = finding.required.first().map_or_else(
        || "correct or remove it".to_owned(),
        |instead| format!("write, for example, \"{instead}\", or remove it"),
    );
    format!(
        "cert-manager refuses the annotation {key}{value} ({}), so {host} gets no certificate; {remedy}",
        finding.note
    )
}

fn or<'a>(text: &'a str, fallback: &'a str) -> &'a str {
    if text.is_empty() { fallback } else { text }
}

fn invalid(host: &str, note_text: &str) -> String {
    let why = match fault(host) {
        Some(Fault::Url) => format!("{host} is an address of a page and not a host; write the host alone"),
        Some(Fault::Port) => format!("{host} has a port; write the host alone"),
        Some(Fault::Blank) => format!("{host} has a space within; write the host alone"),
        Some(Fault::Underscore) => {
            format!("{host} has an underscore, and no CA issues for such a name; choose a host without one")
        }
        Some(Fault::Wildcard) => {
            format!("{host} has a * that is not the whole first label, as in *.example.com; correct the host")
        }
        Some(Fault::EmptyLabel) => format!("{host} has two dots in a row; correct the host"),
        Some(Fault::TooLong) => {
            format!("{host} is longer than DNS allows (253 characters, 63 between two dots); choose a shorter host")
        }
        Some(Fault::EdgeHyphen(label)) => format!(
            "\"{label}\" in {host} begins or ends with a hyphen, which DNS does not allow in a host; correct the host"
        ),
        Some(Fault::Hyphens(label)) => format!(
            "\"{label}\" in {host} has hyphens in places three and four, which CAs refuse unless the label begins with xn--; choose another host"
        ),
        Some(Fault::Punycode(label)) => {
            format!("\"{label}\" in {host} stands for no international name, and CAs refuse it; correct the host")
        }
        Some(Fault::Labels(count)) => format!(
            "{host} has {count} labels, and Let's Encrypt issues for ten at most; choose a host with fewer dots"
        ),
        None => return format!("{host} is not a valid DNS name{note_text}; correct the host in the gateway rule"),
    };
    format!("{why} in the gateway rule")
}

fn not_public(host: &str) -> String {
    let why = match host.rsplit('.').next() {
        Some("arpa") => "lies under .arpa, which serves the network itself",
        Some("onion") => "is a name that Tor alone resolves",
        _ => "is not a public domain name",
    };
    format!("{host} {why}, so no public CA issues for it; bind a registered domain")
}

/// Where CAA records of a CNAME's target stand in the way, what its owner or the host's can do.
fn caa(finding: &Finding, what: &str, remedy: &str) -> String {
    let subject = super::readable(&finding.subject);
    let host = or(&subject, "the host");
    let has = |kind| !super::of_kind(&finding.required, kind).is_empty();
    let addresses = has(super::Kind::V4) || has(super::Kind::V6);
    let instead = if addresses { record(finding) } else { "an address record".to_owned() };
    match super::caa_of_target(finding) {
        Some(owner) => format!(
            "{host} is a CNAME to {owner}, and {what}; no CAA record can stand beside a CNAME, so either the owner of {owner} must {remedy}, or the domain's owner must replace the CNAME by {instead}"
        ),
        None => format!("{what}; the domain's owner must {remedy}"),
    }
}

fn caa_forbids(finding: &Finding) -> String {
    let owner = or(&finding.note, or(&finding.subject, "the host"));
    let observed = seen(finding);
    let wanted = finding.required.first().map_or("an issue record for the CA", String::as_str);
    let what = match super::caa(finding) {
        super::Caa::Nobody => format!("the CAA records of {owner} allow no CA at all to issue ({observed})"),
        super::Caa::Misspelt => {
            format!("a CAA record of {owner} means this CA, but is not written as the CA reads it ({observed})")
        }
        super::Caa::Others => format!("the CAA records of {owner} allow other CAs only ({observed})"),
    };
    let verb = if super::caa(finding) == super::Caa::Misspelt { "write" } else { "add" };
    caa(finding, &what, &format!("{verb}: {wanted}"))
}

/// How a name of the gateway's leads nowhere.
fn broken(finding: &Finding) -> String {
    match finding.observed.first().map(String::as_str) {
        Some("NXDOMAIN") => "does not exist in DNS".to_owned(),
        Some("NODATA") => "has no address".to_owned(),
        Some(words) => format!("cannot be resolved ({words})"),
        None => "leads nowhere".to_owned(),
    }
}

fn not_validating(finding: &Finding) -> String {
    let (bogus, domain) = finding.note.split_once("; ").unwrap_or((&finding.note, ""));
    let answers =
        if bogus.is_empty() { String::new() } else { format!(" (it answers for {bogus}, whose signatures are wrong)") };
    format!(
        "certgate's DNS resolver {} does not validate DNSSEC{answers}, but {} is signed, so it cannot be told whether the CA would accept its answers; the cluster's administrator must name validating resolvers in `dns.servers`",
        or(&finding.observed.join(", "), "in use"),
        or(domain, or(&finding.subject, "the domain"))
    )
}

fn bogus(finding: &Finding, note_text: &str) -> String {
    let subject = or(&finding.subject, "the host");
    let observed = finding.observed.join(", ");
    if !finding.is_about_ds() {
        return format!(
            "the DNSSEC signatures of {subject} do not validate{note_text}; the DNS provider must sign the zone anew"
        );
    }
    if finding.note.is_empty() {
        return format!(
            "{subject} has a DS record at its registrar ({observed}), but its name servers do not sign the zone, so the CA refuses all its answers; the domain's owner must remove the DS record at the registrar, or have the DNS provider sign the zone"
        );
    }
    format!(
        "the DS record of {subject} at its registrar ({observed}) fits none of the zone's keys ({}), so the CA refuses all its answers; the domain's owner must replace it at the registrar by the one that the DNS provider shows, or remove it",
        finding.note
    )
}

pub(super) fn sentence(finding: &Finding) -> String {
    let subject = super::readable(&finding.subject);
    let host = or(&subject, "the host");
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
        Reason::HostInvalid => invalid(host, &note_text),
        Reason::DomainMisnamed => format!("this Domain has no effect, because its name does not match its host {host}; delete it and create it under the name {}", or(first_required, "that its host gives")),
        Reason::HostIsIpAddress => format!("{host} is an IP address; bind a domain name to get a certificate"),
        Reason::NotPublicName => not_public(host),
        Reason::IsPublicSuffix => format!("{host} is a public suffix, for which no CA issues; bind a name below it"),
        Reason::PlatformDomain => format!("{host} is one of the platform's own default domains, which do not get certificates of their own"),
        Reason::UserTls => format!("{host} already has a TLS entry of yours, which stays as it is"),
        Reason::TlsWithoutSecret => format!("the TLS entry of {host} names no Secret, so the gateway serves its default certificate; remove the entry, so that certgate adds one with a certificate, or name a Secret"),
        Reason::TlsSecretMissing => format!("the TLS entry of {host} names the Secret {}, which does not exist; create it, or remove the entry, so that certgate adds one with a certificate", or(&finding.note, "of yours")),
        Reason::TlsSecretOfOtherHost => format!("the TLS entry of {host} names the Secret {}, which holds the certificate of another host; name the right one, or remove the entry, so that certgate adds one with a certificate", or(&finding.note, "of yours")),
        Reason::IssuerAnnotationEmpty => format!("the annotation {} of the Ingress is empty, so cert-manager makes no certificate; write the name of an issuer, or remove the annotation", or(&finding.note, "that names the issuer")),
        Reason::UserIssuerConflict if !finding.note.is_empty() => format!("cert-manager refuses cert-manager.io/cluster-issuer beside {}; write the issuer's name in cert-manager.io/issuer instead, or remove {}", finding.note, finding.note),
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
        Reason::IssuerMissing => format!("the issuer {} does not exist; the cluster's administrator must create it", or(&finding.note, "that the policy names")),
        Reason::IssuerNotReady => format!("the issuer is not ready{note_text}; the cluster's administrator must look at it"),
        Reason::AccountRateLimited => account_rate_limited(finding),
        Reason::NoSolver => format!("the issuer has no solver for {host}{note_text}; the cluster's administrator must add one"),
        Reason::IssuerConflict => format!("{host} needs another issuer than the other hosts of this Ingress; give it an Ingress of its own"),
        Reason::HostTaken if host.starts_with("*.") => format!("{host} covers a name, or is one, that is already in use elsewhere on this platform; remove it there first"),
        Reason::HostTaken => format!("{host} is already in use elsewhere on this platform; remove it there first"),
        Reason::SecretNameTaken => format!("the Secret {} exists and was not made by certgate; rename or remove it", or(&finding.note, "whose name certgate needs")),
        Reason::RequestUnreadable => format!("the certificate request cannot be checked{note_text}; delete it and have it made anew, by cert-manager or as one plain PEM block"),
        Reason::CompanionNameTaken => format!("an Ingress named {} exists and is not certgate's, which needs that name for {host}; rename or remove it", or(&finding.note, "as certgate needs it")),
        Reason::AnnotationsFull => "the Ingress' annotations are close to the limit of 256 KiB, so certgate cannot add any; shorten them".to_owned(),
        Reason::IngressFull => "the Ingress is so large that with one more TLS entry it could not be stored (1.5 MiB); spread its hosts over several".to_owned(),
        Reason::AnnotationRefused => annotation_refused(finding, host),
        Reason::CommonNameConflict => format!("the annotation cert-manager.io/common-name names {observed}, and the CA refuses a certificate for {host} under another name; remove the annotation, or give {host} an Ingress of its own"),
        Reason::ExtraNames => format!("the annotation {} would add names to the certificate of {host} that nobody has checked; write them as hosts in the rules, and remove the annotation", finding.observed.first().map_or("cert-manager.io/alt-names", String::as_str)),
        Reason::IngressRefused => format!("cert-manager refuses the TLS entries of this Ingress{note_text}; merge those that name the same Secret or none, or give each a Secret of its own"),
        Reason::SolverNeedsLabel => format!("the issuer has a solver for {host}, but only for Ingresses with the label {}; add it to the Ingress", or(&finding.note, "that it asks for")),
        Reason::ObjectUnreadable if finding.note.is_empty() => format!("an object that {host} depends on cannot be read by this version of certgate, so everything stays as it is; the cluster's administrator must look at it (`certgate doctor` names it)"),
        Reason::ObjectUnreadable => format!("{host} cannot be read by this version of certgate{note_text}, so what depends on it stays as it is; the cluster's administrator must look at it"),
        Reason::NoGatewayAddress => format!("the gateway's public address is not known; the cluster's administrator must set `{}`", or(&finding.note, "gateway.addresses")),
        Reason::AwaitingCertificate => format!("the certificate of {host} is being issued and will be bound as soon as it is ready"),
        Reason::GatewayNameBroken => format!("the platform's own name {} {}, so {host} cannot be verified; the cluster's administrator must repair its DNS record, or correct `gateway.cnames`", or(&finding.note, "in `gateway.cnames`"), broken(finding)),
        Reason::GatewayNotPublic => format!("the gateway is known by private addresses alone ({observed}{}), to which no public CA connects, so {host} cannot be validated; the cluster's administrator must set `gateway.addresses` to the public ones", if finding.note.is_empty() { String::new() } else { format!(", of {}", finding.note) }),
        Reason::ResolverUnreachable => format!("certgate's DNS resolvers do not answer ({observed}); the cluster's administrator must check `dns.servers` and whether the cluster can reach the internet"),
        Reason::ResolverRefuses => format!("certgate's DNS resolver {} refuses to answer for {host}{note_text}; the cluster's administrator must have it answer certgate, or name another in `dns.servers`", finding.observed.join(", ")).replace("  ", " "),
        Reason::ResolverFaulty if finding.note == "NXDOMAIN" => format!("certgate's DNS resolver says that no name exists, not even com ({observed}), so nothing can be told of {host}; the cluster's administrator must check `dns.servers`"),
        Reason::ResolverFaulty => format!("certgate's DNS resolver fails for every name ({observed}){note_text}, so nothing can be told of {host}; the cluster's administrator must check `dns.servers` and the resolver's way out"),
        Reason::ResolverNotValidating => not_validating(finding),
        Reason::RegistryFailure => format!("the registry's zone above {host} cannot be read{note_text}, which the CA takes for a refusal; neither the domain's owner nor its DNS provider can change that: if it lasts, the cluster's administrator must check the resolvers in `dns.servers`"),
        Reason::RateLimited => format!("{host} waits so as not to exceed the CA's limit on {}{}", limit(finding), if finding.note.is_empty() { String::new() } else { format!("; next free place {}", finding.note) }),

        Reason::DomainNotFound if !finding.note.is_empty() => format!("{host} does not exist in DNS, because the domain {} is not registered or has no name servers; its owner must fix that, then add {}", finding.note, record(finding)),
        Reason::DomainNotFound => format!("{host} does not exist in DNS yet; the domain's owner must add {}", record(finding)),
        Reason::NoAddress => format!("{host} exists in DNS but has no address; the domain's owner must add {}", record(finding)),
        Reason::DnsServerFailure => format!("the name servers of {host} fail to answer (SERVFAIL){note_text}; the DNS provider must fix the zone"),
        Reason::DnsRefused => format!("the name servers of {host} refuse to answer{note_text}; check with the DNS provider that the zone exists there"),
        Reason::DnsTimeout => format!("the name servers of {host} do not answer in time{note_text}; the DNS provider must look at them"),
        Reason::LameDelegation => format!("{host} is delegated to name servers that do not have it ({observed}); the domain's owner must create the zone at their DNS provider, or correct the name servers at the registrar"),
        Reason::CnameTargetFailure => format!("{host} is a CNAME to {observed}, for which name servers fail{note_text}; whoever runs that zone must repair it, or the domain's owner must point {host} elsewhere"),
        Reason::DnssecBogus => bogus(finding, &note_text),
        Reason::DnsMalformed => format!("the DNS answer for {host} is malformed{note_text}; the DNS provider must look at it"),
        Reason::CnameLoop => format!("the CNAME records of {host} form a loop ({observed}); the domain's owner must replace them with {}", record(finding)),
        Reason::CnameDangling => format!("{host} is a CNAME to {}, which does not exist; the domain's owner must correct it or add {}", or(&finding.note, "a name"), record(finding)),
        Reason::CnameTooLong => format!("the CNAME chain of {host} is too long for some resolvers{note_text}; the domain's owner must shorten it"),
        Reason::ReservedAddress if !finding.note.is_empty() => format!("{host} also points to addresses that are not public ({observed}); the CA ignores them and uses {}", finding.note),
        Reason::ReservedAddress => format!("{host} points only to addresses that are not public ({observed}); the domain's owner must add {}", record(finding)),
        Reason::WrongTarget | Reason::WrongCname if finding.note.starts_with(CDN) => {
            let network = finding.note.strip_prefix(CDN).unwrap_or_default();
            format!("{host} points to a content delivery network ({network}: {observed}); if the network fetches from this platform, the cluster's administrator can let any public address count (`gateway.target: any-public`), or else the domain's owner must switch the network's proxy off for {host} and set {}", record(finding))
        }
        Reason::WrongTarget if !finding.note.is_empty() => format!("besides {}, which is this platform, {host} also points to {observed}, which is not; the CA and visitors may use either, so the domain's owner must remove the wrong one", finding.note),
        Reason::WrongTarget => format!("{host} points to {observed}, not to this platform; the domain's owner must set {}", record(finding)),
        Reason::WrongIpv6 if finding.required.is_empty() => format!("{host} has an AAAA record to {observed}, which the CA tries first and which is not this platform; the domain's owner must remove it"),
        Reason::WrongIpv6 => format!("{host} has an AAAA record to {observed}, which the CA tries first and which is not this platform; the domain's owner must remove it or set {}", record(finding)),
        Reason::WrongCname => format!("{host} should lead to {} but is {observed}; the domain's owner must set {}", super::of_kind(&finding.required, super::Kind::Name).into_iter().chain(super::of_kind(&finding.required, super::Kind::Alias)).next().unwrap_or("the platform's name"), record(finding)),
        Reason::ServersDisagree => format!("the name servers of {host} give different answers ({observed}); wait for them to agree or ask the DNS provider"),
        Reason::CaaForbids => caa_forbids(finding),
        Reason::CaaUnknownCritical => caa(finding, &format!("a critical CAA record of {} is one that the CA does not know ({observed})", or(&finding.note, host)), "remove it"),
        Reason::CaaOtherAccount if finding.required.is_empty() => format!("the CAA records of {} allow one ACME account only ({observed}); the cluster's administrator must make sure that it is the issuer's", or(&finding.note, host)),
        Reason::CaaOtherAccount => caa(finding, &format!("the CAA records of {} allow another ACME account only ({observed})", or(&finding.note, host)), &format!("add: {}", or(first_required, "a record for this account"))),
        Reason::CaaOtherMethod => caa(finding, &format!("the CAA records of {} do not allow this validation method ({observed})", or(&finding.note, host)), &format!("add: {}", or(first_required, "a record for this method"))),
        Reason::CaaLookupFailed => format!("the CAA records of {} cannot be read{}, which the CA treats as a refusal; the DNS provider must fix the zone", host, note_text),
        Reason::ChallengeCnameBroken => format!("_acme-challenge.{} points where no challenge can be answered ({observed}){}; the domain's owner must correct it", host.trim_start_matches("*."), if finding.note.is_empty() { String::new() } else { format!(", because {} is not registered", finding.note) }),

        Reason::HttpUnreachable => format!("nothing answers on port 80 of {host}{note_text}; check the firewall and the load balancer"),
        Reason::HttpWrongServer => format!("port 80 of {host} is answered by another server{note_text}; the domain's owner must point it to this platform"),
        Reason::HttpBlocked => format!("port 80 of {host} is answered by a filter of the network or cloud, and not by this platform{note_text}, so the CA would be refused too; in mainland China that happens to domains without an ICP licence (未备案), and the domain's owner must have it licensed with the cloud that hosts this platform, or validate by DNS-01"),
        Reason::HttpBadRedirect => format!("the redirect at port 80 of {host} leads the CA nowhere{note_text}; repair what it leads to, or remove the redirect for /.well-known/acme-challenge/"),

        Reason::Verified => format!("{host} points to this platform; the CA will be able to validate it"),
        Reason::NoValidationNeeded => format!("the issuer of {host} does not need DNS to validate it"),
        Reason::BoundExisting => format!("{host} is served with an existing certificate{note_text}"),
        Reason::Issuing => format!("the certificate of {host} is being issued"),
        Reason::Issued if !finding.note.is_empty() => format!("{host} has its certificate, valid until {}", finding.note),
        Reason::Issued => format!("{host} has its certificate"),
        Reason::RenewalAtRisk => format!("{host} has its certificate, but its renewal would fail{note_text}"),
        Reason::IssuanceFailed => format!("issuing the certificate of {host} failed{note_text}; cert-manager will try again"),
        Reason::CaRateLimited => format!("the CA's rate limit refused {host}{}{}", quoted(finding), if finding.note.is_empty() { String::new() } else { format!("; it accepts the next order from {}", finding.note) }),
        Reason::CaUnreachable => format!("the CA cannot be reached for {host}{note_text}; the cluster's administrator must check whether the cluster can reach the internet"),
        Reason::CaPaused => format!("the CA paused issuance for {host} after many failures; the cluster's administrator must lift the pause{}", if finding.note.is_empty() { String::new() } else { format!(" at {}", finding.note) }),
        Reason::ChallengeFailed => format!("something else answered the CA's challenge for {host}{note_text}"),
        Reason::CertificateMissing => format!("the Certificate of {host} is missing although it is wanted; certgate is restoring it"),
        Reason::ChangesReverted => format!("what certgate adds to Ingress {host} is taken away again and again{}; it is added ever more seldom, until whoever does that leaves spec.tls and certgate's annotations alone, or the annotation certgate.dev/auto-issue: \"false\" says that nothing is wanted", reverters(finding)),
        Reason::RouteWithoutCertificate => format!("automatic issuance is on for a route of {host}, but there is no Certificate; switch it off and on again in the gateway page"),
        Reason::CertificateLeftOver => format!("the Certificate that Rainbond's switch made for {host}{note_text} outlived the last route of {host} and keeps being renewed; delete it if it is no longer needed"),
    }
}
