//! `make demo`: the main job on real parts, told a line an event.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a demonstration speaks to whoever runs it")]

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use certgate_lab::{
    Lab, LabOptions, Progress, certgate,
    story::{Cast, Narrator, Story, documents},
};

/// An Ingress exactly as Rainbond 5 sends it, and the Service that it leads to.
const INGRESS: &str = "tests/fixtures/v5/http-custom-domain.yaml";
const SERVICE: &str = "tests/fixtures/v5/service-outer-shop-web-1-5000out.yaml";

/// Speaks with the time since the beginning.
struct Aloud(Instant);

impl Narrator for Aloud {
    fn happened(&self, what: &str) {
        println!("{:6.1} s  {what}", self.0.elapsed().as_secs_f64());
    }

    fn detail(&self, what: &str) {
        println!("            \"{what}\"");
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nthe demonstration failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the `certgate` command as it is now. Says so, as a first build takes minutes.
fn build() -> Result<PathBuf> {
    let root = certgate::root();
    eprintln!("building certgate…");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--message-format=json-render-diagnostics", "--bin", "certgate"])
        .current_dir(&root)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo build")?;
    ensure!(built.status.success(), "certgate does not build");
    let text = String::from_utf8(built.stdout)?;
    let program = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .next_back();
    program.context("cargo names no program")
}

fn read(file: &str) -> Result<serde_json::Value> {
    let path: PathBuf = Path::new(&certgate::root()).join(file);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    documents(&text)?.into_iter().next().context("no document")
}

async fn run() -> Result<()> {
    let keep = std::env::var("KEEP").is_ok_and(|value| !value.is_empty() && value != "0");
    let program = build()?;
    let begun = Instant::now();
    let aloud = Aloud(begun);
    aloud
        .happened("starting a real Kubernetes API server, cert-manager 1.21 and an ACME CA (Pebble), on loopback only");
    let progress = Progress::new(|_, _| {});
    let lab = Lab::start(LabOptions { progress, audit_log: true, ..LabOptions::default() }).await?;
    aloud.happened(&format!("they are up at {}; an issuer is Ready", lab.ip()));
    let told = tell(&lab, program, &aloud).await;
    if told.is_err() {
        lab.print_log_tails();
    }
    told?;
    aloud.happened("every step held");
    if keep {
        println!("\nEverything is still running. To play with it:\n");
        println!("  export KUBECONFIG={}", lab.kubeconfig().display());
        println!("  kubectl get ingress,domains,certificates -A");
        println!("\nCtrl-C ends it.");
        lab.wait_for_interrupt().await?;
    }
    lab.stop()
}

async fn tell(lab: &Lab, program: PathBuf, aloud: &Aloud) -> Result<()> {
    lab.dns().set_negative_ttl(1, 1);
    let app = certgate::install(lab, certgate::chart(program, &certgate::policy(lab, "pebble-fast"))).await?;
    aloud.happened(&format!(
        "certgate is installed from its chart: {} run with their own ServiceAccounts",
        app.replicas().join(", ")
    ));
    let cast = Cast { namespace: "team-a".into(), ingress: read(INGRESS)?, beside: vec![read(SERVICE)?] };
    let story = Story::begin(lab, cast, aloud).await?;
    story.tell().await?;
    let (made, seen) = (story.orders()?, lab.pebble().orders()?);
    ensure!(made == seen, "cert-manager made {made} orders and Pebble saw {seen}");
    ensure!(aloud.0.elapsed() < Duration::from_secs(600), "this took far too long");
    Ok(())
}
