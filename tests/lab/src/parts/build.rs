//! Runs `go build` and tells those who wait how far it is.

use std::fs::{self, File};
use std::io::{ErrorKind, IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Recipe;

/// The same every time: a change of either compiles everything again.
pub(super) const FLAGS: [&str; 3] = ["-trimpath", "-buildvcs=false", "-mod=mod"];
const OLDEST_GO: (u32, u32) = (1, 26);
/// A build that ends sooner is not worth a line.
const QUIET: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(100);
const FAILURE_LINES: usize = 25;

/// A Go command with the environment that all of ours share.
fn go(directory: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(directory).env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=mod").env("GOWORK", "off");
    command
}

fn output_of(mut command: Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!(
            "Go is not on the PATH. The lab builds Kubernetes, cert-manager and Pebble once with Go {}.{} or newer: \
             https://go.dev/doc/install",
            OLDEST_GO.0,
            OLDEST_GO.1
        ),
        _ => error.into(),
    })?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The version of Go that builds a module, such as `go1.26.0`. An error when there is none or it is too old.
pub(super) fn go_version(module: &Path) -> Result<String> {
    let mut command = go(module);
    command.args(["env", "GOVERSION"]);
    let version = output_of(command)?;
    let found = parse_version(&version).with_context(|| format!("go env GOVERSION says {version:?}"))?;
    if found < OLDEST_GO {
        bail!("{version} is too old: the lab needs Go {}.{} or newer", OLDEST_GO.0, OLDEST_GO.1);
    }
    Ok(version)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("go")?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Builds a recipe into a new directory, which appears only when it is complete.
pub(super) fn build(recipe: &Recipe, sources: &[(PathBuf, Vec<u8>)], directory: &Path) -> Result<()> {
    let parent = directory.parent().context("the cache has no parent")?;
    let work = tempfile::Builder::new().prefix(".build-").tempdir_in(parent)?;
    // A copy of the module, as `-mod=mod` lets Go edit it.
    let module = work.path().join("module");
    for (path, bytes) in sources {
        let target = module.join(path);
        fs::create_dir_all(target.parent().unwrap_or(&module))?;
        fs::write(target, bytes)?;
    }
    let output = work.path().join("output");
    fs::create_dir_all(&output)?;

    let log = work.path().join("log");
    let mut command = go(&module);
    (command.arg("build").args(FLAGS).arg("-ldflags").arg(format!("-s -w {}", recipe.ldflags)).arg("-o"))
        .arg(output.join(""))
        .args(recipe.packages.iter().map(|p| p.path))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log)?);
    let programs: Vec<&str> = recipe.packages.iter().map(|p| p.program).collect();
    let status = wait_for(command.spawn()?, &programs, recipe.takes)?;
    if !status.success() {
        let text = fs::read_to_string(&log)?;
        let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with("go: downloading")).collect();
        let tail = lines.get(lines.len().saturating_sub(FAILURE_LINES)..).unwrap_or_default();
        bail!("go build of {} failed ({status}):\n{}", programs.join(", "), tail.join("\n"));
    }
    for package in &recipe.packages {
        if package.builds != package.program {
            fs::rename(output.join(package.builds), output.join(package.program))?;
        }
    }
    if let Some((path, crds)) = recipe.crds {
        copy_crds(&module, path, crds, &output.join("crds"))?;
    }
    fs::rename(&output, directory)?;
    Ok(())
}

/// Waits for the build to end, with a word now and then.
fn wait_for(mut child: Child, programs: &[&str], takes: &str) -> Result<ExitStatus> {
    let what = match programs {
        [one] => (*one).to_owned(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        [] => "nothing".to_owned(),
    };
    let terminal = stderr().is_terminal();
    let pause = Duration::from_secs(if terminal { 1 } else { 30 });
    let start = Instant::now();
    let mut next = QUIET;
    loop {
        let status = child.try_wait()?;
        let elapsed = start.elapsed();
        if status.is_some() || elapsed >= next {
            next = elapsed + pause;
            if elapsed >= QUIET {
                // Rewritten in place where that is possible; the last one stays.
                let line = format!("building {what} ({takes}, once)… {} s", elapsed.as_secs());
                let _ = match (terminal, &status) {
                    (true, None) => write!(stderr(), "\r{line}"),
                    (true, Some(_)) => writeln!(stderr(), "\r{line}"),
                    (false, _) => writeln!(stderr(), "{line}"),
                };
            }
        }
        if let Some(status) = status {
            return Ok(status);
        }
        sleep(POLL);
    }
}

/// Copies custom resource definitions out of a Go module, as plain manifests.
fn copy_crds(module: &Path, path: &str, from: &str, to: &Path) -> Result<()> {
    let mut command = go(module);
    command.args(["list", "-m", "-f", "{{.Dir}}", path]);
    let source = Path::new(&output_of(command)?).join(from);
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(&source).with_context(|| format!("{}", source.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let text = fs::read_to_string(entry.path())?;
        if !text.contains("kind: CustomResourceDefinition") {
            continue;
        }
        // cert-manager 1.17 ships Helm templates: without their template lines they are plain.
        let plain: String = text.split_inclusive('\n').filter(|line| !line.contains("{{")).collect();
        fs::write(to.join(name), plain)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(parse_version("go1.26.8"), Some((1, 26)));
        assert_eq!(parse_version("go1.27rc1"), Some((1, 27)));
        assert_eq!(parse_version("go1.9"), Some((1, 9)));
        assert_eq!(parse_version("devel"), None);
    }
}
