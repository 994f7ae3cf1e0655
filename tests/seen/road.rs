//! The road to the lab's CA, which can be closed: nobody listens there then, as if the CA had been killed. The CA
//! itself goes on, since it keeps its accounts in memory and others use it.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use url::Url;

/// Its port: one that nobody is given by chance while it is closed.
const PORT: u16 = 14_002;

/// A way to a CA beside its own address.
pub(crate) struct Road {
    here: SocketAddr,
    there: SocketAddr,
    carrying: JoinHandle<()>,
}

impl Road {
    /// Opens a road to the CA of this directory.
    pub(crate) async fn open_to(directory: &str) -> Result<Self> {
        let directory = Url::parse(directory)?;
        let ip: IpAddr = directory.host_str().context("a host")?.parse()?;
        let there = SocketAddr::new(ip, directory.port().context("a port")?);
        // Of the CA's own address, for which its certificate is.
        let here = SocketAddr::new(ip, PORT);
        let socket = TcpListener::bind(here).await?;
        Ok(Self { here, there, carrying: tokio::spawn(carry(socket, there)) })
    }

    /// The CA's directory by this road: its answers lead on the way they were asked for.
    pub(crate) fn directory(&self) -> String {
        format!("https://{}/dir", self.here)
    }

    /// Closes it, and all that travels on it ends.
    pub(crate) async fn close(&mut self) -> Result<()> {
        self.carrying.abort();
        // Gone only now; whether by the abort is all the same.
        let _ = (&mut self.carrying).await;
        anyhow::ensure!(TcpStream::connect(self.here).await.is_err(), "{} still listens", self.here);
        Ok(())
    }

    /// Opens it again.
    pub(crate) async fn open(&mut self) -> Result<()> {
        self.carrying = tokio::spawn(carry(TcpListener::bind(self.here).await?, self.there));
        Ok(())
    }
}

async fn carry(socket: TcpListener, there: SocketAddr) {
    let mut travelling = JoinSet::new();
    while let Ok((mut from, _)) = socket.accept().await {
        travelling.spawn(async move {
            let mut to = TcpStream::connect(there).await?;
            copy_bidirectional(&mut from, &mut to).await
        });
        while travelling.try_join_next().is_some() {}
    }
}
