//! [`Shutdown`]: from the first signal to the end, in steps.

use std::{sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// How far a shutdown has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not begun.
    #[default]
    Running,
    /// Unready, and still serving: the API server's view of the endpoints lags
    /// behind. Each response asks to close its connection, so that the next request goes elsewhere.
    Leaving,
    /// Connections are closed as they become idle.
    Closing,
}

/// How far the shutdown of the process has come; cloned to whoever must know.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<Phase>>);

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// How long the steps take.
#[derive(Clone, Copy, Debug)]
pub struct Grace {
    /// From unready to closing.
    pub leaving: Duration,
    /// From closing to the end at latest.
    pub closing: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Running)))
    }
}

impl Default for Grace {
    fn default() -> Self {
        Self { leaving: Duration::from_secs(10), closing: Duration::from_secs(5) }
    }
}

// === impl Shutdown ===

impl Shutdown {
    /// How far it has come.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Goes on to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let later = *now < phase;
            *now = phase.max(*now);
            later
        });
    }

    /// Waits until it has come to `phase`.
    pub async fn reached(&self, phase: Phase) {
        let mut receiver = self.0.subscribe();
        // The sender lives in `self`, so there is no error.
        let _ = receiver.wait_for(|now| *now >= phase).await;
    }
}

// === impl Signals ===

impl Signals {
    /// Listens from now on, so that a signal before anybody waits is not lost.
    ///
    /// # Errors
    /// The process may not listen for signals.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
