//! [`Reason`]: the one vocabulary in which certgate says why, shared by
//! decisions, pre-flight verdicts, Domain conditions, Events, metrics and the CLI.

use serde::{Deserialize, Serialize};

/// Who must act before things go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhoActs {
    /// Nobody: all is well, or certgate itself is at work.
    Nobody,
    /// Whoever can edit the domain's DNS records.
    DomainOwner,
    /// Whoever runs the domain's name servers.
    DnsHost,
    /// Whoever made the Ingress.
    AppDeveloper,
    /// Whoever administers the cluster and certgate's policy.
    ClusterAdmin,
    /// The certificate authority.
    Ca,
}

/// What to do with one host of an Ingress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Our TLS entry, and on the lead the issuer annotation, belong on the Ingress.
    Inject,
    /// Wanted, but not yet: the CA could not validate the host, or that is not known.
    Hold,
    /// None of certgate's business.
    Skip,
    /// Our parts are on the Ingress and no longer belong there.
    Withdraw,
}

impl Action {
    /// The word used in output and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inject => "inject",
            Self::Hold => "hold",
            Self::Skip => "skip",
            Self::Withdraw => "withdraw",
        }
    }
}

impl WhoActs {
    /// The word used in status, output and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::DomainOwner => "domain-owner",
            Self::DnsHost => "dns-host",
            Self::AppDeveloper => "app-developer",
            Self::ClusterAdmin => "cluster-admin",
            Self::Ca => "ca",
        }
    }
}

/// Declares the enum once, with who acts and what the reason does to a flagged host.
macro_rules! reasons {
    ($( $(#[doc = $doc:literal])* $name:ident : $who:ident, $action:ident; )*) => {
        /// Why a host is where it is. Stable, bounded, CamelCase: fit for
        /// `condition.reason` (Kubernetes API conventions) and metric labels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason { $( $(#[doc = $doc])* $name, )* }

        impl Reason {
            /// Every reason, in declaration order.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )* ];

            /// The reason's name as it appears in status and output.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$name => stringify!($name), )* }
            }

            /// What the reason says of a host, for the documentation.
            pub const fn meaning(self) -> &'static str {
                match self { $( Self::$name => concat!($($doc),*).trim_ascii(), )* }
            }

            /// Who must act.
            pub const fn who_acts(self) -> WhoActs {
                match self { $( Self::$name => WhoActs::$who, )* }
            }

            /// What a host in this state gets, where nothing was injected before.
            pub const fn action(self) -> Action {
                match self { $( Self::$name => Action::$action, )* }
            }

            /// The reason of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $( stringify!($name) => Some(Self::$name), )* _ => None }
            }
        }
    };
}

reasons! {
    // --- Not certgate's business -------------------------------------------------
    /// No flag speaks for the host.
    NotFlagged: Nobody, Skip;
    /// A flag says "false".
    SwitchedOff: Nobody, Skip;
    /// The flag annotation or label holds neither true nor false.
    FlagUnreadable: AppDeveloper, Skip;
    /// The host is no longer in the Ingress' rules.
    HostRemoved: Nobody, Skip;
    /// The rule names no host.
    NoHost: Nobody, Skip;
    /// The text is no DNS name.
    HostInvalid: AppDeveloper, Skip;
    /// The Domain is not named by its host, so that it would be a second one for it.
    DomainMisnamed: AppDeveloper, Skip;
    /// The host is an IP address.
    HostIsIpAddress: AppDeveloper, Skip;
    /// No public CA issues below this suffix.
    NotPublicName: AppDeveloper, Skip;
    /// The host is itself a public suffix.
    IsPublicSuffix: AppDeveloper, Skip;
    /// The host lies under one of the platform's own default-domain suffixes.
    PlatformDomain: Nobody, Skip;
    /// The host has a TLS entry of the user's.
    UserTls: Nobody, Skip;
    /// The host's TLS entry is the user's and names no Secret, so that the gateway serves its default certificate.
    TlsWithoutSecret: AppDeveloper, Skip;
    /// The host's TLS entry is the user's, and the Secret that it names does not exist.
    TlsSecretMissing: AppDeveloper, Skip;
    /// The host's TLS entry is the user's, and the Secret that it names holds a certificate for other hosts.
    TlsSecretOfOtherHost: AppDeveloper, Skip;
    /// The user's issuer annotations contradict each other.
    UserIssuerConflict: AppDeveloper, Skip;
    /// The user's issuer annotation is empty, which cert-manager refuses.
    IssuerAnnotationEmpty: AppDeveloper, Skip;
    /// A TCP (layer 4) rule of Rainbond 5.
    TcpIngress: Nobody, Skip;
    /// An Ingress of the platform's own operator.
    PlatformIngress: Nobody, Skip;
    /// An Ingress that cert-manager made to answer a challenge.
    SolverIngress: Nobody, Skip;
    /// An Ingress that certgate itself made.
    CompanionIngress: Nobody, Skip;
    /// The namespace is certgate's own, kube-system, or excluded by policy.
    NamespaceExcluded: Nobody, Skip;
    /// The object is being deleted.
    BeingDeleted: Nobody, Skip;
    /// A wildcard, and the issuer has no DNS-01 solver for it.
    WildcardNeedsDns01: ClusterAdmin, Skip;
    /// Several hosts in one Ingress of Rainbond 5, whose gateway serves one certificate an Ingress.
    OneHostPerIngress: AppDeveloper, Skip;
    /// Rainbond 5's gateway cuts the first `tls` out of a server name, so no challenge for the host is answered.
    GatewayManglesHost: AppDeveloper, Skip;

    // --- Held: certgate or the cluster is not ready ------------------------------
    /// Not checked yet.
    Pending: Nobody, Hold;
    /// The verdict is older than its validity and is being renewed.
    VerdictStale: Nobody, Hold;
    /// Policy names no issuer.
    IssuerUnset: ClusterAdmin, Hold;
    /// The issuer does not exist.
    IssuerMissing: ClusterAdmin, Hold;
    /// The issuer is not Ready.
    IssuerNotReady: ClusterAdmin, Hold;
    /// The CA refused the issuer's ACME account for its limits.
    AccountRateLimited: ClusterAdmin, Hold;
    /// The issuer has no solver that fits the host.
    NoSolver: ClusterAdmin, Hold;
    /// Other hosts of the Ingress need another issuer; an Ingress can name only one.
    IssuerConflict: AppDeveloper, Hold;
    /// Another namespace claimed the host first, or a name that covers it or that it covers.
    HostTaken: AppDeveloper, Hold;
    /// A Secret of the intended name exists and is not certgate's.
    SecretNameTaken: AppDeveloper, Hold;
    /// A certificate request cannot be read, or not by everybody in the same way.
    RequestUnreadable: AppDeveloper, Hold;
    /// An Ingress has the name that certgate's own for the host needs, and is not certgate's.
    CompanionNameTaken: AppDeveloper, Hold;
    /// The Ingress' annotations are so large that ours would exceed Kubernetes' bound.
    AnnotationsFull: AppDeveloper, Hold;
    /// An object that the host hangs on is there and cannot be read: by another version's hand, or broken.
    ObjectUnreadable: ClusterAdmin, Hold;
    /// The Ingress is so large that with one more TLS entry it could not be stored.
    IngressFull: AppDeveloper, Hold;
    /// cert-manager refuses an annotation of the user's that says how the certificate is to be.
    AnnotationRefused: AppDeveloper, Hold;
    /// The user's `cert-manager.io/common-name` is not the host, and an ACME CA refuses such an order.
    CommonNameConflict: AppDeveloper, Hold;
    /// An annotation beside the user's issuer would put names into the certificate that nobody checked.
    ExtraNames: AppDeveloper, Hold;
    /// cert-manager refuses the TLS entries of the Ingress, on which the user has named an issuer.
    IngressRefused: AppDeveloper, Hold;
    /// The issuer has a solver for the host, but only for Certificates with labels that this one lacks.
    SolverNeedsLabel: AppDeveloper, Hold;
    /// It is not known where the gateway is reached from outside.
    NoGatewayAddress: ClusterAdmin, Hold;
    /// The certificate is being issued apart from the Ingress, and bound when it is there.
    AwaitingCertificate: Nobody, Hold;
    /// A name of the gateway's own does not exist, or has no address.
    GatewayNameBroken: ClusterAdmin, Hold;
    /// All that is known of where the gateway is reached are private addresses.
    GatewayNotPublic: ClusterAdmin, Hold;
    /// No recursive resolver answers anything.
    ResolverUnreachable: ClusterAdmin, Hold;
    /// The recursive resolver refuses to answer certgate, altogether or for this host.
    ResolverRefuses: ClusterAdmin, Hold;
    /// The recursive resolver fails for every name, or denies every name, `com` included.
    ResolverFaulty: ClusterAdmin, Hold;
    /// The recursive resolver does not validate DNSSEC, and the host's domain is signed: the CA refuses what does not validate.
    ResolverNotValidating: ClusterAdmin, Hold;
    /// The zone of a registry (`com`, `co.uk`) cannot be read, which the CA takes for a refusal.
    RegistryFailure: ClusterAdmin, Hold;
    /// A CA limit is used up; there is a time when a place gets free.
    RateLimited: Nobody, Hold;

    // --- Held: DNS ---------------------------------------------------------------
    /// NXDOMAIN.
    DomainNotFound: DomainOwner, Hold;
    /// The name exists, without A and AAAA records.
    NoAddress: DomainOwner, Hold;
    /// SERVFAIL.
    DnsServerFailure: DnsHost, Hold;
    /// REFUSED, or another answer code that is no answer.
    DnsRefused: DnsHost, Hold;
    /// No answer in time.
    DnsTimeout: DnsHost, Hold;
    /// The domain is delegated to name servers that do not have its zone, or do not exist.
    LameDelegation: DomainOwner, Hold;
    /// The host is a CNAME to a name of another domain, for which name servers fail.
    CnameTargetFailure: DomainOwner, Hold;
    /// DNSSEC validation failed. Where a DS record at the registrar is at fault, the domain's owner acts.
    DnssecBogus: DnsHost, Hold;
    /// The answer was malformed or beyond bounds.
    DnsMalformed: DnsHost, Hold;
    /// A CNAME chain that returns to itself.
    CnameLoop: DomainOwner, Hold;
    /// A CNAME whose target does not exist.
    CnameDangling: DomainOwner, Hold;
    /// A CNAME chain longer than resolvers follow.
    CnameTooLong: DomainOwner, Hold;
    /// All addresses are reserved ones, which the CA never connects to.
    ReservedAddress: DomainOwner, Hold;
    /// The addresses are not the gateway's.
    WrongTarget: DomainOwner, Hold;
    /// A is right, but the CA tries AAAA first and that is not the gateway's.
    WrongIpv6: DomainOwner, Hold;
    /// The CNAME is not the one that policy asks for.
    WrongCname: DomainOwner, Hold;
    /// Servers of one zone give different answers.
    ServersDisagree: DnsHost, Hold;
    /// CAA names other CAs only.
    CaaForbids: DomainOwner, Hold;
    /// CAA has a critical property that the CA does not know.
    CaaUnknownCritical: DomainOwner, Hold;
    /// CAA is bound to another ACME account.
    CaaOtherAccount: DomainOwner, Hold;
    /// CAA does not allow the challenge method.
    CaaOtherMethod: DomainOwner, Hold;
    /// The CAA look-up failed, which the CA takes for a refusal.
    CaaLookupFailed: DnsHost, Hold;
    /// `_acme-challenge` cannot be solved where it points.
    ChallengeCnameBroken: DomainOwner, Hold;

    // --- Held only if policy says so: HTTP reach ----------------------------------
    /// Nothing answers on port 80.
    HttpUnreachable: ClusterAdmin, Hold;
    /// Something else answers on port 80.
    HttpWrongServer: DomainOwner, Hold;
    /// A filter of the network or cloud answers on port 80 in the gateway's place, as for domains without ICP licence.
    HttpBlocked: DomainOwner, Hold;
    /// The redirects are ones that the CA does not follow, or lead where nothing answers.
    HttpBadRedirect: DomainOwner, Hold;

    // --- Ready and after -----------------------------------------------------------
    /// The CA will be able to validate the host.
    Verified: Nobody, Inject;
    /// The issuer needs no validation of the domain.
    NoValidationNeeded: Nobody, Inject;
    /// An existing certificate covers the host and is bound.
    BoundExisting: Nobody, Inject;
    /// Our parts are in place and the certificate is being issued.
    Issuing: Nobody, Inject;
    /// The certificate is in place.
    Issued: Nobody, Inject;
    /// The certificate is in place, but the next renewal would fail.
    RenewalAtRisk: DomainOwner, Inject;
    /// Issuance failed at the CA; cert-manager tries again.
    IssuanceFailed: ClusterAdmin, Inject;
    /// The CA refused for its limits.
    CaRateLimited: Ca, Inject;
    /// The CA cannot be reached.
    CaUnreachable: ClusterAdmin, Inject;
    /// The CA paused the account for this host.
    CaPaused: ClusterAdmin, Inject;
    /// Something else answered the challenge.
    ChallengeFailed: DomainOwner, Inject;
    /// The Certificate is not there although wanted; it is being brought back.
    CertificateMissing: Nobody, Inject;
    /// Somebody takes away again and again what certgate adds to the Ingress.
    ChangesReverted: AppDeveloper, Inject;
    /// Rainbond's switch is on for a route of the host, but there is no Certificate.
    RouteWithoutCertificate: AppDeveloper, Inject;
    /// Rainbond's switch made the Certificate, and no route of the host is left.
    CertificateLeftOver: AppDeveloper, Inject;
}

impl Reason {
    /// Whether the host has a TLS entry of the user's, in whatever state.
    pub const fn is_user_tls(self) -> bool {
        matches!(self, Self::UserTls | Self::TlsWithoutSecret | Self::TlsSecretMissing | Self::TlsSecretOfOtherHost)
    }

    /// Whether a host with this reason passes the gate for a first injection.
    pub const fn opens_gate(self) -> bool {
        matches!(self.action(), Action::Inject)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.as_str()), Some(*reason));
        }
        let names: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }

    #[test]
    fn every_held_reason_says_who_acts_or_that_certgate_does() {
        for reason in Reason::ALL {
            if reason.who_acts() == WhoActs::Nobody && reason.action() == Action::Hold {
                assert!(
                    matches!(
                        reason,
                        Reason::Pending | Reason::VerdictStale | Reason::AwaitingCertificate | Reason::RateLimited
                    ),
                    "{reason} waits on nobody"
                );
            }
        }
    }
}
