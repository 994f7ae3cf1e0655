//! Leaving without losing a request.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "helpers of tests fail by panicking, like the tests"
)]

#[path = "serving/support.rs"]
#[allow(dead_code)]
mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use certgate::server::shutdown::{Grace, Phase};
use rustls::ClientConfig;
use support::*;
use tokio::{io::AsyncWriteExt as _, time::timeout};

/// A client as Go's: keeps its connection, opens another when told that the
/// old one closes, and tries again where a kept connection ended before an answer began.
async fn keep_asking(address: SocketAddr, config: ClientConfig, stop: Arc<AtomicBool>, asked: Arc<AtomicU32>) {
    let mut kept: Option<Connection> = None;
    while !stop.load(Ordering::Relaxed) {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match dial(address, config.clone()).await {
                Ok(stream) => Connection::over(stream).await,
                Err(error) => panic!("a connection was refused: {error}"),
            },
        };
        if !connection.usable().await {
            continue;
        }
        let answer = connection.send(post(review("u", "www.example.com"))).await.expect("every request is answered");
        assert_eq!(answer.status(), 200);
        asked.fetch_add(1, Ordering::Relaxed);
        if answer.headers().get("connection").is_none_or(|value| value != "close") {
            kept = Some(connection);
        }
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_while_a_server_leaves() {
    let server = serve(Setup::default()).await;
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let config = server.trust().with_no_client_auth();
            tokio::spawn(keep_asking(server.address, config, Arc::clone(&stop), Arc::clone(&asked)))
        })
        .collect();
    let mut idle = server.connect().await;
    idle.ask("once", "www.example.com").await;
    eventually("traffic", async || asked.load(Ordering::Relaxed) > 200).await;
    server.shutdown.advance(Phase::Leaving);
    let before = asked.load(Ordering::Relaxed);
    eventually("traffic while leaving", async || asked.load(Ordering::Relaxed) > before + 200).await;
    // By now the endpoints have forgotten this server, and clients go elsewhere.
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    server.shutdown.advance(Phase::Closing);
    timeout(DEADLINE, server.task).await.unwrap().unwrap();
    timeout(DEADLINE, idle.ended).await.expect("the idle connection is closed").unwrap().unwrap();
}

#[tokio::test]
async fn answers_ask_to_close_once_the_server_leaves() {
    let server = serve(Setup::default()).await;
    let mut connection = server.connect().await;
    let before = connection.send(post(review("u", "www.example.com"))).await.unwrap();
    assert_eq!(before.headers().get("connection"), None);
    server.shutdown.advance(Phase::Leaving);
    let after = connection.send(post(review("u", "www.example.com"))).await.unwrap();
    assert_eq!(after.headers()["connection"], "close");
    timeout(DEADLINE, connection.ended).await.unwrap().unwrap().unwrap();
    server.connect().await.ask("still served", "www.example.com").await;
    server.leave().await;
}

#[tokio::test]
async fn a_request_under_way_is_finished_and_a_stuck_one_is_cut_at_the_end_of_the_grace() {
    let grace = Grace { leaving: Duration::ZERO, closing: Duration::from_millis(300) };
    let server = serve(Setup { grace, ..Setup::default() }).await;
    let body = review("u", "www.example.com");
    let head = format!(
        "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let (mut busy, mut stuck) = (server.dial().await.unwrap(), server.dial().await.unwrap());
    for stream in [&mut busy, &mut stuck] {
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body[..10]).await.unwrap();
    }
    // Both heads have arrived once a later request on another connection is answered.
    server.connect().await.ask("after", "www.example.com").await;
    server.shutdown.advance(Phase::Closing);
    busy.write_all(&body[10..]).await.unwrap();
    let mut answer = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut busy, &mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("connection: close"), "{answer}");
    timeout(DEADLINE, server.task).await.expect("the stuck one does not hold the server").unwrap();
}
