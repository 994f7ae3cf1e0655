//! The second gate at admission: refuses `Approved=True` on a CertificateRequest while a name of it waits.
//!
//! The only refusal there is, and a harmless one: an unapproved request costs nothing, and whoever approves tries
//! again. Whatever cannot be read, and whatever is not such an approval, is allowed and left as it is.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    answer::{Answer, Outcome, allow, refuse},
    json,
    review::{self, Operation, Resource},
};
use crate::core::{
    approval::{Approval, RequestFacts, held, judge},
    csr::{self, CsrError, CsrNames},
    finding::clean,
    ingress::{CowStr, Labels, Metadata},
    knowledge::Knowledge,
    names,
    policy::{IssuerKind, IssuerRef, Policy},
};

/// What a request body turned out to be.
#[derive(Debug)]
pub enum Reading<'a> {
    /// Somebody else approves a request.
    Approval(Box<Approving<'a>>),
    /// Nothing that the gate is about.
    Other {
        /// The request's uid.
        uid: Cow<'a, str>,
    },
    /// A review of which only the uid can be read.
    Unreadable {
        /// The request's uid.
        uid: Cow<'a, str>,
        /// Why the rest cannot be read.
        why: String,
    },
    /// No review, or one without a readable uid.
    Malformed {
        /// Why.
        why: String,
    },
}

/// An approval as it comes.
#[derive(Debug)]
pub struct Approving<'a> {
    uid: Cow<'a, str>,
    namespace: Cow<'a, str>,
    metadata: Metadata<'a>,
    issuer: IssuerRef,
    names: Result<CsrNames, CsrError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    #[serde(borrow, default)]
    api_version: CowStr<'a>,
    #[serde(borrow, default)]
    kind: CowStr<'a>,
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    uid: CowStr<'a>,
    #[serde(borrow, default)]
    resource: Resource<'a>,
    #[serde(borrow, default)]
    sub_resource: Option<CowStr<'a>>,
    #[serde(borrow, default)]
    namespace: Option<CowStr<'a>>,
    #[serde(default)]
    operation: Operation,
    #[serde(borrow, default)]
    user_info: UserInfo<'a>,
    #[serde(borrow, default)]
    object: Option<CertificateRequest<'a>>,
    #[serde(borrow, default)]
    old_object: Option<Before<'a>>,
}

#[derive(Default, Deserialize)]
struct UserInfo<'a> {
    #[serde(borrow, default)]
    username: CowStr<'a>,
}

#[derive(Deserialize)]
struct CertificateRequest<'a> {
    #[serde(borrow, default)]
    metadata: Metadata<'a>,
    #[serde(borrow, default)]
    spec: Spec<'a>,
    #[serde(borrow, default)]
    status: Option<Status<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow, default)]
    request: CowStr<'a>,
    #[serde(borrow, default)]
    issuer_ref: Issuer<'a>,
}

#[derive(Default, Deserialize)]
struct Issuer<'a> {
    #[serde(borrow, default)]
    name: CowStr<'a>,
    #[serde(borrow, default)]
    kind: Option<CowStr<'a>>,
    #[serde(borrow, default)]
    group: Option<CowStr<'a>>,
}

/// The object before the write: only whether it was approved.
#[derive(Deserialize)]
struct Before<'a> {
    #[serde(borrow, default)]
    status: Option<Status<'a>>,
}

#[derive(Default, Deserialize)]
struct Status<'a> {
    #[serde(borrow, default)]
    conditions: Option<Vec<Condition<'a>>>,
}

#[derive(Deserialize)]
struct Condition<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: CowStr<'a>,
    #[serde(borrow, default)]
    status: CowStr<'a>,
}

/// Reads a request body. Total. `approver`: the user name of certgate's controller.
pub fn read<'a>(body: &'a [u8], approver: &str) -> Reading<'a> {
    match json::read::<Review<'a>>(body) {
        Ok(review) if !review.request.uid.is_empty() => review.read(approver),
        Ok(_) => Reading::Malformed { why: "request.uid is empty".to_owned() },
        Err(error) => match review::find_uid(body) {
            Some(uid) => Reading::Unreadable { uid, why: error.to_string() },
            None => Reading::Malformed { why: error.to_string() },
        },
    }
}

// === impl Review ===

impl<'a> Review<'a> {
    fn read(self, approver: &str) -> Reading<'a> {
        let is_v1 = *self.api_version == *review::API_VERSION && *self.kind == *review::KIND;
        let Request { uid, resource, sub_resource, namespace, operation, user_info, object, old_object } = self.request;
        let of_status = sub_resource.is_some_and(|sub| *sub == *"status");
        let of_requests = *resource.resource == *"certificaterequests" && *resource.group == *"cert-manager.io";
        let ours = *user_info.username == *approver;
        let before = old_object.and_then(|old| old.status);
        let Some(object) = object.filter(|object| {
            is_v1
                && of_requests
                && of_status
                && operation == Operation::Update
                && !ours
                && is_approved(object.status.as_ref())
                && !is_approved(before.as_ref())
        }) else {
            return Reading::Other { uid: uid.0 };
        };
        let namespace = namespace.map_or_else(|| object.metadata.namespace.clone(), |namespace| namespace.0);
        Reading::Approval(Box::new(Approving {
            uid: uid.0,
            namespace,
            issuer: object.spec.issuer_ref.read(),
            names: csr::names(&object.spec.request),
            metadata: object.metadata,
        }))
    }
}

fn is_approved(status: Option<&Status<'_>>) -> bool {
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| *condition.kind == *"Approved" && *condition.status == *"True")
}

// === impl Issuer ===

impl Issuer<'_> {
    fn read(&self) -> IssuerRef {
        let kind = match self.kind.as_deref() {
            None | Some("" | "Issuer") => IssuerKind::Issuer,
            Some("ClusterIssuer") => IssuerKind::ClusterIssuer,
            Some(other) => IssuerKind::Other(other.to_owned()),
        };
        let group = self.group.as_deref().filter(|group| !group.is_empty() && *group != "cert-manager.io");
        IssuerRef { kind, name: self.name.to_string(), group: group.map(str::to_owned) }
    }
}

// === impl Reading ===

impl Reading<'_> {
    /// Answers what was read.
    pub fn answer<K: Knowledge>(self, knowledge: &K, policy: &Policy, now: Timestamp) -> Answer {
        match self {
            Self::Approval(approving) => approving.answer(knowledge, policy, now),
            Self::Other { uid } => Answer { bytes: allow(&uid, None), outcome: Outcome::PassedBy },
            Self::Unreadable { uid, why } => {
                let warning = format!("certgate: allowed, because the review cannot be read: {why}");
                Answer { bytes: allow(&uid, Some(warning)), outcome: Outcome::Unreadable }
            }
            Self::Malformed { why } => {
                let text = format!("not an AdmissionReview of {}: {why}\n", review::API_VERSION);
                Answer { bytes: text.into_bytes(), outcome: Outcome::Malformed }
            }
        }
    }
}

// === impl Approving ===

impl Approving<'_> {
    fn answer<K: Knowledge>(self, knowledge: &K, policy: &Policy, now: Timestamp) -> Answer {
        let Self { uid, namespace, metadata, issuer, names } = self;
        let annotation = metadata.annotations.as_ref().and_then(|all| all.get(names::AUTO_ISSUE));
        let word = annotation.or_else(|| metadata.labels.get(names::AUTO_ISSUE));
        let certificate = metadata.annotations.as_ref().and_then(|all| all.get(names::CERTIFICATE_NAME));
        let labels: &Labels<'_> = &metadata.labels;
        // The webhook knows no issuers: the controller takes a verdict away when its issuer becomes another.
        let server = None;
        let facts =
            RequestFacts { namespace: &namespace, issuer, server, names, word, labels, certificate, by_place: true };
        match judge(&facts, knowledge, policy, now) {
            Approval::Held { findings, .. } => {
                for finding in &findings {
                    tracing::debug!(
                        namespace = clean(&namespace),
                        request = clean(&metadata.name),
                        host = finding.subject,
                        reason = finding.reason.as_str(),
                        "approval refused"
                    );
                }
                Answer {
                    bytes: refuse(&uid, &held(&findings)),
                    outcome: Outcome::Refused(findings.iter().map(|finding| finding.reason).collect()),
                }
            }
            Approval::NotGated(_) | Approval::Allowed | Approval::LetThrough(_) => Answer {
                bytes: allow(&uid, None),
                outcome: Outcome::Decided { patched: false, hosts: Vec::new(), change: None },
            },
        }
    }
}

#[cfg(test)]
mod tests;
