//! What `certgate status` prints.

use std::{collections::BTreeMap, fmt::Write as _};

use anstyle::{AnsiColor, Style};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Row;
use crate::core::{finding::Lang, reason::WhoActs, text};

/// Hosts of a group that a person is shown unless all are asked for: those that have waited longest.
const SHOWN: usize = 20;

/// A row for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonRow<'a> {
    namespace: &'a str,
    host: &'a str,
    ready: bool,
    reason: &'static str,
    who_acts: &'static str,
    message: String,
    observed: &'a [String],
    required: &'a [String],
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    next_check_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lead: Option<&'a str>,
}

/// The rows as one JSON document.
///
/// # Errors
/// Never in practice: all of it is text, numbers and lists.
pub fn json(rows: &[Row], lang: Lang) -> Result<String, serde_json::Error> {
    let rows: Vec<JsonRow<'_>> = rows
        .iter()
        .map(|row| JsonRow {
            namespace: &row.namespace,
            host: &row.host,
            ready: row.ready,
            reason: row.finding.reason.as_str(),
            who_acts: row.finding.who_acts().as_str(),
            message: row.finding.sentence(lang),
            observed: &row.observed,
            required: &row.finding.required,
            warnings: &row.warnings,
            next_check_time: row.next_check,
            since: row.since,
            certificate: row.certificate.as_deref(),
            not_after: row.not_after,
            lead: row.lead.as_deref(),
        })
        .collect();
    serde_json::to_string_pretty(&serde_json::json!({ "hosts": rows })).map(|text| text + "\n")
}

/// The rows for a person, grouped by who must act.
pub fn person(rows: &[Row], wide: bool, lang: Lang, now: Timestamp) -> String {
    let words = Words::of(lang);
    let bold = Style::new().bold();
    let mut out = String::new();
    let ready = rows.iter().filter(|row| row.ready).count();
    let _ = writeln!(out, "{bold}{}{bold:#}", words.summary(rows.len(), ready));
    let unsettled: Vec<&Row> = rows.iter().filter(|row| !row.is_settled()).collect();
    for group in unsettled.chunk_by(|a, b| a.finding.who_acts() == b.finding.who_acts()) {
        let who = group.first().map_or(WhoActs::Nobody, |row| row.finding.who_acts());
        let colour = if who == WhoActs::Nobody { AnsiColor::Cyan } else { AnsiColor::Yellow };
        let style = Style::new().bold().fg_color(Some(colour.into()));
        let shown = if wide { group.len() } else { SHOWN };
        let _ = write!(out, "\n{style}{}{style:#} ({}", words.group(who, lang), group.len());
        let _ = writeln!(out, "{})", if group.len() > shown { words.by_reason(group) } else { String::new() });
        for row in group.iter().take(shown) {
            waiting(row, wide, lang, now, &words, &mut out);
        }
        if group.len() > shown {
            let _ = writeln!(out, "  {}", words.more(group.len() - shown));
        }
    }
    let settled = rows.iter().filter(|row| row.is_settled()).count();
    if wide && settled > 0 {
        let style = Style::new().bold().fg_color(Some(AnsiColor::Green.into()));
        let _ = writeln!(out, "\n{style}{}{style:#} ({settled})", words.ready);
        for row in rows.iter().filter(|row| row.is_settled()) {
            let _ = writeln!(out, "  {}  {}  {}", row.host, row.namespace, row.finding.sentence(lang));
        }
    }
    out
}

fn waiting(row: &Row, wide: bool, lang: Lang, now: Timestamp, words: &Words, out: &mut String) {
    // What is served counts the days that are left, not those gone by.
    let time = match row.not_after.filter(|_| row.ready) {
        Some(end) => Some(words.ends(end.duration_since(now))),
        None => row.since.map(|since| words.since(now.duration_since(since))),
    };
    let bold = Style::new().bold();
    let _ = writeln!(out, "  {bold}{}{bold:#}  {}  {}", row.host, row.namespace, time.unwrap_or_default());
    let _ = writeln!(out, "    {}", row.finding.sentence(lang));
    for warning in &row.warnings {
        let _ = writeln!(out, "    ! {warning}");
    }
    if let Some(next) = row.next_check {
        let _ = writeln!(out, "    {}", words.next(next.duration_since(now)));
    }
    if wide {
        let mut fact = |label: &str, value: &str| {
            if !value.is_empty() {
                let _ = writeln!(out, "    {label}: {value}");
            }
        };
        fact(words.reason, row.finding.reason.as_str());
        fact(words.observed, &row.observed.join(", "));
        fact(words.lead, row.lead.as_deref().unwrap_or_default());
        fact(words.certificate, row.certificate.as_deref().unwrap_or_default());
    }
}

/// A span of time as people say it: the largest unit alone.
pub fn span(duration: SignedDuration, lang: Lang) -> String {
    let seconds = duration.as_secs().max(0);
    let (count, unit) = match seconds {
        0..=99 => (seconds, ["s", "秒"]),
        100..=5_999 => (seconds / 60, ["min", "分钟"]),
        6_000..=172_799 => (seconds / 3_600, ["h", "小时"]),
        _ => (seconds / 86_400, ["d", "天"]),
    };
    match lang {
        Lang::En => format!("{count} {}", unit[0]),
        Lang::ZhCn => format!("{count} {}", unit[1]),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The fixed words of the output.
struct Words {
    lang: Lang,
    ready: &'static str,
    reason: &'static str,
    observed: &'static str,
    lead: &'static str,
    certificate: &'static str,
}

// === impl Words ===

impl Words {
    const fn of(lang: Lang) -> Self {
        match lang {
            Lang::En => Self {
                lang,
                ready: "Ready",
                reason: "reason",
                observed: "seen in DNS",
                lead: "Ingress",
                certificate: "Certificate",
            },
            Lang::ZhCn => {
                Self {
                    lang, ready: "就绪", reason: "原因", observed: "DNS 现状", lead: "Ingress", certificate: "证书"
                }
            }
        }
    }

    fn summary(&self, all: usize, ready: usize) -> String {
        match self.lang {
            Lang::En if all == 0 => "no hosts: nothing is flagged for automatic issuance".to_owned(),
            Lang::ZhCn if all == 0 => "没有域名：尚未开启自动签发".to_owned(),
            Lang::En => format!("{ready} of {all} hosts ready"),
            Lang::ZhCn => format!("共 {all} 个域名，{ready} 个就绪"),
        }
    }

    fn group(&self, who: WhoActs, lang: Lang) -> String {
        match (self.lang, who) {
            (Lang::En, WhoActs::Nobody) => "In progress, nobody needs to act".to_owned(),
            (Lang::ZhCn, WhoActs::Nobody) => "处理中，无需操作".to_owned(),
            (Lang::En, who) => capitalised(&format!("{} must act", text::who(who, lang))),
            (Lang::ZhCn, who) => format!("请{}处理", text::who(who, lang)),
        }
    }

    fn since(&self, waited: SignedDuration) -> String {
        match self.lang {
            Lang::En => format!("for {}", span(waited, self.lang)),
            Lang::ZhCn => format!("已 {}", span(waited, self.lang)),
        }
    }

    fn ends(&self, left: SignedDuration) -> String {
        match self.lang {
            Lang::En if left.as_secs() <= 0 => "certificate has ended".to_owned(),
            Lang::ZhCn if left.as_secs() <= 0 => "证书已过期".to_owned(),
            Lang::En => format!("certificate ends in {}", span(left, self.lang)),
            Lang::ZhCn => format!("证书 {}后到期", span(left, self.lang)),
        }
    }

    /// How many of a group wait for what, the most first.
    fn by_reason(&self, group: &[&Row]) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for row in group {
            *counts.entry(row.finding.reason.as_str()).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let counts: Vec<String> = counts.into_iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        match self.lang {
            Lang::En => format!(": {}", counts.join(", ")),
            Lang::ZhCn => format!("：{}", counts.join("，")),
        }
    }

    fn more(&self, count: usize) -> String {
        match self.lang {
            Lang::En => format!("… and {count} more: -o wide shows all, -n NAMESPACE or HOST some"),
            Lang::ZhCn => format!("…… 另有 {count} 个：-o wide 显示全部，可用 -n 命名空间 或域名筛选"),
        }
    }

    fn next(&self, left: SignedDuration) -> String {
        match self.lang {
            Lang::En if left.as_secs() <= 0 => "checked regularly; nothing has changed".to_owned(),
            Lang::ZhCn if left.as_secs() <= 0 => "持续检查中，暂无变化".to_owned(),
            Lang::En => format!("next check in {}", span(left, self.lang)),
            Lang::ZhCn => format!("{}后重新检查", span(left, self.lang)),
        }
    }
}
