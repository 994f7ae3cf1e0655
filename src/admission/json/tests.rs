//! Whatever a text is: what is read of it, and what is said to be wrong with it, is `serde_json`'s.

use proptest::prelude::*;
use rstest::rstest;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::*;
use crate::admission::review::{Operation, Review};

/// A value of every kind that is read here.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "told by Debug")]
struct Probe<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    raw: Option<&'a RawValue>,
    #[serde(default)]
    skipped: Option<IgnoredAny>,
    #[serde(default)]
    list: Option<Vec<String>>,
    #[serde(default)]
    operation: Operation,
    #[serde(default)]
    number: u8,
    #[serde(default)]
    inner: Option<Box<Probe<'a>>>,
}

fn told<T: fmt::Debug, E: fmt::Display>(read: Result<T, E>) -> String {
    read.map_or_else(|error| format!("error: {error}"), |value| format!("{value:?}"))
}

fn agree(octets: &[u8]) -> Result<(), TestCaseError> {
    prop_assert_eq!(told(read::<Probe<'_>>(octets)), told(serde_json::from_slice::<Probe<'_>>(octets)));
    prop_assert_eq!(told(read::<Review<'_>>(octets)), told(serde_json::from_slice::<Review<'_>>(octets)));
    Ok(())
}

/// What was read here, without `serde_json`.
fn taken(text: &str) -> bool {
    Reader::whole::<Probe<'_>>(text).is_ok()
}

#[rstest]
#[case::nothing("{}")]
#[case::white_space(" {\r\n\t\"text\" : \"a\" , \"list\" : [ \"b\" , \"c\" ] } ")]
#[case::no_escapes(r#"{"text":"例子 a","list":[],"operation":"CREATE"}"#)]
#[case::escapes(r#"{"t\u0065xt":"\"\\\/\b\f\n\r\t\u4f8b\ud83d\ude00","operation":"\u0044ELETE"}"#)]
#[case::null(r#"{"text":null,"raw":null,"skipped":null,"list":null,"inner":null}"#)]
#[case::raw(r#"{"raw": {"a":[1, true]} ,"skipped":"\ud800"}"#)]
#[case::walked_over(r#"{"skipped":[{},[],{"a":{"b":[-0,1.5e-7,10E+2]}},true,false,null,"\u00ff\\",[[]]],"other":0}"#)]
#[case::nested(r#"{"inner":{"inner":{"text":"a"}}}"#)]
fn what_an_api_server_may_write_is_read_here(#[case] text: &str) {
    assert!(taken(text), "{text}");
    agree(text.as_bytes()).unwrap();
}

#[rstest]
#[case(r#"{"text":"a"} x"#)]
#[case(r#"{"text":"a""#)]
#[case(r#"{"text":"a",}"#)]
#[case(r#"{"list":["a",]}"#)]
#[case(r#"{"list":["a" "b"]}"#)]
#[case(r#"{,"text":"a"}"#)]
#[case(r#"{"text" "a"}"#)]
#[case(r#"{text:"a"}"#)]
#[case(r#"{"text":"a","text":"b"}"#)]
#[case(r#"{"text":"\ud800"}"#)]
#[case(r#"{"text":"\ude00\ud83d"}"#)]
#[case(r#"{"text":"\x"}"#)]
#[case(r#"{"skipped":"\u12g4"}"#)]
#[case("{\"text\":\"a\nb\"}")]
#[case("{\"skipped\":\"a\u{0}b\"}")]
#[case(r#"{"skipped":01}"#)]
#[case(r#"{"skipped":-}"#)]
#[case(r#"{"skipped":1.}"#)]
#[case(r#"{"skipped":1e}"#)]
#[case(r#"{"skipped":+1}"#)]
#[case(r#"{"skipped":nul}"#)]
#[case(r#"{"skipped":{]}"#)]
#[case(r#"{"skipped":[}}"#)]
#[case(r#"{"skipped":{"a":1,}}"#)]
#[case(r#"{"skipped":[1,]}"#)]
#[case(r#"{"skipped":{1:1}}"#)]
#[case(r#"{"number":7}"#)]
#[case(r#"{"operation":{"CREATE":null}}"#)]
#[case(r#"["a"]"#)]
#[case("\u{feff}{}")]
#[case("")]
fn what_is_wrong_or_unusual_is_left_to_serde_json(#[case] text: &str) {
    assert!(!taken(text), "{text}");
    agree(text.as_bytes()).unwrap();
}

#[test]
fn depth_is_bounded_as_there() {
    for depth in [60, 63, 64, 126, 127, 128, 129, 100_000] {
        let inner = format!("{}null{}", r#"{"inner":"#.repeat(depth), "}".repeat(depth));
        let skipped = format!(r#"{{"skipped":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let unclosed = format!(r#"{{"skipped":{}"#, r#"{"a":"#.repeat(depth));
        for text in [inner, skipped, unclosed] {
            agree(text.as_bytes()).unwrap();
        }
    }
}

/// Pieces of which a text is made: what means something in JSON or here.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    " ",
    "\n",
    "\"text\":",
    "\"raw\":",
    "\"skipped\":",
    "\"list\":",
    "\"operation\":",
    "\"inner\":{",
    "\"request\":{",
    "\"uid\":\"u\"",
    "\"object\":{\"metadata\":{\"annotations\":{",
    "\"a\"",
    "\"a\":1",
    "\"CREATE\"",
    "null",
    "true",
    "false",
    "0",
    "-1.5e+3",
    "1e999",
    "12345678901234567890",
    "\\u0041",
    "\\ud800",
    "\\n",
    "\\\"",
    "\u{0}",
    "\u{7f}",
    "\u{1f}",
    "例",
    "plain text of some length",
];

proptest! {
    #[test]
    fn any_text_of_such_pieces_is_read_alike(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24)) {
        agree(pieces.concat().as_bytes())?;
        agree(format!("{{{}}}", pieces.concat()).as_bytes())?;
    }

    #[test]
    fn any_value_in_a_place_of_its_own_is_read_alike(
        place in prop::sample::select(&["text", "raw", "skipped", "list", "operation", "inner", "other"][..]),
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..8),
        cut in 0..64_usize,
        octet in any::<u8>(),
    ) {
        let mut text = format!("{{\"{place}\":{}}}", pieces.concat()).into_bytes();
        agree(&text)?;
        if let Some(at) = text.len().checked_sub(cut + 1) {
            agree(&text[..at])?;
            text[at] = octet;
            agree(&text)?;
        }
    }
}
