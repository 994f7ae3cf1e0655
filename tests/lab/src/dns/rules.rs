//! The rule table: which answer speaks for a question.

use std::collections::HashMap;

use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::Transport;
use super::answer::{Answer, name as parse};

/// How the rules know a name: lower case, no final dot.
pub(super) fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The names above, nearest first.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |n| n.split_once('.').map(|(_, rest)| rest)).skip(1)
}

fn is_below(name: &str, apex: &str) -> bool {
    name.strip_suffix(apex).is_some_and(|rest| rest.ends_with('.'))
}

/// What decides which rule speaks, apart from the name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) kind: RecordType,
    pub(super) transport: Transport,
    pub(super) recursive: bool,
}

#[derive(Debug)]
struct Rule {
    kind: RecordType,
    answer: Answer,
}

impl Rule {
    fn fits(&self, kind: RecordType, asked: Asked) -> bool {
        self.kind == kind
            && self.answer.transport.is_none_or(|t| t == asked.transport)
            && self.answer.recursive.is_none_or(|r| r == asked.recursive)
    }
}

/// All rules and zones.
#[derive(Debug)]
pub(super) struct Rules {
    names: HashMap<String, Vec<Rule>>,
    /// Apex and primary server.
    zones: HashMap<String, Name>,
    /// TTL and MINIMUM of SOA records.
    negative: (u32, u32),
}

impl Default for Rules {
    fn default() -> Self {
        Self { names: HashMap::new(), zones: HashMap::new(), negative: (1, 1) }
    }
}

impl Rules {
    pub(super) fn set(&mut self, name: &str, kind: RecordType, answer: Answer) {
        let rules = self.names.entry(key(name)).or_default();
        if answer.times.is_none() {
            rules.retain(|r| {
                r.kind != kind || r.answer.transport != answer.transport || r.answer.recursive != answer.recursive
            });
        }
        // One with conditions or an end goes before one that always speaks.
        let narrow = answer.times.is_some() || answer.transport.is_some() || answer.recursive.is_some();
        let at = if narrow { 0 } else { rules.len() };
        rules.insert(at, Rule { kind, answer });
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.names.remove(&key(name));
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn set_negative_ttl(&mut self, ttl: u32, minimum: u32) {
        self.negative = (ttl, minimum);
    }

    pub(super) fn declare_zone(&mut self, apex: &str, primary: Option<&str>) {
        let apex = key(apex);
        let primary = primary.map_or_else(|| parse(&format!("ns.{apex}")), parse);
        self.zones.insert(apex, primary);
    }

    /// The answer to a question: of the name itself, else of the nearest wildcard above. Uses it up by one.
    pub(super) fn find(&mut self, name: &str, asked: Asked) -> Option<Answer> {
        if self.exists(name) {
            return self.take(name, asked);
        }
        for above in ancestors(name) {
            let wildcard = format!("*.{above}");
            if self.names.contains_key(&wildcard) {
                return self.take(&wildcard, asked);
            }
            // A wildcard does not reach below a name that exists.
            if self.exists(above) {
                return None;
            }
        }
        None
    }

    fn take(&mut self, name: &str, asked: Asked) -> Option<Answer> {
        let rules = self.names.get_mut(name)?;
        // An alias speaks for every type of its name.
        let at = [asked.kind, RecordType::ANY, RecordType::CNAME]
            .into_iter()
            .find_map(|kind| rules.iter().position(|r| r.fits(kind, asked)))?;
        let rule = rules.get_mut(at)?;
        let answer = rule.answer.clone();
        if let Some(times) = &mut rule.answer.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                rules.remove(at);
            }
        }
        if rules.is_empty() {
            self.names.remove(name);
        }
        Some(answer)
    }

    /// Whether a rule or a zone speaks of the name or of one below it.
    fn exists(&self, name: &str) -> bool {
        let speaks = |n: &String| n == name || is_below(n, name);
        self.names.keys().any(speaks) || self.zones.keys().any(speaks)
    }

    /// Whether a missing type is NODATA and not NXDOMAIN.
    pub(super) fn is_known(&self, name: &str) -> bool {
        if self.exists(name) {
            return true;
        }
        for above in ancestors(name) {
            if self.names.contains_key(&format!("*.{above}")) {
                return true;
            }
            if self.exists(above) {
                return false;
            }
        }
        false
    }

    /// The nearest declared zone.
    pub(super) fn zone_of(&self, name: &str) -> Option<&str> {
        std::iter::once(name)
            .chain(ancestors(name))
            .find_map(|n| self.zones.get_key_value(n))
            .map(|(apex, _)| apex.as_str())
    }

    /// Whether a server that does not recurse has an answer: without declared zones it answers for everything.
    pub(super) fn is_served(&self, name: &str) -> bool {
        self.zones.is_empty() || self.zone_of(name).is_some()
    }

    /// Whether the name is the apex of a declared zone.
    pub(super) fn is_apex(&self, name: &str) -> bool {
        self.zones.contains_key(name)
    }

    /// The SOA record of the zone a name is in. Without a declared one, the last two labels are taken for a zone.
    pub(super) fn soa(&self, name: &str, negative: Option<(u32, u32)>) -> Record {
        let (ttl, minimum) = negative.unwrap_or(self.negative);
        let (apex, primary) = match self.zone_of(name).and_then(|apex| self.zones.get_key_value(apex)) {
            Some((apex, primary)) => (parse(apex), primary.clone()),
            None => {
                let apex = parse(name).trim_to(2);
                (apex.clone(), apex.prepend_label("ns").unwrap_or(apex))
            }
        };
        let mailbox = apex.prepend_label("hostmaster").unwrap_or_else(|_| apex.clone());
        Record::from_rdata(apex, ttl, RData::SOA(SOA::new(primary, mailbox, 1, 3600, 600, 86400, minimum)))
    }
}
