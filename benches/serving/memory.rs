//! Memory with many Domains, and how long the webhook takes from nothing to knowing them all.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    apiserver::ApiServer,
    contender::{Kind, Stage},
    report::{Section, Table},
    runtime,
};

const ADMIN: &str = "127.0.0.1:19446";
const WITHIN: Duration = Duration::from_secs(600);

const SECTION: Section = Section {
    title: "Memory and cold start",
    command: "cargo bench --bench serving -- memory",
    about: "`certgate webhook` with Domains as the controller leaves them (3 KB of JSON each) in 20s to a namespace; a quarter of \
them held.",
};

pub fn measure() -> Result<()> {
    let runtime = runtime()?;
    let stage = Stage::set()?;
    let mut table = Table::default();
    table.head(&["Domains", "cold start to ready", "RSS MB", "peak RSS MB", "bytes a Domain"]);
    let mut empty = 0;
    for domains in [0, 10_000, 100_000] {
        let api = runtime.block_on(ApiServer::start(domains, &stage.ca.certificate))?;
        let start = Instant::now();
        let Some(contender) = stage.start(Kind::Certgate, &api)? else { continue };
        runtime.block_on(until_ready(ADMIN))?;
        let took = start.elapsed();
        let (peak, now) = contender.memory()?;
        if domains == 0 {
            empty = now;
        }
        let each = (now.saturating_sub(empty) * 1024).checked_div(domains as u64).unwrap_or(0);
        table.row(&[
            domains.to_string(),
            format!("{:.2} s", took.as_secs_f64()),
            format!("{:.1}", now as f64 / 1024.0),
            format!("{:.1}", peak as f64 / 1024.0),
            each.to_string(),
        ]);
    }
    SECTION.put(&table.text())
}

/// Waits until the process behind this admin address is ready.
pub async fn until_ready(admin: &str) -> Result<()> {
    until(admin, "/readyz", "HTTP/1.0 200").await
}

/// Waits until what is answered at this path has this text in it.
pub async fn until(admin: &str, path: &str, text: &str) -> Result<()> {
    let start = Instant::now();
    loop {
        if let Ok(mut stream) = tokio::net::TcpStream::connect(admin).await {
            stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            if answer.contains(text) {
                return Ok(());
            }
            ensure!(start.elapsed() < WITHIN, "no {text:?} at {path}: {answer}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
