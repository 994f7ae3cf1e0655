//! One host: where it stands between Ingress and certificate, and what DNS shows and should.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{
    layout::{self, Frame, home, host_address, mark, state_class, time},
    timeline,
    words::{self, Words},
};
use crate::{
    core::{finding::Lang, host::Host, names, reason::WhoActs, text},
    status::Row,
};

/// A host's page.
pub fn render(row: &Row, frame: Frame, now: Timestamp) -> Markup {
    let lang = frame.lang;
    let words = words::of(lang);
    let who = row.finding.who_acts();
    let body = html! {
        div class={"says " (state_class(row))} {
            p {
                (mark(words, row))
                @if who != WhoActs::Nobody { " " strong { (words.who) ": " (text::who(who, lang)) } }
            }
            p { (row.finding.sentence(lang)) }
            @if let (false, Some(_)) = (row.is_settled(), row.next_check) { p.soft { (words.next) ": " (time(row.next_check, now, lang)) } }
        }
        @if !row.warnings.is_empty() {
            section aria-labelledby="warnings" {
                h2 id="warnings" { (words.warnings) }
                ul { @for warning in &row.warnings { li { (warning) } } }
            }
        }
        @let required = text::records(row.finding.cause.as_deref().unwrap_or(&row.finding));
        @if !required.is_empty() && !row.is_settled() {
            section aria-labelledby="needed" {
                h2 id="needed" { (words.required) }
                (needed(&required, words, lang))
            }
        }
        div.sides {
            section aria-labelledby="timeline" {
                h2 id="timeline" { (words.timeline) }
                (timeline::render(row, lang, now))
            }
            div {
                section aria-labelledby="seen" {
                    h2 id="seen" { (words.observed) }
                    (seen(row, words, lang, now))
                }
                section aria-labelledby="facts" {
                    h2 id="facts" { (words.facts) }
                    (facts(row, words, lang, now))
                }
            }
        }
        @if let Some(command) = check_now(row) {
            section aria-labelledby="now" {
                h2 id="now" { (words.check_now) }
                p { code.copy { (command) } }
            }
        }
    };
    let controls = html! { a.back href=(home(lang)) { "← " (words.back) } };
    let other = host_address(&row.namespace, &row.name, words::other(lang));
    layout::page(frame, &row.host, &other, &controls, Some(&body))
}

/// The page where there is no such host.
pub fn missing(frame: Frame) -> Markup {
    let words = words::of(frame.lang);
    let body = html! { p { a.back href=(home(frame.lang)) { "← " (words.back) } } };
    layout::page(frame, words.missing, &home(words::other(frame.lang)), &html! {}, Some(&body))
}

/// A record to set, as the forms of DNS providers ask for it: type, name and value, without final dots.
fn fields(record: &str, lang: Lang) -> [String; 3] {
    let mut parts = record.splitn(3, ' ').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    let (name, kind, value) = (next(), next(), next());
    let name = name.trim_end_matches('.').to_owned();
    let name = if lang == Lang::ZhCn { host_record(&name) } else { name };
    let value = if kind == "CNAME" { value.trim_end_matches('.').to_owned() } else { value };
    [kind, name, value]
}

/// A name without its registered domain, which the forms of Chinese providers add by themselves; `@`: that domain itself.
fn host_record(name: &str) -> String {
    // `_acme-challenge` is no part of a host.
    let host = name.split_once('.').filter(|(first, _)| first.starts_with('_')).map_or(name, |(_, rest)| rest);
    let domain = Host::parse(host).map(|host| host.registered_domain().to_owned()).unwrap_or_default();
    match name.strip_suffix(&domain) {
        Some("") if !domain.is_empty() => "@".to_owned(),
        Some(rest) if !domain.is_empty() => rest.trim_end_matches('.').to_owned(),
        _ => name.to_owned(),
    }
}

/// The records to set, in the columns that DNS providers ask for.
fn needed(records: &[String], words: &Words, lang: Lang) -> Markup {
    html! {
        table.records {
            thead { tr { @for title in [words.kind, words.name, words.value] { th scope="col" { (title) } } } }
            tbody {
                @for record in records {
                    @let [kind, name, value] = fields(record, lang);
                    tr {
                        td data-label=(words.kind) { (kind) }
                        td data-label=(words.name) { code.copy { (name) } }
                        td data-label=(words.value) { code.copy { (value) } }
                    }
                }
            }
        }
        @if records.len() > 1 { p.soft { (words.any_one) } }
    }
}

fn seen(row: &Row, words: &Words, lang: Lang, now: Timestamp) -> Markup {
    html! {
        @if row.observed.is_empty() { p.none { (words.none) } }
        ul.plain.seen { @for value in &row.observed { li { code { (value) } } } }
        p.soft { (words.last_check) ": " (time(row.last_check, now, lang)) }
    }
}

fn facts(row: &Row, words: &Words, lang: Lang, now: Timestamp) -> Markup {
    let texts = [
        (words.namespace, Some(&row.namespace)),
        (words.lead, row.lead.as_ref()),
        (words.issuer, row.issuer.as_ref()),
        (words.certificate, row.certificate.as_ref()),
        (words.secret, row.secret.as_ref()),
    ];
    html! {
        dl {
            @for (name, value) in texts { @if let Some(value) = value { dt { (name) } dd { (value) } } }
            dt { (words.reason) } dd { (row.finding.reason) }
            @for (name, at) in [(words.since, row.since), (words.expires, row.not_after)] {
                @if at.is_some() { dt { (name) } dd { (time(at, now, lang)) } }
            }
        }
    }
}

/// The command that has the host looked at now. What a shell might read otherwise makes none.
fn check_now(row: &Row) -> Option<String> {
    let harmless =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    let harmless = !row.is_settled() && harmless(&row.namespace) && harmless(&row.name) && !row.name.starts_with('-');
    harmless.then(|| {
        format!(
            "kubectl -n {} annotate domain {} {}=\"$(date)\" --overwrite",
            row.namespace,
            row.name,
            names::CHECK_NOW
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_written_as_dns_providers_ask_for_them() {
        let rows = [
            ("www.example.com. A 203.0.113.7", ["A", "www.example.com", "203.0.113.7"], "www"),
            ("example.com.cn. A 203.0.113.7", ["A", "example.com.cn", "203.0.113.7"], "@"),
            ("*.a.example.com. CNAME lb.example.net.", ["CNAME", "*.a.example.com", "lb.example.net"], "*.a"),
            (
                "example.com. CAA 0 issue \"letsencrypt.org\"",
                ["CAA", "example.com", "0 issue \"letsencrypt.org\""],
                "@",
            ),
            (
                "_acme-challenge.www.example.com. CNAME x.example.net.",
                ["CNAME", "_acme-challenge.www.example.com", "x.example.net"],
                "_acme-challenge.www",
            ),
        ];
        for (record, english, host_record) in rows {
            assert_eq!(fields(record, Lang::En), english);
            assert_eq!(fields(record, Lang::ZhCn), [english[0], host_record, english[2]]);
        }
    }
}
