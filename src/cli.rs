//! The command line: one file per sub-command.

pub mod check;
pub mod cleanup;
pub mod controller;
pub mod crd;
pub mod doctor;
pub mod explain;
pub mod kubeconfig;
pub mod page;
pub mod run;
pub mod schema;
pub mod status;
pub mod webhook;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

/// Automatic HTTPS certificates for applications on Rainbond: looks before it orders.
#[derive(Debug, Parser)]
#[command(name = "certgate", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Webhook(Box<webhook::WebhookArgs>),
    Controller(Box<controller::ControllerArgs>),
    Run(Box<run::RunArgs>),
    Check(check::CheckArgs),
    Status(status::StatusArgs),
    Doctor(doctor::DoctorArgs),
    Explain(explain::ExplainArgs),
    Cleanup(cleanup::CleanupArgs),
    Crd(crd::CrdArgs),
    Schema(schema::SchemaArgs),
}

/// Runs the sub-command.
///
/// # Errors
/// Unusable input or configuration, in one line that says what and how to fix it.
pub fn run(cli: Cli) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match cli.command {
        Command::Webhook(args) => block_on(serving().build()?, webhook::run(*args)),
        Command::Controller(args) => asynchronously(controller::run(*args)),
        Command::Run(args) => asynchronously(run::run(*args)),
        Command::Explain(args) => Ok(explain::run(&args)?),
        Command::Crd(args) => Ok(crd::run(&args)?),
        Command::Schema(args) => Ok(schema::run(&args)?),
        Command::Cleanup(args) => asynchronously(cleanup::run(args)),
        Command::Check(args) => asynchronously(check::run(args)),
        Command::Status(args) => asynchronously(status::run(args)),
        Command::Doctor(args) => asynchronously(doctor::run(args)),
    }
}

/// Runs what waits for others: on a runtime of its own, so that the commands that wait for nobody start none.
fn asynchronously<E: std::error::Error + 'static>(
    command: impl Future<Output = Result<ExitCode, E>>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    block_on(Builder::new_multi_thread().enable_all().build()?, command)
}

/// The runtime of the webhook. A review is microseconds of work, and a worker that wakes another one for it costs more
/// than that; so there is one, and large bodies step aside (`server::http`). `TOKIO_WORKER_THREADS` says otherwise.
fn serving() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all();
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        builder.worker_threads(1);
    }
    builder
}

fn block_on<E: std::error::Error + 'static>(
    runtime: Runtime,
    command: impl Future<Output = Result<ExitCode, E>>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    Ok(runtime.block_on(command)?)
}
