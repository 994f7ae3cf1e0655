//! The load: kept TLS connections that send a fixed request and read its answer,
//! as fast as answers come or at a given rate. As little work as can be, since it shares the machine.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The name in the servers' certificates.
pub const NAME: &str = "certgate-webhook.certgate-system.svc";

/// Where to, and with what.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    config: Arc<ClientConfig>,
    request: Arc<[u8]>,
}

/// How long answers took.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    sorted: Vec<Duration>,
    /// From the first request to the last answer.
    pub took: Duration,
}

/// One kept connection.
struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

// === impl Target ===

impl Target {
    /// POSTs `body` to `/mutate` of the server at `address`.
    pub fn new(address: SocketAddr, ca_pem: &str, body: &[u8]) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes())?)?;
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut request = format!(
            "POST /mutate?timeout=2s HTTP/1.1\r\nHost: {NAME}\r\nUser-Agent: kube-apiserver-admission\r\n\
             Content-Length: {}\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        Ok(Self { address, config: Arc::new(config), request: request.into() })
    }

    async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(NAME)?;
        let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await?;
        Ok(Connection { stream, buffer: vec![0; 16 * 1024] })
    }

    /// One answer, body only.
    pub async fn once(&self) -> Result<Vec<u8>> {
        let mut connection = self.connect().await?;
        let (start, end) = connection.ask(&self.request).await?;
        Ok(connection.buffer.get(start..end).context("no body")?.to_vec())
    }

    /// A connection whose request comes octet by octet, until the server has had enough.
    pub async fn trickle(&self, pause: Duration) -> Result<()> {
        let mut connection = self.connect().await?;
        for octet in self.request.iter() {
            connection.stream.write_all(&[*octet]).await?;
            connection.stream.flush().await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// `connections` that ask again as soon as they are answered.
    pub async fn closed(&self, connections: usize, time: Duration) -> Result<Latencies> {
        let mut workers = JoinSet::new();
        let start = Instant::now();
        for _ in 0..connections {
            let target = self.clone();
            workers.spawn(async move {
                let mut connection = target.connect().await?;
                let mut seen = Vec::with_capacity(1 << 16);
                while start.elapsed() < time {
                    let asked = Instant::now();
                    connection.ask(&target.request).await?;
                    seen.push(asked.elapsed());
                }
                anyhow::Ok(seen)
            });
        }
        collect(workers, start).await
    }

    /// `burst` requests at once, `rate` a second in all, each timed from when it was due.
    pub async fn bursts(&self, rate: u32, burst: u32, time: Duration) -> Result<Latencies> {
        let gap = Duration::from_secs(1) * burst / rate;
        let mut workers = JoinSet::new();
        let start = Instant::now() + Duration::from_millis(50);
        for _ in 0..burst {
            let target = self.clone();
            workers.spawn(async move {
                let mut connection = target.connect().await?;
                let mut seen = Vec::new();
                let mut due = start;
                while due < start + time {
                    tokio::time::sleep_until(due.into()).await;
                    // The timer's own lateness, a millisecond at most, is not the server's.
                    let asked = Instant::now();
                    connection.ask(&target.request).await?;
                    seen.push(asked.elapsed());
                    due += gap;
                }
                anyhow::Ok(seen)
            });
        }
        collect(workers, start).await
    }
}

async fn collect(mut workers: JoinSet<Result<Vec<Duration>>>, start: Instant) -> Result<Latencies> {
    let mut sorted = Vec::new();
    while let Some(seen) = workers.join_next().await {
        sorted.extend(seen??);
    }
    sorted.sort_unstable();
    Ok(Latencies { sorted, took: start.elapsed() })
}

// === impl Connection ===

impl Connection {
    /// Sends a request and reads the answer; where its body is in the buffer.
    async fn ask(&mut self, request: &[u8]) -> Result<(usize, usize)> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let mut filled = 0;
        loop {
            let free = self.buffer.get_mut(filled..).context("the answer is too large")?;
            let read = self.stream.read(free).await?;
            ensure!(read > 0, "the server closed the connection");
            filled += read;
            let got = self.buffer.get(..filled).unwrap_or_default();
            let Some(head) = find(got, b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(got.get(..head).unwrap_or_default())?;
            ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
            let length: usize = text
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse().ok())
                .context("no content-length")?;
            let end = head + 4 + length;
            while filled < end {
                let read = self.stream.read(self.buffer.get_mut(filled..).context("too large")?).await?;
                ensure!(read > 0, "the server closed the connection");
                filled += read;
            }
            return Ok((head + 4, end));
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

// === impl Latencies ===

impl Latencies {
    /// How many.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The latency below which `part` of all lie.
    pub fn quantile(&self, part: f64) -> Duration {
        let index = (self.sorted.len() as f64 * part) as usize;
        self.sorted.get(index.min(self.sorted.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.count() as f64 / self.took.as_secs_f64()
    }
}
