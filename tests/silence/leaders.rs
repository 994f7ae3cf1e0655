//! A leader whose way to the API server goes silent, and one that is stopped for a while.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use certgate_lab::{App, LabOptions, certgate as installed};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use serde_json::json;

use crate::{
    audit::{self, Write, work_of},
    cluster::{Cluster, PATIENCE, SOON, Team, plain},
    page,
};

/// The replica that holds the Lease, and its term.
async fn leader(client: &Client) -> Result<(String, Duration)> {
    let lease = Api::<Lease>::namespaced(client.clone(), installed::NAMESPACE).get(installed::CONTROLLER).await?;
    let spec = lease.spec.context("no spec")?;
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty()).context("nobody leads")?;
    let pod = holder.rsplit_once('-').context("an identity without a suffix")?.0.to_owned();
    Ok((pod, Duration::from_secs(u64::try_from(spec.lease_duration_seconds.unwrap_or_default())?)))
}

fn other_than(app: &App, replica: &str) -> Result<String> {
    let all = app.replicas_of(installed::CONTROLLER);
    all.into_iter().find(|name| name != replica).context("there is another replica")
}

/// Waits until `replica` leads; returns how long that took.
async fn until_leads(team: &Team<'_>, replica: &str, since: Instant) -> Result<Duration> {
    let leads = async || Ok((leader(&team.client).await?.0 == replica).then(|| since.elapsed()));
    team.lab.wait_for(&format!("{replica} leads"), PATIENCE, leads).await
}

/// Hosts whose DNS comes good in the very moment that something happens to the leader.
async fn waiting(team: &Team<'_>, prefix: &str) -> Result<Vec<String>> {
    let hosts: Vec<String> = (0..6).map(|n| format!("{prefix}{n}.example.com")).collect();
    for host in &hosts {
        team.create(plain(&host.replace('.', "-"), &[host])).await?;
    }
    for host in &hosts {
        team.until_domain(host, "Verified", "False", Some("DomainNotFound")).await?;
    }
    Ok(hosts)
}

/// All are served by one order each, by whoever leads now.
async fn served(team: &Team<'_>, hosts: &[String]) -> Result<()> {
    for host in hosts {
        team.until_certificate(host).await?;
        team.until_injected(&host.replace('.', "-"), host).await?;
        ensure!(team.orders(host)? == 1, "{host} was ordered {} times", team.orders(host)?);
    }
    Ok(())
}

/// No two replicas are at work at once: each one's writes lie before or after the other's.
fn one_at_a_time(writes: &[Write]) -> Result<()> {
    let work: Vec<&Write> = writes.iter().filter(|write| !write.lease && write.code < 300).collect();
    ensure!(work.iter().all(|write| write.replica != "unknown"), "{work:?}");
    // A turn of a replica begins with its taking the Lease.
    for pair in work.windows(2).filter(|pair| pair[0].replica != pair[1].replica) {
        let (ended, began) = (pair[0], pair[1]);
        let taken = writes.iter().any(|write| {
            write.lease
                && write.code < 300
                && write.replica == began.replica
                && write.at >= ended.at
                && write.at <= began.at
        });
        ensure!(
            taken,
            "{} wrote without having taken the Lease after {}: {ended:?} {began:?}",
            began.replica,
            ended.replica
        );
    }
    Ok(())
}

/// What a replica did that had been silenced or stopped at `since`, after `next` took the Lease from it. Before that it
/// led, and what was on its way to the API server as silence fell was received a moment later.
fn late(writes: &[Write], replica: &str, next: &str, since: Timestamp) -> Result<Vec<Write>> {
    let takes = |write: &&Write| write.replica == next && write.lease && write.code < 300 && write.at > since;
    let taken = writes.iter().find(takes).context("the other took the Lease")?.at;
    let lingering = since + SignedDuration::from_secs(2);
    let work = work_of(writes, replica).into_iter();
    Ok(work.filter(|write| write.at >= taken || write.at > lingering).cloned().collect())
}

async fn lost(app: &App, replica: &str) -> Result<(f64, f64)> {
    let lost = app.metric(replica, "certgate_controller_lost_leaderships_total").await?;
    Ok((lost, app.metric(replica, "certgate_controller_leading").await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_or_stopped_is_followed_by_one_and_no_two_write_at_once() -> Result<()> {
    let cluster = Cluster::install(
        LabOptions::default(),
        "pebble-fast",
        |_| {},
        |chart| chart.values(json!({"controller": {"replicas": 2}})).linked(),
    )
    .await?;
    let (lab, app) = (&cluster.lab, &cluster.app);
    let team = Team::new(lab, "silent").await?;

    // Cut off: what it had on its way is lost.
    let hosts = waiting(&team, "cut").await?;
    let (first, term) = leader(&team.client).await?;
    let second = other_than(app, &first)?;
    app.link(&first, certgate_lab::ApiLink::silence)?;
    let silent = (Instant::now(), Timestamp::now());
    hosts.iter().for_each(|host| lab.dns().a(host, lab.ip()));
    let took = until_leads(&team, &second, silent.0).await?;
    ensure!(took <= 2 * term, "{second} leads after {took:?}, the term is {term:?}");
    served(&team, &hosts).await?;
    let (count, leading) = lost(app, &first).await?;
    ensure!(count >= 1.0 && leading == 0.0, "{first} says that it lost {count} times and leads: {leading}");
    let said = page(app.address(&first)?, "/readyz").await?;
    ensure!(said.contains("the Lease cannot be asked for since"), "{said}");

    // Back again, it stands by.
    app.link(&first, certgate_lab::ApiLink::resume_anew)?;
    lab.wait_for("it hears the API server again", SOON, async || {
        Ok((!page(app.address(&first)?, "/readyz").await?.contains("cannot be asked for")).then_some(()))
    })
    .await?;
    let more = waiting(&team, "back").await?;
    more.iter().for_each(|host| lab.dns().a(host, lab.ip()));
    served(&team, &more).await?;
    let writes = audit::writes(lab)?;
    let late = late(&writes, &first, &second, silent.1)?;
    ensure!(late.is_empty(), "{first} wrote while it did not lead: {late:?}");
    one_at_a_time(&writes)?;

    // Held up: what it had on its way comes late.
    let hosts = waiting(&team, "held").await?;
    hosts.iter().for_each(|host| lab.dns().a(host, lab.ip()));
    app.link(&second, certgate_lab::ApiLink::silence)?;
    let silent = (Instant::now(), Timestamp::now());
    until_leads(&team, &first, silent.0).await?;
    served(&team, &hosts).await?;
    let taken = Timestamp::now();
    app.link(&second, certgate_lab::ApiLink::resume)?;
    lab.wait_for("it hears the API server again", SOON, async || {
        Ok((!page(app.address(&second)?, "/readyz").await?.contains("cannot be asked for")).then_some(()))
    })
    .await?;
    let more = waiting(&team, "again").await?;
    more.iter().for_each(|host| lab.dns().a(host, lab.ip()));
    served(&team, &more).await?;
    served(&team, &hosts).await?;
    let writes = audit::writes(lab)?;
    // An Event says what was so, whoever publishes it and when.
    let changes = |write: &&Write| !write.lease && !write.what.starts_with("events/");
    let late: Vec<_> = writes.iter().filter(|w| w.replica == second && w.at > taken).filter(changes).collect();
    // What was on the wire cannot be called back, but says of which version of an object it speaks.
    ensure!(late.iter().all(|write| write.code >= 400), "writes that came late were done: {late:?}");

    // Stopped, and woken after its time.
    let hosts = waiting(&team, "slept").await?;
    let (sleeper, _) = leader(&team.client).await?;
    let awake = other_than(app, &sleeper)?;
    app.pause(&sleeper)?;
    let stopped = (Instant::now(), Timestamp::now());
    hosts.iter().for_each(|host| lab.dns().a(host, lab.ip()));
    until_leads(&team, &awake, stopped.0).await?;
    served(&team, &hosts).await?;
    app.wake(&sleeper)?;
    lab.wait_for("it knows that it leads no longer", SOON, async || {
        Ok((lost(app, &sleeper).await?.1 == 0.0).then_some(()))
    })
    .await?;
    let writes = audit::writes(lab)?;
    let late = self::late(&writes, &sleeper, &awake, stopped.1)?;
    ensure!(late.is_empty(), "{sleeper} wrote when it woke: {late:?}");

    // In its turn it leads again: a leader that leaves lets go of the Lease.
    let leaving = Instant::now();
    app.terminate(&awake).await?;
    let took = until_leads(&team, &sleeper, leaving).await?;
    ensure!(took < term, "a Lease that was released is taken after {took:?}");
    let last = waiting(&team, "last").await?;
    last.iter().for_each(|host| lab.dns().a(host, lab.ip()));
    served(&team, &last).await?;
    one_at_a_time(&audit::writes(lab)?)?;
    cluster.lab.stop()
}
