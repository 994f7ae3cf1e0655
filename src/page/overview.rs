//! All hosts at a glance.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{
    layout::{self, Frame, host_address, mark, time},
    plot,
    query::{Query, State, WHO},
    words,
};
use crate::{
    core::{finding::Lang, reason::WhoActs, text},
    status::Row,
};

/// Hosts on one page.
pub const PER_PAGE: usize = 100;
/// Hosts in a short list.
const SHORT: usize = 5;

/// The overview.
pub fn render(rows: &[Row], query: &Query, frame: Frame, now: Timestamp) -> Markup {
    let lang = frame.lang;
    let words = words::of(lang);
    let listed: Vec<&Row> = rows.iter().filter(|row| query.lists(row)).collect();
    let last = listed.len().div_ceil(PER_PAGE).max(1);
    let page = query.page.min(last);
    let first = (page - 1) * PER_PAGE;
    let count = words::count(lang, first + 1..=listed.len().min(first + PER_PAGE), listed.len(), rows.len());
    let shown = listed.iter().skip(first).take(PER_PAGE).copied();
    let other = Query { lang: Some(words::other(lang)), ..query.clone() }.address(page);
    let body = html! {
        (counts(rows, query, lang))
        (waited_for(rows, query, lang))
        // Who looks for something finds it first.
        @if !query.is_narrow() {
            div.three {
                section aria-labelledby="longest" {
                    h2 id="longest" { (words.longest) }
                    (short(longest(rows), |row| row.since, lang, now))
                }
                section aria-labelledby="soonest" {
                    h2 id="soonest" { (words.soonest) }
                    (short(soonest(rows), |row| row.not_after, lang, now))
                }
                section aria-labelledby="plot" {
                    h2 id="plot" { (words.plot) }
                    (plot::render(rows, lang, now))
                }
            }
        }
        section aria-labelledby="hosts" {
            h2 id="hosts" { (words.hosts) }
            (table(shown, &count, lang, now))
            (pages(query, page, last, lang))
        }
    };
    layout::page(frame, words.title, &other, &form(query, lang), Some(&body))
}

/// The overview before the hosts are listed.
pub fn loading(frame: Frame) -> Markup {
    let words = words::of(frame.lang);
    let other = layout::home(words::other(frame.lang));
    layout::page(frame, words.title, &other, &html! {}, Some(&html! { p { (words.loading) } }))
}

/// How many there are of each state; each leads to its list.
fn counts(rows: &[Row], query: &Query, lang: Lang) -> Markup {
    let states = [State::All, State::Ready, State::Progress, State::Action, State::Risk];
    html! {
        ul.cards {
            @for state in states {
                @let address = Query { state, lang: Some(lang), ..Query::default() }.address(1);
                @let here = query.state == state && query.who.is_none() && query.search.is_empty();
                li {
                    a href=(address) aria-current=[here.then_some("page")] {
                        strong { (rows.iter().filter(|row| state.has(row)).count()) } (state_word(state, lang))
                    }
                }
            }
        }
    }
}

fn state_word(state: State, lang: Lang) -> &'static str {
    let words = words::of(lang);
    match state {
        State::All => words.hosts,
        State::Waiting => words.waiting,
        State::Ready => words.ready,
        State::Progress => words.in_progress,
        State::Action => words.needs_action,
        State::Risk => words.at_risk,
    }
}

/// How many hosts wait for each of those who can act.
fn waited_for(rows: &[Row], query: &Query, lang: Lang) -> Markup {
    let waits = |who| rows.iter().filter(|row| !row.is_settled() && row.finding.who_acts() == who).count();
    let some: Vec<_> = WHO
        .into_iter()
        .filter(|who| *who != WhoActs::Nobody)
        .map(|who| (who, waits(who)))
        .filter(|(who, count)| *count > 0 || query.who == Some(*who))
        .collect();
    html! {
        @if !some.is_empty() {
            ul.chips aria-label=(words::of(lang).who) {
                @for (who, count) in some {
                    @let address = Query { who: Some(who), lang: Some(lang), ..Query::default() }.address(1);
                    li { a href=(address) aria-current=[(query.who == Some(who)).then_some("page")] { (text::who(who, lang)) " · " (count) } }
                }
            }
        }
    }
}

/// The hosts that wait longest.
fn longest(rows: &[Row]) -> Vec<&Row> {
    least(rows.iter().filter(|row| !row.ready), |row| row.since)
}

/// The hosts whose certificates end soonest.
fn soonest(rows: &[Row]) -> Vec<&Row> {
    least(rows.iter(), |row| row.not_after)
}

fn least<'r>(rows: impl Iterator<Item = &'r Row>, at: fn(&Row) -> Option<Timestamp>) -> Vec<&'r Row> {
    let mut dated: Vec<&Row> = rows.filter(|row| at(row).is_some()).collect();
    if dated.len() > SHORT {
        dated.select_nth_unstable_by_key(SHORT, |row| at(row));
        dated.truncate(SHORT);
    }
    dated.sort_by_key(|row| (at(row), &row.host));
    dated
}

fn short(rows: Vec<&Row>, at: fn(&Row) -> Option<Timestamp>, lang: Lang, now: Timestamp) -> Markup {
    html! {
        @if rows.is_empty() { p.soft { (words::of(lang).nothing) } }
        ol.plain.short {
            @for row in rows {
                li { a href=(host_address(&row.namespace, &row.name, lang)) { (row.host) } " " (time(at(row), now, lang)) }
            }
        }
    }
}

fn form(query: &Query, lang: Lang) -> Markup {
    let words = words::of(lang);
    html! {
        form method="get" action="/" role="search" {
            label.find { (words.search) input type="search" name="q" value=(query.search) placeholder=(words.search_hint) maxlength="253"; }
            label { (words.state)
                select name="state" {
                    @for state in State::ALL {
                        @let label = if state == State::All { words.all } else { state_word(state, lang) };
                        option value=(state.as_str()) selected[query.state == state] { (label) }
                    }
                }
            }
            label { (words.who)
                select name="who" {
                    option value="" selected[query.who.is_none()] { (words.anybody) }
                    @for who in WHO {
                        option value=(who.as_str()) selected[query.who == Some(who)] { (text::who(who, lang)) }
                    }
                }
            }
            input type="hidden" name="lang" value=(words::short(lang));
            button type="submit" { (words.show) }
            @if query.is_narrow() { a.back href=(layout::home(lang)) { (words.clear) } }
        }
    }
}

fn table<'r>(rows: impl Iterator<Item = &'r Row>, caption: &str, lang: Lang, now: Timestamp) -> Markup {
    let words = words::of(lang);
    html! {
        table {
            caption { (caption) }
            thead {
                tr {
                    @for title in [words.host, words.namespace, words.state, words.what, words.since, words.next, words.expires] {
                        th scope="col" { (title) }
                    }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        th scope="row" { a href=(host_address(&row.namespace, &row.name, lang)) { (row.host) } }
                        td.ns data-label=(words.namespace) { (row.namespace) }
                        td data-label=(words.state) { (mark(words, row)) }
                        td.what data-label=(words.what) { (row.finding.sentence(lang)) }
                        td data-label=(words.since) class=[row.since.is_none().then_some("empty")] { (time(row.since, now, lang)) }
                        td data-label=(words.next) class=[row.next_check.is_none().then_some("empty")] { (time(row.next_check, now, lang)) }
                        td data-label=(words.expires) class=[row.not_after.is_none().then_some("empty")] { (time(row.not_after, now, lang)) }
                    }
                }
            }
        }
    }
}

fn pages(query: &Query, page: usize, last: usize, lang: Lang) -> Markup {
    let words = words::of(lang);
    let query = Query { lang: Some(lang), ..query.clone() };
    html! {
        @if last > 1 {
            nav.pages aria-label=(words.pages) {
                @if page > 2 { a rel="first" href=(query.address(1)) { (words.first) } }
                @if page > 1 { a rel="prev" href=(query.address(page - 1)) { (words.previous) } }
                span aria-current="page" { (page) " / " (last) }
                @if page < last { a rel="next" href=(query.address(page + 1)) { (words.following) } }
                @if page + 1 < last { a rel="last" href=(query.address(last)) { (words.last) } }
            }
        }
    }
}
