//! Flags from Rainbond 5's console: what it answers, and what follows for Domains.
//!
//! Rainbond 5 keeps a rule's flag for auto-issuance in the console's database
//! alone (`service_domain.auto_ssl`). Its API lists the rules; a rule's id is the
//! name of its Ingress. A flag that is found becomes `spec.autoIssue` of the
//! Domain, marked as the console's; it is taken back when the console is certain
//! that it is gone. A person's own word on a Domain always stands.

use ::core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::host::Host;

/// The most rules that are taken from one answer.
pub const MAX_RULES: usize = 100_000;
/// The longest id of a rule; the console's own are 32 characters.
const MAX_ID: usize = 128;

/// A rule of the gateway page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its id, which is also the name of its Ingress.
    pub id: String,
    /// Its host.
    pub host: Host,
    /// The team's unique name, which its Ingresses carry as the label `tenant_name`.
    pub team: String,
    /// Whether a certificate is to be issued by itself.
    pub flagged: bool,
}

/// One answer of the console.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// This cluster's rules.
    pub rules: Vec<Rule>,
    /// How many rules the answer has, of whichever cluster, readable or not.
    pub count: usize,
    /// How many there are on all pages, where the console answers in pages.
    pub total: Option<usize>,
    /// How many of this cluster's have no readable host or id.
    pub unreadable: usize,
}

/// Why an answer is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It is cut short or no JSON.
    #[error("the answer is no JSON, or cut short: {0}")]
    Syntax(String),
    /// It has another shape.
    #[error("the answer is no list of rules ({0}); is `console.url` that of a Rainbond 5 console?")]
    Shape(String),
    /// It is too long.
    #[error("the answer has more than {MAX_RULES} rules")]
    TooMany,
}

/// A rule on the wire (the console's `EnterpriseHTTPGatewayRuleSerializer`), reduced to what is read.
#[derive(Deserialize)]
struct Wire {
    http_rule_id: String,
    domain_name: String,
    region_name: String,
    team_name: String,
    auto_ssl: bool,
}

/// The console answers with a list. Pages are the form of its other lists.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    List(Vec<Wire>),
    Page { list: Vec<Wire>, total: usize },
}

/// Reads an answer; rules of other regions are left out.
///
/// # Errors
/// The answer is cut short, is no list of rules, or is too long.
pub fn read(body: &[u8], region: &str) -> Result<Page, BadAnswer> {
    let value: &serde_json::value::RawValue =
        serde_json::from_slice(body).map_err(|error| BadAnswer::Syntax(error.to_string()))?;
    let form: Form = serde_json::from_str(value.get()).map_err(|_| BadAnswer::Shape(beginning(value.get())))?;
    let (list, total) = match form {
        Form::List(list) => (list, None),
        Form::Page { list, total } => (list, Some(total)),
    };
    if list.len() > MAX_RULES || total.is_some_and(|total| total > MAX_RULES) {
        return Err(BadAnswer::TooMany);
    }
    let mut page = Page { count: list.len(), total, ..Page::default() };
    for wire in list.into_iter().filter(|wire| wire.region_name == region) {
        match Host::parse(&wire.domain_name) {
            Ok(host) if is_id(&wire.http_rule_id) => {
                page.rules.push(Rule { id: wire.http_rule_id, host, team: wire.team_name, flagged: wire.auto_ssl });
            }
            _ => page.unreadable += 1,
        }
    }
    Ok(page)
}

/// Whether it may be the name of an Ingress, and be listed in [`Mark`].
fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
}

fn beginning(text: &str) -> String {
    super::finding::clean(&text.chars().take(80).collect::<String>())
}

/// The rules for which a Domain is flagged, as its annotation
/// [`super::names::CONSOLE_RULES`] lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark(BTreeSet<String>);

/// What is seen of a Domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its `spec.autoIssue`.
    pub auto_issue: Option<bool>,
    /// The rules it is flagged for; `None`: not by the console.
    pub mark: Option<Mark>,
    /// Whether certgate made it, so that it goes when nobody needs it.
    pub managed: bool,
}

/// A Domain to be flagged, or marked anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Which.
    pub place: Place,
    /// For which rules.
    pub mark: Mark,
    /// Whether it is or becomes one that certgate made.
    pub managed: bool,
}

/// A namespace and a host.
pub type Place = (String, Host);

/// What a look at the console asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be flagged, or marked anew.
    pub flag: Vec<Flag>,
    /// Marked, but no longer flagged by the console as it seems.
    pub doubtful: BTreeSet<Place>,
}

/// Compares what the console flags with the Domains.
///
/// `namespace_of`: where a rule's Ingress is, if there is one that carries the
/// rule's host and belongs to its team. Rainbond deletes Ingresses of components
/// that are stopped, so the mark of a Domain stays while the console flags one of
/// its rules, Ingress or not.
pub fn plan<'r>(
    rules: &'r [Rule],
    namespace_of: impl Fn(&Rule) -> Option<&'r str>,
    domains: &BTreeMap<Place, Seen>,
) -> Plan {
    let flagged: BTreeMap<&str, &Rule> =
        rules.iter().filter(|rule| rule.flagged).map(|rule| (rule.id.as_str(), rule)).collect();
    let mut wanted: BTreeMap<Place, Mark> = BTreeMap::new();
    for rule in flagged.values() {
        if let Some(namespace) = namespace_of(rule) {
            let place = (namespace.to_owned(), rule.host.clone());
            wanted.entry(place).or_default().0.insert(rule.id.clone());
        }
    }
    for (place, seen) in domains {
        for id in seen.mark.iter().flat_map(|mark| &mark.0) {
            if flagged.get(id.as_str()).is_some_and(|rule| rule.host == place.1) {
                wanted.entry(place.clone()).or_default().0.insert(id.clone());
            }
        }
    }
    let mut plan = Plan::default();
    for (place, seen) in domains {
        if seen.mark.is_some() && !wanted.contains_key(place) {
            plan.doubtful.insert(place.clone());
        }
    }
    for (place, mark) in wanted {
        let write = match domains.get(&place) {
            None => true,
            // A person's word, in whichever direction.
            Some(Seen { auto_issue: Some(_), mark: None, .. } | Seen { auto_issue: Some(false), .. }) => false,
            Some(Seen { auto_issue: None, .. }) => true,
            Some(Seen { auto_issue: Some(true), mark: Some(present), .. }) => *present != mark,
        };
        if write {
            let managed = domains.get(&place).is_none_or(|seen| seen.managed);
            plan.flag.push(Flag { place, mark, managed });
        }
    }
    plan
}

/// Those of the doubtful whose flag is taken back.
///
/// Twice in a row the console must not have flagged them (`before`), and asked for
/// all its rules it must know some and flag none of theirs. An answer without any
/// rule proves nothing while an Ingress of one is there (`exists`).
pub fn confirmed(
    doubtful: &BTreeSet<Place>,
    before: &BTreeSet<Place>,
    all: &[Rule],
    domains: &BTreeMap<Place, Seen>,
    exists: impl Fn(&str, &str) -> bool,
) -> BTreeSet<Place> {
    let ids = |place: &Place| domains.get(place).and_then(|seen| seen.mark.as_ref()).map(|mark| &mark.0);
    let flagged = |place: &Place| {
        let ids = ids(place);
        all.iter().any(|rule| rule.flagged && rule.host == place.1 && ids.is_some_and(|ids| ids.contains(&rule.id)))
    };
    let standing = |place: &Place| ids(place).is_some_and(|ids| ids.iter().any(|id| exists(&place.0, id)));
    doubtful
        .intersection(before)
        .filter(|place| !(flagged(place) || all.is_empty() && standing(place)))
        .cloned()
        .collect()
}

// === impl Mark ===

impl Mark {
    /// Reads the annotation's value.
    pub fn parse(text: &str) -> Self {
        Self(text.split(',').map(str::trim).filter(|id| is_id(id)).map(str::to_owned).collect())
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, id) in self.0.iter().enumerate() {
            write!(f, "{}{id}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
