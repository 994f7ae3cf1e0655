//! knot and unbound as processes, with zones good and bad.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use certgate::dns::{Asker, Preflight};
use tempfile::TempDir;

const PROGRAMS: [&str; 5] = ["knotd", "knotc", "unbound", "dnssec-keygen", "dnssec-signzone"];

/// What is served beside the zones that every test has.
#[derive(Default)]
pub(crate) struct More {
    /// Zones: name and text.
    pub(crate) zones: Vec<(String, String)>,
    /// Zones that unbound asks knot for, and knot does not have.
    pub(crate) lame: Vec<String>,
    /// DS records that unbound trusts.
    pub(crate) anchors: Vec<String>,
    /// Records of the zone `com`.
    pub(crate) com: String,
}

/// The running servers. Dropping ends them.
pub(crate) struct Servers {
    pub(crate) knot: SocketAddr,
    pub(crate) unbound: SocketAddr,
    directory: TempDir,
    processes: Vec<Child>,
    /// Takes questions in and never answers.
    _dead: UdpSocket,
}

impl Drop for Servers {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Where a program is; in `sbin` too, which is not on everybody's path.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/bin".into()])
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

fn run(name: &str, directory: &Path, args: &[&str]) -> String {
    let output = Command::new(program(name).unwrap()).current_dir(directory).args(args).output().unwrap();
    assert!(output.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn free_port() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = tcp.local_addr().unwrap();
        // For both servers.
        let second = SocketAddr::new(Ipv4Addr::new(127, 0, 0, 2).into(), addr.port());
        if UdpSocket::bind(addr).is_ok() && UdpSocket::bind(second).is_ok() && TcpListener::bind(second).is_ok() {
            return addr;
        }
    }
}

impl Servers {
    /// Starts both; `None`, with a message that is always shown, where a program is missing. `.ci/run` installs them.
    pub(crate) fn start(more: &More) -> Option<Self> {
        let missing: Vec<&str> = PROGRAMS.into_iter().filter(|name| program(name).is_none()).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            let words = format!("SKIPPED: {missing} not found; apt-get install knot unbound bind9-utils\n");
            // Not by a macro: what those write is shown only where a test fails.
            std::io::stderr().write_all(words.as_bytes()).unwrap();
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let (knot, unbound) = (free_port(), free_port());
        let dead = UdpSocket::bind("127.0.0.1:0").unwrap();

        let large: String = (0..60).fold(String::new(), |mut zone, n| {
            writeln!(zone, "@ CAA 0 issue \"ca{n}.example\"").unwrap();
            zone
        });
        // The registry is a server of its own: what it delegates, others have or lack.
        let registry = SocketAddr::new(Ipv4Addr::new(127, 0, 0, 2).into(), knot.port());
        zone(path, "com", &format!("{}ns A {}\n", more.com, registry.ip()));
        zone(path, "plain.com", "www A 1.2.3.4\ndangling CNAME gone.plain.com.\n");
        zone(path, "forbidden.com", "@ CAA 0 issue \"ca.example\"\nwww A 1.2.3.4\n");
        zone(path, "large.com", &format!("{large}www A 1.2.3.4\n"));
        zone(path, "loop.com", "www CNAME b.loop.com.\nb CNAME www.loop.com.\n");
        for name in ["signed.com", "expired.com", "forged.com"] {
            zone(path, name, "www A 1.2.3.4\n");
            let period: &[&str] =
                if name == "expired.com" { &["-s", "20200101000000", "-e", "20200201000000"] } else { &[] };
            sign(path, name, period);
        }
        let forged = path.join("forged.com.zone");
        let text = fs::read_to_string(&forged).unwrap().replace("1.2.3.4", "1.2.3.5");
        fs::write(&forged, text).unwrap();

        let mut config = format!(
            "server:\n  rundir: {0}\n  listen: {1}@{2}\n\ndatabase:\n  storage: {0}\n\nlog:\n  - target: stderr\n    any: warning\n\nzone:\n",
            path.display(),
            knot.ip(),
            knot.port()
        );
        let more_zones: Vec<&str> = more.zones.iter().map(|(name, _)| name.as_str()).collect();
        for (name, text) in &more.zones {
            fs::write(path.join(format!("{name}.zone")), text).unwrap();
        }
        let zones = ["plain.com", "forbidden.com", "large.com", "loop.com", "signed.com", "expired.com", "forged.com"];
        for name in zones.iter().chain(&more_zones) {
            writeln!(config, "  - domain: {name}\n    file: {}/{name}.zone", path.display()).unwrap();
        }
        fs::write(path.join("knot.conf"), config).unwrap();
        let own = path.join("registry");
        fs::create_dir(&own).unwrap();
        let config = format!(
            "server:\n  rundir: {0}\n  listen: {1}@{2}\n\ndatabase:\n  storage: {0}\n\nlog:\n  - target: stderr\n    any: warning\n\nzone:\n  \
             - domain: com\n    file: {3}/com.zone\n",
            own.display(),
            registry.ip(),
            registry.port(),
            path.display()
        );
        fs::write(path.join("registry.conf"), config).unwrap();

        let mut config = format!(
            "server:\n  interface: {}\n  port: {}\n  directory: \"{}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  \
             use-syslog: no\n  do-ip6: no\n  do-not-query-localhost: no\n  module-config: \"validator iterator\"\n  \
             ede: yes\n  val-log-level: 2\n  num-threads: 1\n  trust-anchor-file: \"anchors\"\n",
            unbound.ip(),
            unbound.port(),
            path.display()
        );
        let knot_at = format!("{}@{}", knot.ip(), knot.port());
        let dead_at = format!("127.0.0.1@{}", dead.local_addr().unwrap().port());
        for anchor in &more.anchors {
            writeln!(config, "  trust-anchor: \"{anchor}\"").unwrap();
        }
        let lame = more.lame.iter().map(String::as_str);
        for name in zones.iter().chain(&more_zones).copied().chain(["lame.net"]).chain(lame) {
            writeln!(config, "stub-zone:\n  name: {name}\n  stub-addr: {knot_at}").unwrap();
        }
        writeln!(config, "stub-zone:\n  name: dead.com\n  stub-addr: {dead_at}").unwrap();
        fs::write(path.join("unbound.conf"), config).unwrap();

        let spawn = |name: &str, args: &[&str]| {
            let log = fs::File::create(path.join(format!("{name}.log"))).unwrap();
            Command::new(program(name).unwrap()).args(args).stdout(Stdio::null()).stderr(log).spawn().unwrap()
        };
        let file = |name: &str| path.join(name).display().to_string();
        writeln!(
            fs::OpenOptions::new().append(true).open(path.join("unbound.conf")).unwrap(),
            "stub-zone:\n  name: com\n  stub-addr: {}@{}",
            registry.ip(),
            registry.port()
        )
        .unwrap();
        let processes = vec![
            spawn("knotd", &["-c", &file("registry.conf")]),
            spawn("knotd", &["-c", &file("knot.conf")]),
            spawn("unbound", &["-d", "-c", &file("unbound.conf")]),
        ];
        Some(Self { knot, unbound, directory, processes, _dead: dead })
    }

    /// Waits for the first answer that took both.
    pub(crate) async fn wait_until_they_answer(&self, preflight: &Preflight) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while preflight.addresses(&Asker::default(), "www.plain.com").await.is_empty() {
            let log = |name: &str| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
            assert!(tokio::time::Instant::now() < deadline, "no answer\n{}\n{}", log("knotd.log"), log("unbound.log"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Adds a record to a zone and has it served.
    pub(crate) fn add(&self, name: &str, record: &str) {
        let file = self.directory.path().join(format!("{name}.zone"));
        let text = fs::read_to_string(&file).unwrap().replace(" 1 3600 600 ", " 2 3600 600 ");
        fs::write(&file, format!("{text}{record}\n")).unwrap();
        let socket = self.directory.path().join("knot.sock").display().to_string();
        run("knotc", self.directory.path(), &["-s", &socket, "zone-reload", name]);
    }
}

fn zone(directory: &Path, name: &str, records: &str) {
    let ns = if records.contains("ns A ") { "" } else { "ns A 127.0.0.1\n" };
    let text = format!(
        "$ORIGIN {name}.\n$TTL 3600\n@ SOA ns.{name}. admin.{name}. 1 3600 600 86400 3600\n@ NS ns.{name}.\n{ns}{records}"
    );
    fs::write(directory.join(format!("{name}.zone")), text).unwrap();
}

/// Signs the zone in place, without looking whether it validates, and makes its key a trust anchor.
fn sign(directory: &Path, name: &str, period: &[&str]) {
    let key = run("dnssec-keygen", directory, &["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", name]);
    let zone = format!("{name}.zone");
    let signed = format!("{zone}.signed");
    let args = [&["-z", "-P", "-o", name, "-S", "-f", &signed][..], period, &[&zone]].concat();
    run("dnssec-signzone", directory, &args);
    fs::rename(directory.join(&signed), directory.join(&zone)).unwrap();
    let public = fs::read_to_string(directory.join(format!("{}.key", key.trim()))).unwrap();
    let anchor = public.lines().find(|line| !line.starts_with(';')).unwrap();
    let anchors = directory.join("anchors");
    let before = fs::read_to_string(&anchors).unwrap_or_default();
    fs::write(&anchors, format!("{before}{anchor}\n")).unwrap();
}
