//! `certgate webhook` as a process: what it says to bad configuration, and how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "helpers of tests fail by panicking, like the tests"
)]

#[path = "serving/support.rs"]
#[allow(dead_code)]
mod support;

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use rstest::rstest;
use support::*;

/// A kubeconfig of an API server that is not there.
fn kubeconfig(folder: &Path) -> String {
    let path = folder.join("kubeconfig");
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n\
                clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: t}}]\n";
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certgate"));
    command.env_remove("KUBECONFIG").env_remove("RUST_LOG").env_remove("POD_NAMESPACE");
    command
        .args(["webhook", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--log-format=json"])
        .args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).stdin(Stdio::null());
    command
}

/// A running webhook that serves with files.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (_, leaf) = certificates();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        std::fs::write(&certificate, leaf.certificate).unwrap();
        std::fs::write(&key, leaf.key).unwrap();
        let files = [
            format!("--kubeconfig={}", kubeconfig(folder.path())),
            "--serving-cert=files".to_owned(),
            format!("--tls-cert-file={}", certificate.display()),
            format!("--tls-key-file={}", key.display()),
        ];
        let all: Vec<&str> = files.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        let mut child = command(&all).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, seen: Vec::new(), _folder: folder }
    }

    /// Waits for a log line with this text.
    fn line(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("no line with {text:?} in {:#?}", self.seen),
            }
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn ends(&mut self) -> (std::process::ExitStatus, Duration) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, start.elapsed());
            }
            assert!(start.elapsed() < DEADLINE, "it does not end: {:#?}", self.seen);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[rstest]
#[case::kubeconfig(&["--kubeconfig=/nowhere/config"], "--kubeconfig /nowhere/config: ")]
#[case::policy(&["--policy=/nowhere/policy.yaml"], "policy /nowhere/policy.yaml: ")]
#[case::certificate(
    &["--serving-cert=files", "--tls-cert-file=/nowhere/tls.crt", "--tls-key-file=/nowhere/tls.key"],
    "--tls-cert-file /nowhere/tls.crt: "
)]
#[case::client_ca(&["--client-ca-file=/nowhere/ca.crt"], "--client-ca-file /nowhere/ca.crt: ")]
#[case::client_name(&["--client-name=apiserver"], "--client-name has no effect without --client-ca-file")]
fn bad_configuration_is_one_line_that_names_the_flag(#[case] arguments: &[&str], #[case] start: &str) {
    let folder = tempfile::tempdir().unwrap();
    let reachable = format!("--kubeconfig={}", kubeconfig(folder.path()));
    let mut all = arguments.to_vec();
    if !arguments[0].starts_with("--kubeconfig") {
        all.push(&reachable);
    }
    let output = command(&all).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let said: Vec<&str> = said.lines().filter(|line| !line.starts_with('{')).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with(&format!("certgate: {start}")), "{said:?}");
}

#[rstest]
#[case("--listen")]
#[case("--admin-listen")]
fn a_port_that_is_taken_is_named_with_the_remedy(#[case] flag: &str) {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    // Given twice, so that the test's own port 0 does not count.
    let mut command = Command::new(env!("CARGO_BIN_EXE_certgate"));
    let other = if flag == "--listen" { "--admin-listen" } else { "--listen" };
    command.env_remove("KUBECONFIG").args(["webhook", &format!("{flag}={address}"), &format!("{other}=127.0.0.1:0")]);
    command.arg(format!("--kubeconfig={}", kubeconfig(folder.path())));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let said = said.lines().last().unwrap_or_default();
    assert!(said.starts_with(&format!("certgate: {flag} {address}: ")) && said.contains("another port"), "{said}");
}

#[test]
fn a_signal_ends_it_in_order_and_a_second_one_at_once() {
    let mut patient = Running::start(&["--grace-seconds=0"]);
    patient.line("listening for probes");
    patient.signal("-TERM");
    let (status, _) = patient.ends();
    assert!(status.success(), "{status}");

    let mut hurried = Running::start(&["--grace-seconds=600"]);
    hurried.line("listening for probes");
    hurried.signal("-TERM");
    hurried.line("unready from now");
    hurried.signal("-INT");
    let (status, took) = hurried.ends();
    assert!(status.success() && took < Duration::from_secs(5), "{status} after {took:?}");
}

#[tokio::test]
async fn it_serves_while_the_api_server_is_away_and_says_what_is_missing() {
    let mut running = Running::start(&[]);
    let line = running.line("listening for probes");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let address: std::net::SocketAddr = line["address"].as_str().unwrap().parse().unwrap();
    let get = async |path: &str| {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
        answer
    };
    assert!(get("/healthz").await.starts_with("HTTP/1.1 200"));
    let ready = get("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    for line in ["Domains and Namespaces are not listed yet", "MutatingWebhookConfiguration certgate is not read yet"] {
        assert!(ready.contains(line), "{ready}");
    }
    let stale = "stale: Domain objects cannot be watched for ";
    eventually("the failing watch is a remark", async || get("/readyz").await.contains(stale)).await;
    assert!(get("/metrics").await.contains("certgate_serving_certificate_swaps_total 1"));
    running.signal("-TERM");
    running.line("unready from now");
    assert!(get("/readyz").await.contains("shutting down"));
}
