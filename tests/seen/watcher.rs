//! One who looks where those concerned look, and expects the same everywhere.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use certgate_lab::Lab;
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::cluster::{SOON, Team, program};

/// One who looks everywhere.
pub(crate) struct Watcher<'l> {
    pub(crate) lab: &'l Lab,
    /// Where the page is.
    pub(crate) page: SocketAddr,
    /// With whose token it is visited.
    pub(crate) token: String,
}

impl Watcher<'_> {
    /// Everything says the same of a host: its reason, who acts, and a phrase of the sentence.
    pub(crate) async fn sees(&self, team: &Team<'_>, host: &str, reason: &str, who: &str, phrase: &str) -> Result<()> {
        let ready = if matches!(reason, "Issued" | "RenewalAtRisk") { "True" } else { "False" };
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

    pub(crate) async fn soon(&self, what: &str, check: impl AsyncFn() -> Result<()>) -> Result<()> {
        self.lab.wait_for(what, SOON, async || check().await.map(Some)).await
    }

    pub(crate) async fn event(&self, team: &Team<'_>, kind: &str, reason: &str, phrase: &str) -> Result<()> {
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

    pub(crate) async fn status(&self, team: &Team<'_>, host: &str) -> Result<Option<Value>> {
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

    pub(crate) async fn page(&self, path: &str) -> Result<(u16, String)> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n", self.page, self.token))
            .await
    }

    /// Sends a request's head, and returns status and answer.
    pub(crate) async fn ask(&self, head: &str) -> Result<(u16, String)> {
        self.send(head, "").await
    }

    /// The same with a body.
    pub(crate) async fn send(&self, head: &str, body: &str) -> Result<(u16, String)> {
        let mut socket = tokio::net::TcpStream::connect(self.page).await?;
        socket.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await?;
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
