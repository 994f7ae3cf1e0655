//! [`Finding`]: a reason with the particulars that its sentence needs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    reason::{Reason, WhoActs},
    text,
};

/// The longest piece of foreign text (a record, a server's message) that is kept.
const MAX_FOREIGN_TEXT: usize = 200;
/// The longest link that is kept; a cut one would lead nowhere.
const MAX_LINK: usize = 2_048;
/// The most list entries that are kept and shown.
const MAX_LIST: usize = 8;

/// What a required value begins with that is a name to be flattened: at an apex no CNAME can stand.
pub const ALIAS: &str = "ALIAS ";
/// What a note begins with that names the content delivery network in front.
pub const CDN: &str = "CDN ";

/// The language of a sentence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lang {
    /// English.
    #[default]
    #[serde(rename = "en")]
    En,
    /// Simplified Chinese.
    #[serde(rename = "zh-CN")]
    ZhCn,
}

/// A reason and its particulars. All foreign text is bounded and stripped of
/// control characters when it is put in, so a finding is safe to print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Why.
    pub reason: Reason,
    /// The host, or the DNS name that is at fault where it is another one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What was seen: addresses, record values, a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<String>,
    /// What is needed instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    /// One more particular: a server's own words, a limit's name, a time.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What it comes from, where it is another finding's consequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<Self>>,
}

// === impl Finding ===

impl Finding {
    /// A finding about `subject` without particulars.
    pub fn new(reason: Reason, subject: impl AsRef<str>) -> Self {
        Self {
            reason,
            subject: clean(subject.as_ref()),
            observed: Vec::new(),
            required: Vec::new(),
            note: String::new(),
            cause: None,
        }
    }

    /// With what was seen.
    #[must_use]
    pub fn observed<T: fmt::Display>(mut self, values: impl IntoIterator<Item = T>) -> Self {
        self.observed = bounded(values);
        self
    }

    /// With what is needed.
    #[must_use]
    pub fn required<T: fmt::Display>(mut self, values: impl IntoIterator<Item = T>) -> Self {
        self.required = bounded(values);
        self
    }

    /// With one more particular. A link stays whole.
    #[must_use]
    pub fn note(mut self, note: impl AsRef<str>) -> Self {
        let note = note.as_ref();
        self.note = if is_link(note) { note.to_owned() } else { clean(note) };
        self
    }

    /// As the consequence of another finding.
    #[must_use]
    pub fn because(mut self, cause: Self) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// Who must act: where it follows from another finding, whoever that one names.
    pub fn who_acts(&self) -> WhoActs {
        let cause = self.cause.as_ref().map(|cause| cause.acts());
        cause.filter(|who| *who != WhoActs::Nobody).unwrap_or_else(|| self.acts())
    }

    fn acts(&self) -> WhoActs {
        if self.is_about_ds() { WhoActs::DomainOwner } else { self.reason.who_acts() }
    }

    /// Whether DNSSEC fails by a DS record. It stands at the registrar, where the domain's owner alone can change it.
    pub fn is_about_ds(&self) -> bool {
        self.reason == Reason::DnssecBogus
            && self.observed.iter().any(|record| record.contains(". DS ") || record.ends_with(". DS"))
    }

    /// The sentence for a person.
    pub fn sentence(&self, lang: Lang) -> String {
        text::sentence(self, lang)
    }
}

/// An error and its causes, as far as it does not tell them itself.
pub fn in_one_line(error: &dyn ::core::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = inner.source();
    }
    line.replace('\n', " ")
}

/// Foreign text made safe to print: no control or bidirectional-override
/// characters, bounded length.
pub fn clean(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if out.len() + c.len_utf8() > MAX_FOREIGN_TEXT {
            out.push('…');
            break;
        }
        out.push(if hidden { '\u{fffd}' } else { c });
    }
    out
}

/// Whether a text is one link and nothing else: https, and only characters that a URL may have (RFC 3986).
pub fn is_link(text: &str) -> bool {
    let may_be = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
    text.len() <= MAX_LINK && text.starts_with("https://") && text.bytes().all(may_be)
}

fn bounded<T: fmt::Display>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().take(MAX_LIST).map(|value| clean(&value.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_bounded_and_harmless() {
        let finding = Finding::new(Reason::DnsServerFailure, "a.example.com")
            .note("evil\n\u{1b}[31mred\u{202e}")
            .observed((0..100).map(|n| format!("{n}").repeat(1000)));
        assert!(!finding.note.contains(['\n', '\u{1b}', '\u{202e}']));
        assert_eq!(finding.observed.len(), MAX_LIST);
        assert!(finding.observed.iter().all(|v| v.len() <= MAX_FOREIGN_TEXT + '…'.len_utf8()));
    }
}
