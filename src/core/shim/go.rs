//! How Go's standard library reads the texts that ingress-shim gives it, errors included: what one side takes and the
//! other refuses is a certificate that never comes.

use ::core::net::IpAddr;

/// Nanoseconds, as Go counts durations.
pub type Nanoseconds = i64;

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// `time.ParseDuration`.
pub fn duration(text: &str) -> Result<Nanoseconds, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        if !rest.starts_with(|c: char| c == '.' || c.is_ascii_digit()) {
            return Err(invalid());
        }
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end).unwrap_or((after, ""));
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
        };
        let whole = if whole.is_empty() { Some(0) } else { whole.parse::<u64>().ok() };
        let value = whole.and_then(|whole| whole.checked_mul(*size)).filter(|value| *value <= 1 << 63);
        let value = value.and_then(|value| value.checked_add(part(fraction, *size)));
        let sum = value.and_then(|value| total.checked_add(value)).filter(|sum| *sum <= 1 << 63);
        total = sum.ok_or_else(invalid)?;
        rest = after;
    }
    if negative {
        // The least number has no positive counterpart.
        return Ok(0_i64.wrapping_sub_unsigned(total));
    }
    i64::try_from(total).map_err(|_| invalid())
}

/// What the digits behind the point are worth, in units of that many nanoseconds. Go reckons it in floating point, and
/// stops at the digits that a 63-bit number holds.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as Go does: not negative, and less than an hour"
)]
fn part(digits: &str, unit: u64) -> u64 {
    let (mut value, mut scale): (u64, f64) = (0, 1.0);
    for digit in digits.bytes() {
        let next = value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0')));
        let Some(next) = next.filter(|next| *next < 1 << 63) else { break };
        value = next;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// `time.Duration.String`.
pub fn written(duration: Nanoseconds) -> String {
    let sign = if duration < 0 { "-" } else { "" };
    let nanoseconds = duration.unsigned_abs();
    let decimal = |whole: u64, part: u64, width: usize| {
        let part = format!("{part:0width$}");
        let part = part.trim_end_matches('0');
        if part.is_empty() { whole.to_string() } else { format!("{whole}.{part}") }
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{nanoseconds}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimal(nanoseconds / 1_000, nanoseconds % 1_000, 3)),
        1_000_000..1_000_000_000 => {
            format!("{sign}{}ms", decimal(nanoseconds / 1_000_000, nanoseconds % 1_000_000, 6))
        }
        _ => {
            let seconds = nanoseconds / 1_000_000_000;
            let last = decimal(seconds % 60, nanoseconds % 1_000_000_000, 9);
            match (seconds / 3600, seconds / 60 % 60) {
                (0, 0) => format!("{sign}{last}s"),
                (0, minutes) => format!("{sign}{minutes}m{last}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{last}s"),
            }
        }
    }
}

/// `strconv.ParseInt(text, 10, 32)`.
pub fn int32(text: &str) -> Result<i32, String> {
    text.parse().map_err(|error| number_error("ParseInt", text, &error))
}

/// `strconv.Atoi`.
pub fn int(text: &str) -> Result<i64, String> {
    text.parse().map_err(|error| number_error("Atoi", text, &error))
}

fn number_error(function: &str, text: &str, error: &std::num::ParseIntError) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let why = match error.kind() {
        PosOverflow | NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.{function}: parsing {text:?}: {why}")
}

/// `strconv.ParseBool`, an error taken for no.
pub fn bool(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True")
}

/// Whether `net.ParseIP` takes it.
pub fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// cert-manager's `SplitWithEscapeCSV`: the one record of a text read by `encoding/csv`.
pub fn record(text: &str) -> Result<Vec<String>, String> {
    let mut records = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        // Go reads lines, takes `\r\n` for `\n`, and passes over empty ones.
        if let Some(after) = rest.strip_prefix('\n').or_else(|| rest.strip_prefix("\r\n")) {
            rest = after;
            continue;
        }
        let (fields, after) = fields(rest).map_err(|why| format!("failed to parse {text:?} as CSV: {why}"))?;
        records.push(fields);
        rest = after;
    }
    let several = records.len() > 1;
    match records.into_iter().next() {
        None => Err(format!("no values found after parsing {text:?}")),
        Some(_) if several => Err(format!("refusing to use {text:?} as input as it parses as multiple lines of CSV")),
        Some(fields) => Ok(fields),
    }
}

/// The fields of the first record, and what follows it.
fn fields(text: &str) -> Result<(Vec<String>, &str), &'static str> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find([',', '\n']).unwrap_or(rest.len());
                let (field, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                let ends = !after.starts_with(',');
                let field = if ends { field.strip_suffix('\r').unwrap_or(field) } else { field };
                if field.contains('"') {
                    return Err("bare \" in non-quoted field");
                }
                (field.to_owned(), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None => return Ok((fields, after.strip_prefix('\n').unwrap_or(after))),
        }
    }
}

/// A field behind its opening quote, and what follows the closing one.
fn quoted_field(text: &str) -> Result<(String, &str), &'static str> {
    const ERROR: &str = "extraneous or missing \" in quoted-field";
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (plain, after) = rest.split_once('"').ok_or(ERROR)?;
        field.push_str(&plain.replace("\r\n", "\n"));
        let line = after.strip_prefix('\r').filter(|line| line.is_empty() || line.starts_with('\n')).unwrap_or(after);
        if let Some(after) = after.strip_prefix('"') {
            field.push('"');
            rest = after;
        } else if line.is_empty() || line.starts_with(',') || line.starts_with('\n') {
            return Ok((field, line));
        } else {
            return Err(ERROR);
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // What Go says was read off a run of its own functions.
    #[rstest]
    #[case("2160h", Ok("2160h0m0s"))]
    #[case("1h30m", Ok("1h30m0s"))]
    #[case("1.5s", Ok("1.5s"))]
    #[case(".5h", Ok("30m0s"))]
    #[case("-1h", Ok("-1h0m0s"))]
    #[case("+1ms", Ok("1ms"))]
    #[case("0", Ok("0s"))]
    #[case("1500ns", Ok("1.5µs"))]
    #[case("1us", Ok("1µs"))]
    #[case("90d", Err("time: unknown unit \"d\" in duration \"90d\""))]
    #[case("90", Err("time: missing unit in duration \"90\""))]
    #[case("", Err("time: invalid duration \"\""))]
    #[case("1 h", Err("time: unknown unit \" h\" in duration \"1 h\""))]
    #[case("h", Err("time: invalid duration \"h\""))]
    #[case(".h", Err("time: invalid duration \".h\""))]
    #[case("9999999999h", Err("time: invalid duration \"9999999999h\""))]
    fn durations(#[case] text: &str, #[case] expected: Result<&str, &str>) {
        assert_eq!(duration(text).map(written), expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[rstest]
    #[case("a", Ok(&["a"][..]))]
    #[case("a,b,", Ok(&["a", "b", ""][..]))]
    #[case("\"a, b\",c", Ok(&["a, b", "c"][..]))]
    #[case("\"a \"\"b\"\"\"", Ok(&["a \"b\""][..]))]
    #[case(" a", Ok(&[" a"][..]))]
    #[case("\na\r\n", Ok(&["a"][..]))]
    #[case("", Err(()))]
    #[case("a\"b", Err(()))]
    #[case("\"a", Err(()))]
    #[case("\"a\"b", Err(()))]
    #[case("a\nb", Err(()))]
    fn records(#[case] text: &str, #[case] expected: Result<&[&str], ()>) {
        let found = record(text).map_err(|_| ());
        assert_eq!(found, expected.map(|fields| fields.iter().map(|field| (*field).to_owned()).collect()));
    }

    #[test]
    fn numbers() {
        assert_eq!((int32("+7"), int32("-1")), (Ok(7), Ok(-1)));
        assert_eq!(int32("4294967296"), Err("strconv.ParseInt: parsing \"4294967296\": value out of range".to_owned()));
        assert_eq!(int("4096 "), Err("strconv.Atoi: parsing \"4096 \": invalid syntax".to_owned()));
    }
}
