//! The JSON of reviews: what `serde_json` would read, for less.
//!
//! Most of a review is walked over, and the walk is most of what reading costs. [`Reader`] walks run by run, keeps no
//! positions for errors, and takes JSON only as far as it is right and as expected. All else, every error above all, is
//! left to `serde_json`, which reads the same octets from the start. So there is one meaning of a text and one wording of
//! what is wrong with it.

use std::{borrow::Cow, fmt, iter};

use serde::{
    Deserialize,
    de::{
        self, DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
        value::{BorrowedStrDeserializer, MapDeserializer},
    },
    forward_to_deserialize_any,
};

use crate::core::plain_run::plain_run;

/// How deep values that are read may lie in one another: as for `serde_json`.
const MAX_DEPTH: u8 = 127;
/// The name by which `serde_json` asks for a value as text (`RawValue`). Were it another one
/// day, such values would be left to `serde_json` like all that is not known.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// Reads a whole text: what [`serde_json::from_slice`] gives.
///
/// # Errors
/// Those of `serde_json`.
pub fn read<'a, T: Deserialize<'a>>(octets: &'a [u8]) -> serde_json::Result<T> {
    let Ok(text) = std::str::from_utf8(octets) else {
        return serde_json::from_slice(octets);
    };
    // Text that is known to be UTF-8 is not checked again string by string.
    Reader::whole(text).or_else(|NotTaken| serde_json::from_str(text))
}

/// Something that is left to `serde_json`: what it is, and whether it is wrong, is not known here.
#[derive(Debug, thiserror::Error)]
#[error("left to serde_json")]
struct NotTaken;

/// A text and how far it is read.
struct Reader<'de> {
    text: &'de str,
    /// The next octet; at the boundary of a character wherever a string begins or ends.
    at: usize,
    /// How many more values may lie in one another.
    depth: u8,
}

/// The members of an object, or the elements of a list.
struct Parts<'r, 'de> {
    reader: &'r mut Reader<'de>,
    first: bool,
}

// === impl NotTaken ===

impl de::Error for NotTaken {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

// === impl Reader ===

impl<'de> Reader<'de> {
    fn whole<T: Deserialize<'de>>(text: &'de str) -> Result<T, NotTaken> {
        let mut reader = Self { text, at: 0, depth: MAX_DEPTH };
        let value = T::deserialize(&mut reader)?;
        match reader.peek() {
            None => Ok(value),
            Some(_) => Err(NotTaken),
        }
    }

    fn rest(&self) -> &'de [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next octet that is not white space; it stays the next.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                next => return next.copied(),
            }
        }
    }

    /// Takes the next octet, white space or not.
    fn octet(&mut self) -> Result<u8, NotTaken> {
        let octet = self.text.as_bytes().get(self.at).ok_or(NotTaken)?;
        self.at += 1;
        Ok(*octet)
    }

    /// Takes the next octet behind white space, which must be this one.
    fn expect(&mut self, octet: u8) -> Result<(), NotTaken> {
        if self.peek() != Some(octet) {
            return Err(NotTaken);
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), NotTaken> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(NotTaken);
        }
        self.at += word.len();
        Ok(())
    }

    /// Takes a string, borrowed unless there are escapes in it.
    fn string(&mut self) -> Result<Cow<'de, str>, NotTaken> {
        self.expect(b'"')?;
        let start = self.at;
        let end = start + plain_run(self.rest());
        if self.text.as_bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            return self.text.get(start..end).map(Cow::Borrowed).ok_or(NotTaken);
        }
        self.skip_string()?;
        let quoted = self.text.get(start - 1..self.at).ok_or(NotTaken)?;
        serde_json::from_str(quoted).map(Cow::Owned).map_err(|_| NotTaken)
    }

    /// Walks over the rest of a string whose first quote is taken.
    fn skip_string(&mut self) -> Result<(), NotTaken> {
        loop {
            self.at += plain_run(self.rest());
            match self.octet()? {
                b'"' => return Ok(()),
                b'\\' => match self.octet()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => match self.rest().first_chunk::<4>() {
                        Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => self.at += 4,
                        _ => return Err(NotTaken),
                    },
                    _ => return Err(NotTaken),
                },
                _ => return Err(NotTaken),
            }
        }
    }

    fn skip_digits(&mut self) -> Result<(), NotTaken> {
        let digits = self.rest().iter().take_while(|octet| octet.is_ascii_digit()).count();
        self.at += digits;
        if digits == 0 { Err(NotTaken) } else { Ok(()) }
    }

    fn skip_number(&mut self) -> Result<(), NotTaken> {
        if self.rest().first() == Some(&b'-') {
            self.at += 1;
        }
        match self.rest().first() {
            // No digit follows a leading zero; if one does, it is no comma and no end either.
            Some(b'0') => self.at += 1,
            _ => self.skip_digits()?,
        }
        if self.rest().first() == Some(&b'.') {
            self.at += 1;
            self.skip_digits()?;
        }
        if let Some(b'e' | b'E') = self.rest().first() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.rest().first() {
                self.at += 1;
            }
            self.skip_digits()?;
        }
        Ok(())
    }

    fn skip_key(&mut self) -> Result<(), NotTaken> {
        self.expect(b'"')?;
        self.skip_string()?;
        self.expect(b':')
    }

    /// Walks over a value. Not by recursion, so that depth costs nothing; what lies deeper than 63 is left.
    fn skip(&mut self) -> Result<(), NotTaken> {
        const OBJECT: u64 = 1;
        const NONE: u64 = 1;
        // What is open, a bit each, the innermost lowest; above all of them a one.
        let mut open = NONE;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.skip_string()?;
                }
                Some(bracket @ (b'{' | b'[')) => {
                    self.at += 1;
                    if open.leading_zeros() == 0 {
                        return Err(NotTaken);
                    }
                    open = open << 1 | u64::from(bracket == b'{');
                    match (self.peek(), bracket) {
                        // Empty: closed below.
                        (Some(b'}'), b'{') | (Some(b']'), b'[') => {}
                        (_, b'{') => {
                            self.skip_key()?;
                            continue;
                        }
                        _ => continue,
                    }
                }
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                Some(b'-' | b'0'..=b'9') => self.skip_number()?,
                _ => return Err(NotTaken),
            }
            // Behind a value: what was open ends, or goes on.
            while open != NONE {
                let in_object = open & 1 == OBJECT;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        if in_object {
                            self.skip_key()?;
                        }
                        break;
                    }
                    Some(b'}') if in_object => {}
                    Some(b']') if !in_object => {}
                    _ => return Err(NotTaken),
                }
                self.at += 1;
                open >>= 1;
            }
            if open == NONE {
                return Ok(());
            }
        }
    }

    /// What is visited between two brackets.
    fn within<T>(
        &mut self,
        brackets: [u8; 2],
        visit: impl FnOnce(Parts<'_, 'de>) -> Result<T, NotTaken>,
    ) -> Result<T, NotTaken> {
        let [open, close] = brackets;
        self.expect(open)?;
        self.depth = self.depth.checked_sub(1).ok_or(NotTaken)?;
        let value = visit(Parts { reader: self, first: true })?;
        self.depth += 1;
        self.expect(close)?;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = NotTaken;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NotTaken> {
        Err(NotTaken)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotTaken> {
        match self.string()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotTaken> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotTaken> {
        if self.peek() == Some(b'n') {
            self.word("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, NotTaken> {
        if name != RAW_VALUE {
            return visitor.visit_newtype_struct(self);
        }
        self.peek();
        let start = self.at;
        self.skip()?;
        let text = self.text.get(start..self.at).ok_or(NotTaken)?;
        let (name, text) = (BorrowedStrDeserializer::new(RAW_VALUE), BorrowedStrDeserializer::new(text));
        visitor.visit_map(MapDeserializer::new(iter::once((name, text))))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotTaken> {
        self.within(*b"[]", |parts| visitor.visit_seq(parts))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotTaken> {
        self.within(*b"{}", |parts| visitor.visit_map(parts))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotTaken> {
        self.deserialize_map(visitor)
    }

    /// One without content: a string.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotTaken> {
        match self.string()? {
            Cow::Borrowed(name) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
            Cow::Owned(name) => visitor.visit_enum(name.into_deserializer()),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotTaken> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf
        unit unit_struct tuple tuple_struct identifier
    }
}

// === impl Parts ===

impl Parts<'_, '_> {
    /// Whether another part follows, behind a comma unless it is the first.
    fn another(&mut self, close: u8) -> Result<bool, NotTaken> {
        match self.reader.peek() {
            Some(octet) if octet == close => return Ok(false),
            _ if self.first => {}
            Some(b',') => self.reader.at += 1,
            _ => return Err(NotTaken),
        }
        self.first = false;
        Ok(true)
    }
}

impl<'de> MapAccess<'de> for Parts<'_, 'de> {
    type Error = NotTaken;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, NotTaken> {
        if !self.another(b'}')? {
            return Ok(None);
        }
        match self.reader.string()? {
            Cow::Borrowed(key) => seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some),
            Cow::Owned(key) => seed.deserialize(key.into_deserializer()).map(Some),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, NotTaken> {
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> SeqAccess<'de> for Parts<'_, 'de> {
    type Error = NotTaken;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, NotTaken> {
        if !self.another(b']')? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

#[cfg(test)]
mod tests;
