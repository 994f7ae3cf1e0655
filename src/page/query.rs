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
    /// Those that nobody needs to act for.
    Progress,
    /// Those that somebody must act for.
    Action,
    /// Those whose renewal would fail.
    Risk,
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
    /// All that can be asked for.
    pub const ALL: [Self; 6] = [Self::All, Self::Waiting, Self::Action, Self::Progress, Self::Risk, Self::Ready];

    /// Whether a host is in it.
    pub fn has(self, row: &Row) -> bool {
        match self {
            Self::All => true,
            Self::Waiting => !row.ready,
            Self::Ready => row.ready,
            Self::Progress => !row.ready && !row.needs_somebody(),
            Self::Action => row.needs_somebody(),
            Self::Risk => row.is_at_risk(),
        }
    }

    /// The word in the address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Progress => "progress",
            Self::Action => "action",
            Self::Risk => "risk",
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
                "state" => query.state = State::ALL.into_iter().find(|s| s.as_str() == value).unwrap_or_default(),
                "who" => query.who = who(&value),
                "page" => query.page = value.parse().unwrap_or(1).max(1),
                "lang" => query.lang = tagged(&value),
                _ => {}
            }
        }
        query
    }

    /// Whether just some of the hosts are asked for.
    pub fn is_narrow(&self) -> bool {
        !self.search.is_empty() || self.state != State::All || self.who.is_some()
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
        let who = self.who.is_none_or(|who| !row.is_settled() && row.finding.who_acts() == who);
        let found = || {
            row.host.contains(&self.search) || row.name.contains(&self.search) || row.namespace.contains(&self.search)
        };
        self.state.has(row) && who && (self.search.is_empty() || found())
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
