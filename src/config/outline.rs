//! [`Outline`]: where in a YAML text each field stands.
//!
//! A policy is deserialised into plain data, which forgets line and column.
//! When there is something to complain about, the text is read once more for its shape alone.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

/// One step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The value of a mapping's key.
    Key(String),
    /// An element of a sequence, counted from 0.
    Index(usize),
}

/// The shape of a YAML document, with positions.
pub(super) struct Outline(Spanned<Node>);

enum Node {
    Mapping(Vec<(Spanned<String>, Spanned<Self>)>),
    Sequence(Vec<Spanned<Self>>),
    Scalar,
}

/// A path as people write it: `rules[0].match.hosts[2]`.
pub(super) fn render(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if !key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) => {
                text.push_str(&format!("[{key:?}]"))
            }
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

// === impl Outline ===

impl Outline {
    /// The outline of a text; `None` where it is no YAML at all.
    pub(super) fn of(text: &str) -> Option<Self> {
        serde_saphyr::from_str_with_options(text, super::syntax::limits()).ok().map(Self)
    }

    /// Line and column of the value at `path`, or of the innermost one on the way there.
    pub(super) fn position(&self, path: &[Step]) -> Option<(u64, u64)> {
        let mut node = &self.0;
        for step in path {
            let inner = match (&node.value, step) {
                (Node::Mapping(entries), Step::Key(name)) => {
                    entries.iter().find(|(key, _)| key.value == *name).map(|(_, value)| value)
                }
                (Node::Sequence(elements), Step::Index(index)) => elements.get(*index),
                _ => None,
            };
            match inner {
                Some(inner) => node = inner,
                None => break,
            }
        }
        position(node)
    }

    /// The path of the key or value that stands at that position, and else of the last value that begins before it.
    pub(super) fn path_at(&self, position: (u64, u64)) -> Vec<Step> {
        let mut path = Vec::new();
        descend(&self.0, position, &mut path);
        path
    }
}

fn position<T>(spanned: &Spanned<T>) -> Option<(u64, u64)> {
    let (line, column) = (spanned.referenced.line(), spanned.referenced.column());
    (line > 0).then_some((line, column))
}

fn descend(node: &Spanned<Node>, at: (u64, u64), path: &mut Vec<Step>) {
    match &node.value {
        Node::Mapping(entries) => {
            let Some((key, value)) = entries.iter().rev().find(|(key, _)| position(key).is_some_and(|p| p <= at))
            else {
                return;
            };
            path.push(Step::Key(key.value.clone()));
            if position(value).is_some_and(|p| p <= at) {
                descend(value, at, path);
            }
        }
        Node::Sequence(elements) => {
            let found = elements.iter().enumerate().rev().find(|(_, e)| position(e).is_some_and(|p| p <= at));
            if let Some((index, element)) = found {
                path.push(Step::Index(index));
                descend(element, at, path);
            }
        }
        Node::Scalar => {}
    }
}

// === impl Node ===

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

/// Scalars of each kind are alike here.
macro_rules! scalars {
    ($($method:ident: $type:ty),*) => { $(
        fn $method<E>(self, _: $type) -> Result<Node, E> {
            Ok(Node::Scalar)
        }
    )* };
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128, visit_f64: f64, visit_str: &str, visit_bytes: &[u8]);

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Node::Sequence(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key()? {
            entries.push((key, map.next_value()?));
        }
        Ok(Node::Mapping(entries))
    }
}
