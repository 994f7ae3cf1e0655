//! The servers that are measured, as processes pinned to one core.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use certgate::pki::x509::{self, Pair};
use jiff::Timestamp;

use super::{apiserver::ApiServer, floor, load::NAME};

/// The core of the servers; the load has the next one.
const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";
/// How long a server may take to come up.
const START: Duration = Duration::from_secs(30);

/// A server that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// hyper and rustls, nothing else.
    Floor,
    /// `certgate webhook`.
    Certgate,
    /// Go's controller-runtime.
    ControllerRuntime,
}

/// A running server.
pub struct Contender {
    pub kind: Kind,
    pub address: SocketAddr,
    child: Child,
}

/// Certificates and programs that all runs share.
pub struct Stage {
    pub folder: tempfile::TempDir,
    pub ca: Pair,
    go: Option<PathBuf>,
}

/// Leaves the servers' core to them.
pub fn pin_this_process() {
    let pid = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-a", "-c", "-p", LOAD_CORE, &pid]).stdout(Stdio::null()).status();
    if !pinned.is_ok_and(|status| status.success()) {
        eprintln!("taskset is missing, or there is one core only: figures will disturb each other");
    }
}

// === impl Kind ===

impl Kind {
    pub const ALL: [Self; 3] = [Self::Floor, Self::Certgate, Self::ControllerRuntime];

    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor (hyper + rustls)",
            Self::Certgate => "certgate",
            Self::ControllerRuntime => "controller-runtime (Go)",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Floor => 19443,
            Self::Certgate => 19444,
            // Fixed in its source.
            Self::ControllerRuntime => 19445,
        }
    }
}

// === impl Stage ===

impl Stage {
    /// Makes certificates, and builds the Go peer if there is a Go.
    pub fn set() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let hour = Duration::from_secs(3600);
        let ca = x509::make_ca(Timestamp::now(), hour * 24)?;
        let leaf = x509::make_leaf(&ca, &[NAME.to_owned()], Timestamp::now(), hour * 12)?;
        fs::write(folder.path().join("tls.crt"), &leaf.certificate)?;
        fs::write(folder.path().join("tls.key"), &leaf.key)?;
        fs::write(folder.path().join("policy.yaml"), "issuer: {name: le}\nautoIssue: all\n")?;
        let go = build_peer(folder.path());
        if let Err(error) = &go {
            eprintln!("controller-runtime is left out: {error:#}");
        }
        Ok(Self { folder, ca, go: go.ok() })
    }

    /// Starts a server; `None` if it cannot be had on this machine.
    pub fn start(&self, kind: Kind, api: &ApiServer) -> Result<Option<Contender>> {
        let address = SocketAddr::from(([127, 0, 0, 1], kind.port()));
        let folder = self.folder.path();
        let mut command = Command::new("taskset");
        command.args(["-c", SERVER_CORE]).env_remove("KUBECONFIG");
        match kind {
            Kind::Floor => {
                let this = std::env::current_exe()?;
                command.arg(this).args([floor::ARGUMENT, &address.to_string()]).arg(folder);
            }
            Kind::Certgate => {
                command.arg(env!("CARGO_BIN_EXE_certgate")).arg("webhook");
                command.args([format!("--listen={address}"), "--admin-listen=127.0.0.1:19446".to_owned()]);
                command.arg(format!("--kubeconfig={}", api.kubeconfig(folder)?.display()));
                command.arg(format!("--policy={}", folder.join("policy.yaml").display()));
                command.arg("--serving-cert=files");
                command.arg(format!("--tls-cert-file={}", folder.join("tls.crt").display()));
                command.arg(format!("--tls-key-file={}", folder.join("tls.key").display()));
            }
            Kind::ControllerRuntime => {
                let Some(go) = &self.go else { return Ok(None) };
                command.arg(go).arg("-d").arg(folder).env("GOMAXPROCS", "1");
            }
        }
        let log = fs::File::create(folder.join(format!("{kind:?}.log")))?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn().context("taskset")?;
        let mut contender = Contender { kind, address, child };
        contender.wait_until_up(folder)?;
        Ok(Some(contender))
    }
}

/// The most memory that a process ever held, and what it holds now, in KiB.
pub fn memory_of(process: u32) -> Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("status")?;
        Ok::<u64, anyhow::Error>(line.trim().trim_end_matches(" kB").parse()?)
    };
    Ok((field("VmHWM:")?, field("VmRSS:")?))
}

/// The same mutation in Go.
fn build_peer(folder: &Path) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/controller-runtime");
    let program = folder.join("controller-runtime");
    let mut command = Command::new("go");
    command.args(["build", "-trimpath", "-o"]).arg(&program).arg(".").current_dir(source).env("CGO_ENABLED", "0");
    let output = command.output().context("go is not installed")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(program)
}

// === impl Contender ===

impl Contender {
    fn wait_until_up(&mut self, folder: &Path) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(folder.join(format!("{:?}.log", self.kind))).unwrap_or_default();
                bail!("{} ended with {status}: {log}", self.kind.name());
            }
            // Asked first whether it lives, so that another's listener on the port is not taken for it.
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            ensure!(start.elapsed() < START, "{} does not come up", self.kind.name());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// CPU time spent so far by all threads, in the scheduler's own nanoseconds
    /// (/proc/PID/task/*/schedstat, first field): ticks are too coarse, and blind to bursts that are in step with them.
    pub fn cpu(&self) -> Result<Duration> {
        let mut spent = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
            spent += schedstat.split(' ').next().and_then(|field| field.parse::<u64>().ok()).context("schedstat")?;
        }
        Ok(Duration::from_nanos(spent))
    }

    /// The most memory it ever held, and what it holds now, in KiB.
    pub fn memory(&self) -> Result<(u64, u64)> {
        memory_of(self.child.id())
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
