//! From a file's octets to its documents, each read by itself: what is wrong with one says nothing of the others.

use serde_json::Value;
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter as _, Options};

/// The most octets read of one file.
pub const MAX_FILE_OCTETS: usize = 64 * 1024 * 1024;
/// How deep a document may nest; Kubernetes' own objects stay below twenty.
pub const MAX_DEPTH: usize = 40;

/// What stands at a place of a text.
#[derive(Debug)]
pub struct Piece {
    /// The line where it begins, from 1.
    pub line: usize,
    /// The document, or what is wrong with it.
    pub value: Result<Value, String>,
}

/// The text of a file: UTF-8, or UTF-16 with its mark, as PowerShell's `>` writes.
///
/// # Errors
/// What it is not, in a sentence.
pub fn decode(octets: Vec<u8>) -> Result<String, String> {
    let utf16 = |octets: &[u8], word: fn([u8; 2]) -> u16| {
        let words: Vec<u16> = octets
            .chunks(2)
            .map(|pair| {
                let octet = |at: usize| pair.get(at).copied().unwrap_or_default();
                word([octet(0), octet(1)])
            })
            .collect();
        String::from_utf16(&words).map_err(|_| "begins as UTF-16 and goes on as something else".to_owned())
    };
    match octets.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => String::from_utf8(octets).map_err(|error| {
            let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|octet| **octet == b'\n').count() + 1;
            format!("is no text: not UTF-8 in line {line}")
        }),
    }
}

/// The documents of a text: JSON, one or more behind each other, or YAML. Empty ones are left out.
pub fn pieces(text: &str) -> Vec<Piece> {
    let text = text.trim_start_matches('\u{feff}');
    json(text).unwrap_or_else(|| yaml(text))
}

/// `None`: it is not all JSON.
fn json(text: &str) -> Option<Vec<Piece>> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut all = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let (mut counted, mut line) = (0, 1);
    loop {
        let before = stream.byte_offset();
        let Some(value) = stream.next() else { return Some(all) };
        let gap = text.get(before..)?;
        let begins = before + (gap.len() - gap.trim_start().len());
        line += text.get(counted..begins)?.matches('\n').count();
        counted = begins;
        match value.ok()? {
            Value::Null => {}
            // A list by itself, as `jq .items` prints.
            Value::Array(items) => all.extend(items.into_iter().map(|item| Piece { line, value: Ok(item) })),
            value => all.push(Piece { line, value: Ok(value) }),
        }
    }
}

fn yaml(text: &str) -> Vec<Piece> {
    let mut all = Vec::new();
    let (mut begins, mut first, mut offset) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        // At the beginning of a line it separates documents, whatever is around it.
        let separates = line.strip_prefix("---").is_some_and(|rest| rest.trim_start() != rest || rest.is_empty());
        if separates && offset > begins {
            all.extend(document(text.get(begins..offset).unwrap_or_default(), first));
            (begins, first) = (offset, index + 1);
        }
        offset += line.len();
    }
    all.extend(document(text.get(begins..).unwrap_or_default(), first));
    all
}

/// What stands between two separators, beginning in that line.
fn document(text: &str, line: usize) -> Vec<Piece> {
    // Comments and empty lines in front are not where it begins.
    let nothing = |line: &&str| matches!(line.trim_start().bytes().next(), None | Some(b'#')) || line.trim() == "---";
    let skipped = text.lines().take_while(nothing).count();
    if skipped == text.lines().count() {
        return Vec::new();
    }
    match serde_saphyr::from_multiple_with_options::<Value>(text, limits()) {
        Ok(values) => {
            let values = values.into_iter().filter(|value| !value.is_null());
            values.map(|value| Piece { line: line + skipped, value: Ok(value) }).collect()
        }
        Err(error) => {
            let error = error.without_snippet();
            let at = error
                .location()
                .map_or(line + skipped, |at| line + usize::try_from(at.line()).unwrap_or_default().saturating_sub(1));
            let message = DefaultMessageFormatter.format_message(error);
            vec![Piece { line: at, value: Err(format!("neither YAML nor JSON: {message}")) }]
        }
    }
}

/// As much as a file can hold; what it expands to is bounded like it.
fn limits() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: MAX_FILE_OCTETS,
            max_nodes: MAX_FILE_OCTETS,
            max_aliases: 10_000,
            max_anchors: 10_000,
            max_depth: MAX_DEPTH,
            max_total_scalar_bytes: MAX_FILE_OCTETS,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
        },
        with_snippet: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line and kind of each document; what is wrong with it where it has none.
    fn read(text: &str) -> Vec<(usize, String)> {
        let kind = |value: Value| value["kind"].as_str().map_or_else(|| value.to_string(), str::to_owned);
        pieces(text).into_iter().map(|piece| (piece.line, piece.value.map_or_else(|error| error, kind))).collect()
    }

    #[test]
    fn each_document_is_read_by_itself() {
        let text = "# Source: shop/templates/ingress.yaml\n---\nkind: A\n---\n\n---\n# nothing\n--- # why\nkind: [\n--- {kind: B}\n---\nkind: C\n...\n";
        let read = read(text);
        assert_eq!(read.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 9, 10, 12], "{read:?}");
        assert!(read[1].1.starts_with("neither YAML nor JSON: "), "{read:?}");
        assert_eq!([&read[0].1, &read[2].1, &read[3].1], ["A", "B", "C"]);
    }

    #[test]
    fn json_may_be_one_many_or_a_list() {
        assert_eq!(
            read("{\"kind\": \"A\"}\n\n{\"kind\":\n\"B\"}{\"kind\": \"C\"}"),
            [(1, "A".into()), (3, "B".into()), (4, "C".into())]
        );
        assert_eq!(read("[{\"kind\": \"A\"}, {\"kind\": \"B\"}]"), [(1, "A".into()), (1, "B".into())]);
        assert_eq!(
            read("{\"kind\": \"A\"}\n---\nkind: B\n"),
            [(1, "A".into()), (3, "B".into())],
            "or followed by YAML"
        );
        assert_eq!(read("{kind: A}"), [(1, "A".into())], "or look like it");
    }

    #[test]
    fn files_of_windows_are_text_too() {
        let text = "kind: 证书\r\n";
        let utf16: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(decode(utf16).unwrap(), text);
        assert_eq!(decode(text.as_bytes().to_vec()).unwrap(), text);
        assert_eq!(read(&format!("\u{feff}{text}")), [(1, "证书".into())]);
        assert_eq!(decode(b"a: b\n\xff\xff".to_vec()), Err("is no text: not UTF-8 in line 2".to_owned()));
    }

    #[test]
    fn what_expands_without_end_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let level = format!("*a{}, ", n - 1).repeat(9);
            bomb.push_str(&format!("a{n}: &a{n} [{level}]\n"));
        }
        for text in [bomb, "[".repeat(100_000), "a: ".repeat(50_000), "- ".repeat(50_000)] {
            let read = pieces(&text);
            assert!(read.iter().all(|piece| piece.value.is_err()), "{:?}", read.first());
        }
    }
}
