//! [`Decision`]: what to do with an Ingress, and why.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{
    finding::Finding,
    patch::PatchOp,
    policy::Profile,
    reason::{Action, Reason},
};

/// What to do with one Ingress.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<'a> {
    /// The kind of gateway that serves it.
    pub profile: Profile,
    /// Whether it carries the issuer annotation for at least one host.
    pub lead: bool,
    /// Each distinct host of the rules, in order of appearance.
    pub hosts: HostDecisions<'a>,
    /// RFC 6902 operations; none: leave the object as it is.
    pub patch: Vec<PatchOp>,
}

/// The decisions about an Ingress' hosts. Few enough, as they nearly always are, cost no allocation.
pub type HostDecisions<'a> = SmallVec<[HostDecision<'a>; 4]>;

/// What to do with one host of an Ingress.
#[derive(Clone, Debug, PartialEq)]
pub struct HostDecision<'a> {
    /// The host in canonical form, or as written where it is no host.
    pub host: Cow<'a, str>,
    /// What happens.
    pub action: Action,
    /// Why.
    pub why: Why<'a>,
}

/// A reason, with particulars where something is known beyond the reason.
#[derive(Clone, Debug, PartialEq)]
pub enum Why<'a> {
    /// The reason says all.
    Plain(Reason),
    /// As the last verdict found it.
    Found(&'a Finding),
    /// With one more particular.
    Noted(Reason, String),
    /// With all its particulars.
    Told(Box<Finding>),
}

// === impl HostDecision ===

impl HostDecision<'_> {
    /// The reason alone.
    pub fn reason(&self) -> Reason {
        match &self.why {
            Why::Plain(reason) | Why::Noted(reason, _) => *reason,
            Why::Found(finding) => finding.reason,
            Why::Told(finding) => finding.reason,
        }
    }

    /// The finding, fit to be made a sentence.
    pub fn finding(&self) -> Finding {
        match &self.why {
            Why::Plain(reason) => Finding::new(*reason, &self.host),
            Why::Noted(reason, note) => Finding::new(*reason, &self.host).note(note),
            Why::Found(finding) => (*finding).clone(),
            Why::Told(finding) => (**finding).clone(),
        }
    }
}
