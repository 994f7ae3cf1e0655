//! What Prometheus itself makes of metrics, rules and queries.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::parts::{Part, Parts};

/// A text that Prometheus reads.
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    /// A scrape, with its content type.
    Metrics(&'a str),
    /// A rule file.
    Rules,
    /// One expression a line.
    Queries,
}

/// Has it read by Prometheus' own parsers. Of a scrape comes back each metric with its number of series, of rules each
/// group with its number of rules, a line each.
pub fn check(kind: Text<'_>, text: &str) -> Result<String> {
    let program = Parts::ensure(&[Part::Promcheck])?.program("promcheck")?;
    let mut command = Command::new(program);
    match kind {
        Text::Metrics(content_type) => command.args(["metrics", content_type]),
        Text::Rules => command.arg("rules"),
        Text::Queries => command.arg("queries"),
    };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // It reads all before it writes.
    child.stdin.take().context("no standard input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "Prometheus refuses it:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
