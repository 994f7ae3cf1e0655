//! Helm charts, installed by the real helm, with their containers run as processes.
//!
//! There is no kubelet and no scheduler in a lab. This does what they would: each replica of a chart's Deployments becomes
//! a process of the given program on a loopback address of its own, with the rendered arguments, environment and volumes,
//! the Pod's service account and its readiness probe. The chart's Services pass connections on to the ready replicas.
//!
//! A few things cannot be as in a container and are rewritten in arguments and environment: listen addresses become the
//! replica's own, and paths below a volume's mount path become those of the directory that stands for the volume. Helm's
//! hooks are not run, as their Jobs would never end.

mod app;
mod pod;
mod projection;
mod replica;
mod rewrite;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use serde_json::Value;

pub use self::app::App;
use crate::lab::Lab;
use crate::site::Site;

/// A chart to install and the program that stands for its image.
#[derive(Clone, Debug)]
pub struct Chart {
    release: String,
    path: PathBuf,
    namespace: String,
    program: PathBuf,
    values: Vec<Value>,
    files: Vec<PathBuf>,
    sets: Vec<String>,
    environment: Vec<(String, String)>,
    linked: bool,
}

impl Chart {
    /// A chart's directory or archive, to be installed under the name of a release. `program` is run for every container.
    pub fn new(
        release: impl Into<String>,
        path: impl Into<PathBuf>,
        namespace: impl Into<String>,
        program: impl Into<PathBuf>,
    ) -> Self {
        Self {
            release: release.into(),
            path: path.into(),
            namespace: namespace.into(),
            program: program.into(),
            values: Vec::new(),
            files: Vec::new(),
            sets: Vec::new(),
            environment: Vec::new(),
            linked: false,
        }
    }

    /// A file of values, such as one that comes with the chart. Files go before [`Chart::values`].
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// Values; later ones override earlier ones.
    #[must_use]
    pub fn values(mut self, values: Value) -> Self {
        self.values.push(values);
        self
    }

    /// One value, as helm's `--set`.
    #[must_use]
    pub fn set(mut self, assignment: impl Into<String>) -> Self {
        self.sets.push(assignment.into());
        self
    }

    /// Adds to the environment of every container what the chart does not say.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Each replica reaches the API server by a way of its own that can go silent ([`App::link`]).
    #[must_use]
    pub fn linked(mut self) -> Self {
        self.linked = true;
        self
    }

    /// Another program from the next upgrade on.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// Installs or upgrades, and returns the manifest that helm has applied.
    fn helm_upgrade(&self, site: &Site) -> Result<String> {
        let mut command = helm(site)?;
        command.args(["upgrade", "--install", "--create-namespace", "--no-hooks", &self.release]).arg(&self.path);
        command.args(["--namespace", &self.namespace]);
        for file in &self.files {
            command.arg("--values").arg(file);
        }
        for values in &self.values {
            command.arg("--values").arg(write_values(site, values)?);
        }
        for set in &self.sets {
            command.args(["--set", set]);
        }
        run(command)?;
        let mut command = helm(site)?;
        command.args(["get", "manifest", &self.release, "--namespace", &self.namespace]);
        run(command)
    }

    fn helm_uninstall(&self, site: &Site) -> Result<()> {
        let mut command = helm(site)?;
        command.args(["uninstall", "--no-hooks", &self.release, "--namespace", &self.namespace]);
        run(command).map(|_| ())
    }
}

fn helm(site: &Site) -> Result<Command> {
    let mut command = Command::new(site.parts.program("helm")?);
    command.arg("--kubeconfig").arg(site.kubeconfig());
    // Nothing of the user's own helm.
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, site.directory.join("helm"));
    }
    Ok(command)
}

fn write_values(site: &Site, values: &Value) -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let path = site.directory.join(format!("values-{}.json", COUNT.fetch_add(1, Ordering::Relaxed)));
    fs::write(&path, values.to_string())?;
    Ok(path)
}

fn run(mut command: Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().context("helm")?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

impl Lab {
    /// Installs a chart and starts its replicas. [`App::wait_ready`] waits for them.
    pub async fn install(&self, chart: Chart) -> Result<App> {
        let core = self.core().clone();
        self.run(async move || App::install(core, chart).await).await
    }
}
