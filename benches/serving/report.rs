//! The sections of docs/benchmarks.md. Each benchmark prints its own, puts it in
//! place of what the file said before, and leaves the others alone.

use std::{fmt::Write as _, fs, path::PathBuf};

use anyhow::Result;

const INTRODUCTION: &str = "# Benchmarks\n\n\
Written by `make bench`; each section by the command that it names, which prints the same.\n";

/// The sections that come first, in this order; others follow as they were added.
const ORDER: [&str; 6] = [
    "Answering reviews",
    "What a write gains in a real API server",
    "Bad neighbours",
    "Memory and cold start",
    "The controller's cold start and memory",
    "Pre-flight",
];

/// A section of the file.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// The command that measures it.
    pub command: &'static str,
    /// What is measured, and how.
    pub about: &'static str,
}

/// A table in the making.
#[derive(Default)]
pub struct Table(String);

// === impl Section ===

impl Section {
    /// Prints what was measured and writes it to the file.
    pub fn put(&self, text: &str) -> Result<()> {
        println!("\n{text}");
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
        let old = fs::read_to_string(&path).unwrap_or_default();
        let body = format!("`{}`\n\n{}\n\nMeasured on {}.\n\n{}", self.command, self.about, machine(), text.trim_end());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, replaced(&old, self.title, &body))?;
        println!("written to {}", path.display());
        Ok(())
    }
}

/// The file with one section replaced or added.
fn replaced(old: &str, title: &str, body: &str) -> String {
    let old = format!("\n{old}");
    let mut sections: Vec<(&str, &str)> = old
        .split("\n## ")
        .skip(1)
        .map(|section| section.split_once('\n').unwrap_or((section, "")))
        .filter(|(other, _)| *other != title)
        .collect();
    sections.push((title, body));
    sections.sort_by_key(|(title, _)| ORDER.iter().position(|known| known == title).unwrap_or(ORDER.len()));
    let mut text = INTRODUCTION.to_owned();
    for (title, body) in sections {
        // A string takes what is written.
        let _ = write!(text, "\n## {title}\n\n{}\n", body.trim());
    }
    text
}

/// The machine's kind.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("an unknown processor", |(_, model)| model.trim());
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!("{model}, {cores} cores, Linux, load average at the end {load}")
}

// === impl Table ===

impl Table {
    /// A row; the first is the head.
    pub fn row(&mut self, cells: &[String]) {
        let first = self.0.is_empty();
        let _ = writeln!(self.0, "| {} |", cells.join(" | "));
        if first {
            let _ = writeln!(self.0, "|{}", "---|".repeat(cells.len()));
        }
    }

    /// A row of plain texts.
    pub fn head(&mut self, cells: &[&str]) {
        self.row(&cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
    }

    /// The table.
    pub fn text(self) -> String {
        self.0
    }
}

/// The middle of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
