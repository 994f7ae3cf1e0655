//! `certgate check HOST…`: the pre-flight for a person at a terminal, no cluster needed.

mod recording;
mod render;

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use clap::ValueEnum;
use futures::future::join_all;

use self::recording::{Recording, RecordingError};
use super::explain::LangArg;
use crate::{
    core::{
        host::Host,
        policy::{Dns, HttpReach, Target},
        verdict::{CaIdentity, GatewayTarget, Method, Request, Verdict, judge, refuse},
    },
    dns::{Preflight, ServersError, parse_server},
    reach::Reach,
};

/// Check whether a CA would be able to validate hosts, and say what is missing and who must act.
///
/// Asks DNS what Let's Encrypt's validator would ask: addresses, CNAME chains, CAA and, for DNS-01,
/// the challenge name. Nothing is ordered and no CA is asked.
///
/// Exit status: 0 if every host is ready, 1 if one is held, 2 if the command cannot be carried out.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Hosts, such as www.example.com or *.example.com.
    #[arg(value_name = "HOST", required_unless_present = "replay")]
    hosts: Vec<String>,
    /// Address, or name for CNAMEs, at which the gateway is reached; may be repeated. Without one any public address counts.
    #[arg(long, value_name = "ADDR")]
    gateway: Vec<String>,
    /// Let private and reserved addresses and private names count: for labs and private CAs.
    #[arg(long)]
    allow_reserved: bool,
    /// Recursive resolver to ask; may be repeated [default: those of /etc/resolv.conf].
    #[arg(long, value_name = "ADDR:PORT", value_parser = server)]
    resolver: Vec<SocketAddr>,
    /// Server to ask, in place of the zone's own ones, where the resolver's answer holds a host back; may be repeated.
    #[arg(long, value_name = "ADDR:PORT", value_parser = server)]
    authoritative: Vec<SocketAddr>,
    /// Name by which CAA records know the CA; may be repeated, and empty to leave CAA unchecked.
    #[arg(long, value_name = "NAME", default_value = "letsencrypt.org")]
    caa_identity: Vec<String>,
    /// URI of the ACME account, for CAA records that are bound to one.
    #[arg(long, value_name = "URI")]
    account_uri: Option<String>,
    /// Challenge that the issuer uses [default: dns-01 for wildcards, else http-01].
    #[arg(long, value_enum)]
    solver: Option<Solver>,
    /// Fetch the challenge's path on port 80 of every address too; a failure warns, for it proves little from here.
    #[arg(long)]
    reach: bool,
    /// Language of the sentences.
    #[arg(long, value_enum, default_value_t)]
    lang: LangArg,
    /// What to print; JSON is one document a line, one line a host.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Write what was asked and answered to a file, one JSON document a line, one line a host.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Judge what such a file holds instead of asking anybody; the hosts, where given, choose from it.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "gateway", "allow_reserved", "resolver", "authoritative", "account_uri", "solver", "record", "reach",
    ])]
    replay: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// Sentences.
    #[default]
    Text,
    /// JSON.
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Solver {
    /// HTTP on port 80.
    #[value(name = "http-01")]
    Http01,
    /// A TXT record.
    #[value(name = "dns-01")]
    Dns01,
}

/// Why nothing can be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// No resolver is known.
    #[error("{0}; or give --resolver ADDR:PORT")]
    Servers(#[from] ServersError),
    /// A recording is unusable.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// `--gateway` is neither address nor name.
    #[error(
        "--gateway: {0:?} is neither an IP address nor a DNS name; write one such as 203.0.113.7 or lb.example.net"
    )]
    Gateway(String),
    /// The result cannot be written.
    #[error("cannot print the result: {0}")]
    Print(#[from] std::io::Error),
    /// The result cannot be put into JSON.
    #[error("cannot print the result: {0}")]
    Json(#[from] serde_json::Error),
}

/// What was checked: the text as given, and what came of it.
struct Checked {
    host: String,
    verdict: Verdict,
}

/// Asks, judges, prints.
///
/// # Errors
/// Unusable input, naming flag or file.
pub async fn run(args: CheckArgs) -> Result<ExitCode, CheckError> {
    let checked = match &args.replay {
        Some(file) => replayed(recording::read(file)?, &args.hosts, file)?,
        None => asked(&args).await?,
    };
    let text = match args.output {
        Output::Text => render::person(&checked, args.lang.into()),
        Output::Json => render::json(&checked, args.lang.into())?,
    };
    anstream::stdout().write_all(text.as_bytes())?;
    let ready = checked.iter().all(|checked| checked.verdict.ready());
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn asked(args: &CheckArgs) -> Result<Vec<Checked>, CheckError> {
    let policy = Dns {
        servers: args.resolver.iter().map(ToString::to_string).collect(),
        allow_private_authoritative: args.allow_reserved,
        ..Dns::default()
    };
    let gateway = gateway(&args.gateway, args.allow_reserved)?;
    let ca = CaIdentity {
        names: args.caa_identity.iter().filter(|name| !name.is_empty()).cloned().collect(),
        account_uri: args.account_uri.clone(),
    };
    let preflight = Preflight::with_authoritative(&policy, &args.authoritative)?;
    let reach = Reach::new(preflight.clone(), if args.reach { HttpReach::Warn } else { HttpReach::Off });
    let each = args.hosts.iter().map(|text| async {
        let host = match Host::parse(text) {
            Ok(host) => host,
            Err(error) => return (refuse(text, error), None),
        };
        let method = match args.solver {
            Some(Solver::Http01) => Method::Http01,
            Some(Solver::Dns01) => Method::Dns01,
            None if host.is_wildcard() => Method::Dns01,
            None => Method::Http01,
        };
        let request = Request { host, method, gateway: gateway.clone(), ca: ca.clone() };
        let answers = preflight.gather(&request).await;
        let verdict = reach.back(&request, judge(&request, &answers)).await;
        (verdict, Some(Recording { request, answers }))
    });
    let (verdicts, recordings): (Vec<Verdict>, Vec<Option<Recording>>) = join_all(each).await.into_iter().unzip();
    if let Some(file) = &args.record {
        recording::write(file, &recordings.into_iter().flatten().collect::<Vec<_>>())?;
    }
    let hosts = args.hosts.iter().cloned();
    Ok(hosts.zip(verdicts).map(|(host, verdict)| Checked { host, verdict }).collect())
}

fn replayed(recordings: Vec<Recording>, hosts: &[String], file: &std::path::Path) -> Result<Vec<Checked>, CheckError> {
    let same = |text: &str, recording: &Recording| Host::parse(text).is_ok_and(|host| host == recording.request.host);
    if let Some(missing) = hosts.iter().find(|text| !recordings.iter().any(|recording| same(text, recording))) {
        return Err(RecordingError::Absent { file: file.to_owned(), host: missing.clone() }.into());
    }
    let chosen = recordings.into_iter().filter(|r| hosts.is_empty() || hosts.iter().any(|text| same(text, r)));
    Ok(chosen
        .map(|Recording { request, answers }| Checked {
            host: request.host.to_string(),
            verdict: judge(&request, &answers),
        })
        .collect())
}

fn gateway(given: &[String], allow_reserved: bool) -> Result<GatewayTarget, CheckError> {
    let mut gateway = GatewayTarget { allow_reserved, ..GatewayTarget::default() };
    for text in given {
        match text.parse::<IpAddr>() {
            Ok(address) => gateway.addresses.push(address),
            Err(_) => {
                let name = Host::parse(text).ok().filter(|host| !host.is_wildcard());
                gateway.cnames.push(name.ok_or_else(|| CheckError::Gateway(text.clone()))?.to_string());
            }
        }
    }
    gateway.target = match (gateway.addresses.is_empty(), gateway.cnames.is_empty()) {
        (true, true) => Target::AnyPublic,
        (true, false) => Target::Cname,
        (false, _) => Target::Addresses,
    };
    Ok(gateway)
}

fn server(text: &str) -> Result<SocketAddr, String> {
    parse_server(text, 53).ok_or_else(|| "write an IP address, with a port if it is not 53: 9.9.9.9:53".to_owned())
}
