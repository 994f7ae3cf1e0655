//! The way to the API server, the same for every role and command: nothing is waited for without end.
//!
//! An API server, or what stands before it, can go silent without closing a connection, and TCP's own means do not
//! tell: a proxy's kernel goes on answering keep-alives and taking octets. So every call has a deadline, and every
//! watch ends so often that one that ended not is known to be dead.

pub mod deadline;
pub mod fence;
pub mod refusal;

use std::time::Duration;

use http::{HeaderValue, header::USER_AGENT};
use kube::{
    Client, Config,
    client::{ClientBuilder, retry::RetryPolicy},
};
use tower::{buffer::BufferLayer, layer::layer_fn, retry::RetryLayer};

use deadline::Deadline;

/// How long a connection may take, TLS included. Not less than calls have, so that it is they that tell of silence.
const CONNECT: Duration = deadline::WRITE;
/// What the API server cannot take now (429, 503, 504) is tried again so often, with waits from the first to the last.
const RETRIES: u32 = 3;
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// Requests that may wait for the task that hands them on.
const WAITING: usize = 1024;

/// A client whose every call ends in bounded time. `patience`: how long an answer may be waited for at least, where that
/// is more than usual.
///
/// # Errors
/// The configuration makes no client.
pub fn client(mut config: Config, patience: Option<Duration>) -> Result<Client, kube::Error> {
    let patience = patience.unwrap_or_default();
    config.connect_timeout = Some(CONNECT.max(patience));
    config.write_timeout = Some(CONNECT);
    // Also for connections that nobody uses: the next call would find them dead.
    config.read_timeout = Some(deadline::QUIET.max(patience));
    config.reset_reader_on_write = true;
    config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("certgate/", env!("CARGO_PKG_VERSION")))));
    // kube's own tries for minutes.
    config.default_retry = false;
    let retries = RetryPolicy::new(FIRST_RETRY, LAST_RETRY, RETRIES, false).unwrap_or_default();
    let builder = ClientBuilder::try_from(config)?
        .with_layer(&layer_fn(|service| Deadline::new(service, patience)))
        // A retry has a service of its own.
        .with_layer(&BufferLayer::new(WAITING))
        .with_layer(&RetryLayer::new(retries));
    Ok(builder.build())
}
