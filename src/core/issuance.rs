//! What became of an order: cert-manager's words and the CA's, turned into a
//! [`Finding`] of ours. Nothing foreign passes but what is named here: a
//! limit's sentence, a time, an address, a status code, the CA's own link.
//!
//! The wordings are those of Boulder (Let's Encrypt), Pebble and cert-manager
//! 1.12–1.21. A text that none of them explains is an [`IssuanceFailed`](Reason::IssuanceFailed).

use jiff::{SignedDuration, Timestamp};

use super::{finding::Finding, host::Host, policy::IssuerRef, reason::Reason, text};

/// How long the CA may take to accept an order before it counts as out of
/// reach: cert-manager says nothing of failed connections, it just tries again.
const ORDER_PATIENCE: SignedDuration = SignedDuration::from_secs(30);
/// How long cert-manager's own check of a challenge may fail before it is told:
/// solver and gateway need some seconds.
const CHALLENGE_PATIENCE: SignedDuration = SignedDuration::from_secs(120);
/// What precedes the type of an ACME problem (RFC 8555 §6.7), now and before the RFC.
const URNS: [&str; 2] = ["urn:ietf:params:acme:error:", "urn:acme:error:"];
/// How texts begin into which cert-manager puts a whole problem. Only behind
/// these is a problem's type the CA's word: what a validated server answered is
/// quoted further back, and may read like anything.
const PREFIXES: [&str; 6] = [
    "Failed to ",
    "Error accepting ",
    "acme: ",
    "unexpected non-ACME API error",
    "order is in ",
    "The certificate request has failed",
];

/// How a CA says that it paused an account for a name (Boulder `wfe2`).
const PAUSED: &str = "Your account is temporarily prevented";

/// How cert-manager begins what it says of an issuer's account that the CA did not accept.
const ACCOUNT: [&str; 2] = ["Failed to register ACME account:", "Failed to update ACME account:"];
/// How it ends what it cut (`TruncationMarker`).
const CUT: &str = "... (truncated)";

/// The latest attempt to issue a Certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempt<'a> {
    /// Why its CertificateRequest failed.
    pub request_failure: Option<&'a str>,
    /// Its Order.
    pub order: Option<Order<'a>>,
    /// The Challenge of that Order that is worst off.
    pub challenge: Option<Challenge<'a>>,
}

/// An Order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order<'a> {
    /// When it was made.
    pub created: Timestamp,
    /// Whether the CA knows of it.
    pub accepted: bool,
    /// Its state.
    pub state: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// A Challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// When it was made.
    pub created: Timestamp,
    /// Its state.
    pub state: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// What is wrong with an attempt; `None`: it is on its way. `failure` is what
/// the Certificate itself says of it.
pub fn trouble(host: &Host, attempt: &Attempt<'_>, failure: Option<&str>, now: Timestamp) -> Option<Finding> {
    let of_challenge = attempt.challenge.and_then(|challenge| match challenge.state {
        state if is_failed(state) => Some(explain(host, challenge.reason)),
        "valid" => None,
        _ if due(challenge.created, CHALLENGE_PATIENCE) <= now => self_check(host, challenge.reason),
        _ => None,
    });
    let of_order = || {
        let order = attempt.order?;
        if is_failed(order.state) {
            return Some(explain(host, order.reason));
        }
        let waits = order.state.is_empty() && !order.accepted && due(order.created, ORDER_PATIENCE) <= now;
        waits.then(|| Finding::new(Reason::CaUnreachable, host))
    };
    let told = [attempt.request_failure, failure];
    let mut found =
        of_challenge.into_iter().chain(of_order()).chain(told.into_iter().flatten().map(|text| explain(host, text)));
    let first = found.next()?;
    if first.reason != Reason::IssuanceFailed || !first.note.is_empty() {
        return Some(first);
    }
    // An invalid Order gives no reason of its own.
    Some(found.find(|finding| !finding.note.is_empty() || finding.reason != Reason::IssuanceFailed).unwrap_or(first))
}

/// When an attempt that is on its way should be looked at again, though nothing about it changed.
pub fn look_again(attempt: &Attempt<'_>, now: Timestamp) -> Option<Timestamp> {
    let order = attempt.order.filter(|order| order.state.is_empty() && !order.accepted);
    let challenge = attempt.challenge.filter(|challenge| !is_failed(challenge.state) && challenge.state != "valid");
    [
        order.map(|order| due(order.created, ORDER_PATIENCE)),
        challenge.map(|challenge| due(challenge.created, CHALLENGE_PATIENCE)),
    ]
    .into_iter()
    .flatten()
    .filter(|at| *at > now)
    .min()
}

fn due(created: Timestamp, patience: SignedDuration) -> Timestamp {
    created.saturating_add(patience).unwrap_or(created)
}

/// States from which an Order or Challenge does not recover.
pub fn is_failed(state: &str) -> bool {
    matches!(state, "invalid" | "errored" | "expired")
}

/// An ACME problem within a text.
struct Problem<'a> {
    /// Its HTTP status code; 0: not given.
    code: u16,
    /// The last part of its type; empty: not given.
    kind: &'a str,
    /// In words.
    detail: &'a str,
}

/// What a text of cert-manager's comes down to.
pub fn explain(host: &Host, text: &str) -> Finding {
    let problem = problem(text);
    let detail = problem.detail;
    match problem.kind {
        "rateLimited" if detail.starts_with(PAUSED) => {
            Finding::new(Reason::CaPaused, host).note(unpause(detail).unwrap_or_default())
        }
        "rateLimited" => rate_limited(host, detail),
        "serverInternal" => Finding::new(Reason::CaUnreachable, host).note(code(problem.code)),
        _ if problem.code >= 500 => Finding::new(Reason::CaUnreachable, host).note(code(problem.code)),
        "caa" => Finding::new(Reason::CaaForbids, host).observed([detail]),
        "dns" => dns(host, detail),
        "connection" | "tls" => Finding::new(Reason::HttpUnreachable, host).note(address(detail)),
        "unauthorized" | "incorrectResponse" => challenge(host, detail),
        "" if problem.code == 429 => rate_limited(host, detail),
        "" => by_wording(host, text),
        _ => failed(host, detail),
    }
}

/// A text without a type, as cert-manager copies it from a challenge.
fn by_wording(host: &Host, text: &str) -> Finding {
    let begins = |words: &[&str]| words.iter().any(|word| after_address(text).starts_with(word));
    if begins(&[
        "Invalid response from",
        "The key authorization file",
        "Incorrect TXT record",
        "Non-200 status code",
        "No TXT record",
    ]) {
        challenge(host, text)
    } else if begins(&["DNS problem", "no valid A records", "During secondary validation: DNS problem"]) {
        dns(host, text)
    } else if begins(&["CAA record for", "While processing CAA", "Error finalizing order :: While processing CAA"]) {
        Finding::new(Reason::CaaForbids, host).observed([text])
    } else if begins(&[
        "Timeout during connect",
        "Connection refused",
        "Connection reset",
        "Fetching http",
        "Error getting validation data",
    ]) {
        Finding::new(Reason::HttpUnreachable, host).note(address(text))
    } else if out_of_reach(text) {
        Finding::new(Reason::CaUnreachable, host)
    } else {
        failed(host, text)
    }
}

/// What cert-manager's own check of a challenge meets before it bothers the CA.
fn self_check(host: &Host, reason: &str) -> Option<Finding> {
    let found = |reason| Some(Finding::new(reason, host));
    let Some(met) = reason.strip_prefix("Waiting for HTTP-01 challenge propagation: ") else {
        // DNS-01 records take their time; and an empty reason is one that waits for its turn.
        return (!reason.is_empty() && !reason.starts_with("Waiting for")).then(|| explain(host, reason));
    };
    if let Some(rest) = met.strip_prefix("wrong status code '") {
        let code: String = rest.chars().take_while(char::is_ascii_digit).take(3).collect();
        return Some(Finding::new(Reason::ChallengeFailed, host).note(code));
    }
    if met.starts_with("did not get expected response") {
        return found(Reason::ChallengeFailed);
    }
    if met.contains("no such host") {
        return found(Reason::DomainNotFound);
    }
    found(Reason::HttpUnreachable)
}

fn rate_limited(host: &Host, detail: &str) -> Finding {
    let detail = detail.strip_prefix("Error creating new order :: ").unwrap_or(detail);
    let (limit, until) = limit_and_time(detail);
    let until = until.map(|at| at.strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default();
    Finding::new(Reason::CaRateLimited, host).observed(Some(limit).filter(|limit| !limit.is_empty())).note(until)
}

/// What a refusal says of the limit, and from when on the CA takes orders again.
fn limit_and_time(detail: &str) -> (&str, Option<Timestamp>) {
    let at = detail.to_ascii_lowercase().find("retry after ");
    let until = at.and_then(|at| detail.get(at + "retry after ".len()..)).and_then(time);
    let end = at.or_else(|| detail.find(": see ")).unwrap_or(detail.len());
    (detail.get(..end).unwrap_or_default().trim_end_matches([',', '.', ' ', ':']), until)
}

/// The time at the beginning of a text, as Boulder writes it now (`2026-11-25 13:37:01 UTC`) or did (RFC 3339).
fn time(text: &str) -> Option<Timestamp> {
    let stamp = text.get(..19)?;
    format!("{}T{}Z", stamp.get(..10)?, stamp.get(11..)?).parse().ok()
}

/// A refusal of the CA's for its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused<'a> {
    /// Its words for the limit.
    pub detail: &'a str,
    /// From when on it takes orders again, where it says so.
    pub until: Option<Timestamp>,
    /// It paused the account for the name.
    pub paused: bool,
    /// Where a person lifts the pause.
    pub unpause: Option<&'a str>,
}

// === impl Refused ===

impl Refused<'_> {
    /// What it means for a host of the issuer whose account was refused.
    pub fn of_account(&self, issuer: &IssuerRef, host: &Host) -> Finding {
        let until = self.until.map(text::not_before);
        let note = self.unpause.map(str::to_owned).or(until).unwrap_or_default();
        let detail = Some(self.detail).filter(|detail| !detail.is_empty() && !self.paused);
        let observed = std::iter::once(issuer.to_string()).chain(detail.map(str::to_owned));
        Finding::new(Reason::AccountRateLimited, host).observed(observed).note(note)
    }
}

/// The refusal in a text of cert-manager's about an order; `None`: it is about something else.
pub fn refusal(text: &str) -> Option<Refused<'_>> {
    let problem = problem(text);
    if problem.kind != "rateLimited" && !(problem.kind.is_empty() && problem.code == 429) {
        return None;
    }
    let (detail, until) = limit_and_time(problem.detail);
    let paused = problem.detail.starts_with(PAUSED);
    Some(Refused { detail, until, paused, unpause: unpause(problem.detail).filter(|_| paused) })
}

/// The refusal in what an issuer's `Ready` condition says of its account; `None`: it says something else.
///
/// cert-manager asks again by itself after other failures, but after a 4xx of the CA's only when the issuer changes or
/// is listed anew, every ten hours (`pkg/issuer/acme/setup.go`, 1.17–1.21).
pub fn account_refusal(message: &str) -> Option<Refused<'_>> {
    let told = ACCOUNT.iter().find_map(|begin| message.strip_prefix(begin))?;
    // It cuts what is long, and half a link leads nowhere.
    let whole = !message.ends_with(CUT);
    refusal(told.trim_start()).map(|told| Refused { unpause: told.unpause.filter(|_| whole), ..told })
}

/// The link in the words of a pause.
fn unpause(detail: &str) -> Option<&str> {
    detail.split_whitespace().rev().find(|word| word.starts_with("https://"))
}

fn dns(host: &Host, detail: &str) -> Finding {
    let has = |word: &str| detail.contains(word);
    let reason = if has("CAA") {
        Reason::CaaLookupFailed
    } else if has("NXDOMAIN") {
        Reason::DomainNotFound
    } else if has("DNSSEC") {
        Reason::DnssecBogus
    } else if has("SERVFAIL") {
        Reason::DnsServerFailure
    } else if has("REFUSED") {
        Reason::DnsRefused
    } else if has("no valid A") || has("No valid IP addresses") {
        Reason::NoAddress
    } else {
        Reason::DnsTimeout
    };
    Finding::new(reason, host)
}

/// Something else answered the challenge: from where, and with which status.
fn challenge(host: &Host, detail: &str) -> Finding {
    let from = address(detail);
    // The status is the last word; where a page stands instead, it is quoted and stays out.
    let code =
        detail.rsplit([' ', ':']).next().filter(|word| word.len() == 3 && word.bytes().all(|b| b.is_ascii_digit()));
    let note = [from, code.unwrap_or_default().to_owned()].into_iter().filter(|part| !part.is_empty());
    Finding::new(Reason::ChallengeFailed, host).note(note.collect::<Vec<_>>().join(": "))
}

/// The address with which Boulder begins what it says of a server.
fn address(detail: &str) -> String {
    let first = detail.strip_prefix("During secondary validation: ").unwrap_or(detail);
    let first = first.split(": ").next().unwrap_or_default();
    first.parse::<::core::net::IpAddr>().map(|ip| ip.to_string()).unwrap_or_default()
}

fn after_address(detail: &str) -> &str {
    let rest = detail.strip_prefix("During secondary validation: ").unwrap_or(detail);
    match rest.split_once(": ") {
        Some((first, rest)) if first.parse::<::core::net::IpAddr>().is_ok() => rest,
        _ => rest,
    }
}

fn out_of_reach(text: &str) -> bool {
    [
        "dial tcp",
        "no such host",
        "i/o timeout",
        "connection refused",
        "TLS handshake timeout",
        "x509: ",
        "context deadline exceeded",
    ]
    .iter()
    .any(|word| text.contains(word))
}

fn code(code: u16) -> String {
    if code == 0 { String::new() } else { code.to_string() }
}

/// What nothing here explains: its first line, without cert-manager's frame around it.
fn failed(host: &Host, text: &str) -> Finding {
    let line = text.lines().next().unwrap_or_default();
    let inner = line.rsplit_once("\" state: ").map_or(line, |(_, inner)| inner);
    let inner =
        inner.strip_prefix("The certificate request has failed to complete and will be retried: ").unwrap_or(inner);
    Finding::new(Reason::IssuanceFailed, host).note(inner.trim())
}

fn problem(text: &str) -> Problem<'_> {
    let none = Problem { code: 0, kind: "", detail: text };
    let Some((at, urn)) = URNS.iter().filter_map(|urn| Some((text.find(urn)?, *urn))).min() else { return none };
    let (before, rest) = text.split_at(at);
    let Some((frame, code)) = before.trim_end().rsplit_once(' ').or(Some(("", before.trim_end()))) else { return none };
    let Ok(code) = code.parse::<u16>() else { return none };
    if !(frame.is_empty() || PREFIXES.iter().any(|prefix| frame.starts_with(prefix))) {
        return none;
    }
    let rest = rest.strip_prefix(urn).unwrap_or(rest);
    match rest.split_once(": ") {
        Some((kind, detail)) if kind.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            Problem { code, kind, detail: detail.lines().next().unwrap_or_default() }
        }
        _ => Problem { code, kind: rest.trim_end_matches(':'), detail: "" },
    }
}

#[cfg(test)]
mod tests;
