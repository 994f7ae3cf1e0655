//! Child processes that never outlive the lab.
//!
//! Every child leads a process group of its own and is killed with all of it. Should this process die without a chance to
//! do so, a watchdog does it: a small shell that reads from a pipe which only we hold open, and at its end kills what is
//! left and removes the lab's directory.

mod watchdog;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use watchdog::Watchdog;

use crate::wait::wait_for;

/// How much of a log is read for its tail.
const TAIL_BYTES: u64 = 64 * 1024;
const TAIL_LINES: usize = 15;

/// What to run.
#[derive(Debug)]
pub struct Program {
    name: String,
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    inherits: bool,
    directory: Option<PathBuf>,
    input: Option<File>,
}

impl Program {
    /// A program under the name that its log and the lab's other calls use.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            inherits: true,
            directory: None,
            input: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds to the environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts without the environment of the lab's own process.
    #[must_use]
    pub fn clean_environment(mut self) -> Self {
        self.inherits = false;
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// A file that is open as the program's standard input for as long as it runs.
    #[must_use]
    pub(crate) fn input(mut self, file: File) -> Self {
        self.input = Some(file);
        self
    }
}

#[derive(Debug)]
struct Entry {
    program: Program,
    /// None once it has ended and was waited for.
    child: Option<Child>,
}

/// All children of a lab.
#[derive(Debug)]
pub struct Processes {
    directory: PathBuf,
    entries: Mutex<BTreeMap<String, Entry>>,
    watchdog: Watchdog,
}

impl Processes {
    /// Children log to `log/` below this directory, which is removed when they are no more.
    pub fn new(directory: PathBuf) -> Result<Self> {
        fs::create_dir_all(directory.join("log"))?;
        let watchdog = Watchdog::start(&directory)?;
        Ok(Self { directory, entries: Mutex::default(), watchdog })
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a program. Its name must be free.
    pub fn start(&self, program: Program) -> Result<()> {
        let mut entries = self.entries();
        if entries.get(&program.name).is_some_and(|e| e.child.is_some()) {
            bail!("{} runs already", program.name);
        }
        let child = self.spawn(&program)?;
        entries.insert(program.name.clone(), Entry { program, child: Some(child) });
        Ok(())
    }

    fn spawn(&self, program: &Program) -> Result<Child> {
        let log = File::options().create(true).append(true).open(self.log_path(&program.name))?;
        let mut command = Command::new(&program.path);
        if !program.inherits {
            command.env_clear();
        }
        command
            .args(&program.arguments)
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .stdin(match &program.input {
                Some(file) => Stdio::from(file.try_clone()?),
                None => Stdio::null(),
            })
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        if let Some(directory) = &program.directory {
            command.current_dir(directory);
        }
        let child = command.spawn().with_context(|| format!("start {}", program.path.display()))?;
        self.watchdog.add(child.id())?;
        Ok(child)
    }

    /// Kills a program at once (SIGKILL), with whatever it started.
    pub fn kill(&self, name: &str) -> Result<()> {
        let mut entries = self.entries();
        let entry = entries.get_mut(name).with_context(|| unknown(name))?;
        if let Some(child) = entry.child.take() {
            self.end(child)?;
        }
        Ok(())
    }

    fn end(&self, mut child: Child) -> Result<()> {
        kill_group(child.id());
        child.wait()?;
        self.watchdog.remove(child.id())
    }

    /// Asks a program to end (SIGTERM) and waits until it has; returns its exit code.
    pub async fn terminate(&self, name: &str, within: Duration) -> Result<Option<i32>> {
        match self.entries().get(name).with_context(|| unknown(name))?.child.as_ref() {
            // As a kubelet does: the program itself, not what it started.
            Some(child) => {
                if let Some(pid) = pid_of(child.id()) {
                    let _ = kill_process(pid, Signal::TERM);
                }
            }
            None => return Ok(None),
        }
        let what = format!("{name} has ended after SIGTERM");
        let end = wait_for(&what, within, async || Ok(self.poll(name))).await;
        Ok(end.map_err(|e| e.context(self.described_tail(name)))?.0)
    }

    /// Stops a running program where it stands (SIGSTOP), as a machine that is suspended does.
    pub fn pause(&self, name: &str) -> Result<()> {
        self.signal(name, Signal::STOP)
    }

    /// Lets a program that was stopped go on (SIGCONT).
    pub fn wake(&self, name: &str) -> Result<()> {
        self.signal(name, Signal::CONT)
    }

    fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        let pid = self.pid(name).and_then(pid_of).with_context(|| format!("{name} does not run"))?;
        Ok(kill_process(pid, signal)?)
    }

    /// Kills a program, if it still runs, and starts it again with the same arguments.
    pub fn restart(&self, name: &str) -> Result<()> {
        let mut entries = self.entries();
        let entry = entries.get_mut(name).with_context(|| unknown(name))?;
        if let Some(child) = entry.child.take() {
            self.end(child)?;
        }
        entry.child = Some(self.spawn(&entry.program)?);
        Ok(())
    }

    /// Forgets a program that is no longer wanted, killing it if it still runs.
    pub fn forget(&self, name: &str) -> Result<()> {
        let entry = self.entries().remove(name);
        entry.and_then(|e| e.child).map_or(Ok(()), |child| self.end(child))
    }

    /// How the program ended: exit code and signal. None while it runs.
    fn poll(&self, name: &str) -> Option<(Option<i32>, Option<i32>)> {
        let mut entries = self.entries();
        let Some(child) = entries.get_mut(name).and_then(|e| e.child.as_mut()) else { return Some((None, None)) };
        let status = child.try_wait().ok()??;
        let id = child.id();
        if let Some(entry) = entries.get_mut(name) {
            entry.child = None;
        }
        // The leader is gone, but not necessarily what it started.
        kill_group(id);
        if let Err(error) = self.watchdog.remove(id) {
            tracing::warn!(%error, name, "the watchdog still watches a process that has ended");
        }
        Some((status.code(), status.signal()))
    }

    /// Whether it runs.
    pub fn is_running(&self, name: &str) -> bool {
        self.poll(name).is_none()
    }

    /// The process id of a running program.
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.is_running(name).then(|| self.entries().get(name).and_then(|e| e.child.as_ref()).map(Child::id)).flatten()
    }

    /// Names and process ids of all that run.
    pub fn running(&self) -> Vec<(String, u32)> {
        let names: Vec<String> = self.entries().keys().cloned().collect();
        names.into_iter().filter_map(|name| self.pid(&name).map(|pid| (name, pid))).collect()
    }

    /// Waits until `probe` is content, and no longer than the program lives.
    pub async fn wait_ready(
        &self,
        name: &str,
        within: Duration,
        mut probe: impl AsyncFnMut() -> Result<bool>,
    ) -> Result<()> {
        let what = format!("{name} is ready");
        let ready = wait_for(&what, within, async || {
            if let Some((code, signal)) = self.poll(name) {
                return Ok(Some(Err(anyhow!("{name} has ended (exit code {code:?}, signal {signal:?})"))));
            }
            Ok(probe().await?.then_some(Ok(())))
        })
        .await;
        ready.and_then(|ended| ended).map_err(|e| e.context(self.described_tail(name)))
    }

    /// Where a program's output goes.
    pub fn log_path(&self, name: &str) -> PathBuf {
        self.directory.join("log").join(name)
    }

    /// The last lines that a program wrote.
    pub fn log_tail(&self, name: &str, lines: usize) -> Result<String> {
        tail(&self.log_path(name), lines)
    }

    fn described_tail(&self, name: &str) -> String {
        match self.log_tail(name, TAIL_LINES) {
            Ok(tail) => format!("the end of {name}'s log:\n{tail}"),
            Err(error) => format!("{name} has no log: {error:#}"),
        }
    }

    /// The names of all programs that were started.
    pub fn names(&self) -> Vec<String> {
        self.entries().keys().cloned().collect()
    }

    /// Kills everything and removes the directory.
    pub fn stop(&self) -> Result<()> {
        let children: Vec<Child> = self.entries().values_mut().filter_map(|e| e.child.take()).collect();
        // All at once, as each takes a moment to give back its memory.
        for child in &children {
            kill_group(child.id());
        }
        for mut child in children {
            child.wait()?;
        }
        self.watchdog.stop()
    }

    /// Leaves everything running and the directory in place.
    pub(crate) fn leave(&self) -> Vec<(String, u32)> {
        let running = self.running();
        self.watchdog.dismiss();
        self.entries().clear();
        running
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(%error, "not all processes of the lab could be stopped");
        }
    }
}

fn unknown(name: &str) -> String {
    format!("no program {name} was started")
}

fn pid_of(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

/// Kills a child's group. That it may be gone already is no error; until it is waited for, its id is no one else's.
fn kill_group(id: u32) {
    if let Some(group) = pid_of(id) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn tail(path: &Path, lines: usize) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("log {}", path.display()))?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    Ok(all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab() -> Result<(PathBuf, Processes)> {
        let directory = tempfile::tempdir()?.keep();
        Ok((directory.clone(), Processes::new(directory)?))
    }

    fn shell(name: &str, script: &str) -> Program {
        Program::new(name, "sh").args(["-c", script])
    }

    fn is_alive(pid: u32) -> bool {
        pid_of(pid).is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
    }

    #[tokio::test]
    async fn stopping_leaves_nothing() -> Result<()> {
        let (directory, processes) = lab()?;
        processes.start(shell("nest", "sleep 600 & echo $! ready; wait"))?;
        let log = || processes.log_tail("nest", 1);
        processes.wait_ready("nest", Duration::from_secs(5), async || Ok(log()?.contains("ready"))).await?;
        let grandchild: u32 = log()?.split(' ').next().context("no pid")?.parse()?;
        let child = processes.pid("nest").context("not running")?;
        assert!(is_alive(child) && is_alive(grandchild));
        processes.stop()?;
        wait_for("both are gone", Duration::from_secs(5), async || {
            // The grandchild's zombie is its new parent's to reap.
            Ok((!is_alive(child) && (!is_alive(grandchild) || is_zombie(grandchild)?)).then_some(()))
        })
        .await?;
        assert!(!directory.exists());
        Ok(())
    }

    fn is_zombie(pid: u32) -> Result<bool> {
        Ok(fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z ")))
    }

    #[tokio::test]
    async fn an_early_end_is_told_with_the_log() -> Result<()> {
        let (_, processes) = lab()?;
        processes.start(shell("dud", "echo out of cheese; exit 3"))?;
        let error = processes.wait_ready("dud", Duration::from_secs(5), async || Ok(false)).await.err();
        let text = format!("{:#}", error.context("it became ready")?);
        assert!(text.contains("exit code Some(3)") && text.contains("out of cheese"), "{text}");
        Ok(())
    }

    #[tokio::test]
    async fn programs_end_and_start_again() -> Result<()> {
        let (_, processes) = lab()?;
        processes.start(shell("polite", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"))?;
        assert!(processes.start(shell("polite", "true")).is_err());
        let up = async || Ok(processes.log_tail("polite", 1)?.contains("up"));
        processes.wait_ready("polite", Duration::from_secs(5), up).await?;
        assert_eq!(processes.terminate("polite", Duration::from_secs(5)).await?, Some(7));
        assert!(!processes.is_running("polite"));
        processes.restart("polite")?;
        assert!(processes.is_running("polite"));
        processes.kill("polite")?;
        assert!(processes.running().is_empty());
        Ok(())
    }
}
