//! What `certgate doctor` prints.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::json;

use super::{Check, Finding, Level};
use crate::core::finding::Lang;

/// A finding for programs.
#[derive(Serialize)]
struct JsonFinding<'a> {
    check: Check,
    level: Level,
    #[serde(skip_serializing_if = "str::is_empty")]
    fault: &'a str,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
}

/// The findings as one JSON document.
///
/// # Errors
/// Never in practice: all of it is text.
pub fn json(findings: &[Finding], lang: Lang) -> Result<String, serde_json::Error> {
    let findings: Vec<JsonFinding<'_>> = findings
        .iter()
        .map(|finding| JsonFinding {
            check: finding.check,
            level: finding.level,
            fault: finding.fault,
            what: finding.what.of(lang),
            remedy: finding.remedy.as_ref().map(|remedy| remedy.of(lang)),
        })
        .collect();
    serde_json::to_string_pretty(&json!({ "findings": findings })).map(|text| text + "\n")
}

/// The findings for a person: what is to be fixed last, next to the prompt.
pub fn person(findings: &[Finding], lang: Lang) -> String {
    let mut out = String::new();
    for level in [Level::Ok, Level::Warn, Level::Fail] {
        let (mark, colour) = match level {
            Level::Ok => ("ok  ", AnsiColor::Green),
            Level::Warn => ("warn", AnsiColor::Yellow),
            Level::Fail => ("FAIL", AnsiColor::Red),
        };
        let style = Style::new().bold().fg_color(Some(colour.into()));
        for finding in findings.iter().filter(|finding| finding.level == level) {
            let (title, what) = (finding.check.title(lang), finding.what.of(lang));
            let colon = if lang == Lang::En { ": " } else { "：" };
            let _ = writeln!(out, "{style}{mark}{style:#}  {title}{colon}{what}");
            if let Some(remedy) = &finding.remedy {
                let _ = writeln!(out, "      → {}", remedy.of(lang));
            }
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (faults, warnings) = (count(Level::Fail), count(Level::Warn));
    let summary = match lang {
        Lang::En if faults + warnings == 0 => "all is well".to_owned(),
        Lang::En => format!("{faults} to fix, {warnings} to look at"),
        Lang::ZhCn if faults + warnings == 0 => "一切正常".to_owned(),
        Lang::ZhCn => format!("{faults} 项需要修复，{warnings} 项需要留意"),
    };
    let bold = Style::new().bold();
    let _ = writeln!(out, "\n{bold}{summary}{bold:#}");
    out
}
