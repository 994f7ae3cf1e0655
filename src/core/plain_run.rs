//! [`plain_run`]: how far JSON text needs no second look. Reviews are read and
//! patches are written run by run instead of octet by octet.

/// One in every octet.
const ONES: u64 = u64::MAX / 0xFF;
/// The highest bit of every octet.
const HIGHS: u64 = ONES << 7;

/// How many octets from the start stand for themselves in a JSON string: up to the first quote, backslash or control
/// character (RFC 8259 §7), or all of them.
#[inline]
pub fn plain_run(octets: &[u8]) -> usize {
    let mut rest = octets;
    while let Some((chunk, behind)) = rest.split_first_chunk::<8>() {
        let found = special(*chunk);
        if found != 0 {
            return octets.len() - rest.len() + first(found);
        }
        rest = behind;
    }
    if rest.is_empty() {
        return octets.len();
    }
    match octets.last_chunk::<8>() {
        // Those looked at twice were plain.
        Some(last) => match special(*last) {
            0 => octets.len(),
            found => octets.len() - 8 + first(found),
        },
        None => octets.iter().position(|octet| is_special(*octet)).unwrap_or(octets.len()),
    }
}

/// Whether an octet means something in a JSON string, or must not stand there.
fn is_special(octet: u8) -> bool {
    octet < 0x20 || octet == b'"' || octet == b'\\'
}

/// The highest bit of every octet that is special, for the first of them exactly: a borrow from a special octet may mark
/// the ones behind it. (Mycroft's test for a zero octet, and for one below a bound; flipped by two, the quote is next to
/// the control characters.)
fn special(octets: [u8; 8]) -> u64 {
    let octets = u64::from_le_bytes(octets);
    let quotes_and_controls = (octets ^ (ONES * 2)).wrapping_sub(ONES * 0x21);
    let backslashes = (octets ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (quotes_and_controls | backslashes) & !octets & HIGHS
}

/// Which octet is the first that is marked.
fn first(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn octet() -> impl Strategy<Value = u8> {
        // Mostly those at the bounds of what is special.
        prop_oneof![
            1 => any::<u8>(),
            2 => prop::sample::select(&b"\x00\x01\x1f\x20\x21\"#[\\]\x7f\x80\xa0\xa2\xdc\xff"[..]),
            8 => Just(b'a'),
        ]
    }

    proptest! {
        #[test]
        fn a_run_ends_where_a_look_at_every_octet_would_end_it(octets in prop::collection::vec(octet(), 0..64)) {
            let expected = octets.iter().position(|octet| is_special(*octet)).unwrap_or(octets.len());
            prop_assert_eq!(plain_run(&octets), expected);
        }
    }
}
