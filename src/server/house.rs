//! [`House`]: the connections of a listener, each with a way to have it go. [`Guarded`] is a plain listener with one.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::{
    connection::Clock,
    seats::{Bounds, Seats},
};

/// The pause after an accept that failed for want of something (descriptors, memory) with nobody there to go.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections of a listener.
pub struct House(Mutex<State>);

struct State {
    seats: Seats,
    guests: HashMap<u64, Guest>,
}

struct Guest {
    clock: Arc<Clock>,
    evict: Option<Box<dyn FnOnce() + Send>>,
}

/// A connection's seat, which it gives back when it is over.
pub struct Seat {
    house: Arc<House>,
    number: u64,
}

/// A listener in front of a plain server, with so many connections and no more.
pub struct Guarded {
    socket: TcpListener,
    house: Arc<House>,
}

/// One of its connections.
pub struct Visitor {
    stream: TcpStream,
    clock: Arc<Clock>,
    seat: Seat,
    answered: bool,
    evicted: oneshot::Receiver<()>,
}

// === impl House ===

impl House {
    /// An empty one.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { seats: Seats::new(bounds), guests: HashMap::new() })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic between two assignments leaves at worst a seat taken by nobody, who is sent away when it is wanted.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets somebody in, and has another go if there is no room. Whether somebody had to.
    pub fn admit(self: &Arc<Self>, address: IpAddr, clock: Arc<Clock>) -> (Seat, bool) {
        let mut state = self.lock();
        let State { seats, guests } = &mut *state;
        let silent = |seat| guests.get(&seat).map_or(Duration::MAX, |guest| guest.clock.waited());
        let (number, gone) = seats.take(address.to_canonical(), silent);
        let evict = gone.and_then(|gone| state.remove(gone));
        state.guests.insert(number, Guest { clock, evict: None });
        drop(state);
        if let Some(evict) = evict {
            evict();
        }
        (Seat { house: Arc::clone(self), number }, gone.is_some())
    }

    /// Has somebody go. Whether there was anybody.
    pub fn evict(&self) -> bool {
        let mut state = self.lock();
        let State { seats, guests } = &mut *state;
        let silent = |seat| guests.get(&seat).map_or(Duration::MAX, |guest| guest.clock.waited());
        let Some(gone) = seats.dispensable(silent) else { return false };
        seats.leave(gone);
        let evict = state.remove(gone);
        drop(state);
        if let Some(evict) = evict {
            evict();
        }
        true
    }
}

// === impl State ===

impl State {
    fn remove(&mut self, seat: u64) -> Option<Box<dyn FnOnce() + Send>> {
        self.guests.remove(&seat)?.evict
    }
}

// === impl Seat ===

impl Seat {
    /// The seat's number.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// It was answered.
    pub fn answered(&self) {
        self.house.lock().seats.answered(self.number);
    }
}

impl House {
    /// How the connection of that number is made to go; at once, if it had to already.
    pub fn leave_by(&self, number: u64, evict: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if let Some(guest) = state.guests.get_mut(&number) {
            guest.evict = Some(Box::new(evict));
            return;
        }
        drop(state);
        evict();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.house.lock();
        state.seats.leave(self.number);
        let left = state.guests.remove(&self.number);
        drop(state);
        drop(left);
    }
}

// === impl Guarded ===

impl Guarded {
    /// Puts a bound socket behind these bounds.
    pub fn new(socket: TcpListener, bounds: Bounds) -> Self {
        Self { socket, house: House::new(bounds) }
    }
}

impl axum::serve::Listener for Guarded {
    type Io = Visitor;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visitor, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    let clock = Arc::new(Clock::new());
                    let (seat, _) = self.house.admit(peer.ip(), Arc::clone(&clock));
                    let (evict, evicted) = oneshot::channel();
                    self.house.leave_by(seat.number(), move || drop(evict));
                    return (Visitor { stream, clock, seat, answered: false, evicted }, peer);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "connections cannot be accepted");
                    self.house.evict();
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Whether an accept failed for a fault of the one connection.
pub fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

// === impl Visitor ===

impl Visitor {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match Pin::new(&mut self.evicted).poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(_) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl AsyncRead for Visitor {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.clock.rest();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.clock.rest();
        if !std::mem::replace(&mut self.answered, true) {
            self.seat.answered();
        }
        Poll::Ready(Ok(written))
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
