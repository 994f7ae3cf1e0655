//! Boulder's packages behind a pipe: one JSON request a line, one answer a line.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result};
use certgate_lab::parts::{Part, Parts};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The running program. It ends with its standard input.
pub(crate) struct Oracle {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Oracle {
    pub(crate) fn start() -> Result<Self> {
        let program = Parts::ensure(&[Part::Boulder])?.program("boulder-oracle")?;
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, input, output })
    }

    /// What it says to a request.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, request: &Value) -> T {
        let input = self.input.as_mut().expect("it runs");
        writeln!(input, "{request}").and_then(|()| input.flush()).expect("it takes requests");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}
