//! Decides about a review and writes the answer. Pure: what is known, what is
//! wanted and what time it is are arguments.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::review::{self, Operation, Reading, Review};
use crate::core::{
    decide::{decide, solver_labels},
    decision::Decision,
    finding::Lang,
    ingress::{Ingress, Metadata},
    knowledge::Knowledge,
    names,
    patch::PatchOp,
    policy::Policy,
    reason::{Action, Reason},
};

/// Kubernetes cuts warnings at 256 characters and asks for less.
const MAX_WARNING_CHARS: usize = 240;
/// Hosts named in the audit annotation.
const MAX_AUDITED_HOSTS: usize = 8;

/// The answer to a request body.
#[derive(Debug)]
pub struct Answer {
    /// The response body: an AdmissionReview, or a line of text if the request was none.
    pub bytes: Vec<u8>,
    /// What became of the request.
    pub outcome: Outcome,
}

/// What became of a request, for metrics and logs.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// Decided about, with or without a patch.
    Decided {
        /// Whether the object is changed.
        patched: bool,
        /// What was decided for each host.
        hosts: Vec<(Action, Reason)>,
    },
    /// An approval that came too early, and the reasons for which it is refused.
    Refused(Vec<Reason>),
    /// A review, but nothing that is decided about.
    PassedBy,
    /// A review of which no more than the uid could be read.
    Unreadable,
    /// No review.
    Malformed,
}

/// Answers a request body.
pub fn answer<K: Knowledge>(body: &[u8], knowledge: &K, policy: &Policy, now: Timestamp) -> Answer {
    review::read(body).answer(knowledge, policy, now)
}

// === impl Reading ===

impl Reading<'_> {
    /// Answers what was read. Apart from [`review::read`], so that what is
    /// known need not be held while a large body is parsed.
    pub fn answer<K: Knowledge>(self, knowledge: &K, policy: &Policy, now: Timestamp) -> Answer {
        match self {
            Self::Review(review) => answer_review(review, knowledge, policy, now),
            Self::Unreadable { uid, why } => {
                let warning = format!("certgate: left alone, because the review cannot be read: {why}");
                Answer { bytes: allow(&uid, Some(warning)), outcome: Outcome::Unreadable }
            }
            Self::Malformed { why } => {
                let text = format!("not an AdmissionReview of {}: {why}\n", review::API_VERSION);
                Answer { bytes: text.into_bytes(), outcome: Outcome::Malformed }
            }
        }
    }
}

fn answer_review<K: Knowledge>(review: Review<'_>, knowledge: &K, policy: &Policy, now: Timestamp) -> Answer {
    let is_v1 = review.is_v1();
    let request = review.request;
    let uid = request.uid;
    if !is_v1 {
        let found = format!("{} {}", &*review.api_version, &*review.kind);
        let warning =
            format!("certgate: left alone, because this is a {found}, not a {} AdmissionReview", review::API_VERSION);
        return Answer { bytes: allow(&uid, Some(warning)), outcome: Outcome::PassedBy };
    }
    let whole = request.sub_resource.is_none_or(|sub| sub.is_empty());
    let written = matches!(request.operation, Operation::Create | Operation::Update);
    let Some(mut ingress) = request.object.filter(|_| whole && written) else {
        return Answer { bytes: allow(&uid, None), outcome: Outcome::PassedBy };
    };
    if let Some(namespace) = request.namespace {
        ingress.metadata.namespace = namespace.0;
    }
    if let Some(name) = request.name.filter(|_| ingress.metadata.name.is_empty()) {
        ingress.metadata.name = name.0;
    }
    if request.resource.is_ingress() {
        decided(&uid, &ingress, knowledge, policy, now)
    } else if request.resource.is_service() && ingress.label(names::SOLVER_LABEL).is_some() {
        labelled(&uid, &ingress.metadata, knowledge)
    } else {
        Answer { bytes: allow(&uid, None), outcome: Outcome::PassedBy }
    }
}

/// A Service that answers an ACME challenge gets the labels that its gateway asks for.
fn labelled<K: Knowledge>(uid: &str, metadata: &Metadata<'_>, knowledge: &K) -> Answer {
    let patch = solver_labels(metadata, knowledge);
    let patched = !patch.is_empty();
    let bytes = Response { uid, patch: patched.then_some(Patch(&patch)), warning: None, verdict: None, refusal: None }
        .to_bytes();
    Answer { bytes, outcome: Outcome::Decided { patched, hosts: Vec::new() } }
}

fn decided<K: Knowledge>(uid: &str, ingress: &Ingress<'_>, knowledge: &K, policy: &Policy, now: Timestamp) -> Answer {
    let decision = decide(ingress, knowledge, policy, now);
    let patched = !decision.patch.is_empty();
    let bytes = Response {
        uid,
        patch: patched.then_some(Patch(&decision.patch)),
        warning: warning(&decision),
        verdict: audit(&decision),
        refusal: None,
    }
    .to_bytes();
    let hosts = decision.hosts.iter().map(|host| (host.action, host.reason())).collect();
    Answer { bytes, outcome: Outcome::Decided { patched, hosts } }
}

/// At most one warning: a flag that cannot be read, else the first host that waits.
fn warning(decision: &Decision<'_>) -> Option<String> {
    let unreadable = decision.hosts.iter().find(|host| host.reason() == Reason::FlagUnreadable);
    let mut held = decision.hosts.iter().filter(|host| host.action == Action::Hold);
    let host = unreadable.or_else(|| held.next())?;
    let others = if unreadable.is_some() { 0 } else { held.count() };
    let sentence = host.finding().sentence(Lang::En);
    Some(match others {
        0 => format!("certgate: {sentence}"),
        others => format!("certgate: {sentence} (and {others} more held)"),
    })
}

/// The audit annotation: action and reason of the hosts that are not skipped.
fn audit(decision: &Decision<'_>) -> Option<String> {
    // Skipped hosts may be any text; all others are canonical.
    let mut concerned = decision.hosts.iter().filter(|host| host.action != Action::Skip);
    let mut text = String::new();
    for host in concerned.by_ref().take(MAX_AUDITED_HOSTS) {
        for part in
            [if text.is_empty() { "" } else { " " }, &host.host, "=", host.action.as_str(), "/", host.reason().as_str()]
        {
            text.push_str(part);
        }
    }
    if concerned.next().is_some() {
        text.push_str(" …");
    }
    (!text.is_empty()).then_some(text)
}

/// An answer that allows and changes nothing.
pub fn allow(uid: &str, warning: Option<String>) -> Vec<u8> {
    Response { uid, patch: None, warning, verdict: None, refusal: None }.to_bytes()
}

/// An answer that refuses (HTTP 403), for a reason in a sentence.
pub fn refuse(uid: &str, why: &str) -> Vec<u8> {
    Response { uid, patch: None, warning: None, verdict: None, refusal: Some(why) }.to_bytes()
}

// === wire form ===

/// The response, an allowing one unless it says why not.
struct Response<'a> {
    uid: &'a str,
    patch: Option<Patch<'a>>,
    warning: Option<String>,
    verdict: Option<String>,
    refusal: Option<&'a str>,
}

/// A patch as the API wants it: RFC 6902, in base64 inside a string.
#[derive(Clone, Copy)]
struct Patch<'a>(&'a [PatchOp]);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReviewOut<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: ResponseOut<'a>,
}

/// `patch` and `patchType` come together or not at all: one alone is invalid.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseOut<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Refusal<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<Patch<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<[Cow<'a, str>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_annotations: Option<Audit<'a>>,
}

/// Why not, as `metav1.Status`.
#[derive(Serialize)]
struct Refusal<'a> {
    code: u16,
    reason: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct Audit<'a> {
    verdict: &'a str,
}

// === impl Response ===

impl Response<'_> {
    fn to_bytes(&self) -> Vec<u8> {
        let out = ReviewOut {
            api_version: review::API_VERSION,
            kind: review::KIND,
            response: ResponseOut {
                uid: self.uid,
                allowed: self.refusal.is_none(),
                status: self.refusal.map(|message| Refusal { code: 403, reason: "Forbidden", message }),
                patch_type: self.patch.map(|_| "JSONPatch"),
                patch: self.patch,
                warnings: self.warning.as_deref().map(|warning| [presentable(warning)]),
                audit_annotations: self.verdict.as_deref().map(|verdict| Audit { verdict }),
            },
        };
        let mut bytes = Vec::with_capacity(1024);
        match serde_json::to_writer(&mut bytes, &out) {
            Ok(()) => bytes,
            // Strings into memory: there is nothing to fail. An empty body counts as a failed call, which is ignored.
            Err(_) => Vec::new(),
        }
    }
}

/// Kubernetes drops warnings with control characters and cuts long ones.
fn presentable(warning: &str) -> Cow<'_, str> {
    if warning.len() <= MAX_WARNING_CHARS && !warning.contains(char::is_control) {
        return Cow::Borrowed(warning);
    }
    let mut chars = warning.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut text: String = chars.by_ref().take(MAX_WARNING_CHARS).collect();
    if chars.next().is_some() {
        text.push('…');
    }
    Cow::Owned(text)
}

// === impl Patch ===

impl Serialize for Patch<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = Vec::with_capacity(512);
        serde_json::to_writer(&mut json, self.0).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&STANDARD.encode(json))
    }
}

#[cfg(test)]
mod tests;
