//! Kills the children of a process that could not do it itself.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Reads one line. Its end without one means that the lab is gone. The names of the files in `pids` are process groups.
const SCRIPT: &str = r#"
read -r word && [ "$word" = dismissed ] && exit
for file in "$1"/pids/*; do kill -s KILL -- "-${file##*/}"; done
rm -rf -- "$1"
"#;

#[derive(Debug)]
pub(super) struct Watchdog {
    pids: PathBuf,
    /// None once it was stopped or dismissed.
    shell: Mutex<Option<Child>>,
}

impl Watchdog {
    pub(super) fn start(directory: &Path) -> Result<Self> {
        let pids = directory.join("pids");
        fs::create_dir_all(&pids)?;
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not ended by what ends us, such as Ctrl-C at the terminal.
            .process_group(0)
            .spawn()
            .context("start the watchdog")?;
        Ok(Self { pids, shell: Mutex::new(Some(shell)) })
    }

    pub(super) fn add(&self, pid: u32) -> Result<()> {
        Ok(fs::write(self.pids.join(pid.to_string()), "")?)
    }

    pub(super) fn remove(&self, pid: u32) -> Result<()> {
        Ok(fs::remove_file(self.pids.join(pid.to_string()))?)
    }

    fn take(&self) -> Option<Child> {
        self.shell.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Has it clean up and waits until it has.
    pub(super) fn stop(&self) -> Result<()> {
        let Some(mut shell) = self.take() else { return Ok(()) };
        // All were waited for, so the numbers may be others' by now.
        fs::remove_dir_all(&self.pids)?;
        drop(shell.stdin.take());
        shell.wait()?;
        Ok(())
    }

    /// Has it go away and leave everything as it is.
    pub(super) fn dismiss(&self) {
        let Some(mut shell) = self.take() else { return };
        if let Some(mut input) = shell.stdin.take() {
            // It can only have been killed, which serves as well.
            let _ = input.write_all(b"dismissed\n");
        }
        let _ = shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wait::wait_for;

    #[tokio::test]
    async fn closing_the_pipe_kills_and_cleans_up() -> Result<()> {
        let directory = tempfile::tempdir()?.keep();
        let watchdog = Watchdog::start(&directory)?;
        let mut child = Command::new("sleep").arg("60").stdout(Stdio::null()).process_group(0).spawn()?;
        watchdog.add(child.id())?;
        // As the kernel does when the lab's process is killed.
        let mut shell = watchdog.take().context("no shell")?;
        drop(shell.stdin.take());
        shell.wait()?;
        let status = wait_for("the child is killed", Duration::from_secs(5), async || Ok(child.try_wait()?)).await?;
        assert!(!status.success());
        assert!(!directory.exists());
        Ok(())
    }

    #[test]
    fn dismissed_it_leaves_everything() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let watchdog = Watchdog::start(directory.path())?;
        let mut child = Command::new("sleep").arg("60").stdout(Stdio::null()).process_group(0).spawn()?;
        watchdog.add(child.id())?;
        watchdog.dismiss();
        assert!(child.try_wait()?.is_none());
        assert!(directory.path().exists());
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}
