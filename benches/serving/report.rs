//! Tables, printed and written to docs/benchmarks.md. A part that is not
//! measured this time keeps what the file says of it.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use anyhow::Result;

/// The parts of the file, in order, with what each is about.
const PARTS: [(&str, &str); 4] = [("serving", SERVING), ("cluster", CLUSTER), ("hostile", HOSTILE), ("memory", MEMORY)];

const INTRODUCTION: &str = "# Benchmarks\n\n\
Written by `make bench` (`cargo bench --bench serving`, in `benches/serving`), which prints the same tables. The floor is \
hyper on rustls with typed parsing and a patch, and nothing else: no look-up, no decision, no bounds, no metrics. \
controller-runtime is the same mutation in Go's standard framework (`benches/controller-runtime`).\n";

const SERVING: &str = "## Answering reviews\n\n\
Each server in turn on the same pinned core, the load on another, TLS 1.3, HTTP/1.1 keep-alive, as the API server calls \
webhooks. Medians of the rounds. CPU is user and system time of the server's process over the answers; `c=16` is 16 \
connections that ask again as soon as they are answered; bursts are 8 requests at once, 400 a second in all.\n";

const CLUSTER: &str = "## What a write gains in a real API server\n\n\
Creates of an Ingress with `dryRun=All`, one after the other over one connection, in turn in a namespace without a webhook, one \
with the floor and one with certgate; the difference of the medians is what a webhook adds.\n";

const HOSTILE: &str = "## Bad neighbours\n\n\
Bursts of good reviews alone, and while 200 connections let their heads trickle in and each second brings 20 connections of TLS \
garbage, 20 broken reviews and two of 2 MB.\n";

const MEMORY: &str = "## Memory and cold start\n\n\
`certgate webhook` with Domains as the controller leaves them (3 KB of JSON each) in 20s to a namespace; a quarter of them held.\n";

/// What has been measured.
pub struct Report {
    path: PathBuf,
    parts: BTreeMap<String, String>,
}

/// A table in the making.
#[derive(Default)]
pub struct Table(String);

// === impl Report ===

impl Report {
    /// Begins with what the file says now.
    pub fn new() -> Result<Self> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
        let old = fs::read_to_string(&path).unwrap_or_default();
        let mut parts = BTreeMap::new();
        for (name, about) in PARTS {
            let body = old.split_once(about).map(|(_, rest)| rest.split("\n## ").next().unwrap_or_default());
            if let Some(body) = body {
                parts.insert(name.to_owned(), format!("{}\n", body.trim()));
            }
        }
        Ok(Self { path, parts })
    }

    /// Prints a part and keeps it for the file.
    pub fn put(&mut self, part: &str, text: String) {
        println!("\n{text}");
        self.parts.insert(part.to_owned(), format!("Measured on {}.\n\n{text}", machine()));
    }

    /// Writes the file.
    pub fn write(&self) -> Result<()> {
        let mut text = INTRODUCTION.to_owned();
        for (name, about) in PARTS {
            if let Some(body) = self.parts.get(name) {
                write!(text, "\n{about}\n{}\n", body.trim_end())?;
            }
        }
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&self.path, text)?;
        println!("written to {}", self.path.display());
        Ok(())
    }
}

/// The machine's kind.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("an unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from).max(2);
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
