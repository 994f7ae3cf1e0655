//! The section "The gate" of docs/benchmarks.md, a paragraph at a time; all else in the file stays as it is.

use std::{fs, path::PathBuf};

use anyhow::Result;

const TITLE: &str = "## The gate";
const ABOUT: &str = "Written by `cargo bench --bench gate` (in `benches/gate`), on the real API server, cert-manager, \
Pebble and DNS as plain processes.";

/// Prints a paragraph and puts it in the file, in place of the one of that name.
pub fn write(name: &str, text: &str) -> Result<()> {
    println!("\n{text}");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let old = fs::read_to_string(&path).unwrap_or_else(|_| "# Benchmarks\n".to_owned());
    fs::write(&path, replaced(&old, name, text))?;
    println!("written to {}", path.display());
    Ok(())
}

fn replaced(old: &str, name: &str, text: &str) -> String {
    let (before, rest) = old.split_once(TITLE).unwrap_or((old, ""));
    let (section, after) = match rest.find("\n## ") {
        Some(at) => rest.split_at(at + 1),
        None => (rest, ""),
    };
    let heading = format!("### {name}");
    let mut paragraphs: Vec<String> =
        section.split("\n### ").skip(1).map(|one| format!("### {}", one.trim())).collect();
    let paragraph = format!("{heading}\n\nMeasured on {}.\n\n{}", machine(), text.trim());
    match paragraphs.iter_mut().find(|one| one.lines().next() == Some(&heading)) {
        Some(one) => *one = paragraph,
        None => paragraphs.push(paragraph),
    }
    let gap = if after.is_empty() { "" } else { "\n" };
    format!("{}\n\n{TITLE}\n\n{ABOUT}\n\n{}\n{gap}{after}", before.trim_end(), paragraphs.join("\n\n"))
}

/// The machine's kind.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("an unknown processor", |(_, model)| model.trim());
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores, Linux, load average at the end {}", load.split(' ').next().unwrap_or("?"))
}
