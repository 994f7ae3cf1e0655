//! What Go finds in certificate requests.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;

use crate::parts::{Part, Parts};

/// The names of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Names {
    /// DNS names.
    pub dns: Vec<String>,
    /// Common names.
    pub common: Vec<String>,
    /// Whether there are IP addresses, e-mail addresses or URIs.
    pub others: bool,
    /// Why there are none: it cannot be read.
    pub error: String,
}

/// Has the `spec.request` of CertificateRequests read as cert-manager reads them, in order.
pub fn read(requests: &[String]) -> Result<Vec<Names>> {
    let program = Parts::ensure(&[Part::Csrcheck])?.program("csrcheck")?;
    let mut lines = Vec::new();
    for request in requests {
        serde_json::to_writer(&mut lines, request)?;
        lines.push(b'\n');
    }
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    // It answers while it reads.
    let writer = thread::spawn(move || input.write_all(&lines));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| anyhow!("the writer panicked"))??;
    ensure!(output.status.success(), "csrcheck: {}", output.status);
    let names: Vec<Names> = String::from_utf8(output.stdout)?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("what csrcheck prints")?;
    ensure!(names.len() == requests.len(), "{} answers to {} requests", names.len(), requests.len());
    Ok(names)
}
