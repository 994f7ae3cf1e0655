//! What bad neighbours cost everybody else: the same bursts of good reviews
//! with and without slow heads, TLS garbage, broken reviews and large bodies beside them.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet, time::sleep};

use super::{
    Options,
    apiserver::ApiServer,
    bodies,
    contender::{Contender, Kind, Stage},
    load::{Latencies, Target},
    report::{Section, Table, median},
    runtime,
};

/// Connections whose heads trickle in.
const SLOW: usize = 200;
/// Attempts a second of each other kind.
const A_SECOND: u32 = 20;
/// Large bodies a second.
const LARGE_A_SECOND: u32 = 2;

const SECTION: Section = Section {
    title: "Bad neighbours",
    command: "cargo bench --bench serving -- hostile",
    about: "Bursts of good reviews alone, and while 200 connections let their heads trickle in and each second brings 20 \
connections of TLS garbage, 20 broken reviews and two of 2 MB. (`make fuzz` breaks reviews for five minutes: no panic, no growth.)",
};

pub fn measure(options: &Options) -> Result<()> {
    let runtime = runtime()?;
    let stage = Stage::set()?;
    let api = runtime.block_on(ApiServer::start(0, &stage.ca.certificate))?;
    let contender = stage.start(Kind::Certgate, &api)?.context("certgate")?;
    let bodies = bodies::all();
    let [small, _, large] = bodies.as_slice() else { anyhow::bail!("three bodies") };
    let good = Target::new(contender.address, &stage.ca.certificate, &small.json)?;
    let large = Target::new(contender.address, &stage.ca.certificate, &large.json)?;
    let broken = small.json.get(..small.json.len() / 2).unwrap_or_default();
    let broken = Target::new(contender.address, &stage.ca.certificate, broken)?;
    let text = runtime.block_on(async {
        sleep(Duration::from_secs(1)).await;
        let quiet = rounds(options, &good).await?;
        let before = contender.memory()?.1;
        let mut neighbours = neighbours(&contender, good.clone(), broken, large);
        sleep(Duration::from_millis(500)).await;
        let beside = rounds(options, &good).await?;
        neighbours.shutdown().await;
        let after = contender.memory()?.1;
        anyhow::Ok(table(&quiet, &beside, before, after))
    })?;
    SECTION.put(&text)
}

async fn rounds(options: &Options, good: &Target) -> Result<Vec<Latencies>> {
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        rounds.push(good.bursts(400, 8, options.seconds.max(Duration::from_secs(3))).await?);
    }
    Ok(rounds)
}

/// All kinds at once, until they are shut down. What they are told does not matter to them.
fn neighbours(contender: &Contender, good: Target, broken: Target, large: Target) -> JoinSet<()> {
    let address = contender.address;
    let mut tasks = JoinSet::new();
    let good = Arc::new(good);
    for _ in 0..SLOW {
        let good = Arc::clone(&good);
        tasks.spawn(async move {
            loop {
                let _ = good.trickle(Duration::from_millis(500)).await;
            }
        });
    }
    tasks.spawn(async move {
        loop {
            if let Ok(mut stream) = TcpStream::connect(address).await {
                let _ = stream.write_all(&[0x16; 512]).await;
            }
            sleep(Duration::from_secs(1) / A_SECOND).await;
        }
    });
    tasks.spawn(async move {
        loop {
            let _ = broken.once().await;
            sleep(Duration::from_secs(1) / A_SECOND).await;
        }
    });
    tasks.spawn(async move {
        loop {
            let _ = large.once().await;
            sleep(Duration::from_secs(1) / LARGE_A_SECOND).await;
        }
    });
    tasks
}

fn table(quiet: &[Latencies], beside: &[Latencies], before: u64, after: u64) -> String {
    let of = |rounds: &[Latencies], part: f64| {
        median(rounds.iter().map(|latencies| latencies.quantile(part).as_secs_f64() * 1e6).collect())
    };
    let mut table = Table::default();
    table.head(&["", "p50 µs", "p99 µs", "p99.9 µs", "RSS MB"]);
    for (name, rounds, memory) in [("alone", quiet, before), ("with bad neighbours", beside, after)] {
        table.row(&[
            name.to_owned(),
            format!("{:.0}", of(rounds, 0.5)),
            format!("{:.0}", of(rounds, 0.99)),
            format!("{:.0}", of(rounds, 0.999)),
            format!("{:.1}", memory as f64 / 1024.0),
        ]);
    }
    format!("{}\np99 with them: × {:.2}.\n", table.text(), of(beside, 0.99) / of(quiet, 0.99))
}
