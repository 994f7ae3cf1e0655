//! One host: where it stands between Ingress and certificate, and what DNS shows and should.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{
    layout::{self, Frame, home, host_address, mark, state_class, time},
    timeline,
    words::{self, Words},
};
use crate::{
    core::{finding::Lang, names, reason::WhoActs, text},
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
                (needed(&required, words))
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

/// The records to set, in the columns that DNS providers ask for.
fn needed(records: &[String], words: &Words) -> Markup {
    html! {
        table.records {
            thead { tr { @for title in [words.kind, words.name, words.value] { th scope="col" { (title) } } } }
            tbody {
                @for record in records {
                    @let mut parts = record.splitn(3, ' ');
                    @let (name, kind, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
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
