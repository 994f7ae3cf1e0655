//! Issuance over the last days, as a small drawing that is also read aloud.

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use maud::{Markup, html};

use super::words;
use crate::{core::finding::Lang, status::Row};

/// Days shown, today the last.
const DAYS: usize = 14;
const WIDTH: usize = 300;
const HEIGHT: usize = 70;

/// How many hosts got their certificate on each of the last days, oldest first.
pub fn by_day(rows: &[Row], now: Timestamp) -> Vec<(Date, usize)> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut days: Vec<(Date, usize)> =
        (0..DAYS).rev().map(|back| (today.saturating_sub(i64::try_from(back).unwrap_or_default().days()), 0)).collect();
    for issued in rows.iter().filter_map(|row| row.issued_since) {
        let day = issued.to_zoned(TimeZone::UTC).date();
        if let Some((_, count)) = days.iter_mut().find(|(date, _)| *date == day) {
            *count += 1;
        }
    }
    days
}

/// The drawing.
pub fn render(rows: &[Row], lang: Lang, now: Timestamp) -> Markup {
    let days = by_day(rows, now);
    let most = days.iter().map(|(_, count)| *count).max().unwrap_or_default().max(1);
    let step = WIDTH / DAYS;
    let heard: Vec<String> =
        days.iter().filter(|(_, count)| *count > 0).map(|(day, count)| format!("{day}: {count}")).collect();
    let (first, last) = (days.first(), days.last());
    html! {
        svg viewBox={"0 0 " (WIDTH) " " (HEIGHT + 24)} role="img" aria-labelledby="plot-title plot-text" {
            title id="plot-title" { (words::of(lang).plot) }
            desc id="plot-text" { @if heard.is_empty() { (words::of(lang).nothing) } @else { (heard.join(", ")) } }
            @for (place, (_, count)) in days.iter().enumerate() {
                @let tall = count * HEIGHT / most;
                @if *count > 0 {
                    rect x=(place * step + 2) y=(HEIGHT + 10 - tall) width=(step - 4) height=(tall) {}
                    text x=(place * step + step / 2) y=(HEIGHT + 7 - tall) text-anchor="middle" { (count) }
                }
            }
            line x1="0" x2=(WIDTH) y1=(HEIGHT + 10) y2=(HEIGHT + 10) {}
            @if let Some((day, _)) = first { text x="0" y=(HEIGHT + 21) { (day.strftime("%m-%d")) } }
            @if let Some((day, _)) = last { text x=(WIDTH) y=(HEIGHT + 21) text-anchor="end" { (day.strftime("%m-%d")) } }
        }
    }
}
