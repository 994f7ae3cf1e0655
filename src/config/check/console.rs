//! The console's address and how often it is asked.

use super::{Faults, names};
use crate::core::policy::Console;

/// How seldom and how often the console may be asked, in seconds.
const MIN_INTERVAL: u64 = 1;
const MAX_INTERVAL: u64 = 3600;

pub(super) fn console(faults: &mut Faults, console: &Console) {
    let url = url::Url::parse(&console.url).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none()
    });
    match url {
        None => faults.add_to(
            "url",
            format!("`{}` is no address of a console; write one like https://console.example.com", console.url),
        ),
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            faults.add_to("url", "has a name or password in it; the token belongs into the Secret".to_owned());
        }
        Some(_) => {}
    }
    if console.region.is_empty() {
        faults.add_to("region", "is empty; write what the console calls this cluster (region_name)".to_owned());
    }
    if !names::is_subdomain(&console.secret) {
        faults.add_to("secret", format!("`{}` is no name of a Secret", console.secret));
    }
    if !(MIN_INTERVAL..=MAX_INTERVAL).contains(&console.interval_seconds) {
        let message = format!("{} is out of bounds; write {MIN_INTERVAL} to {MAX_INTERVAL}", console.interval_seconds);
        faults.add_to("intervalSeconds", message);
    }
}
