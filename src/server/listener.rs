//! The TLS listener: accepts within a bound, shakes hands within a time, and
//! drains when the process leaves.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    client_auth::ClientNames,
    connection::{self, Clock, ConnectionLimits, End},
    house::{House, Seat, is_of_one_connection},
    http::{Application, Gate, RequestLimits},
    seats::Bounds,
    shutdown::{Grace, Phase, Shutdown},
};
use crate::telemetry::{
    metrics::{Refusal, ServerMetrics},
    sample::Sampler,
};

/// The pause after an accept that failed for want of something (descriptors, memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Bounds on what the listener takes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Open connections.
    pub connections: Bounds,
    /// Times of a connection.
    pub connection: ConnectionLimits,
    /// Bounds on requests.
    pub request: RequestLimits,
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be had.
    #[error("{flag} {address}: {source}; {}", remedy(source))]
    Bind {
        /// The flag that names it.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A bound listener.
pub struct Listener<A> {
    socket: TcpListener,
    acceptor: TlsAcceptor,
    clients: Option<ClientNames>,
    limits: Limits,
    shared: Arc<Shared<A>>,
}

/// What connections share.
struct Shared<A> {
    gate: Gate<A>,
    metrics: ServerMetrics,
    shutdown: Shutdown,
    complaints: Sampler,
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "stop what listens there, or choose another port",
        io::ErrorKind::PermissionDenied => "choose a port above 1023",
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
        _ => "choose another address",
    }
}

/// Binds an address; `flag` names it in the error.
///
/// # Errors
/// The address cannot be had.
pub async fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError::Bind { flag, address, source })
}

// === impl Listener ===

impl<A: Application> Listener<A> {
    /// Puts an application behind a bound socket.
    pub fn new(
        socket: TcpListener,
        tls: Arc<ServerConfig>,
        clients: Option<ClientNames>,
        application: A,
        limits: Limits,
        metrics: ServerMetrics,
        shutdown: Shutdown,
    ) -> Self {
        let gate = Gate::new(application, limits.request, metrics.clone());
        let shared = Shared { gate, metrics, shutdown, complaints: Sampler::default() };
        Self { socket, acceptor: TlsAcceptor::from(tls), clients, limits, shared: Arc::new(shared) }
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// The socket has none.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until the shutdown has come to [`Phase::Closing`] and every
    /// connection has ended or `grace.closing` is over.
    pub async fn run(self, grace: Grace) {
        let mut connections = JoinSet::new();
        let house = House::new(self.limits.connections);
        let shutdown = self.shared.shutdown.clone();
        let mut closing = std::pin::pin!(shutdown.reached(Phase::Closing));
        loop {
            tokio::select! {
                biased;
                () = closing.as_mut() => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let clock = Arc::new(Clock::new());
                        let (seat, for_another) = house.admit(peer.ip(), Arc::clone(&clock));
                        if for_another {
                            self.shared.turn_away(Refusal::Connections, "too many connections: another had to go");
                        }
                        let number = seat.number();
                        let serve = serve(stream, self.acceptor.clone(), self.clients.clone(), self.limits.connection, Arc::clone(&self.shared), clock, seat);
                        let task = connections.spawn(serve);
                        house.leave_by(number, move || task.abort());
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "connections cannot be accepted");
                        // With one less there may be what was wanting.
                        if house.evict() {
                            self.shared.metrics.refuse(Refusal::Connections);
                        }
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.socket);
        let drained = async { while connections.join_next().await.is_some() {} };
        if timeout(grace.closing, drained).await.is_err() {
            tracing::warn!("connections were still busy at the end of the grace period and are cut");
        }
    }
}

async fn serve<A: Application>(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    clients: Option<ClientNames>,
    limits: ConnectionLimits,
    shared: Arc<Shared<A>>,
    clock: Arc<Clock>,
    seat: Seat,
) {
    // Answers are one write each; waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(limits.handshake, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return shared.turn_away(Refusal::Handshake, &error.to_string()),
        Err(_) => return shared.turn_away(Refusal::Handshake, "the handshake took too long"),
    };
    if let Some(clients) = &clients
        && let Err(error) = clients.check(stream.get_ref().1.peer_certificates())
    {
        return shared.turn_away(Refusal::ClientName, &error.to_string());
    }
    let _open = Open::new(&shared.metrics);
    let answered = || seat.answered();
    match connection::serve(stream, &shared.gate, limits, &shared.shutdown, &clock, answered).await {
        End::Head => shared.turn_away(Refusal::Head, "the head of a request took too long"),
        End::Body => shared.turn_away(Refusal::Body, "the body of a request took too long"),
        End::Closed | End::Idle => {}
    }
}

/// Counts a connection for as long as it lives, whatever ends it.
struct Open<'a>(&'a ServerMetrics);

impl<'a> Open<'a> {
    fn new(metrics: &'a ServerMetrics) -> Self {
        metrics.connections.inc();
        Self(metrics)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

// === impl Shared ===

impl<A> Shared<A> {
    fn turn_away(&self, why: Refusal, error: &str) {
        self.metrics.refuse(why);
        if let Some(unsaid) = self.complaints.admit() {
            tracing::info!(why = why.as_str(), error, unsaid, "a connection was turned away");
        }
    }
}
