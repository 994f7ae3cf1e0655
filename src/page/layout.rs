//! What every page has: head, header, style, the script that follows, and the
//! policy that lets nothing else run.

use std::{fmt::Write as _, sync::LazyLock};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::words::{self, Words};
use crate::{core::finding::Lang, status::Row};

const STYLE: &str = include_str!("layout/page.css");
const SCRIPT: &str = include_str!("layout/follow.js");

/// Only the one script and the one style sheet, by their hash; nothing from elsewhere, no frames.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
    let mut policy = String::from(
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; connect-src 'self'",
    );
    let _ = write!(policy, "; script-src {}; style-src {}", hash(SCRIPT), hash(STYLE));
    policy
});

/// The content security policy of every page.
pub fn content_security_policy() -> &'static str {
    &POLICY
}

/// What every page is put into.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// The language.
    pub lang: Lang,
    /// The visitor has signed in and may leave again.
    pub signed_in: bool,
    /// Since when the API server has told nothing newer than what is shown; `None`: it is up to date.
    pub stale_since: Option<Timestamp>,
}

/// A page. `body` is what is replaced when something changes, where something can; `other` is the same page in the
/// other language.
pub fn page(frame: Frame, title: &str, other: &str, controls: &Markup, body: Option<&Markup>) -> Markup {
    let Frame { lang, signed_in, stale_since } = frame;
    let words = words::of(lang);
    html! {
        (DOCTYPE)
        html lang=(words::tag(lang)) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { (words.skip) }
                header {
                    a.brand href=(home(lang)) { "certgate" }
                    span id="pulse" role="status" {}
                    nav {
                        a href=(other) hreflang=(words::tag(words::other(lang))) lang=(words::tag(words::other(lang))) { (words.other_language) }
                        @if signed_in { form method="post" action="/logout" { button.quiet type="submit" { (words.sign_out) } } }
                    }
                }
                main id="main" tabindex="-1" data-copy=(words.copy) data-copied=(words.copied) data-live=(words.live) data-lost=(words.lost) {
                    h1 { (title) }
                    (controls)
                    @if let Some(body) = body {
                        // Always there, and filled when there is something to say: so it is heard as well as seen.
                        div id="stale" role="status" {
                            @if let Some(since) = stale_since { p.says.bad { (words::stale(since, lang)) } }
                        }
                        div id="live" { (body) }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// The address of the overview.
pub fn home(lang: Lang) -> String {
    format!("/?lang={}", words::short(lang))
}

/// The address of a host's page. Names are Kubernetes' own, but nothing is taken for granted.
pub fn host_address(namespace: &str, name: &str, lang: Lang) -> String {
    let part = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("/host/{}/{}?lang={}", part(namespace), part(name), words::short(lang))
}

/// A time, as people say it and as machines read it.
pub fn time(at: Option<Timestamp>, now: Timestamp, lang: Lang) -> Markup {
    html! {
        @match at {
            Some(at) => time datetime=(at) title=(at.strftime("%Y-%m-%d %H:%M:%S UTC")) { (words::relative(at, now, lang)) },
            None => span.none { "–" },
        }
    }
}

/// The class of a host's state.
pub fn state_class(row: &Row) -> &'static str {
    match (row.needs_somebody(), row.is_settled()) {
        (true, _) => "bad",
        (false, true) => "good",
        (false, false) => "busy",
    }
}

/// A mark and a word for a state; never colour alone.
pub fn mark(words: &Words, row: &Row) -> Markup {
    let class = state_class(row);
    let (sign, word) = match class {
        "good" => ("●", words.ready),
        "busy" => ("◐", words.in_progress),
        _ if row.is_at_risk() => ("▲", words.at_risk),
        _ => ("▲", words.needs_action),
    };
    html! { span class={"mark " (class)} { span aria-hidden="true" { (sign) } " " (word) } }
}
