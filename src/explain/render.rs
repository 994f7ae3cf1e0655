//! What `certgate explain` prints: for people, for programs, and the Ingress as it would be.

use std::{borrow::Cow, fmt::Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::{documents::Document, rainbond::Fate};
use crate::core::{
    decision::Decision,
    finding::{Finding, Lang},
    ingress::Ingress,
    patch::PatchOp,
    policy::Profile,
    reason::{Action, WhoActs},
    text,
};

/// The decision about one Ingress, with the object before and after; or what becomes of the hosts of an object of
/// Rainbond 6, which stays as it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    kind: &'static str,
    namespace: String,
    name: String,
    profile: &'static str,
    lead: bool,
    hosts: Vec<ExplainedHost>,
    patch: Vec<PatchOp>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "in_english")]
    remark: Option<Remark>,
    /// Before and after.
    #[serde(skip)]
    objects: Option<(Value, Value)>,
}

/// What else is to be said of an object.
#[derive(Clone, Debug)]
pub enum Remark {
    /// Policy does not heed the switch.
    RoutesOff,
    /// Policy does not name the Certificate's issuer.
    OtherIssuer(String),
    /// Nothing is held back.
    GateOff,
    /// Kubernetes no longer serves the version in which an Ingress is written.
    OldVersion,
}

// === impl Remark ===

impl Remark {
    /// In a sentence.
    fn sentence(&self, lang: Lang) -> String {
        match (self, lang) {
            (Self::RoutesOff, Lang::En) => {
                "Rainbond's switch is on, but ignored: `rainbond.routes` is off in the policy".to_owned()
            }
            (Self::RoutesOff, Lang::ZhCn) => {
                "Rainbond 的自动签发已开启，但被忽略：策略中的 `rainbond.routes` 未开启".to_owned()
            }
            (Self::OtherIssuer(issuer), Lang::En) => format!("the policy does not name its issuer {issuer}"),
            (Self::OtherIssuer(issuer), Lang::ZhCn) => format!("策略未指定其签发者 {issuer}"),
            (Self::GateOff, Lang::En) => {
                "it is checked and reported, but no order is held back: `gate.mode` is off in the policy".to_owned()
            }
            (Self::OldVersion, Lang::En) => "Kubernetes 1.22 and later do not take this apiVersion; write \
                networking.k8s.io/v1 (`kubectl convert` does it). It is decided on as if it were that"
                .to_owned(),
            (Self::OldVersion, Lang::ZhCn) => "Kubernetes 1.22 及以上版本不再接受此 apiVersion，请改为 \
                networking.k8s.io/v1（可用 `kubectl convert` 转换）；这里按该版本处理"
                .to_owned(),
            (Self::GateOff, Lang::ZhCn) => "仅检查并提示，不会暂缓签发：策略中的 `gate.mode` 未开启".to_owned(),
        }
    }
}

fn in_english<S: serde::Serializer>(remark: &Option<Remark>, to: S) -> Result<S::Ok, S::Error> {
    remark.as_ref().map(|remark| remark.sentence(Lang::En)).serialize(to)
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
    raw: (Action, WhoActs, Finding),
}

/// The document that `-o json` prints.
#[derive(Serialize)]
struct Report<'a> {
    decisions: &'a [Explained],
}

// === impl Explained ===

impl Explained {
    /// Takes what is printed from a decision.
    pub fn new(found: &Document, ingress: &Ingress<'_>, decision: &Decision<'_>, after: Value) -> Self {
        let hosts = decision
            .hosts
            .iter()
            .map(|host| ExplainedHost::new(host.host.to_string(), host.action.as_str(), host.action, host.finding()));
        Self {
            kind: "Ingress",
            namespace: ingress.metadata.namespace.to_string(),
            name: found.name(),
            profile: decision.profile.as_str(),
            lead: decision.lead,
            hosts: hosts.collect(),
            patch: decision.patch.clone(),
            remark: found.is_old().then_some(Remark::OldVersion),
            objects: Some((found.object.clone(), after)),
        }
    }

    /// An object of Rainbond 6, whose hosts are checked.
    pub fn checked(kind: &'static str, namespace: &str, name: &str, fates: Vec<Fate>, remark: Option<Remark>) -> Self {
        let hosts = fates.into_iter().map(|fate| ExplainedHost::new(fate.host, fate.word, fate.action, fate.finding));
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            profile: Profile::Apisix.as_str(),
            lead: false,
            hosts: hosts.collect(),
            patch: Vec::new(),
            remark,
            objects: None,
        }
    }
}

// === impl ExplainedHost ===

impl ExplainedHost {
    fn new(host: String, word: &'static str, action: Action, finding: Finding) -> Self {
        let who = finding.who_acts();
        Self {
            host,
            action: word,
            reason: finding.reason.as_str(),
            message: finding.sentence(Lang::En),
            who_acts: who.as_str(),
            raw: (action, who, finding),
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
    let after = explained.iter().filter_map(|one| one.objects.as_ref().map(|(_, after)| after));
    let documents: Result<Vec<_>, _> = after.map(serde_saphyr::to_string).collect();
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
        let what = match (one.kind, lang) {
            ("Ingress", _) => one.profile,
            ("Certificate", Lang::En) => "Certificate of Rainbond's switch",
            ("Certificate", Lang::ZhCn) => "Rainbond 自动签发的 Certificate",
            (kind, _) => kind,
        };
        let _ = writeln!(out, "{bold}{}/{}{bold:#} ({what}{lead})", one.namespace, one.name);
        for host in &one.hosts {
            let (action, who, finding) = &host.raw;
            let style = action_style(*action);
            let (sentence, name) = (finding.sentence(lang), readable(&host.host));
            // What is wrong with the issuer, say, names no host.
            let of = if sentence.contains(&*name) { String::new() } else { format!("{name}: ") };
            let _ = match lang {
                Lang::En => writeln!(out, "  {style}{:<8}{style:#} {of}{sentence}", host.action),
                Lang::ZhCn => writeln!(out, "  {style}{}{style:#}  {of}{sentence}", in_chinese(host.action)),
            };
            if *who != WhoActs::Nobody {
                let label = if lang == Lang::En { "who acts" } else { "处理人" };
                let _ = writeln!(out, "           {label}: {}  [{}]", text::who(*who, lang), host.reason);
            }
        }
        if one.hosts.is_empty() {
            out.push_str(if lang == Lang::En { "  no hosts\n" } else { "  没有域名\n" });
        }
        if let Some(remark) = &one.remark {
            let _ = writeln!(out, "  {}", remark.sentence(lang));
        }
        match &one.objects {
            None => {}
            Some(_) if one.patch.is_empty() => {
                out.push_str(if lang == Lang::En { "  no change\n" } else { "  无变更\n" });
            }
            Some((before, after)) => {
                diff(&serde_saphyr::to_string(before)?, &serde_saphyr::to_string(after)?, &mut out);
            }
        }
    }
    Ok(out)
}

/// The word for what is done, each of two characters.
fn in_chinese(action: &str) -> &str {
    match action {
        "inject" => "签发",
        "hold" => "暂缓",
        "skip" => "跳过",
        "withdraw" => "撤除",
        "approve" => "批准",
        "tell" => "提示",
        other => other,
    }
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
