//! What another tenant waits, on a real API server.

use std::time::{Duration, Instant};

use anyhow::Result;
use certgate_lab::{
    LabOptions,
    dns::{Answer, RecordType},
};
use kube::api::ListParams;

use super::{
    cluster::{Cluster, Team, plain},
    report::{Table, median},
};

/// Good hosts of another tenant, one after the other.
const GOOD: usize = 20;
/// Between two of them.
const PACE: Duration = Duration::from_millis(700);
/// Dead hosts beside them.
const DEAD: [usize; 2] = [0, 2_000];
/// Hosts of the one Ingress.
const CROWDS: [usize; 4] = [0, 100, 1_000, 10_000];
/// Dead hosts to an Ingress.
const EACH: usize = 100;
const LONG: Duration = Duration::from_secs(600);
const ISSUER: &str = "pebble";

/// From the creation of an Ingress to its Domain, and to the verdict, each sorted.
#[derive(Default)]
struct Waits {
    domain: Vec<f64>,
    verdict: Vec<f64>,
}

pub async fn dead() -> Result<String> {
    let mut table = Table::default();
    table.head(&["dead hosts", "Domains of theirs by then", "verdict, median ms", "longest ms", "added, longest ms"]);
    let mut alone = None;
    for count in DEAD {
        let cluster = Cluster::start(LabOptions::default(), ISSUER, |_| {}).await?;
        let (hostile, team) = (Team::new(&cluster.lab, "hostile").await?, Team::new(&cluster.lab, "team").await?);
        for n in 0..count {
            cluster.lab.dns().set(&format!("*.dead{n}.com"), RecordType::ANY, Answer::timeout());
        }
        let names: Vec<String> = (0..count).map(|n| format!("www.dead{n}.com")).collect();
        for (number, some) in names.chunks(EACH).enumerate() {
            let hosts: Vec<&str> = some.iter().map(String::as_str).collect();
            hostile.create(plain(&format!("dead-{number}"), &hosts)).await?;
        }
        let waits = good(&team).await?;
        let longest = last(&waits.verdict);
        let before = *alone.get_or_insert(longest);
        table.row(&[
            count.to_string(),
            domains(&hostile).await?.to_string(),
            format!("{:.0}", median(waits.verdict.clone())),
            format!("{longest:.0}"),
            format!("{:.0}", (longest - before).max(0.0)),
        ]);
    }
    Ok(table.text())
}

pub async fn crowd() -> Result<String> {
    let mut table = Table::default();
    table.head(&[
        "hosts in the Ingress",
        "Domains of theirs by then",
        "Domain, median ms",
        "longest ms",
        "verdict, median ms",
        "longest ms",
    ]);
    for count in CROWDS {
        let cluster = Cluster::start(LabOptions::default(), ISSUER, |_| {}).await?;
        let (hostile, team) = (Team::new(&cluster.lab, "hostile").await?, Team::new(&cluster.lab, "team").await?);
        let names: Vec<String> = (0..count).map(|n| format!("h{n}.crowd-example.com")).collect();
        if count > 0 {
            let mut object = plain("crowd", &names.iter().map(String::as_str).collect::<Vec<_>>());
            // Rules without paths, so that they all fit into one object.
            for rule in object["spec"]["rules"].as_array_mut().into_iter().flatten() {
                rule.as_object_mut().map(|rule| rule.remove("http"));
            }
            hostile.create(object).await?;
        }
        let waits = good(&team).await?;
        table.row(&[
            count.to_string(),
            domains(&hostile).await?.to_string(),
            format!("{:.0}", median(waits.domain.clone())),
            format!("{:.0}", last(&waits.domain)),
            format!("{:.0}", median(waits.verdict.clone())),
            format!("{:.0}", last(&waits.verdict)),
        ]);
    }
    Ok(table.text())
}

async fn domains(team: &Team<'_>) -> Result<usize> {
    Ok(team.domains().list_metadata(&ListParams::default()).await?.items.len())
}

/// Good hosts, one by one.
async fn good(team: &Team<'_>) -> Result<Waits> {
    let mut waits = Waits::default();
    for n in 0..GOOD {
        let host = format!("www.good{n}-example.com");
        team.lab.dns().a(&host, team.lab.ip());
        let begun = Instant::now();
        team.create(plain(&format!("good-{n}"), &[&host])).await?;
        let mut made = None;
        loop {
            let domain = team.domains().get_opt(&host).await?;
            if domain.is_some() && made.is_none() {
                made = Some(begun.elapsed());
            }
            if domain.and_then(|domain| domain.status).is_some_and(|status| status.verdict.is_some()) {
                break;
            }
            anyhow::ensure!(begun.elapsed() < LONG, "{host} has no verdict");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        waits.domain.push(ms(made.unwrap_or_else(|| begun.elapsed())));
        waits.verdict.push(ms(begun.elapsed()));
        eprintln!("{host}: {:.0} ms", waits.verdict.last().copied().unwrap_or_default());
        tokio::time::sleep(PACE).await;
    }
    waits.domain.sort_by(f64::total_cmp);
    waits.verdict.sort_by(f64::total_cmp);
    Ok(waits)
}

fn last(sorted: &[f64]) -> f64 {
    sorted.last().copied().unwrap_or_default()
}
