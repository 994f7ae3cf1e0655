//! One question to one server: UDP from a socket of its own, TCP where the
//! answer does not fit.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::{Instant, timeout_at},
};

use super::message::{Mode, NoReply, Packet, decode, encode};
use crate::core::verdict::answers::{Outcome, Question};

/// The largest datagram that is taken in; more than was asked for, so that excess is seen as such.
const MAX_DATAGRAM: usize = 4096;

/// Asks once. Waits for at most `patience` over UDP, and as long again over TCP.
pub(super) async fn exchange(server: SocketAddr, question: &Question, mode: Mode, patience: Duration) -> Outcome {
    let Some(packet) = encode(question, mode) else {
        return Outcome::Malformed("the name does not fit into a DNS message".to_owned());
    };
    match udp(server, question, &packet, Instant::now() + patience).await {
        Outcome::Reply(reply) if reply.truncated => {
            let until = Instant::now() + patience;
            timeout_at(until, tcp(server, question, &packet)).await.unwrap_or(Outcome::Timeout)
        }
        outcome => outcome,
    }
}

async fn udp(server: SocketAddr, question: &Question, packet: &Packet, until: Instant) -> Outcome {
    // A socket for each question: the system picks a random port, and once connected it
    // takes in nothing but what comes from the server's own address and port.
    let socket = match open(server).await {
        Ok(socket) => socket,
        Err(error) => return unreachable(&error),
    };
    if let Err(error) = socket.send(&packet.bytes).await {
        return unreachable(&error);
    }
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        let received = match timeout_at(until, socket.recv(&mut buffer)).await {
            Err(_) => return Outcome::Timeout,
            Ok(Err(error)) => return unreachable(&error),
            Ok(Ok(length)) => buffer.get(..length).unwrap_or_default(),
        };
        match decode(received, packet.id, question) {
            Ok(reply) => return Outcome::Reply(reply),
            // Forged, or late: the answer may still come.
            Err(NoReply::NotOurs(_)) => {}
            Err(malformed @ NoReply::Malformed(_)) => return Outcome::Malformed(malformed.to_string()),
        }
    }
}

async fn open(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    Ok(socket)
}

async fn tcp(server: SocketAddr, question: &Question, packet: &Packet) -> Outcome {
    let bytes = match tcp_bytes(server, packet).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Outcome::Malformed("the server closed the connection amid its answer".to_owned());
        }
        Err(error) => return unreachable(&error),
    };
    match decode(&bytes, packet.id, question) {
        // Still truncated: there is nothing wider to fall back to.
        Ok(reply) => Outcome::Reply(reply),
        Err(error) => Outcome::Malformed(error.to_string()),
    }
}

async fn tcp_bytes(server: SocketAddr, packet: &Packet) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(packet.bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let framed = [&length.to_be_bytes(), packet.bytes.as_slice()].concat();
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn unreachable(error: &io::Error) -> Outcome {
    Outcome::Unreachable(error.kind().to_string())
}
