//! Answering reviews: latency and CPU of each server, body and kind of load.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    Options,
    apiserver::ApiServer,
    bodies::{self, Body},
    contender::{Contender, Kind, Stage},
    load::{Latencies, Target},
    report::{Section, Table, median},
    runtime,
};

/// A kind of load.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Load {
    Closed(usize),
    Bursts,
}

const LOADS: [Load; 3] = [Load::Closed(1), Load::Closed(16), Load::Bursts];

/// The figures of one server under one load.
#[derive(Default)]
struct Figures {
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    p999: Vec<f64>,
    cpu: Vec<f64>,
    peak: Vec<f64>,
}

type Measured = BTreeMap<(usize, Load, usize), Figures>;

const SECTION: Section = Section {
    title: "Answering reviews",
    command: "cargo bench --bench serving -- serving",
    about: "The floor is hyper on rustls with typed parsing and a patch, and nothing else: no look-up, no decision, no bounds, no \
metrics. controller-runtime is the same mutation in Go's standard framework (`benches/controller-runtime`). Each server in turn on \
the same pinned core, the load on another, TLS 1.3, HTTP/1.1 keep-alive, as the API server calls webhooks. Medians of the rounds. \
CPU is user and system time of the server's process over the answers; `c=16` is 16 connections that ask again as soon as they are \
answered; bursts are 8 requests at once, 400 a second in all.",
};

pub fn measure(options: &Options) -> Result<()> {
    let runtime = runtime()?;
    let stage = Stage::set()?;
    let api = runtime.block_on(ApiServer::start(0, &stage.ca.certificate))?;
    let mut bodies = bodies::all();
    bodies.truncate(options.bodies);
    let mut measured = Measured::new();
    for (body_index, body) in bodies.iter().enumerate() {
        // Processes of its own for each body: the peak of one must not be the next one's.
        let mut contenders = Vec::new();
        for (kind_index, kind) in Kind::ALL.into_iter().enumerate() {
            let Some(contender) = stage.start(kind, &api)? else { continue };
            let target = Target::new(contender.address, &stage.ca.certificate, &body.json)?;
            runtime.block_on(until_it_patches(kind, &target))?;
            contenders.push((kind_index, target, contender));
        }
        for load in LOADS {
            // In turn and in short slices, so that what else the machine does hits all alike.
            for _ in 0..options.rounds {
                for (kind_index, target, contender) in &contenders {
                    let figures = measured.entry((body_index, load, *kind_index)).or_default();
                    runtime.block_on(one(options, load, target, contender, figures))?;
                }
            }
        }
        eprintln!("{}: done", body.name);
    }
    SECTION.put(&table(&bodies, &measured))
}

/// Waits until the server answers as the others do: certgate until it knows its Domains.
async fn until_it_patches(kind: Kind, target: &Target) -> Result<()> {
    for _ in 0..300 {
        let answer: Value = serde_json::from_slice(&target.once().await?)?;
        if answer.pointer("/response/patch").is_some() {
            // Caches, branch predictors and Go's heap take a moment.
            target.closed(4, std::time::Duration::from_millis(300)).await?;
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    ensure!(false, "{} does not patch", kind.name());
    Ok(())
}

async fn one(
    options: &Options,
    load: Load,
    target: &Target,
    contender: &Contender,
    figures: &mut Figures,
) -> Result<()> {
    let before = contender.cpu()?;
    let latencies: Latencies = match load {
        Load::Closed(connections) => target.closed(connections, options.seconds).await?,
        Load::Bursts => target.bursts(400, 8, options.seconds).await?,
    };
    let cpu = contender.cpu()?.checked_sub(before).context("CPU time ran backwards")?;
    let micros = |part: f64| latencies.quantile(part).as_secs_f64() * 1e6;
    figures.rate.push(latencies.rate());
    figures.p50.push(micros(0.5));
    figures.p99.push(micros(0.99));
    figures.p999.push(micros(0.999));
    figures.cpu.push(cpu.as_secs_f64() * 1e6 / latencies.count() as f64);
    figures.peak.push(contender.memory()?.0 as f64 / 1024.0);
    Ok(())
}

fn table(bodies: &[Body], measured: &Measured) -> String {
    let mut table = Table::default();
    table.head(&[
        "body",
        "load",
        "server",
        "answers/s",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "CPU µs/answer",
        "× floor",
        "peak RSS MB",
    ]);
    for (body_index, body) in bodies.iter().enumerate() {
        for load in LOADS {
            let cpu = |kind: usize| measured.get(&(body_index, load, kind)).map(|figures| median(figures.cpu.clone()));
            for (kind_index, kind) in Kind::ALL.into_iter().enumerate() {
                let Some(figures) = measured.get(&(body_index, load, kind_index)) else { continue };
                let ratio = cpu(kind_index).zip(cpu(0)).map_or(0.0, |(own, floor)| own / floor);
                let of = |figures: &Vec<f64>| median(figures.clone());
                table.row(&[
                    body.name.to_owned(),
                    match load {
                        Load::Closed(connections) => format!("c={connections}"),
                        Load::Bursts => "bursts".to_owned(),
                    },
                    kind.name().to_owned(),
                    format!("{:.0}", of(&figures.rate)),
                    format!("{:.0}", of(&figures.p50)),
                    format!("{:.0}", of(&figures.p99)),
                    format!("{:.0}", of(&figures.p999)),
                    format!("{:.1}", of(&figures.cpu)),
                    format!("{ratio:.2}"),
                    format!("{:.1}", of(&figures.peak)),
                ]);
            }
        }
    }
    table.text()
}
