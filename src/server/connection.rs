//! One connection, timed: how long a head, a body and idleness may take.
//!
//! hyper's own head timeout doubles as its idle timeout, and a timer for each
//! request costs. So the connection notes in an atomic what it is waiting for and since when, and
//! one slow tick a connection looks at that. Timeouts are therefore met to within a tick.

use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    http::{Application, Gate},
    shutdown::{Phase, Shutdown},
};

/// The largest head of a request, in octets. The API server's is some 300.
const MAX_HEAD: usize = 16 * 1024;
/// The most that is read ahead, in octets.
const MAX_BUFFER: usize = 256 * 1024;

/// How long a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// From then to the first octet of the first request. Go's client opens connections ahead of need, and opens another
    /// where one was closed before its use.
    pub first: Duration,
    /// For the head of a request, from its first octet.
    pub head: Duration,
    /// For the body of a request, waiting for the byte budget included.
    pub body: Duration,
    /// Between requests. Go's client lets connections idle for 90 s; closing
    /// first would sometimes cross with its next request.
    pub idle: Duration,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer closed it, broke the protocol, or was told to close it.
    Closed,
    /// A head took too long.
    Head,
    /// A body took too long.
    Body,
    /// Nothing was asked for too long.
    Idle,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            first: Duration::from_secs(10),
            head: Duration::from_secs(10),
            body: Duration::from_secs(15),
            idle: Duration::from_secs(150),
        }
    }
}

/// Serves one connection until it ends. `answered`: told when the first request has been answered.
pub async fn serve<A: Application, S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    gate: &Gate<A>,
    limits: ConnectionLimits,
    shutdown: &Shutdown,
    clock: &Arc<Clock>,
    answered: impl Fn(),
) -> End {
    clock.note(Waiting::First);
    let known = AtomicBool::new(false);
    let service = service_fn(|request| {
        clock.note(Waiting::Body);
        let (known, answered) = (&known, &answered);
        async move {
            let response = gate.serve(request, shutdown.phase() != Phase::Running).await;
            clock.note(Waiting::Idle);
            if !known.load(Ordering::Relaxed) && response.status().is_success() {
                known.store(true, Ordering::Relaxed);
                answered();
            }
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(Timed { stream, clock: Arc::clone(clock) });
    let mut connection = pin!(
        http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(MAX_BUFFER)
            .max_header_size(MAX_HEAD)
            .serve_connection(io, service)
    );
    let mut closing = pin!(shutdown.reached(Phase::Closing));
    let mut told = false;
    let mut tick = tokio::time::interval(limits.tick());
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = connection.as_mut() => return End::Closed,
            () = closing.as_mut(), if !told => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = tick.tick() => if let Some(end) = clock.overdue(&limits) {
                return end;
            },
        }
    }
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Head,
    Body,
    Idle,
    First,
}

/// What a connection waits for and since when, in one atomic: milliseconds
/// since `start` times four, plus the kind.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    state: AtomicU64,
}

/// The stream, noting when the first octets of a head arrive.
struct Timed<S> {
    stream: S,
    clock: Arc<Clock>,
}

// === impl ConnectionLimits ===

impl ConnectionLimits {
    fn tick(&self) -> Duration {
        (self.head.min(self.body).min(self.idle).min(self.first) / 4).max(Duration::from_millis(10))
    }
}

// === impl Clock ===

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// Of a connection that has just come.
    pub fn new() -> Self {
        Self { start: Instant::now(), state: AtomicU64::new(Waiting::First as u64) }
    }

    /// How long it has been waiting for its peer.
    pub fn waited(&self) -> Duration {
        let state = self.state.load(Ordering::Relaxed);
        Duration::from_millis(self.millis().saturating_sub(state >> 2))
    }

    /// It is between requests from now on.
    pub(super) fn rest(&self) {
        self.note(Waiting::Idle);
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX >> 2)
    }

    fn note(&self, waiting: Waiting) {
        self.state.store(self.millis() << 2 | waiting as u64, Ordering::Relaxed);
    }

    fn is_idle(&self) -> bool {
        let kind = self.state.load(Ordering::Relaxed) & 3;
        kind == Waiting::Idle as u64 || kind == Waiting::First as u64
    }

    fn overdue(&self, limits: &ConnectionLimits) -> Option<End> {
        let state = self.state.load(Ordering::Relaxed);
        let waited = Duration::from_millis(self.millis().saturating_sub(state >> 2));
        let (limit, end) = match state & 3 {
            kind if kind == Waiting::Head as u64 => (limits.head, End::Head),
            kind if kind == Waiting::Body as u64 => (limits.body, End::Body),
            kind if kind == Waiting::First as u64 => (limits.first, End::Idle),
            _ => (limits.idle, End::Idle),
        };
        (waited >= limit).then_some(end)
    }
}

// === impl Timed ===

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before && self.clock.is_idle() {
            self.clock.note(Waiting::Head);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
