//! What the controller does about a host, an Ingress or a namespace: pure
//! planners from what is seen to what is to be written. Level-triggered: each
//! plan starts from the present state alone, so a lost event, a restart or a
//! failed write costs time and nothing else.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{
    certified::Certified,
    finding::Finding,
    host::Host,
    issuance::Attempt,
    limits::{Place, Spent},
    policy::{Issuance, IssuerRef, Profile},
    reason::Reason,
    verdict::{CaIdentity, GatewayTarget, Method, Request, Verdict},
};
use crate::api::domain::DomainStatus;

pub mod certificate;
pub mod check;
pub mod checked;
pub mod claim;
pub mod companion;
pub mod contest;
pub mod gate;
pub mod host;
pub mod ingress;
pub mod kept;
pub mod lead;
pub mod limit;
pub mod matching;
pub mod others;
pub mod released;
pub mod request;
pub mod rivals;
pub mod status;
pub mod switch;
pub mod twin;
pub mod verified;

/// All that is seen of one host in one namespace.
pub struct HostInput<'a> {
    /// The host.
    pub host: &'a Host,
    /// The time of the plan.
    pub now: Timestamp,
    /// The namespace's Ingresses that name the host or carry our parts for it, oldest first.
    pub claims: &'a [Claim<'a>],
    /// The Domain, where there is one.
    pub domain: Option<DomainView<'a>>,
    /// What is there of the host's surroundings and cannot be read.
    pub unknown: Unknown,
    /// Another namespace holds the host, or a name that covers it or that it covers.
    pub taken: bool,
    /// Since when the namespace has claimed the host; `None`: it does not.
    pub claimed: Option<Timestamp>,
    /// For how long it keeps a host that nothing wants any more.
    pub kept_for: SignedDuration,
    /// The Certificate of the name that ingress-shim gives ours.
    pub certificate: Option<CertificateView<'a>>,
    /// Its owner is an Ingress that does not name the host, and asks for it all the same by a TLS entry.
    pub asked_elsewhere: bool,
    /// Other Certificates of the namespace.
    pub others: &'a [CertificateView<'a>],
    /// The Secret of that same name.
    pub secret: Option<SecretView<'a>>,
    /// Somebody takes away what is written to the lead.
    pub contested: Option<&'a Finding>,
    /// The host's issuer, as the terms of its lead name it.
    pub issuer: IssuerView,
    /// Labels of the lead that the issuer chooses its solvers by; a companion has them too.
    pub labels: BTreeMap<String, String>,
    /// Where the host must lead.
    pub gateway: &'a GatewayTarget,
    /// The companion Ingress, where there is one.
    pub companion: Option<&'a companion::Companion>,
    /// The ACME directory that the issuer names, empty where it is no ACME one; `None`: there is no issuer.
    pub server: Option<String>,
    /// An Ingress that is not certgate's has the companion's name.
    pub name_taken: bool,
    /// What the approval gate wants to know of the host.
    pub gated: Option<checked::Gated<'a>>,
    /// The other issuers that Certificates for the host wait for.
    pub other_issuers: Vec<OtherIssuer>,
    /// What CAs are known to have certified for the host.
    pub certified: Vec<Certified>,
    /// How it stands with Rainbond's switch, where policy heeds that.
    pub switch: Option<switch::Switch<'a>>,
    /// A CertificateRequest waits for the verdict.
    pub requested: bool,
    /// The issuer's CA has limits that are known.
    pub limited: bool,
    /// What is under way.
    pub checks: &'a Checks,
    /// What the last plan left to remember.
    pub notes: &'a Notes,
}

/// What of a host's surroundings is there, cannot be read, and was never known. It is not taken for absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// All that there is is known.
    #[default]
    Nothing,
    /// Who wants the host: an Ingress or route of its namespace. What nobody seems to want stays.
    Wishes,
    /// What was done for the host: its Domain, its lead, its Certificate or Secret, or its namespace. All stays as it is.
    All,
}

/// An Ingress as far as one host is concerned.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// When it was created.
    pub created: Timestamp,
    /// Whether it wants a certificate for the host.
    pub want: Want,
    /// The Secret of a TLS entry for the host that is ours, or looks like it.
    pub bears: Option<&'a str>,
    /// Whether any TLS entry names the host's Secret.
    pub refers: bool,
    /// Whether it names an issuer, so that ingress-shim acts on it.
    pub annotated: bool,
    /// Whether it has the path `/`, which covers all others.
    pub root: bool,
    /// The value of `certgate.dev/check-now`.
    pub check_now: Option<&'a str>,
}

/// Whether an Ingress wants a certificate for a host.
#[derive(Clone, Debug, PartialEq)]
pub enum Want {
    /// It does, on these terms.
    Yes(Terms),
    /// It does not, or cannot have one.
    No(Finding),
}

/// On which terms a certificate is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// Who issues it; `None`: nothing names an issuer.
    pub issuer: Option<IssuerRef>,
    /// The kind of gateway.
    pub profile: Profile,
    /// How it is ordered and bound.
    pub issuance: Issuance,
    /// What on the Ingress keeps the certificate from being ordered in either way.
    pub refused: Option<Finding>,
    /// cert-manager's annotations that a companion carries: what is asked of the certificate.
    pub wishes: Arc<BTreeMap<String, String>>,
}

/// A Domain.
#[derive(Clone, Copy, Debug)]
pub struct DomainView<'a> {
    /// `metadata.generation`.
    pub generation: i64,
    /// Made by the controller and never edited, so that it may go with its last Ingress.
    pub managed: bool,
    /// Whether deletion has begun.
    pub deleting: bool,
    /// The value of `certgate.dev/check-now`.
    pub check_now: Option<&'a str>,
    /// `status`.
    pub status: &'a DomainStatus,
}

/// A Certificate of cert-manager's.
#[derive(Clone, Copy, Debug, Default)]
pub struct CertificateView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
    /// Where it is kept.
    pub secret_name: &'a str,
    /// Its names as written.
    pub dns_names: &'a [String],
    /// Who controls it.
    pub owner: Owner<'a>,
    /// Condition `Ready`.
    pub ready: bool,
    /// Condition `Issuing`.
    pub issuing: bool,
    /// What `Issuing` says after a failure.
    pub failure: Option<&'a str>,
    /// The latest attempt to issue it.
    pub attempt: Attempt<'a>,
    /// When it begins.
    pub not_before: Option<Timestamp>,
    /// When it ends.
    pub not_after: Option<Timestamp>,
    /// When it is due to be renewed.
    pub renewal_time: Option<Timestamp>,
    /// Its Secret, where that exists.
    pub secret: Option<SecretView<'a>>,
}

/// An issuer that a Certificate for the host names beside the one that the host is kept for.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherIssuer {
    /// Which.
    pub issuer: IssuerRef,
    /// What it means for the host.
    pub view: IssuerView,
    /// The ACME directory that it names, as [`HostInput::server`].
    pub server: Option<String>,
}

/// Who controls a Certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner<'a> {
    /// Nobody: a person or GitOps wrote it.
    #[default]
    Nobody,
    /// An Ingress: ingress-shim made it.
    Ingress {
        /// The Ingress' uid.
        uid: &'a str,
        /// Whether that very Ingress still exists.
        exists: bool,
    },
    /// Some other object.
    Other,
}

/// A Secret, by metadata alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecretView<'a> {
    /// Changes with every write to the Secret.
    pub version: &'a str,
    /// The Certificate that cert-manager keeps in it.
    pub certificate: Option<&'a str>,
    /// Whether Rainbond 5's gateway sees it (label `creator=Rainbond`).
    pub rainbond: bool,
}

/// What is known of an issuer with respect to one host.
#[derive(Clone, Debug, PartialEq)]
pub enum IssuerView {
    /// No such object; the text is its name.
    Missing(String),
    /// It is not Ready, for this reason.
    NotReady(String),
    /// It is not Ready, because the CA refused its account for its limits.
    AccountRefused {
        /// Who must do what about it.
        finding: Finding,
        /// From when on the CA takes it, where it says so.
        until: Option<Timestamp>,
    },
    /// It validates nothing through DNS.
    NoValidation,
    /// It is an ACME one without a solver for the host; the reason says which.
    NoSolver(Reason, String),
    /// It will validate the host in this way.
    Acme {
        /// By this challenge.
        method: Method,
        /// As this CA.
        ca: CaIdentity,
    },
}

/// What pre-flight does for a host. Lives as long as the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checks {
    /// The check under way.
    pub running: Option<Asked>,
    /// A verdict that no status has yet.
    pub fresh: Option<Fresh>,
    /// An Ingress of the host was edited since the last check began.
    pub edited: bool,
    /// Its place within the CA's limits.
    pub place: Place,
    /// What its Domain is to remember of its orders.
    pub spent: Vec<Spent>,
}

/// What a check was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Digest of the request.
    pub digest: String,
    /// The value of `certgate.dev/check-now` that it answers.
    pub check_now: Option<String>,
}

/// A verdict just reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Fresh {
    /// What was asked.
    pub asked: Asked,
    /// The answer.
    pub verdict: Verdict,
    /// When it was reached.
    pub at: Timestamp,
}

/// What a plan leaves to remember. Lives as long as the process; losing it
/// costs seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notes {
    /// Since when a wanted Certificate is missing or owned by somebody else.
    pub amiss_since: Option<Timestamp>,
    /// Since when an unwanted Certificate has been seen.
    pub unwanted_since: Option<Timestamp>,
    /// Since when nobody has wanted the host.
    pub idle_since: Option<Timestamp>,
    /// How often the lead was nudged since.
    pub nudges: u32,
    /// When last.
    pub nudged_at: Option<Timestamp>,
    /// A CertificateRequest waited for the verdict.
    pub requested: bool,
    /// Since when no route serves the host of a Certificate that Rainbond's switch made.
    pub unrouted_since: Option<Timestamp>,
    /// The times of looks since the last one that is written.
    pub unwritten: Option<check::Unwritten>,
    /// Which Ingresses (by uid) have been told which reason.
    pub told: BTreeMap<String, Reason>,
}

/// What to do, in this order; if one fails the rest waits for the next plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Create the Domain.
    CreateDomain,
    /// Write its status.
    SetStatus(Box<DomainStatus>),
    /// Delete it.
    DeleteDomain,
    /// Ask pre-flight.
    Check {
        /// What.
        request: Box<Request>,
        /// To be handed back with the verdict.
        asked: Asked,
    },
    /// Delete a Certificate, if it still is this very one.
    DeleteCertificate {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// Write our condition on a Certificate, if it still is this very one.
    SetCondition {
        /// The Certificate's name.
        certificate: String,
        /// Its uid.
        uid: String,
        /// The condition.
        condition: switch::CertificateCondition,
    },
    /// Publish an Event about a Certificate.
    TellCertificate {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
        /// Why.
        reason: Reason,
        /// In a sentence.
        message: String,
    },
    /// Write an annotation on an Ingress so that ingress-shim looks again.
    Nudge {
        /// The Ingress.
        ingress: String,
        /// Its uid.
        uid: String,
    },
    /// Create or update the companion.
    WriteCompanion(Box<companion::Companion>),
    /// Delete the companion, if it still is this very one.
    DeleteCompanion {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// Publish an Event.
    Tell {
        /// About which Ingress; `None`: the Domain.
        ingress: Option<(String, String)>,
        /// Why.
        reason: Reason,
        /// In a sentence.
        message: String,
    },
}

/// What to do about a host, and when to look again without an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostPlan {
    /// What to do.
    pub effects: Vec<Effect>,
    /// When to look again.
    pub wake: Option<Timestamp>,
    /// What to remember, once all effects succeeded.
    pub notes: Notes,
    /// What it needs of the CA's limits.
    pub need: limit::Need,
}

// === impl HostPlan ===

impl HostPlan {
    fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |earlier| earlier.min(at)));
    }
}

// === impl Terms ===

impl Terms {
    /// Terms without particulars of the Ingress.
    pub fn new(issuer: Option<IssuerRef>, profile: Profile, issuance: Issuance) -> Self {
        Self { issuer, profile, issuance, refused: None, wishes: Arc::default() }
    }
}

// === impl Want ===

impl Want {
    /// Why not; `None`: it does.
    pub fn refusal(&self) -> Option<Reason> {
        match self {
            Self::Yes(_) => None,
            Self::No(finding) => Some(finding.reason),
        }
    }
}

// === impl Claim ===

impl Claim<'_> {
    /// The terms, where it wants a certificate.
    pub fn terms(&self) -> Option<&Terms> {
        match &self.want {
            Want::Yes(terms) => Some(terms),
            Want::No(_) => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A [`HostInput`] of which a test only says what it is about.

    use super::*;

    pub(crate) fn input<T>(
        host: &Host,
        now: Timestamp,
        claims: &[Claim<'_>],
        with: impl FnOnce(HostInput<'_>) -> T,
    ) -> T {
        with(HostInput {
            labels: BTreeMap::new(),
            host,
            now,
            claims,
            domain: None,
            unknown: Unknown::Nothing,
            taken: false,
            asked_elsewhere: false,
            claimed: None,
            kept_for: SignedDuration::from_hours(7 * 24),
            certificate: None,
            others: &[],
            secret: None,
            contested: None,
            issuer: IssuerView::NoValidation,
            server: None,
            other_issuers: Vec::new(),
            certified: Vec::new(),
            gateway: &GatewayTarget::default(),
            companion: None,
            name_taken: false,
            gated: None,
            switch: None,
            requested: false,
            limited: false,
            checks: &Checks::default(),
            notes: &Notes::default(),
        })
    }
}
