//! What each of those concerned sees, where they look already: kubectl's
//! columns, Events, `certgate status` and the status page, at each step.

#![allow(clippy::indexing_slicing, reason = "a test may end by panicking")]

#[path = "support/cluster.rs"]
#[allow(dead_code, reason = "each test binary uses its part of it")]
mod cluster;

use std::net::TcpListener;

use anyhow::{Context, Result, bail, ensure};
use certgate_lab::{Lab, LabOptions, certgate as installed};
use cluster::{Cluster, PATIENCE, SOON, Team, plain, program};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// One who looks everywhere.
struct Watcher<'l> {
    lab: &'l Lab,
    page: std::net::SocketAddr,
}

impl Watcher<'_> {
    /// Everything says the same of a host: its reason, who acts, and a phrase of the sentence.
    async fn sees(&self, team: &Team<'_>, host: &str, reason: &str, who: &str, phrase: &str) -> Result<()> {
        let ready = if reason == "Issued" { "True" } else { "False" };
        team.until_domain(host, "Ready", ready, Some(reason)).await?;
        self.soon(&format!("columns of {host}: {reason}"), async || {
            let row = columns(team, host).await?;
            ensure!(
                row.contains(&ready.to_owned()) && row.contains(&reason.to_owned()) && row.contains(&who.to_owned()),
                "{row:?}"
            );
            Ok(())
        })
        .await?;
        for kind in ["Ingress", "Domain"] {
            self.soon(&format!("Event {reason} on the {kind} of {host}"), async || {
                self.event(team, kind, reason, phrase).await
            })
            .await?;
        }
        let status = self.status(team, host).await?.with_context(|| format!("status knows nothing of {host}"))?;
        ensure!(status["reason"] == reason && status["whoActs"] == who, "{status}");
        ensure!(status["message"].as_str().is_some_and(|message| message.contains(phrase)), "{status}");
        self.soon(&format!("page of {host}: {reason}"), async || {
            let (code, page) = self.page(&format!("/host/{}/{host}", team.name)).await?;
            ensure!(code == 200 && page.contains(reason) && page.contains(phrase), "{code} {page}");
            Ok(())
        })
        .await
    }

    async fn soon(&self, what: &str, check: impl AsyncFn() -> Result<()>) -> Result<()> {
        self.lab.wait_for(what, SOON, async || check().await.map(Some)).await
    }

    async fn event(&self, team: &Team<'_>, kind: &str, reason: &str, phrase: &str) -> Result<()> {
        let events = Api::<Event>::namespaced(team.client.clone(), &team.name).list(&ListParams::default()).await?;
        let mut seen = Vec::new();
        for event in events {
            let on = event.regarding.as_ref().and_then(|object| object.kind.clone()).unwrap_or_default();
            let (why, note) = (event.reason.unwrap_or_default(), event.note.unwrap_or_default());
            if on == kind && why == reason && note.contains(phrase) {
                return Ok(());
            }
            seen.push(format!("{on} {why}: {note}"));
        }
        bail!("only {seen:?}")
    }

    async fn status(&self, team: &Team<'_>, host: &str) -> Result<Option<Value>> {
        let output = tokio::process::Command::new(program())
            .args(["status", "--namespace", &team.name, "--output", "json", "--kubeconfig"])
            .arg(self.lab.kubeconfig())
            .output()
            .await?;
        ensure!(output.status.code().is_some_and(|code| code < 2), "{}", String::from_utf8_lossy(&output.stderr));
        let value: Value = serde_json::from_slice(&output.stdout)?;
        let hosts = value["hosts"].as_array().context("no hosts")?;
        Ok(hosts.iter().find(|row| row["host"] == host).cloned())
    }

    async fn page(&self, path: &str) -> Result<(u16, String)> {
        let mut socket = tokio::net::TcpStream::connect(self.page).await?;
        socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: page\r\nConnection: close\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        let code = answer.split(' ').nth(1).context("no status")?.parse()?;
        Ok((code, answer))
    }
}

/// A Domain's row as kubectl prints it.
async fn columns(team: &Team<'_>, host: &str) -> Result<Vec<String>> {
    let request = http::Request::get(format!("/apis/certgate.dev/v1alpha1/namespaces/{}/domains", team.name))
        .header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())?;
    let table: Value = team.client.request(request).await?;
    let rows = table["rows"].as_array().context("no rows")?;
    let cells = rows.iter().filter_map(|row| row["cells"].as_array());
    let words = cells.map(|cells| cells.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>());
    words.into_iter().find(|row| row.contains(&host.to_owned())).with_context(|| format!("no row of {host}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_what_a_host_waits_for_from_first_write_to_switched_off() -> Result<()> {
    let page = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let lab = Lab::start(LabOptions { audit_log: true, ..LabOptions::default() }).await?;
    lab.dns().set_negative_ttl(1, 1);
    let mut policy = installed::policy(&lab, "pebble-fast");
    policy["caaIdentities"] = json!({lab.pebble().directory(): ["ca.example"]});
    let chart = installed::chart(program(), &policy)
        .values(json!({"controller": {"page": {"enabled": true, "port": page.port()}}}));
    let app = installed::install(&lab, chart).await?;
    let cluster = Cluster { lab, app };
    let result = tell(&cluster, page).await;
    if result.is_err() {
        cluster.lab.print_log_tails();
    }
    result?;
    cluster.lab.stop()
}

async fn tell(cluster: &Cluster, page: std::net::SocketAddr) -> Result<()> {
    let lab = &cluster.lab;
    let watcher = Watcher { lab, page };
    let team = Team::new(lab, "team-a").await?;
    let host = "www.example.com";

    // NXDOMAIN → record added → issued.
    team.create(plain("web", &[host])).await?;
    watcher.sees(&team, host, "DomainNotFound", "domain-owner", "does not exist in DNS").await?;
    ensure!(team.orders(host)? == 0, "nothing is ordered for a host that cannot pass");
    lab.dns().a(host, lab.ip());
    watcher.sees(&team, host, "Issued", "nobody", "has its certificate").await?;

    // Another namespace wants it too.
    let rival = Team::new(lab, "team-b").await?;
    rival.create(plain("web", &[host])).await?;
    watcher.sees(&rival, host, "HostTaken", "app-developer", "already in use elsewhere").await?;

    // Wrong target.
    let wrong = "wrong.example.com";
    lab.dns().a(wrong, "198.51.100.9".parse()?);
    team.create(plain("wrong", &[wrong])).await?;
    watcher.sees(&team, wrong, "WrongTarget", "domain-owner", "198.51.100.9").await?;

    // CAA names another CA.
    let caa = "caa.example.com";
    lab.dns().a(caa, lab.ip());
    lab.dns().caa(caa, 0, "issue", "other-ca.example");
    team.create(plain("caa", &[caa])).await?;
    watcher.sees(&team, caa, "CaaForbids", "domain-owner", "other-ca.example").await?;

    // Switched off: the Ingress says so, and the host is nowhere any more.
    team.annotate("web", json!({"certgate.dev/auto-issue": "false"})).await?;
    lab.wait_for("the Domain is gone", PATIENCE, async || {
        Ok(team.domains().get_opt(host).await?.is_none().then_some(()))
    })
    .await?;
    watcher
        .soon("Event SwitchedOff", async || watcher.event(&team, "Ingress", "SwitchedOff", "switched off").await)
        .await?;
    ensure!(watcher.status(&team, host).await?.is_none(), "status still knows it");
    watcher
        .soon("the page forgets it", async || {
            let (code, _) = watcher.page(&format!("/host/team-a/{host}")).await?;
            ensure!(code == 404, "{code}");
            Ok(())
        })
        .await
}
