//! Verdicts for people and for programs.

use std::{fmt::Write as _, time::Duration};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::Checked;
use crate::core::{
    finding::Lang,
    policy::Dns,
    schedule::next_check,
    text::{records, who},
    verdict::{Check, CheckStatus, Verdict},
};

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// The words around the sentences.
struct Words {
    ready: &'static str,
    held: &'static str,
    seen: &'static str,
    needed: &'static str,
    also: &'static str,
    who_acts: &'static str,
    next: &'static str,
    skipped: &'static str,
}

const EN: Words = Words {
    ready: "ready",
    held: "held",
    seen: "seen",
    needed: "needed",
    also: "also",
    who_acts: "who acts",
    next: "look again in",
    skipped: "not checked",
};
const ZH: Words = Words {
    ready: "就绪",
    held: "暂缓",
    seen: "所见",
    needed: "所需",
    also: "另外",
    who_acts: "处理人",
    next: "再次检查",
    skipped: "未检查",
};

/// What a program reads.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    host: &'a str,
    ready: bool,
    reason: &'static str,
    who_acts: &'static str,
    message: String,
    observed: &'a [String],
    required: &'a [String],
    warnings: Vec<String>,
    next_check_seconds: u64,
    checks: &'a [Check],
}

/// One JSON document a line.
pub(super) fn json(checked: &[Checked], lang: Lang) -> Result<String, serde_json::Error> {
    let mut out = String::new();
    for Checked { host, verdict } in checked {
        let finding = &verdict.finding;
        let report = Report {
            host,
            ready: verdict.ready(),
            reason: finding.reason.as_str(),
            who_acts: finding.who_acts().as_str(),
            message: finding.sentence(lang),
            observed: &finding.observed,
            required: &finding.required,
            warnings: verdict.warnings.iter().map(|warning| warning.sentence(lang)).collect(),
            next_check_seconds: wait(verdict).as_secs(),
            checks: &verdict.checks,
        };
        out.push_str(&serde_json::to_string(&report)?);
        out.push('\n');
    }
    Ok(out)
}

/// Sentences, with colours that [`anstream`] takes out where they do not belong.
pub(super) fn person(checked: &[Checked], lang: Lang) -> String {
    let mut out = String::new();
    for (index, Checked { host, verdict }) in checked.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        // Writing to a String cannot fail.
        let _ = block(&mut out, host, verdict, lang);
    }
    out
}

fn block(out: &mut String, host: &str, verdict: &Verdict, lang: Lang) -> std::fmt::Result {
    let words = match lang {
        Lang::En => &EN,
        Lang::ZhCn => &ZH,
    };
    let finding = &verdict.finding;
    let (style, mark, state) = if verdict.ready() { (GOOD, "✓", words.ready) } else { (BAD, "✗", words.held) };
    let shown = crate::core::finding::clean(host);
    writeln!(out, "{style}{mark} {shown}: {state}{style:#} {DIM}({}){DIM:#}", finding.reason)?;
    writeln!(out, "  {}", finding.sentence(lang))?;
    let mut label = words.seen;
    for check in &verdict.checks {
        line(out, label, &seen(check, words))?;
        label = "";
    }
    let mut label = words.needed;
    for record in records(finding) {
        line(out, label, &format!("{BOLD}{record}{BOLD:#}"))?;
        label = "";
    }
    let mut label = words.also;
    for warning in &verdict.warnings {
        line(out, label, &format!("{WARN}!{WARN:#} {}", warning.sentence(lang)))?;
        label = "";
    }
    if !verdict.ready() {
        line(out, words.who_acts, who(finding.who_acts(), lang))?;
    }
    line(out, words.next, &span(wait(verdict), lang))
}

fn seen(check: &Check, words: &Words) -> String {
    let (style, mark) = match check.status {
        CheckStatus::Pass => (GOOD, "✓"),
        CheckStatus::Warn => (WARN, "!"),
        CheckStatus::Fail => (BAD, "✗"),
        CheckStatus::Skipped => (DIM, "-"),
    };
    let detail = if check.status == CheckStatus::Skipped { words.skipped } else { check.detail.as_str() };
    format!("{style}{mark}{style:#} {:<13} {detail}", check.name)
}

/// A labelled line; Chinese characters are two columns wide.
fn line(out: &mut String, label: &str, text: &str) -> std::fmt::Result {
    let width: usize = label.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    writeln!(out, "  {DIM}{label}{DIM:#}{:pad$}{text}", "", pad = 15_usize.saturating_sub(width))
}

fn wait(verdict: &Verdict) -> Duration {
    next_check(verdict, Duration::ZERO, 1, 0.0, &Dns::default())
}

fn span(wait: Duration, lang: Lang) -> String {
    let (count, unit) = match wait.as_secs() {
        seconds if seconds >= 3600 && seconds % 3600 == 0 => (seconds / 3600, ["h", "小时后"]),
        seconds if seconds >= 120 => (seconds / 60, ["min", "分钟后"]),
        seconds => (seconds, ["s", "秒后"]),
    };
    match lang {
        Lang::En => format!("{count} {}", unit[0]),
        Lang::ZhCn => format!("{count} {}", unit[1]),
    }
}
