//! Against servers on loopback addresses that say what they are told.

use std::{net::Ipv4Addr, sync::Arc};

use certgate_lab::dns::DnsServer;
use rstest::rstest;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::core::{
    host::Host,
    policy::{Dns, Target},
    verdict::{CaIdentity, GatewayTarget},
};

const WWW: &str = "www.example.com";
/// What a filter of an unlicensed domain shows.
const PAGE: &str = "<html><body>该网站暂时无法访问：未备案</body></html>";

/// Answers every connection with the same octets; gives the port.
async fn serve(ip: &str, port: u16, says: String, tls: Option<TlsAcceptor>) -> u16 {
    let listener = TcpListener::bind((ip, port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 2048];
            match &tls {
                None => {
                    let _ = stream.read(&mut buffer).await;
                    let _ = stream.write_all(says.as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
                Some(tls) => {
                    let Ok(mut stream) = tls.accept(stream).await else { continue };
                    let _ = stream.read(&mut buffer).await;
                    let _ = stream.write_all(says.as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
            }
        }
    });
    port
}

fn http(status: &str, headers: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\n\r\n")
}

fn request(addresses: &[&str]) -> Request {
    Request {
        host: Host::parse(WWW).unwrap(),
        method: Method::Http01,
        gateway: GatewayTarget {
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
            cnames: Vec::new(),
            target: Target::Addresses,
            allow_reserved: true,
        },
        ca: CaIdentity::default(),
    }
}

fn verified(addresses: &[&str]) -> Verdict {
    Verdict {
        finding: Finding::new(Reason::Verified, WWW).observed(addresses),
        warnings: Vec::new(),
        checks: Vec::new(),
        next_check: Duration::from_secs(3600),
        validity: Duration::from_secs(7200),
    }
}

fn reach(dns: &DnsServer, mode: HttpReach, http: u16, https: u16) -> Reach {
    let policy = Dns { servers: vec![dns.addr().to_string()], timeout_seconds: 0.2, ..Dns::default() };
    Reach::new(Preflight::new(&policy).unwrap(), mode).on(Ports { http, https })
}

fn dns() -> DnsServer {
    DnsServer::start(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap()
}

async fn warned(says: String) -> Option<Finding> {
    let dns = dns();
    dns.a("other.example.com", Ipv4Addr::new(127, 0, 0, 9));
    dns.a(WWW, Ipv4Addr::LOCALHOST);
    let port = serve("127.0.0.1", 0, says, None).await;
    let reach = reach(&dns, HttpReach::Warn, port, 1);
    let verdict = reach.back(&request(&["127.0.0.1"]), verified(&["127.0.0.1"])).await;
    assert!(verdict.ready(), "a warning must not hold a host");
    verdict.warnings.into_iter().next()
}

#[rstest]
#[case::any_answer(http("404 Not Found", ""), None)]
#[case::an_answer_of_the_application(http("200 OK", "Server: app\r\n"), None)]
#[case::another_protocol("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), Some(Reason::HttpWrongServer))]
#[case::nothing_but_a_connection(String::new(), Some(Reason::HttpWrongServer))]
#[case::endless_head(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(2_000_000)), Some(Reason::HttpWrongServer))]
#[case::see_other(http("303 See Other", "Location: /x\r\n"), Some(Reason::HttpBadRedirect))]
#[case::a_port_that_is_not_followed(
    http("301 Moved", "Location: http://www.example.com:8080/\r\n"),
    Some(Reason::HttpBadRedirect)
)]
#[case::another_scheme(http("301 Moved", "Location: ftp://www.example.com/\r\n"), Some(Reason::HttpBadRedirect))]
#[case::a_name_without_address(
    http("301 Moved", "Location: http://gone.example.com/\r\n"),
    Some(Reason::HttpBadRedirect)
)]
#[case::another_server(http("301 Moved", "Location: http://other.example.com/\r\n"), Some(Reason::HttpBadRedirect))]
#[case::a_clouds_filter(http("403 Forbidden", "Server: Beaver\r\n"), Some(Reason::HttpBlocked))]
#[case::a_notice(
    http("302 Found", "Location: https://dnspod.qcloud.com/static/webblock.html?d=x\r\n"),
    Some(Reason::HttpBlocked)
)]
#[case::a_page_that_says_so(
    format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{PAGE}", PAGE.len()), Some(Reason::HttpBlocked)
)]
#[case::a_page_that_breaks_off(
    format!("HTTP/1.1 403 Forbidden\r\nContent-Length: 9000\r\n\r\n{PAGE}"), Some(Reason::HttpBlocked)
)]
#[case::a_refusal_of_the_applications(http("403 Forbidden", "Server: app\r\n"), None)]
#[case::a_redirect_to_a_closed_port(
    http("301 Moved", "Location: https://www.example.com/\r\n"),
    Some(Reason::HttpBadRedirect)
)]
#[tokio::test]
async fn an_answer_is_told_from_what_is_none(#[case] says: String, #[case] expected: Option<Reason>) {
    let found = warned(says).await;
    assert_eq!(found.as_ref().map(|finding| finding.reason), expected, "{found:?}");
}

#[tokio::test]
async fn a_closed_port_is_told_and_blocks_if_policy_says_so() {
    let dns = dns();
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let (request, addresses) = (request(&["127.0.0.1"]), ["127.0.0.1"]);
    let warn = reach(&dns, HttpReach::Warn, port, 1).back(&request, verified(&addresses)).await;
    assert!(warn.ready());
    assert_eq!(warn.warnings.first().map(|w| w.reason), Some(Reason::HttpUnreachable));
    assert_eq!(warn.warnings.first().map(|w| w.note.as_str()), Some("127.0.0.1: connection refused"));
    let block = reach(&dns, HttpReach::Block, port, 1).back(&request, verified(&addresses)).await;
    assert_eq!(block.finding.reason, Reason::HttpUnreachable);
    let off = reach(&dns, HttpReach::Off, port, 1).back(&request, verified(&addresses)).await;
    assert_eq!(off, verified(&addresses));
}

#[tokio::test]
async fn a_redirect_that_fails_is_told_as_what_failed() {
    let found = warned(http("301 Moved", "Location: https://www.example.com/\r\n")).await.unwrap();
    assert_eq!(found.note, "127.0.0.1: redirected to https://www.example.com: 127.0.0.1:1: connection refused");
    assert_eq!(found.who_acts(), crate::core::reason::WhoActs::DomainOwner);
}

/// Refuses one host, as a filter on the way does, and answers as the gateway to any other.
#[tokio::test]
async fn a_filter_that_knows_the_host_is_told_by_what_the_gateway_says_to_others() {
    let dns = dns();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 2048];
            let length = stream.read(&mut buffer).await.unwrap_or_default();
            let known = String::from_utf8_lossy(&buffer[..length]).to_lowercase().contains("host: www.example.com");
            let says = if known {
                http("403 Forbidden", "Server: filter\r\n")
            } else {
                http("404 Not Found", "Server: openresty\r\n")
            };
            let _ = stream.write_all(says.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    let reach = reach(&dns, HttpReach::Block, port, 1);
    let verdict = reach.back(&request(&["127.0.0.1"]), verified(&["127.0.0.1"])).await;
    assert_eq!(verdict.finding.reason, Reason::HttpBlocked, "{verdict:#?}");
    assert_eq!(verdict.finding.note, "127.0.0.1: 403 (filter), where the gateway answers 404 (openresty)");
}

#[tokio::test]
async fn a_loop_of_redirects_ends() {
    let dns = dns();
    dns.a(WWW, Ipv4Addr::LOCALHOST);
    let port = serve("127.0.0.1", 0, http("302 Found", "Location: /again\r\n"), None).await;
    let verdict = reach(&dns, HttpReach::Warn, port, 1).back(&request(&["127.0.0.1"]), verified(&["127.0.0.1"])).await;
    let note = verdict.warnings.first().map(|w| w.note.clone()).unwrap_or_default();
    assert!(note.ends_with("redirect loop"), "{note}");
}

#[tokio::test]
async fn https_is_followed_whatever_the_certificate() {
    let dns = dns();
    dns.a(WWW, Ipv4Addr::LOCALHOST);
    let key = rcgen::generate_simple_self_signed(["someone.else.example".to_owned()]).unwrap();
    let certificate = key.cert.der().clone();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private)
        .unwrap();
    let https = serve("127.0.0.1", 0, http("404 Not Found", ""), Some(TlsAcceptor::from(Arc::new(config)))).await;
    let location = format!("Location: https://{WWW}:{https}/x\r\n");
    let port = serve("127.0.0.1", 0, http("301 Moved", &location), None).await;
    let verdict =
        reach(&dns, HttpReach::Warn, port, https).back(&request(&["127.0.0.1"]), verified(&["127.0.0.1"])).await;
    assert_eq!(verdict.warnings, Vec::new());
    assert_eq!(verdict.checks.last().map(|c| c.detail.as_str()), Some("127.0.0.1: 404"));
}

#[tokio::test]
async fn addresses_served_by_different_software_are_told_apart() {
    let dns = dns();
    let port = serve("127.0.0.2", 0, http("404 Not Found", "Server: nginx\r\n"), None).await;
    serve("127.0.0.3", port, http("404 Not Found", "Server: Apache\r\n"), None).await;
    let both = ["127.0.0.2", "127.0.0.3"];
    let verdict = reach(&dns, HttpReach::Warn, port, 1).back(&request(&both), verified(&both)).await;
    let finding = verdict.warnings.first().unwrap();
    assert_eq!(finding.reason, Reason::HttpWrongServer);
    assert_eq!(finding.observed, ["127.0.0.2: nginx", "127.0.0.3: Apache"]);
}

#[rstest]
#[case::a_parking_page(
    "200 OK",
    "Server: parking\r\n",
    Some("127.0.0.3: 200 (parking); the gateway at 127.0.0.2: 404 (openresty)")
)]
#[case::the_gateway_itself("404 Not Found", "Server: openresty\r\n", None)]
#[tokio::test]
async fn where_any_address_will_do_a_foreign_server_is_told_by_what_the_gateway_says(
    #[case] status: &str,
    #[case] server: &str,
    #[case] expected: Option<&str>,
) {
    let dns = dns();
    let port = serve("127.0.0.2", 0, http("404 Not Found", "Server: openresty\r\n"), None).await;
    serve("127.0.0.3", port, http(status, server), None).await;
    let mut request = request(&["127.0.0.2"]);
    request.gateway.target = Target::AnyPublic;
    for mode in [HttpReach::Warn, HttpReach::Block] {
        let verdict = reach(&dns, mode, port, 1).back(&request, verified(&["127.0.0.3"])).await;
        assert!(verdict.ready(), "a CDN may stand in front, so it never blocks");
        assert_eq!(verdict.warnings.first().map(|warning| warning.note.as_str()), expected);
    }
}

#[tokio::test]
async fn a_redirect_into_the_cluster_is_not_followed() {
    let dns = dns();
    dns.a("rebind.example.com", Ipv4Addr::new(127, 0, 0, 5));
    let port = serve("127.0.0.1", 0, http("301 Moved", "Location: http://rebind.example.com/\r\n"), None).await;
    let listener = TcpListener::bind(("127.0.0.5", port)).await.unwrap();
    // The first address is the gateway's own by policy; what follows is judged as strictly as outside of labs.
    let mut request = request(&["127.0.0.1"]);
    request.gateway.allow_reserved = false;
    let verdict = reach(&dns, HttpReach::Warn, port, 1).back(&request, verified(&["127.0.0.1"])).await;
    assert_eq!(verdict.warnings.first().map(|w| w.reason), Some(Reason::HttpBadRedirect));
    let connected = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(connected.is_err(), "a private address was connected to");
}

#[tokio::test]
async fn a_reserved_address_that_is_not_the_gateways_is_not_connected_to() {
    let dns = dns();
    let listener = TcpListener::bind("127.0.0.6:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut request = request(&[]);
    request.gateway.target = Target::AnyPublic;
    request.gateway.allow_reserved = false;
    let verdict = reach(&dns, HttpReach::Warn, port, 1).back(&request, verified(&["127.0.0.6"])).await;
    assert_eq!(verdict.warnings, Vec::new());
    let connected = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(connected.is_err(), "a private address was connected to");
}
