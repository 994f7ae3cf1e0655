//! The webhook's listener over real TLS: what the API server sends, and what anybody else might.

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
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use bytes::Bytes;
use certgate::{
    pki::x509,
    server::{
        client_auth::{ClientNames, verifier},
        http::{Application, MAX_BODY, Reply},
        seats::Bounds,
    },
};
use http::{Request, StatusCode};
use http_body_util::Full;
use prometheus_client::registry::Registry;
use rstest::rstest;
use rustls_pki_types::ServerName;
use support::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::Notify,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const SOON: Duration = Duration::from_millis(200);

/// Reads until the server closes, which it must within the deadline.
async fn until_closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut read = Vec::new();
    // A reset is an end, too.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut read)).await.expect("the server closes the connection");
    read
}

#[tokio::test]
async fn reviews_are_answered_one_after_the_other_on_one_connection() {
    let server = serve(Setup::default()).await;
    let mut connection = server.connect().await;
    for round in 0..50 {
        let verified = connection.ask(&format!("a-{round}"), "www.example.com").await;
        assert_eq!(verified["patchType"], "JSONPatch");
        let held = connection.ask(&format!("b-{round}"), "new.example.com").await;
        assert_eq!(held.get("patch"), None);
    }
    let metrics = server.metrics();
    assert!(metrics.contains(r#"certgate_admission_reviews_total{outcome="patched"} 50"#), "{metrics}");
    let hosts = r#"certgate_admission_hosts_total{action="hold",reason="DomainNotFound"} 50"#;
    assert!(metrics.contains(hosts), "{metrics}");
    assert!(metrics.contains("certgate_admission_duration_seconds_count 100"), "{metrics}");
    assert!(metrics.contains("certgate_server_connections 1"), "{metrics}");
    server.leave().await;
}

#[rstest]
#[case::path(Request::post("/validate"), StatusCode::NOT_FOUND)]
#[case::root(Request::post("/"), StatusCode::NOT_FOUND)]
#[case::get(Request::get("/mutate"), StatusCode::METHOD_NOT_ALLOWED)]
#[case::put(Request::put("/mutate"), StatusCode::METHOD_NOT_ALLOWED)]
#[case::no_type(Request::post("/mutate"), StatusCode::UNSUPPORTED_MEDIA_TYPE)]
#[case::yaml(Request::post("/mutate").header("content-type", "application/yaml"), StatusCode::UNSUPPORTED_MEDIA_TYPE)]
#[case::near_miss(Request::post("/mutate").header("content-type", "application/jsonp"), StatusCode::UNSUPPORTED_MEDIA_TYPE)]
#[case::with_charset(Request::post("/mutate").header("content-type", "Application/JSON; charset=utf-8"), StatusCode::OK)]
#[case::with_query(Request::post("/mutate?timeout=2s").header("content-type", "application/json"), StatusCode::OK)]
#[tokio::test]
async fn only_posts_of_json_to_the_path_are_served(
    #[case] request: http::request::Builder,
    #[case] expected: StatusCode,
) {
    let server = serve(Setup::default()).await;
    let mut connection = server.connect().await;
    let body = Full::new(Bytes::from(review("u", "www.example.com")));
    let answer = connection.send(request.header("host", NAME).body(body).unwrap()).await.unwrap();
    assert_eq!(answer.status(), expected);
    if expected != StatusCode::OK {
        assert_eq!(answer.headers()["connection"], "close");
        assert!(!answer.body().is_empty(), "says what is wrong");
    }
    server.connect().await.ask("next", "www.example.com").await;
}

#[rstest]
#[case::empty(b"")]
#[case::no_json(b"hello")]
#[case::no_text(b"\xff\xfe\x00\x01")]
#[case::no_uid(br#"{"request":{}}"#)]
#[tokio::test]
async fn what_is_no_review_is_a_bad_request_and_the_connection_goes_on(#[case] body: &'static [u8]) {
    let server = serve(Setup::default()).await;
    let mut connection = server.connect().await;
    assert_eq!(connection.send(post(body)).await.unwrap().status(), StatusCode::BAD_REQUEST);
    connection.ask("next", "www.example.com").await;
}

#[tokio::test]
async fn bodies_are_served_up_to_the_cap_and_refused_beyond() {
    let server = serve(Setup::default()).await;
    let mut connection = server.connect().await;
    let frame = review_padded("u", "www.example.com", 0).len();
    let largest = review_padded("u", "www.example.com", MAX_BODY - frame);
    assert_eq!(largest.len(), MAX_BODY);
    assert_eq!(connection.send(post(largest)).await.unwrap().status(), StatusCode::OK);

    let head = format!(
        "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        MAX_BODY + 1
    );
    let mut announced = server.dial().await.unwrap();
    announced.write_all(head.as_bytes()).await.unwrap();
    let answer = String::from_utf8(until_closed(&mut announced).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_body_in_chunks_is_bounded_as_well() {
    let server = serve(Setup::default()).await;
    let (mut read, mut write) = tokio::io::split(server.dial().await.unwrap());
    let head =
        "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let writing = tokio::spawn(async move {
        write.write_all(head.as_bytes()).await?;
        let chunk = [format!("{:x}\r\n", 1 << 20).as_bytes(), &vec![b' '; 1 << 20], b"\r\n"].concat();
        for _ in 0..64 {
            write.write_all(&chunk).await?;
        }
        std::io::Result::Ok(())
    });
    let answer = String::from_utf8_lossy(&until_closed(&mut read).await).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(timeout(DEADLINE, writing).await.unwrap().unwrap().is_err(), "the rest is not read");
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off_and_an_idle_connection_is_not() {
    let mut setup = Setup::default();
    setup.limits.connection.head = SOON;
    let server = serve(setup).await;
    let mut idle = server.connect().await;
    idle.ask("before", "www.example.com").await;

    let mut slow = server.dial().await.unwrap();
    slow.write_all(b"POST /mutate HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    assert_eq!(until_closed(&mut slow).await, b"", "cut off without an answer");
    let refused = r#"certgate_server_refusals_total{why="head"} 1"#;
    eventually("counted", async || server.metrics().contains(refused)).await;

    // By now the idle one has idled for longer than a head may take.
    idle.ask("after", "www.example.com").await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_cut_off() {
    let mut setup = Setup::default();
    setup.limits.connection.body = SOON;
    let server = serve(setup).await;
    let mut slow = server.dial().await.unwrap();
    let head = "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(until_closed(&mut slow).await, b"");
    let refused = r#"certgate_server_refusals_total{why="body"} 1"#;
    eventually("counted", async || server.metrics().contains(refused)).await;
}

#[tokio::test]
async fn an_idle_connection_ends_in_the_end() {
    let mut setup = Setup::default();
    setup.limits.connection.idle = SOON;
    let server = serve(setup).await;
    let mut unused = server.dial().await.unwrap();
    assert_eq!(until_closed(&mut unused).await, b"");
}

#[tokio::test]
async fn what_is_no_tls_is_turned_away_and_costs_the_others_nothing() {
    let mut setup = Setup::default();
    setup.limits.connection.handshake = SOON;
    let server = serve(setup).await;
    let mut connection = server.connect().await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 4096], &[0x16, 3, 1, 0xff, 0xff], b""] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        until_closed(&mut stream).await;
        connection.ask("between", "www.example.com").await;
    }
    let refused = r#"certgate_server_refusals_total{why="handshake"} 4"#;
    eventually("counted", async || server.metrics().contains(refused)).await;
}

#[tokio::test]
async fn connections_are_bounded_and_a_place_becomes_free() {
    let mut setup = Setup::default();
    setup.limits.connections = Bounds { all: 2, unanswered: 2 };
    let server = serve(setup).await;
    let mut first = server.connect().await;
    first.ask("1", "www.example.com").await;
    let mut second = server.dial().await.unwrap();
    let mut third = server.connect().await;
    assert_eq!(until_closed(&mut second).await, b"", "who never asked anything goes");
    third.ask("2", "www.example.com").await;
    first.ask("3", "www.example.com").await;
    let metrics = server.metrics();
    assert!(metrics.contains(r#"certgate_server_refusals_total{why="connections"} 1"#), "{metrics}");
    eventually("the gauge", async || server.metrics().contains("certgate_server_connections 2\n")).await;
}

/// A connection from another address of this machine, as another Pod's.
async fn from_elsewhere(server: &Served, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, last], 0).into()).unwrap();
    socket.connect(server.address).await.unwrap()
}

/// The same after its handshake.
async fn tls_from_elsewhere(server: &Served, last: u8) -> TlsStream<TcpStream> {
    let stream = from_elsewhere(server, last).await;
    let connector = TlsConnector::from(Arc::new(server.trust().with_no_client_auth()));
    connector.connect(ServerName::try_from(NAME).unwrap(), stream).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_house_full_of_idle_connections_keeps_the_api_server_out_for_no_moment() {
    // No clock helps: whoever is idle may stay for as long as there is room. Both ends are in this process.
    let files = certgate::server::descriptors::limit().unwrap_or(usize::MAX);
    let bounds = Bounds::default().within(files / 2);
    let mut setup = Setup::default();
    setup.limits.connections = bounds;
    for limit in
        [&mut setup.limits.connection.handshake, &mut setup.limits.connection.first, &mut setup.limits.connection.head]
    {
        *limit = 10 * DEADLINE;
    }
    let server = serve(setup).await;
    let mut kept = server.connect().await;
    kept.ask("before", "www.example.com").await;

    // From two Pods: handshakes that never go on, ones that are done, heads and bodies that do not come.
    let mut crowd = Vec::new();
    for number in 0..bounds.all + 100 {
        crowd.push(from_elsewhere(&server, if number % 2 == 0 { 8 } else { 9 }).await);
    }
    let mut idle = Vec::new();
    for number in 0..90 {
        let mut stream = tls_from_elsewhere(&server, 8 + number % 2).await;
        let sent: &[u8] = match number % 3 {
            0 => b"",
            1 => b"POST /mutate HTTP/1.1\r\nhost: x\r\n",
            _ => b"POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
        };
        stream.write_all(sent).await.unwrap();
        idle.push(stream);
    }
    let refused = || {
        let metrics = server.metrics();
        let line =
            metrics.lines().find_map(|line| line.strip_prefix(r#"certgate_server_refusals_total{why="connections"} "#));
        line.and_then(|count| count.parse::<usize>().ok()).unwrap_or_default()
    };
    eventually("the house is full", async || refused() >= 191).await;

    let begun = Instant::now();
    for round in 0..20 {
        server.connect().await.ask(&format!("new-{round}"), "www.example.com").await;
        kept.ask(&format!("kept-{round}"), "www.example.com").await;
    }
    assert!(begun.elapsed() < DEADLINE / 2, "{:?} for twenty new connections", begun.elapsed());
}

#[tokio::test]
async fn nor_does_one_that_is_full_of_connections_that_asked_once() {
    let mut setup = Setup::default();
    setup.limits.connections = Bounds { all: 16, unanswered: 8 };
    let server = serve(setup).await;
    let mut kept = server.connect().await;
    kept.ask("before", "www.example.com").await;
    let mut crowd = Vec::new();
    for number in 0..40 {
        let mut one = Connection::over(tls_from_elsewhere(&server, 9).await).await;
        one.ask(&format!("crowd-{number}"), "www.example.com").await;
        crowd.push(one);
    }
    let mut new = Vec::new();
    for round in 0..6 {
        let mut one = server.connect().await;
        one.ask(&format!("new-{round}"), "www.example.com").await;
        new.push(one);
    }
    // However long it has been idle.
    kept.ask("after", "www.example.com").await;
    for one in &mut new {
        one.ask("again", "www.example.com").await;
    }
}

#[tokio::test]
async fn a_connection_that_never_asks_is_closed_soon_and_one_that_did_is_kept() {
    let mut setup = Setup::default();
    setup.limits.connection.first = SOON;
    let server = serve(setup).await;
    let mut kept = server.connect().await;
    kept.ask("before", "www.example.com").await;
    let mut unused = server.dial().await.unwrap();
    assert_eq!(until_closed(&mut unused).await, b"");
    kept.ask("after", "www.example.com").await;
}

#[tokio::test]
async fn large_bodies_share_a_budget_and_small_ones_need_none() {
    let mut setup = Setup::default();
    setup.limits.request.budget = 1 << 20;
    setup.limits.connection.body = Duration::from_secs(2);
    let server = serve(setup).await;
    // Two uploads that stall when they have the whole budget between them.
    let mut stalled = Vec::new();
    for _ in 0..2 {
        let mut stream = server.dial().await.unwrap();
        let head =
            "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 4000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; 600_000]).await.unwrap();
        stalled.push(stream);
    }
    server.connect().await.ask("small", "www.example.com").await;
    for mut stream in stalled {
        until_closed(&mut stream).await;
    }
    // The budget is whole again.
    let large = server.connect().await.send(post(review_padded("u", "www.example.com", 900_000))).await.unwrap();
    assert_eq!(large.status(), StatusCode::OK);
}

#[tokio::test]
async fn bodies_that_trickle_in_keep_no_large_one_waiting() {
    let mut setup = Setup::default();
    setup.limits.request.budget = 1 << 20;
    setup.limits.connection.body = 10 * DEADLINE;
    let server = serve(setup).await;
    let head = "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 4000000\r\n\r\n";
    let mut stalled = Vec::new();
    for _ in 0..4 {
        let mut stream = server.dial().await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; 600_000]).await.unwrap();
        stalled.push(stream);
    }
    for _ in 0..3 {
        let large = post(review_padded("u", "www.example.com", 900_000));
        let answer = timeout(DEADLINE, server.connect().await.send(large)).await.expect("not kept waiting").unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

/// Answers a large body, of whose arrival it tells, once a small one has been answered.
struct Patient(Arc<Notify>, Mutex<mpsc::Sender<()>>, Mutex<mpsc::Receiver<()>>);

impl Application for Patient {
    fn serves(&self, _: &str) -> bool {
        true
    }
    fn answer(&self, _: &str, body: &[u8]) -> Reply {
        let overtaken = if body.len() > 100_000 {
            self.0.notify_one();
            self.2.lock().unwrap().recv_timeout(DEADLINE).is_ok()
        } else {
            self.1.lock().unwrap().send(()).is_ok()
        };
        let status = if overtaken { StatusCode::OK } else { StatusCode::GATEWAY_TIMEOUT };
        Reply::text(status, "")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_large_body_leaves_the_only_worker_to_the_others() {
    let (sender, receiver) = mpsc::channel();
    let arrived = Arc::new(Notify::new());
    let application = Patient(Arc::clone(&arrived), Mutex::new(sender), Mutex::new(receiver));
    let server = serve_application(Setup::default(), application, Registry::default()).await;
    let (mut large, mut small) = (server.connect().await, server.connect().await);
    let large = large.send(post(vec![b' '; 200_000]));
    let small = async {
        arrived.notified().await;
        small.send(post("{}")).await
    };
    let (large, small) = tokio::join!(large, small);
    assert_eq!((large.unwrap().status(), small.unwrap().status()), (StatusCode::OK, StatusCode::OK));
}

/// Panics at `/panic`, and answers at `/fine`.
struct Fragile;

impl Application for Fragile {
    fn serves(&self, _: &str) -> bool {
        true
    }
    fn answer(&self, path: &str, _: &[u8]) -> Reply {
        assert_ne!(path, "/panic");
        Reply::json(StatusCode::OK, "{}")
    }
}

#[tokio::test]
async fn a_panic_costs_its_own_connection_and_no_other() {
    let server = serve_application(Setup::default(), Fragile, Registry::default()).await;
    let (mut good, mut bad) = (server.connect().await, server.connect().await);
    let to = |path: &str| {
        Request::post(path).header("content-type", "application/json").body(Full::new(Bytes::from("{}"))).unwrap()
    };
    assert_eq!(good.send(to("/fine")).await.unwrap().status(), StatusCode::OK);
    assert!(bad.send(to("/panic")).await.is_err());
    assert_eq!(good.send(to("/fine")).await.unwrap().status(), StatusCode::OK);
    eventually("the gauge", async || server.metrics().contains("certgate_server_connections 1\n")).await;
    assert_eq!(server.connect().await.send(to("/fine")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn with_a_client_ca_only_its_clients_of_the_right_name_may_ask() {
    crypto();
    let (ca, _) = certificates();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    std::fs::write(&file, &ca.certificate).unwrap();
    let clients = Some((verifier(&file).unwrap(), ClientNames::new(["apiserver".to_owned()])));
    let server = serve(Setup { clients, ..Setup::default() }).await;

    let pair = |name: &str, ca: &x509::Pair| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let issuer =
            rcgen::Issuer::from_ca_cert_pem(&ca.certificate, rcgen::KeyPair::from_pem(&ca.key).unwrap()).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        x509::Pair { certificate, key: key.serialize_pem() }
    };
    let (stranger_ca, _) = certificates();
    let asks = async |client: Option<x509::Pair>| {
        let config = match client {
            Some(pair) => {
                let (chain, key) = identity(&pair);
                server.trust().with_client_auth_cert(chain, key).unwrap()
            }
            None => server.trust().with_no_client_auth(),
        };
        match dial(server.address, config).await {
            // In TLS 1.3 the client learns of a refusal only when it reads.
            Ok(stream) => Connection::over(stream).await.send(post(review("u", "www.example.com"))).await.is_ok(),
            Err(_) => false,
        }
    };
    assert!(asks(Some(pair("apiserver", &ca))).await);
    assert!(!asks(Some(pair("somebody", &ca))).await);
    assert!(!asks(Some(pair("apiserver", &stranger_ca))).await);
    assert!(!asks(None).await);
    eventually("counted", async || {
        let metrics = server.metrics();
        metrics.contains(r#"why="client_name"} 1"#) && metrics.contains(r#"why="handshake"} 2"#)
    })
    .await;
}
