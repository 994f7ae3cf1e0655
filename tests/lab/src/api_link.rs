//! A way to the API server that can go silent, as a firewall or load balancer that lost its table does: connections stay
//! open, new ones are accepted, and nothing is passed on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::access::{API_PORT, ClusterAccess, Identity};
use crate::lab::{Core, Lab};

const BUFFER: usize = 64 << 10;

/// A TCP proxy before the API server. Dropping it closes all its connections.
pub struct ApiLink {
    access: ClusterAccess,
    state: watch::Sender<State>,
    proxy: AbortHandle,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    silent: bool,
    /// Connections of an earlier epoch are cut.
    epoch: u64,
}

impl ApiLink {
    pub(crate) async fn start(core: &Arc<Core>, ip: Ipv4Addr) -> Result<Self> {
        let address = SocketAddr::new(IpAddr::V4(ip), API_PORT);
        let listener = TcpListener::bind(address).await.with_context(|| format!("bind {address}"))?;
        let (state, watched) = watch::channel(State { silent: false, epoch: 0 });
        let proxy = core.spawn(serve(listener, core.site.access.address()?, watched));
        Ok(Self { access: core.site.access.through(address), state, proxy })
    }

    /// Writes a kubeconfig file for an identity that goes this way.
    pub fn write_kubeconfig(&self, path: &Path, identity: &Identity) -> Result<()> {
        self.access.write_kubeconfig(path, identity)
    }

    pub(crate) fn access(&self) -> &ClusterAccess {
        &self.access
    }

    /// From now on nothing is passed on, in either direction, and nothing is closed.
    pub fn silence(&self) {
        self.state.send_modify(|state| state.silent = true);
    }

    /// Passes on again, also what was held.
    pub fn resume(&self) {
        self.state.send_modify(|state| state.silent = false);
    }

    /// Passes on again on new connections; those that were held are cut, and what they held is lost.
    pub fn resume_anew(&self) {
        self.state.send_modify(|state| *state = State { silent: false, epoch: state.epoch + 1 });
    }
}

impl Drop for ApiLink {
    fn drop(&mut self) {
        self.proxy.abort();
    }
}

impl Lab {
    /// A way to the API server that can go silent.
    pub async fn api_link(&self) -> Result<ApiLink> {
        let (core, ip) = (self.core().clone(), self.spare_address()?);
        self.run(async move || ApiLink::start(&core, ip).await).await
    }
}

async fn serve(listener: TcpListener, to: SocketAddr, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((from, _)) = listener.accept().await else { continue };
        let state = state.clone();
        let epoch = state.borrow().epoch;
        connections.spawn(async move {
            let (mut cut, passing) = (state.clone(), state);
            tokio::select! {
                _ = cut.wait_for(|state| state.epoch != epoch) => {}
                _ = pass(from, to, passing) => {}
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn pass(from: TcpStream, to: SocketAddr, mut state: watch::Receiver<State>) -> Result<()> {
    state.wait_for(|state| !state.silent).await?;
    let to = TcpStream::connect(to).await?;
    from.set_nodelay(true)?;
    to.set_nodelay(true)?;
    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
    tokio::try_join!(pump(from_read, to_write, state.clone()), pump(to_read, from_write, state))?;
    Ok(())
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        state.wait_for(|state| !state.silent).await?;
        let read = tokio::select! {
            read = from.read(&mut buffer) => read?,
            _ = state.changed() => continue,
        };
        // What was read as silence fell is held too.
        state.wait_for(|state| !state.silent).await?;
        if read == 0 {
            to.shutdown().await?;
            return Ok(());
        }
        to.write_all(buffer.get(..read).unwrap_or_default()).await?;
    }
}
