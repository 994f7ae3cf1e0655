//! Commands at a terminal that ask a silent API server.

use std::{process::Output, time::Duration};

use anyhow::{Context, Result, ensure};
use certgate_lab::{Identity, Lab, LabOptions};

use crate::cluster::program;

/// However slow the machine is: each asks once or twice, and waits no longer than fifteen seconds.
const WITHIN: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn commands_say_in_bounded_time_that_the_api_server_does_not_answer() -> Result<()> {
    let lab = Lab::start(LabOptions::bare()).await?;
    let link = lab.api_link().await?;
    let kubeconfig = lab.directory().join("linked");
    link.write_kubeconfig(&kubeconfig, &Identity::Admin)?;
    let run = async |arguments: &[&str]| -> Result<Output> {
        let mut command = tokio::process::Command::new(program());
        command.args(arguments).arg("--kubeconfig").arg(&kubeconfig).kill_on_drop(true);
        let what = format!("{arguments:?} has not ended within {WITHIN:?}");
        Ok(tokio::time::timeout(WITHIN, command.output()).await.context(what)??)
    };
    let commands: [&[&str]; 4] = [&["status"], &["status", "--watch"], &["doctor"], &["cleanup", "--dry-run"]];
    // With an answer, they say something else.
    let answered = run(&["status"]).await?;
    let said = String::from_utf8(answered.stderr)?;
    ensure!(said.contains("the cluster has no Domains"), "{said}");
    link.silence();
    let all = futures::future::try_join_all(commands.iter().map(|arguments| run(arguments))).await?;
    for (arguments, output) in commands.iter().zip(all) {
        let said = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(2), "{arguments:?}: {:?} {said}", output.status);
        ensure!(said.contains("does not answer within"), "{arguments:?}: {said}");
        ensure!(said.trim().lines().count() == 1, "one line: {arguments:?}: {said}");
    }
    lab.stop()
}
