//! The sockets.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::SystemTime;

use hickory_proto::op::{Message, MessageType};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::reply::{Reply, reply};
use super::{Query, Shared, Transport, rules};

/// How many ports are tried for one that is free for UDP and TCP.
const BIND_ATTEMPTS: usize = 16;
/// Octets of questions that may wait to be read, for bursts; the system caps it.
const RECEIVE_BUFFER: usize = 4 << 20;

pub(super) fn bind(ip: IpAddr, port: u16) -> io::Result<(UdpSocket, TcpListener)> {
    let mut attempt = 1;
    loop {
        let udp = UdpSocket::bind((ip, port)).map_err(|e| with_address(&e, ip, port))?;
        match TcpListener::bind((ip, udp.local_addr()?.port())) {
            Ok(tcp) => {
                udp.set_nonblocking(true)?;
                // The system's default holds some 270 questions; what comes beyond is lost, and asked again seconds later.
                set_socket_recv_buffer_size(&udp, RECEIVE_BUFFER)?;
                tcp.set_nonblocking(true)?;
                return Ok((udp, tcp));
            }
            Err(error) if port != 0 || attempt == BIND_ATTEMPTS => return Err(with_address(&error, ip, port)),
            Err(_) => attempt += 1,
        }
    }
}

fn with_address(error: &io::Error, ip: IpAddr, port: u16) -> io::Error {
    io::Error::new(error.kind(), format!("DNS on {}: {error}", SocketAddr::new(ip, port)))
}

/// Serves until a socket fails.
pub(super) async fn serve(udp: UdpSocket, tcp: TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    let udp = Arc::new(tokio::net::UdpSocket::from_std(udp)?);
    let tcp = tokio::net::TcpListener::from_std(tcp)?;
    tokio::try_join!(serve_udp(udp, shared.clone()), serve_tcp(tcp, shared))?;
    Ok(())
}

async fn serve_udp(socket: Arc<tokio::net::UdpSocket>, shared: Arc<Shared>) -> io::Result<()> {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // A peer that has gone away is reported on the next receive.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error),
        };
        let Some(Reply::Send(bytes, delay)) =
            buffer.get(..length).and_then(|b| answer(&shared, b, from, Transport::Udp))
        else {
            continue;
        };
        let socket = socket.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            if let Err(error) = socket.send_to(&bytes, from).await {
                tracing::debug!(%from, %error, "a DNS reply could not be sent");
            }
        });
    }
}

async fn serve_tcp(listener: tokio::net::TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    loop {
        let (stream, from) = listener.accept().await?;
        let shared = shared.clone();
        tokio::spawn(async move {
            if let Err(error) = serve_connection(stream, from, &shared).await {
                tracing::debug!(%from, %error, "a DNS connection ended");
            }
        });
    }
}

async fn serve_connection(mut stream: TcpStream, from: SocketAddr, shared: &Shared) -> io::Result<()> {
    loop {
        let length = match stream.read_u16().await {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut request = vec![0; usize::from(length)];
        stream.read_exact(&mut request).await?;
        match answer(shared, &request, from, Transport::Tcp) {
            Some(Reply::Send(bytes, delay)) => {
                tokio::time::sleep(delay).await;
                let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
                // One write: some askers read the prefix and the message in one go.
                stream.write_all(&[&length.to_be_bytes(), bytes.as_slice()].concat()).await?;
            }
            Some(Reply::Silence) => {}
            Some(Reply::Close) | None => return Ok(()),
        }
    }
}

/// Logs the question and looks up its answer. What is no question gets none.
fn answer(shared: &Shared, bytes: &[u8], from: SocketAddr, transport: Transport) -> Option<Reply> {
    let request = match Message::from_vec(bytes) {
        Ok(request) if request.metadata.message_type == MessageType::Query => request,
        Ok(_) => return None,
        Err(error) => {
            tracing::debug!(%from, %error, "not a DNS message");
            return None;
        }
    };
    if let Some(query) = request.queries.first() {
        shared.queries().push(Query {
            name: rules::key(&query.name().to_ascii()),
            kind: query.query_type(),
            transport,
            from,
            at: SystemTime::now(),
            recursion_desired: request.metadata.recursion_desired,
            edns_payload: request.edns.as_ref().map(|e| e.max_payload()),
            dnssec_ok: request.edns.as_ref().is_some_and(|e| e.flags().dnssec_ok),
        });
    }
    match reply(&mut shared.rules(), &request, transport) {
        Ok(reply) => Some(reply),
        Err(error) => {
            tracing::error!(%from, %error, "a scripted DNS answer cannot be encoded");
            None
        }
    }
}
