//! `certgate doctor`: checks a live installation, and says what to fix.

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use clap::ValueEnum;

use super::{explain::LangArg, kubeconfig};
use crate::{
    config::{self, ConfigError},
    core::finding::Lang,
    doctor::{
        Level, diagnose,
        gather::{GatherError, Options, gather},
        render,
    },
};

/// Check the installation in a cluster, and say what to fix.
///
/// Looks at certgate's own objects, at cert-manager, the issuers, resolvers and the gateway's addresses, and writes one
/// Ingress as a dry run to see it come past the webhook. Nothing is changed.
///
/// Exit code 0: nothing to fix. 1: something is, or could not be looked at. 2: the cluster cannot be asked.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// The namespace that certgate is installed in.
    #[arg(short, long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "certgate-system")]
    namespace: String,
    /// The prefix of its names: the chart's nameOverride.
    #[arg(long, value_name = "NAME", default_value = "certgate")]
    name: String,
    /// How to reach the cluster; else KUBECONFIG, ~/.kube/config or the pod's own account.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Check against this policy file instead of the one in the cluster.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// How long each question may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Language of the sentences.
    #[arg(long, value_enum, default_value_t)]
    lang: LangArg,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Sentences.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Why nothing can be checked.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// No way to the cluster.
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::KubeconfigError),
    /// The policy file.
    #[error(transparent)]
    Policy(#[from] ConfigError),
    /// The API server.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// The result cannot be written.
    #[error("cannot print the result: {0}")]
    Print(#[from] std::io::Error),
    /// The result cannot be put into JSON.
    #[error("cannot print the result: {0}")]
    Json(#[from] serde_json::Error),
}

/// Looks, judges, prints.
///
/// # Errors
/// No way to the cluster, or an unusable policy file.
pub async fn run(args: DoctorArgs) -> Result<ExitCode, DoctorError> {
    let policy = args.policy.as_deref().map(config::load).transpose()?;
    let patience = Duration::from_secs(args.timeout);
    let client = kubeconfig::patient_client(args.kubeconfig.as_deref(), patience).await?;
    let inside = args.kubeconfig.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let options = Options { namespace: args.namespace, prefix: args.name, policy, inside, patience };
    let findings = diagnose(&gather(&client, options).await?);
    let lang: Lang = args.lang.into();
    let text = match args.output {
        Output::Text => render::person(&findings, lang),
        Output::Json => render::json(&findings, lang)?,
    };
    anstream::stdout().write_all(text.as_bytes())?;
    // What could not be looked at is not known to be well.
    let well = findings.iter().all(|finding| finding.level != Level::Fail && !finding.is_unseen());
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
