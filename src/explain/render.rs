//! What `certgate explain` prints: for people, for programs, and the Ingress as it would be.

use std::{borrow::Cow, fmt::Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::core::{
    decision::Decision,
    finding::Lang,
    ingress::Ingress,
    patch::PatchOp,
    reason::{Action, WhoActs},
    text,
};

/// The decision about one Ingress, with the object before and after.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    namespace: String,
    name: String,
    profile: &'static str,
    lead: bool,
    hosts: Vec<ExplainedHost>,
    patch: Vec<PatchOp>,
    #[serde(skip)]
    before: Value,
    #[serde(skip)]
    after: Value,
}

/// The decision about one host.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExplainedHost {
    host: String,
    action: &'static str,
    reason: &'static str,
    message: String,
    who_acts: &'static str,
    #[serde(skip)]
    raw: (Action, WhoActs, crate::core::finding::Finding),
}

/// The document that `-o json` prints.
#[derive(Serialize)]
struct Report<'a> {
    decisions: &'a [Explained],
}

// === impl Explained ===

impl Explained {
    /// Takes what is printed from a decision.
    pub fn new(ingress: &Ingress<'_>, decision: &Decision<'_>, before: Value, after: Value) -> Self {
        let hosts = decision.hosts.iter().map(|host| {
            let finding = host.finding();
            ExplainedHost {
                host: host.host.to_string(),
                action: host.action.as_str(),
                reason: finding.reason.as_str(),
                message: finding.sentence(Lang::En),
                who_acts: finding.reason.who_acts().as_str(),
                raw: (host.action, finding.reason.who_acts(), finding),
            }
        });
        Self {
            namespace: ingress.metadata.namespace.to_string(),
            name: ingress.metadata.name.to_string(),
            profile: decision.profile.as_str(),
            lead: decision.lead,
            hosts: hosts.collect(),
            patch: decision.patch.clone(),
            before,
            after,
        }
    }
}

/// The decisions as one JSON document.
///
/// # Errors
/// Never in practice: all of it is text, numbers and lists.
pub fn json(explained: &[Explained]) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&Report { decisions: explained }).map(|text| text + "\n")
}

/// The Ingresses as they would be, as YAML documents.
///
/// # Errors
/// Never in practice: JSON values are YAML values.
pub fn yaml(explained: &[Explained]) -> Result<String, serde_saphyr::ser_error::Error> {
    let documents: Result<Vec<_>, _> = explained.iter().map(|e| serde_saphyr::to_string(&e.after)).collect();
    Ok(documents?.join("---\n"))
}

/// The decisions for a person, with the change as a diff. Styled; the caller
/// strips styles where the terminal has none.
///
/// # Errors
/// Never in practice: JSON values are YAML values.
pub fn person(explained: &[Explained], lang: Lang) -> Result<String, serde_saphyr::ser_error::Error> {
    let mut out = String::new();
    for (index, one) in explained.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let bold = Style::new().bold();
        let lead = match (one.lead, lang) {
            (false, _) => "",
            (true, Lang::En) => ", orders the certificate",
            (true, Lang::ZhCn) => "，由它申请证书",
        };
        let _ = writeln!(out, "{bold}{}/{}{bold:#} ({}{lead})", one.namespace, one.name, one.profile);
        for host in &one.hosts {
            let (action, who, finding) = &host.raw;
            let style = action_style(*action);
            let (sentence, name) = (finding.sentence(lang), readable(&host.host));
            // What is wrong with the issuer, say, names no host.
            let of = if sentence.contains(&*name) { String::new() } else { format!("{name}: ") };
            let _ = writeln!(out, "  {style}{:<8}{style:#} {of}{sentence}", host.action);
            if *who != WhoActs::Nobody {
                let label = if lang == Lang::En { "who acts" } else { "处理人" };
                let _ = writeln!(out, "           {label}: {}  [{}]", text::who(*who, lang), host.reason);
            }
        }
        if one.hosts.is_empty() {
            out.push_str(if lang == Lang::En { "  no hosts\n" } else { "  没有域名\n" });
        }
        if one.patch.is_empty() {
            out.push_str(if lang == Lang::En { "  no change\n" } else { "  无变更\n" });
        } else {
            diff(&serde_saphyr::to_string(&one.before)?, &serde_saphyr::to_string(&one.after)?, &mut out);
        }
    }
    Ok(out)
}

fn readable(host: &str) -> Cow<'_, str> {
    crate::core::host::Host::parse(host)
        .map_or(Cow::Borrowed(host), |parsed| Cow::Owned(parsed.readable().into_owned()))
}

fn action_style(action: Action) -> Style {
    let color = match action {
        Action::Inject => AnsiColor::Green,
        Action::Hold => AnsiColor::Yellow,
        Action::Skip => AnsiColor::BrightBlack,
        Action::Withdraw => AnsiColor::Magenta,
    };
    Style::new().fg_color(Some(color.into()))
}

fn diff(before: &str, after: &str, out: &mut String) {
    let diff = TextDiff::from_lines(before, after);
    for (index, group) in diff.grouped_ops(2).iter().enumerate() {
        if index > 0 {
            out.push_str("    …\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (sign, style) = match change.tag() {
                ChangeTag::Insert => ('+', Style::new().fg_color(Some(AnsiColor::Green.into()))),
                ChangeTag::Delete => ('-', Style::new().fg_color(Some(AnsiColor::Red.into()))),
                ChangeTag::Equal => (' ', Style::new()),
            };
            let _ = writeln!(out, "  {style}{sign} {}{style:#}", change.value().trim_end());
        }
    }
}
