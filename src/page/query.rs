//! What a visitor asks for, in the address.

use url::form_urlencoded;

use crate::{
    core::{finding::Lang, reason::WhoActs},
    status::Row,
};

/// The longest search; no host is longer.
const MAX_SEARCH: usize = 253;
/// The most fields that are looked at.
const MAX_FIELDS: usize = 16;

/// Which hosts are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// All.
    #[default]
    All,
    /// Those that wait.
    Waiting,
    /// Those that are ready.
    Ready,
}

/// What is asked for. Whatever cannot be read is as if it were not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Part of a host or namespace, in lower case.
    pub search: String,
    /// Only those in this state.
    pub state: State,
    /// Only those that wait for this one.
    pub who: Option<WhoActs>,
    /// Which page, from 1.
    pub page: usize,
    /// The language.
    pub lang: Option<Lang>,
}

// === impl State ===

impl State {
    /// The word in the address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Waiting => "waiting",
            Self::Ready => "ready",
        }
    }
}

// === impl Query ===

impl Query {
    /// Reads an address' query.
    pub fn read(text: &str) -> Self {
        let mut query = Self { page: 1, ..Self::default() };
        for (key, value) in form_urlencoded::parse(text.as_bytes()).take(MAX_FIELDS) {
            match key.as_ref() {
                "q" => query.search = value.trim().to_lowercase().chars().take(MAX_SEARCH).collect(),
                "state" => {
                    query.state = match value.as_ref() {
                        "waiting" => State::Waiting,
                        "ready" => State::Ready,
                        _ => State::All,
                    }
                }
                "who" => query.who = who(&value),
                "page" => query.page = value.parse().unwrap_or(1).max(1),
                "lang" => query.lang = tagged(&value),
                _ => {}
            }
        }
        query
    }

    /// The address of the overview for this, on another page.
    pub fn address(&self, page: usize) -> String {
        let mut out = form_urlencoded::Serializer::for_suffix(String::from("/?"), "/?".len());
        if !self.search.is_empty() {
            out.append_pair("q", &self.search);
        }
        if self.state != State::All {
            out.append_pair("state", self.state.as_str());
        }
        if let Some(who) = self.who {
            out.append_pair("who", who.as_str());
        }
        if page > 1 {
            out.append_pair("page", &page.to_string());
        }
        if let Some(lang) = self.lang {
            out.append_pair("lang", super::words::short(lang));
        }
        let address = out.finish();
        address.strip_suffix('?').map_or(address.clone(), str::to_owned)
    }

    /// Whether a host is listed.
    pub fn lists(&self, row: &Row) -> bool {
        let state = match self.state {
            State::All => true,
            State::Waiting => !row.ready,
            State::Ready => row.ready,
        };
        let who = self.who.is_none_or(|who| !row.ready && row.finding.reason.who_acts() == who);
        let found = || {
            row.host.contains(&self.search) || row.name.contains(&self.search) || row.namespace.contains(&self.search)
        };
        state && who && (self.search.is_empty() || found())
    }
}

/// All that can be asked for as `who`.
pub const WHO: [WhoActs; 6] = [
    WhoActs::DomainOwner,
    WhoActs::DnsHost,
    WhoActs::AppDeveloper,
    WhoActs::ClusterAdmin,
    WhoActs::Ca,
    WhoActs::Nobody,
];

fn who(word: &str) -> Option<WhoActs> {
    WHO.into_iter().find(|who| who.as_str() == word)
}

/// The language of a tag, if it is one of ours.
fn tagged(tag: &str) -> Option<Lang> {
    let language = tag.split(['-', ';']).next().unwrap_or_default().trim();
    if language.eq_ignore_ascii_case("zh") {
        Some(Lang::ZhCn)
    } else if language.eq_ignore_ascii_case("en") {
        Some(Lang::En)
    } else {
        None
    }
}

/// The language that an `Accept-Language` prefers of ours; English if none.
pub fn preferred(header: &str) -> Lang {
    let mut best: Option<(Lang, f32)> = None;
    for range in header.split(',').take(MAX_FIELDS) {
        let Some(lang) = tagged(range.trim()) else { continue };
        let weight = range.split(";q=").nth(1).and_then(|q| q.trim().parse::<f32>().ok()).unwrap_or(1.0);
        if weight > 0.0 && best.is_none_or(|(_, other)| weight > other) {
            best = Some((lang, weight));
        }
    }
    best.map_or(Lang::En, |(lang, _)| lang)
}
