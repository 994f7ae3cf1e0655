//! `certgate status`: what every host waits for, from a kubeconfig alone.

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use clap::ValueEnum;
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use kube::{
    Api, Client,
    api::ListParams,
    runtime::{WatchStreamExt as _, watcher},
};

use super::{explain::LangArg, kubeconfig};
use crate::{
    api::{
        domain::Domain,
        list,
        read::{Read, Unreadable},
    },
    cluster::{health::Health, hosts::known},
    core::{
        finding::{Lang, clean},
        host::Host,
    },
    status::{Row, render, rows},
};

/// Events that come together are shown together.
const SETTLE: Duration = Duration::from_millis(200);

/// Show what every host waits for, grouped by who must act.
///
/// Exit code 0: all ready. 1: some are not. 2: the cluster cannot be asked.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Only these hosts.
    host: Vec<String>,
    /// Only this namespace.
    #[arg(short, long)]
    namespace: Option<String>,
    /// How to reach the cluster; else KUBECONFIG, ~/.kube/config or the pod's own account.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Language of the sentences.
    #[arg(long, value_enum, default_value_t)]
    lang: LangArg,
    /// Go on and print again at each change, until interrupted.
    #[arg(short, long)]
    watch: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// What waits, and in each group longest.
    #[default]
    Text,
    /// All that waits with particulars, and what is ready.
    Wide,
    /// One JSON document (with --watch, one a change).
    Json,
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// No way to the cluster.
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::KubeconfigError),
    /// A host is none.
    #[error("{text:?} is not a host: {source}")]
    Host {
        /// As given.
        text: String,
        /// Why.
        source: crate::core::host::HostError,
    },
    /// The API server does not know Domains.
    #[error(
        "the cluster has no Domains (certgate.dev/v1alpha1); install certgate's chart, or apply the output of `certgate crd`"
    )]
    NotInstalled,
    /// The API server refuses or cannot be reached.
    #[error("cannot list Domains: {0}")]
    List(#[source] kube::Error),
    /// The watch ended for good.
    #[error("cannot watch Domains: {0}")]
    Watch(#[from] watcher::Error),
    /// The result cannot be written.
    #[error("cannot print the result: {0}")]
    Print(#[from] std::io::Error),
    /// The result cannot be put into JSON.
    #[error("cannot print the result: {0}")]
    Json(#[from] serde_json::Error),
}

/// Asks, prints.
///
/// # Errors
/// No way to the cluster, or no Domains there.
pub async fn run(args: StatusArgs) -> Result<ExitCode, StatusError> {
    let hosts = args
        .host
        .iter()
        .map(|text| Host::parse(text).map_err(|source| StatusError::Host { text: text.clone(), source }))
        .collect::<Result<Vec<_>, _>>()?;
    let client = kubeconfig::client(args.kubeconfig.as_deref()).await?;
    let api = domains(client, args.namespace.as_deref());
    let wanted = |domain: &Domain| {
        hosts.is_empty() || hosts.iter().any(|host| domain.spec.host.eq_ignore_ascii_case(host.as_str()))
    };
    if args.watch {
        return watch(&args, &api, &wanted).await;
    }
    let listed = list::all(&api, &ListParams::default()).await.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 404 => StatusError::NotInstalled,
        error => StatusError::List(error),
    })?;
    let (domains, unreadable) = apart(listed);
    let domains: Vec<Domain> = domains.into_iter().filter(wanted).collect();
    let rows = rows(&domains);
    print(&args, &rows)?;
    for found in &unreadable {
        let (namespace, name) = (clean(found.namespace()), clean(found.name()));
        writeln!(anstream::stderr(), "Domain {namespace}/{name} cannot be read: {}", found.error)?;
    }
    let all_ready =
        unreadable.is_empty() && rows.iter().all(|row| row.ready) && (hosts.is_empty() || rows.len() >= hosts.len());
    Ok(if all_ready { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Those that can be read, and those that cannot.
fn apart(listed: Vec<Read<Domain>>) -> (Vec<Domain>, Vec<Unreadable>) {
    let (mut domains, mut unreadable) = (Vec::new(), Vec::new());
    for one in listed {
        match one.result() {
            Ok(domain) => domains.push(domain),
            Err(found) => unreadable.push(*found),
        }
    }
    (domains, unreadable)
}

fn domains(client: Client, namespace: Option<&str>) -> Api<Read<Domain>> {
    match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

async fn watch(
    args: &StatusArgs,
    api: &Api<Read<Domain>>,
    wanted: &dyn Fn(&Domain) -> bool,
) -> Result<ExitCode, StatusError> {
    let (reader, writer) = kube::runtime::reflector::store();
    let health = Health::new("Domain");
    let seen = reader.clone();
    let events = watcher(api.clone(), watcher::Config::default()).default_backoff();
    let events = events.try_filter_map(|event| std::future::ready(Ok(known(event, &seen, &health))));
    let mut changes: BoxStream<'_, Result<Domain, watcher::Error>> = events.reflect(writer).touched_objects().boxed();
    loop {
        let Some(_) = changes.try_next().await? else { return Ok(ExitCode::SUCCESS) };
        // A burst, the first list above all, is one picture.
        while let Ok(Some(change)) = tokio::time::timeout(SETTLE, changes.next()).await {
            change?;
        }
        let domains: Vec<Domain> = reader.state().iter().map(|d| Domain::clone(d)).filter(wanted).collect();
        print(args, &rows(&domains))?;
    }
}

fn print(args: &StatusArgs, rows: &[Row]) -> Result<(), StatusError> {
    let lang: Lang = args.lang.into();
    let text = match args.output {
        Output::Json => render::json(rows, lang)?,
        output => render::person(rows, output == Output::Wide, lang, jiff::Timestamp::now()),
    };
    anstream::stdout().write_all(text.as_bytes())?;
    Ok(())
}
