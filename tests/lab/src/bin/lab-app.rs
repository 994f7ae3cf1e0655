//! The application that the lab's own test of charts installs: it answers with what it was given.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Result;
use clap::Parser;
use serde_json::json;

/// Answers with its environment, its arguments and a file.
#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long)]
    listen: String,
    /// A file; while it says `busy`, the application is not ready.
    #[arg(long)]
    greeting: PathBuf,
    /// What to call itself.
    #[arg(long)]
    name: String,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(&arguments.listen)?;
    for stream in listener.incoming() {
        // A client that has gone away is no reason to go too.
        let _ = answer(stream?, &arguments);
    }
    Ok(())
}

fn answer(mut stream: TcpStream, arguments: &Arguments) -> Result<()> {
    let mut request = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut request)?;
    let greeting = read(&arguments.greeting);
    let (status, body) = if request.contains("/readyz") {
        (if greeting == "busy" { "503 Busy" } else { "200 OK" }, String::new())
    } else {
        let environment: serde_json::Map<_, _> = env::vars().map(|(name, value)| (name, json!(value))).collect();
        ("200 OK", json!({"name": arguments.name, "greeting": greeting, "environment": environment}).to_string())
    };
    let length = body.len();
    Ok(write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")?)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
