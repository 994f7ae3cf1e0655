//! axe-core, the checker of accessibility: fetched by npm when it is first
//! needed, its one version and its checksum being written down here.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use sha2::{Digest as _, Sha512};

use crate::browser::Browser;

const PACKAGE: &str = "axe-core";
const VERSION: &str = "4.14.1";
/// The registry's `dist.integrity` of the package.
const SHA512: &str = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==";

/// The script.
pub(crate) fn script(folder: &Path) -> Result<String> {
    let archive = folder.join(format!("{PACKAGE}-{VERSION}.tgz"));
    if !archive.exists() {
        let packed = Command::new("npm")
            .args(["pack", &format!("{PACKAGE}@{VERSION}"), "--silent", "--pack-destination"])
            .arg(folder)
            .current_dir(folder)
            .output()
            .context("axe-core cannot be had: npm is not installed (apt-get install npm)")?;
        ensure!(packed.status.success(), "axe-core cannot be had: {}", String::from_utf8_lossy(&packed.stderr));
    }
    let sum = BASE64_STANDARD.encode(Sha512::digest(std::fs::read(&archive)?));
    ensure!(sum == SHA512, "{} is not the package that was written down: {sum}", archive.display());
    let unpacked = Command::new("tar").arg("-xzOf").arg(&archive).arg("package/axe.min.js").output()?;
    ensure!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
    Ok(String::from_utf8(unpacked.stdout)?)
}

/// Fails if axe finds anything, also what it only advises, in the page as it is shown.
pub(crate) async fn finds_nothing(browser: &mut Browser, script: &str, page: &str) -> Result<()> {
    browser.evaluate(&format!("{script}; 0")).await?;
    let run = "axe.run(document).then(found => ({passes: found.passes.length, violations: found.violations.map(v => \
               ({id: v.id, help: v.help, nodes: v.nodes.map(n => n.html + ' ' + n.failureSummary)}))}))";
    let found = browser.evaluate(run).await?;
    ensure!(found["passes"].as_u64().is_some_and(|passes| passes > 15), "axe looked at nothing of {page}: {found}");
    let violations = found["violations"].as_array().context("no violations")?;
    ensure!(violations.is_empty(), "{page}: {}", serde_json::to_string_pretty(&Value::from(violations.clone()))?);
    Ok(())
}
