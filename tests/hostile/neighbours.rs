//! Nobody waits behind a stranger: a tenant's thousands of hosts, dead ones among them, hold up no other tenant's.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use certgate_lab::{
    LabOptions,
    dns::{Answer, RecordType},
};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use crate::cluster::{Cluster, Team, plain};

/// Hosts of the hostile tenant's one Ingress: some 300 KB.
const MANY: usize = 3_000;
/// Its hosts of which no name server answers, each in a domain of its own.
const DEAD: usize = 400;
/// What another tenant's host may take from its creation to its verdict. What it takes on a quiet machine is a bench's
/// affair; before there were turns it was minutes.
const PROMPT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_crowd_of_hosts_holds_up_nobody_elses() -> Result<()> {
    let cluster = Cluster::start(LabOptions::default(), "pebble", |_| {}).await?;
    let lab = &cluster.lab;
    for n in 0..DEAD {
        lab.dns().set(&format!("*.dead{n}.com"), RecordType::ANY, Answer::timeout());
    }
    let (hostile, team) = (Team::new(lab, "hostile").await?, Team::new(lab, "team").await?);
    let many: Vec<String> = (0..MANY).map(|n| format!("h{n}.crowd-example.com")).collect();
    hostile.create(plain("crowd", &many.iter().map(String::as_str).collect::<Vec<_>>())).await?;
    for part in 0..4 {
        let dead: Vec<String> = (0..DEAD / 4).map(|n| format!("www.dead{}.com", part * (DEAD / 4) + n)).collect();
        hostile.create(plain(&format!("dead-{part}"), &dead.iter().map(String::as_str).collect::<Vec<_>>())).await?;
    }
    // It is at work on them.
    lab.wait_for("the hostile tenant's Domains come", Duration::from_secs(180), async || {
        let domains = hostile.domains().list_metadata(&ListParams::default()).await?.items.len();
        ensure!(domains >= 50, "{domains}");
        Ok(Some(()))
    })
    .await?;
    for round in 0..5 {
        let host = format!("www.good{round}-example.com");
        lab.dns().a(&host, lab.ip());
        let begun = Instant::now();
        team.create(plain(&format!("good-{round}"), &[&host])).await?;
        let took = lab
            .wait_for(&format!("{host} has a verdict"), 10 * PROMPT, async || {
                let status = team.domains().get(&host).await?.status.unwrap_or_default();
                Ok(status.verdict.is_some().then(|| begun.elapsed()))
            })
            .await?;
        let theirs = hostile.domains().list_metadata(&ListParams::default()).await?.items.len();
        eprintln!("{host}: its verdict after {took:?}, beside {theirs} Domains of the hostile tenant");
        ensure!(took < PROMPT, "{host} waited {took:?} behind a stranger");
        // Every edit has all of its hosts planned and looked at anew.
        let edit = Patch::Merge(json!({"metadata": {"annotations": {"certgate.dev/check-now": round.to_string()}}}));
        hostile.ingresses().patch("crowd", &PatchParams::default(), &edit).await?;
    }
    Ok(())
}
