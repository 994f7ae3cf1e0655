//! From YAML text to data, and from a deserialiser's complaint to one that a person can act on.

use serde_saphyr::{DefaultMessageFormatter, Error, MessageFormatter as _, NonFiniteFloatPolicy, Options};

use super::{Problem, outline};
use crate::core::policy::Policy;

/// How far a name may be from the one that is offered, as Jaro-Winkler similarity (0 to 1).
const ALIKE: f64 = 0.8;

/// Reads a policy's YAML.
pub(super) fn parse(text: &str) -> Result<Policy, Problem> {
    // An empty file, or one of comments alone, asks for the defaults.
    if text.lines().all(|line| matches!(line.trim_start().bytes().next(), None | Some(b'#'))) {
        return Ok(Policy::default());
    }
    serde_saphyr::from_str_with_options(text, limits()).map_err(|error| problem(text, &error))
}

/// Bounds on what a policy's YAML may expand to.
pub(super) fn limits() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 200_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_depth: 32,
            max_documents: 2,
            max_nodes: 100_000,
            max_total_scalar_bytes: super::MAX_POLICY_OCTETS,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 8,
        },
        // Left to the checks, which name the field and its bounds.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

fn problem(text: &str, error: &Error) -> Problem {
    let error = error.without_snippet();
    let position = error.location().map(|at| (at.line(), at.column())).filter(|(line, _)| *line > 0);
    let message = match error {
        Error::SerdeUnknownField { field, expected, .. } => unknown("field", field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => unknown("value", variant, expected),
        Error::SerdeMissingField { field, .. } => format!("field `{field}` is missing; add it"),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("field `{key}` is given twice; keep one"),
        Error::MultipleDocuments { .. } => "a second YAML document begins; a policy is one".to_owned(),
        Error::Budget { .. } => "the YAML is larger or deeper than a policy can be; is this the right file?".to_owned(),
        Error::Unexpected { expected: "sequence start", .. } => "a list belongs here; write [a, b]".to_owned(),
        Error::Unexpected { expected: "mapping start", .. } => "fields belong here; write name: value".to_owned(),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => {
            "one word belongs here, not a list or fields".to_owned()
        }
        Error::InvalidBooleanStrict { .. } | Error::InvalidScalar { ty: "boolean", .. } => {
            "write true or false".to_owned()
        }
        Error::InvalidScalar { ty: "floating point", .. } => "write a number".to_owned(),
        Error::InvalidScalar { ty: "u16", .. } => "write a whole number, 0 to 65535".to_owned(),
        Error::InvalidScalar { ty: "u32" | "u64", .. } => "write a whole number, 0 or more".to_owned(),
        Error::UnknownAnchor { .. } => {
            "an alias (`*name`) without its anchor (`&name`); quote a leading `*`".to_owned()
        }
        Error::Message { msg, .. } if msg.contains("invalid IP address") => {
            "write an IPv4 or IPv6 address; names belong into gateway.cnames".to_owned()
        }
        other => DefaultMessageFormatter.format_message(other).into_owned(),
    };
    let path = match (position, outline::Outline::of(text)) {
        (Some(position), Some(outline)) => {
            let mut path = outline.path_at(position);
            // The message names the field; the path says in what. A missing field is placed at its first sibling.
            if matches!(error, Error::SerdeUnknownField { .. } | Error::SerdeMissingField { .. }) {
                path.pop();
            }
            outline::render(&path)
        }
        _ => String::new(),
    };
    Problem { position, path, message: one_line(&message) }
}

/// "unknown field `autoIsue`; did you mean `autoIssue`?"
fn unknown(what: &str, name: &str, expected: &[&str]) -> String {
    let name: String = name.chars().take(60).collect();
    match nearest(&name, expected) {
        Some(near) => format!("unknown {what} `{name}`; did you mean `{near}`?"),
        None => format!("unknown {what} `{name}`; it may be one of: {}", expected.join(", ")),
    }
}

/// The valid name that was most likely meant.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase().replace(['_', '-'], "");
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase().replace('-', "")), *candidate))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// What a file holds is repeated in messages; a message stays one line of bounded length.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").chars().take(400).collect()
}
