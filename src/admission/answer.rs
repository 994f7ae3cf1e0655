//! Decides about a review and writes the answer. Pure but for a line of log at
//! debug: what is known, what is wanted and what time it is are arguments.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;

use super::review::{self, Operation, Reading, Review};
use crate::core::{
    decide::{decide, solver_labels},
    decision::Decision,
    finding::{Lang, clean},
    ingress::Metadata,
    knowledge::Knowledge,
    names,
    patch::{self, PatchOp},
    policy::Policy,
    reason::{Action, Reason},
};
use crate::telemetry::sample::Sampler;

/// Kubernetes cuts warnings at 256 characters and asks for less.
const MAX_WARNING_CHARS: usize = 240;
/// Hosts named in the audit annotation, and of one change in the log.
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
        /// What is changed, where that is told.
        change: Option<Box<Change>>,
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

/// An object that an answer changes, and for whose sake, to be told. All text is bounded and harmless.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// Its namespace.
    pub namespace: String,
    /// Its name; empty while `generateName` has not been applied.
    pub name: String,
    /// Whether it is an Ingress, or a solver's Service.
    pub is_ingress: bool,
    /// The hosts that get or lose their parts, with action and reason.
    pub hosts: Vec<(String, Action, Reason)>,
    /// How many changes before it have not been told.
    pub unsaid: u64,
}

/// Answers a request body.
pub fn answer<K: Knowledge>(body: &[u8], knowledge: &K, policy: &Policy, now: Timestamp) -> Answer {
    review::read(body).answer(knowledge, policy, now, &Sampler::default())
}

// === impl Reading ===

impl Reading<'_> {
    /// Answers what was read. Apart from [`review::read`], so that what is
    /// known need not be held while a large body is parsed. `changes` says which changes are told.
    pub fn answer<K: Knowledge>(self, knowledge: &K, policy: &Policy, now: Timestamp, changes: &Sampler) -> Answer {
        match self {
            Self::Review(review) => answer_review(review, knowledge, policy, now, changes),
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

fn answer_review<K: Knowledge>(
    review: Review<'_>,
    knowledge: &K,
    policy: &Policy,
    now: Timestamp,
    changes: &Sampler,
) -> Answer {
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
        let decision = decide(&ingress, knowledge, policy, now);
        decided(&uid, &ingress.metadata, &decision, changes)
    } else if request.resource.is_service() && ingress.label(names::SOLVER_LABEL).is_some() {
        labelled(&uid, &ingress.metadata, knowledge, changes)
    } else {
        Answer { bytes: allow(&uid, None), outcome: Outcome::PassedBy }
    }
}

/// A Service that answers an ACME challenge gets the labels that its gateway asks for.
fn labelled<K: Knowledge>(uid: &str, metadata: &Metadata<'_>, knowledge: &K, changes: &Sampler) -> Answer {
    let patch = solver_labels(metadata, knowledge);
    let patched = !patch.is_empty();
    let change = patched.then(|| Change::told(changes, metadata, None)).flatten();
    let bytes = Response { uid, patch: &patch, warning: None, verdict: None, refusal: None }.to_bytes();
    Answer { bytes, outcome: Outcome::Decided { patched, hosts: Vec::new(), change } }
}

fn decided(uid: &str, of: &Metadata<'_>, decision: &Decision<'_>, changes: &Sampler) -> Answer {
    let patched = !decision.patch.is_empty();
    for host in &decision.hosts {
        // At debug alone: a line costs more than the answer.
        tracing::debug!(
            namespace = clean(&of.namespace),
            ingress = clean(&of.name),
            host = clean(&host.host),
            action = host.action.as_str(),
            reason = host.reason().as_str(),
            patched,
            "decided"
        );
    }
    let change = patched.then(|| Change::told(changes, of, Some(decision))).flatten();
    let bytes =
        Response { uid, patch: &decision.patch, warning: warning(decision), verdict: audit(decision), refusal: None }
            .to_bytes();
    let hosts = decision.hosts.iter().map(|host| (host.action, host.reason())).collect();
    Answer { bytes, outcome: Outcome::Decided { patched, hosts, change } }
}

// === impl Change ===

impl Change {
    /// `None`: it is not told, and costs nothing.
    fn told(changes: &Sampler, of: &Metadata<'_>, decision: Option<&Decision<'_>>) -> Option<Box<Self>> {
        let unsaid = changes.admit()?;
        let hosts = decision.into_iter().flat_map(|decision| &decision.hosts);
        let concerned = hosts.filter(|host| matches!(host.action, Action::Inject | Action::Withdraw));
        let hosts = concerned.take(MAX_AUDITED_HOSTS).map(|host| (clean(&host.host), host.action, host.reason()));
        let (namespace, name) = (clean(&of.namespace), clean(&of.name));
        Some(Box::new(Self { namespace, name, hosts: hosts.collect(), is_ingress: decision.is_some(), unsaid }))
    }
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
    let mut text = String::with_capacity(48 * decision.hosts.len().min(MAX_AUDITED_HOSTS));
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
    Response { uid, patch: &[], warning, verdict: None, refusal: None }.to_bytes()
}

/// An answer that refuses (HTTP 403), for a reason in a sentence.
pub fn refuse(uid: &str, why: &str) -> Vec<u8> {
    Response { uid, patch: &[], warning: None, verdict: None, refusal: Some(why) }.to_bytes()
}

// === wire form ===

/// The response, an allowing one unless it says why not.
struct Response<'a> {
    uid: &'a str,
    /// None: the object stays as it is.
    patch: &'a [PatchOp],
    warning: Option<String>,
    verdict: Option<String>,
    refusal: Option<&'a str>,
}

// === impl Response ===

impl Response<'_> {
    /// The review, written straight: it has five members, and the patch, in
    /// base64, is most of it and needs no escapes.
    fn to_bytes(&self) -> Vec<u8> {
        // Strings into memory: there is nothing to fail. An empty body counts as a failed call, which is ignored.
        self.write().unwrap_or_default()
    }

    fn write(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = String::new();
        if !self.patch.is_empty() {
            json.reserve(1024);
            patch::write(self.patch, &mut json);
        }
        let patch_length = base64::encoded_len(json.len(), true).unwrap_or_default();
        let words = self.warning.as_ref().map_or(0, String::len) + self.verdict.as_ref().map_or(0, String::len);
        let mut out = Vec::with_capacity(256 + self.uid.len() + patch_length + words);
        for part in
            [r#"{"apiVersion":""#, review::API_VERSION, r#"","kind":""#, review::KIND, r#"","response":{"uid":"#]
        {
            out.extend_from_slice(part.as_bytes());
        }
        serde_json::to_writer(&mut out, self.uid)?;
        match self.refusal {
            None => out.extend_from_slice(br#","allowed":true"#),
            // Why not, as `metav1.Status`.
            Some(why) => {
                out.extend_from_slice(br#","allowed":false,"status":{"code":403,"reason":"Forbidden","message":"#);
                serde_json::to_writer(&mut out, why)?;
                out.push(b'}');
            }
        }
        // `patch` and `patchType` come together or not at all: one alone is invalid.
        if !json.is_empty() {
            out.extend_from_slice(br#","patchType":"JSONPatch","patch":""#);
            let start = out.len();
            out.resize(start + patch_length, 0);
            let written = STANDARD.encode_slice(&json, out.get_mut(start..).unwrap_or_default());
            out.truncate(start + written.unwrap_or_default());
            out.push(b'"');
        }
        if let Some(warning) = &self.warning {
            out.extend_from_slice(br#","warnings":["#);
            serde_json::to_writer(&mut out, &*presentable(warning))?;
            out.push(b']');
        }
        if let Some(verdict) = &self.verdict {
            out.extend_from_slice(br#","auditAnnotations":{"verdict":"#);
            serde_json::to_writer(&mut out, verdict)?;
            out.push(b'}');
        }
        out.extend_from_slice(b"}}");
        Ok(out)
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

#[cfg(test)]
mod tests;
