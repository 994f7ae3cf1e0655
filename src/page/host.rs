//! One host: where it stands between Ingress and certificate, and what DNS shows and should.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{
    layout::{self, home, host_address, mark, time},
    words::{self, Words},
};
use crate::{
    core::{finding::Lang, text},
    status::Row,
};

/// A host's page.
pub fn render(row: &Row, lang: Lang, now: Timestamp) -> Markup {
    let words = words::of(lang);
    let body = html! {
        p { (mark(words, row.ready, row.needs_somebody())) " · " (words.who) ": " (text::who(row.finding.reason.who_acts(), lang)) }
        p.says { (row.finding.sentence(lang)) }
        @if !row.warnings.is_empty() {
            section aria-labelledby="warnings" {
                h2 id="warnings" { (words.warnings) }
                ul.plain { @for warning in &row.warnings { li { (warning) } } }
            }
        }
        section aria-labelledby="timeline" {
            h2 id="timeline" { (words.timeline) }
            (timeline(row, words, lang, now))
        }
        section aria-labelledby="records" {
            h2 id="records" { (words.records) }
            (records(row, words))
        }
        section aria-labelledby="facts" {
            h2 id="facts" { (words.facts) }
            (facts(row, words, lang, now))
        }
    };
    let controls = html! { p { a href=(home(lang)) { "← " (words.back) } } };
    layout::page(lang, &row.host, &host_address(&row.namespace, &row.name, words::other(lang)), &controls, &body)
}

/// The page where there is no such host.
pub fn missing(lang: Lang) -> Markup {
    let words = words::of(lang);
    let body = html! { p { a href=(home(lang)) { "← " (words.back) } } };
    layout::page(lang, words.missing, &home(words::other(lang)), &html! {}, &body)
}

fn timeline(row: &Row, words: &Words, lang: Lang, now: Timestamp) -> Markup {
    let steps = [
        (words.seen, true, row.created),
        (words.dns, row.verified_since.is_some(), row.verified_since),
        (words.served, row.issued_since.is_some(), row.issued_since),
    ];
    html! {
        ol.timeline {
            @for (step, done, at) in steps {
                li.done[done] {
                    (step) " "
                    span class=(if done { "good" } else { "soft" }) { "(" (if done { words.done } else { words.open }) ")" }
                    @if done { " " (time(at, now, lang)) }
                }
            }
            @if let Some(not_after) = row.not_after { li { (words.expires) " " (time(Some(not_after), now, lang)) } }
        }
    }
}

fn records(row: &Row, words: &Words) -> Markup {
    let required = text::records(&row.finding);
    let list = |values: &[String]| {
        html! {
            @if values.is_empty() { span.none { (words.none) } }
            ul.plain { @for value in values { li { code { (value) } } } }
        }
    };
    html! {
        table {
            thead { tr { th scope="col" { (words.observed) } th scope="col" { (words.required) } } }
            tbody {
                tr {
                    td data-label=(words.observed) { (list(&row.observed)) }
                    td data-label=(words.required) { (list(&required)) }
                }
            }
        }
        p.soft { (words.copy_hint) }
    }
}

fn facts(row: &Row, words: &Words, lang: Lang, now: Timestamp) -> Markup {
    let given =
        |value: &Option<String>| html! { @match value { Some(value) => { (value) }, None => span.none { "–" } } };
    html! {
        dl {
            dt { (words.namespace) } dd { (row.namespace) }
            dt { (words.reason) } dd { (row.finding.reason) }
            dt { (words.since) } dd { (time(row.since, now, lang)) }
            dt { (words.last_check) } dd { (time(row.last_check, now, lang)) }
            dt { (words.next) } dd { (time(row.next_check, now, lang)) }
            dt { (words.lead) } dd { (given(&row.lead)) }
            dt { (words.certificate) } dd { (given(&row.certificate)) }
            dt { (words.expires) } dd { (time(row.not_after, now, lang)) }
        }
    }
}
