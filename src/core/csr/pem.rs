//! The one PEM block of a text, as Go's `pem.Decode` takes it.
//!
//! Which of several blocks, or of several beginnings, Go takes has changed between its versions, so a text with more
//! than one is taken by none. With one, all versions do the same: the block begins at the start of a line and ends at
//! the end of one, what is before and after it is of no interest, headers are lines with a colon, its type may be
//! anything, and in its base64 white space counts for nothing.

use super::CsrError;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"\n-----END ";
const DASHES: &[u8] = b"-----";

/// The octets that the block of a text holds.
pub(super) fn contents(text: &[u8]) -> Result<Vec<u8>, CsrError> {
    for mark in [&b"-----BEGIN"[..], b"-----END"] {
        if memchr::memmem::find_iter(text, mark).nth(1).is_some() {
            return Err(CsrError::Ambiguous("it holds more than one PEM block"));
        }
    }
    block(text).ok_or(CsrError::Malformed).and_then(|base64| {
        let is_space = |octet: &u8| matches!(octet, b' ' | b'\t');
        super::decode(base64.iter().copied().filter(|octet| !is_space(octet)))
    })
}

/// The base64 of the block.
fn block(text: &[u8]) -> Option<&[u8]> {
    let begin = memchr::memmem::find(text, BEGIN)?;
    let (before, after) = (text.get(..begin)?, text.get(begin + BEGIN.len()..)?);
    if before.last().is_some_and(|octet| *octet != b'\n') {
        return None;
    }
    let (first, mut rest) = line(after);
    let kind = first.strip_suffix(DASHES)?;
    loop {
        let (header, next) = line(rest);
        if rest.is_empty() {
            return None;
        }
        if !header.contains(&b':') {
            break;
        }
        rest = next;
    }
    // What the headers took along does not count: without an end after them there is no block.
    let end = memchr::memmem::find(rest, END)?;
    let (last, _) = line(rest.get(end + END.len()..)?);
    let trailer = last.strip_prefix(kind)?.strip_prefix(DASHES)?;
    if !trailer.is_empty() {
        return None;
    }
    rest.get(..end)
}

/// The first line, without its end and the blanks before that, and what follows it.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match memchr::memchr(b'\n', text) {
        Some(at) => {
            let (line, rest) = text.split_at(at);
            (line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..).unwrap_or_default())
        }
        None => (text, &[][..]),
    };
    let blanks = line.iter().rev().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
    (line.get(..line.len() - blanks).unwrap_or_default(), rest)
}
