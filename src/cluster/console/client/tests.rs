//! Against a server that says what it is told, with the console's shape of answers.

use std::{collections::VecDeque, sync::Mutex};

use rstest::rstest;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;

const REGION: &str = "rainbond";
type Asked = std::sync::Arc<Mutex<Vec<String>>>;

fn rule(id: &str, flagged: bool) -> Value {
    json!({"http_rule_id": id, "domain_name": format!("{id}.example.com"), "region_name": REGION, "team_name": "t1",
        "auto_ssl": flagged, "app_id": 1, "certificate_id": 0})
}

fn ok(body: &Value, headers: &str) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Answers each connection with the next of `answers`, then closes it. Gives the address and what was asked.
async fn serve(answers: Vec<String>, tls: Option<TlsAcceptor>) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Asked::default();
    let (noted, mut answers) = (asked.clone(), VecDeque::from(answers));
    let scheme = if tls.is_some() { "https" } else { "http" };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            match &tls {
                None => speak(stream, &noted, &mut answers).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        speak(stream, &noted, &mut answers).await;
                    }
                }
            }
        }
    });
    (format!("{scheme}://localhost:{}", address.port()), asked)
}

async fn speak<S>(mut stream: S, asked: &Asked, answers: &mut VecDeque<String>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut head = vec![0; 4096];
    let length = stream.read(&mut head).await.unwrap_or(0);
    asked.lock().unwrap().push(String::from_utf8_lossy(&head[..length]).into_owned());
    let answer = answers.pop_front().unwrap_or_default().replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn token() -> Credentials {
    Credentials { token: b"secret-token\n".to_vec(), ca: None }
}

fn ids(rules: &Rules) -> Vec<&str> {
    rules.rules.iter().map(|rule| rule.id.as_str()).collect()
}

#[tokio::test]
async fn flags_are_asked_for_with_the_token() {
    let (url, asked) = serve(vec![ok(&json!([rule("a", true), rule("b", true)]), "")], None).await;
    let mut console = Console::new(&format!("{url}/"), REGION, &token()).unwrap();
    assert_eq!(ids(&console.flagged().await.unwrap()), ["a", "b"]);
    let asked = asked.lock().unwrap();
    assert!(asked[0].starts_with("GET /openapi/v1/httpdomains?auto_ssl=true HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(asked[0].contains("authorization: secret-token\r\n"), "{}", asked[0]);
}

#[tokio::test]
async fn what_is_unchanged_does_not_travel_again() {
    let unchanged = "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n".to_owned();
    let (url, asked) = serve(vec![ok(&json!([rule("a", true)]), "ETag: \"1\"\r\n"), unchanged], None).await;
    let mut console = Console::new(&url, REGION, &token()).unwrap();
    assert_eq!(ids(&console.flagged().await.unwrap()), ["a"]);
    assert_eq!(ids(&console.flagged().await.unwrap()), ["a"]);
    assert!(asked.lock().unwrap()[1].contains("if-none-match: \"1\"\r\n"));
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let page = |ids: &[&str]| {
        let list: Vec<Value> = ids.iter().map(|id| rule(id, true)).collect();
        ok(&json!({"list": list, "total": 5}), "")
    };
    let (url, asked) = serve(vec![page(&["a", "b"]), page(&["c", "d"]), page(&["e"])], None).await;
    let mut console = Console::new(&url, REGION, &token()).unwrap();
    assert_eq!(ids(&console.flagged().await.unwrap()), ["a", "b", "c", "d", "e"]);
    assert!(asked.lock().unwrap()[2].contains("?auto_ssl=true&page=3&page_size=2 "));
}

#[rstest]
#[case::an_empty_page(&["c"], &[], 5)]
#[case::a_page_that_was_there_already(&["a", "b"], &["c"], 5)]
#[case::more_than_was_said(&["c", "d"], &["e", "f"], 5)]
#[tokio::test]
async fn pages_that_do_not_fit_together_are_no_answer(
    #[case] second: &[&str],
    #[case] third: &[&str],
    #[case] total: usize,
) {
    let page = |ids: &[&str]| {
        let list: Vec<Value> = ids.iter().map(|id| rule(id, true)).collect();
        ok(&json!({"list": list, "total": total}), "")
    };
    let (url, _) = serve(vec![page(&["a", "b"]), page(second), page(third)], None).await;
    let error = Console::new(&url, REGION, &token()).unwrap().flagged().await.unwrap_err();
    assert!(matches!(error, ConsoleError::Changed), "{error}");
}

#[rstest]
#[case::closed_at_once("", "unreachable")]
#[case::cut_short("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[{\"http_rule_id\":", "unusable")]
#[case::half_a_list("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[{", "unusable")]
#[case::a_login_page("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "unusable")]
#[case::a_wrong_token("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "refused")]
#[case::its_own_trouble("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "failing")]
#[case::unchanged_though_nobody_asked("HTTP/1.1 304 Not Modified\r\n\r\n", "failing")]
#[case::a_redirect("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "failing")]
#[tokio::test]
async fn what_is_no_answer_is_told_apart(#[case] answer: &str, #[case] kind: &str) {
    let (url, _) = serve(vec![answer.to_owned()], None).await;
    let error = Console::new(&url, REGION, &token()).unwrap().flagged().await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
}

#[tokio::test]
async fn a_console_that_has_no_time_is_left_alone_for_as_long_as_it_asks() {
    let busy = "HTTP/1.1 429 Too Many\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n".to_owned();
    let (url, _) = serve(vec![busy], None).await;
    let error = Console::new(&url, REGION, &token()).unwrap().flagged().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(120)));
}

#[tokio::test]
async fn a_console_that_stops_in_the_middle_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stalls = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[").await;
        std::future::pending::<()>().await;
    });
    let mut console = Console::new(&url, REGION, &token()).unwrap();
    console.timeout = Duration::from_millis(200);
    let error = console.flagged().await.unwrap_err();
    assert!(matches!(error, ConsoleError::Timeout), "{error}");
    stalls.abort();
}

#[tokio::test]
async fn a_certificate_is_verified() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let private = rustls_pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    let answers = vec![ok(&json!([rule("a", true)]), "")];
    let (url, asked) = serve(answers, Some(TlsAcceptor::from(std::sync::Arc::new(config)))).await;
    let stranger = Console::new(&url, REGION, &token()).unwrap().flagged().await.unwrap_err();
    assert_eq!(stranger.kind(), "unreachable");
    assert!(stranger.to_string().contains("certificate"), "{stranger}");
    assert_eq!(asked.lock().unwrap().len(), 0, "the token went to a stranger");
    let trusted = Credentials { ca: Some(key.cert.pem().into_bytes()), ..token() };
    assert_eq!(ids(&Console::new(&url, REGION, &trusted).unwrap().flagged().await.unwrap()), ["a"]);
}

#[rstest]
#[case::no_token(b"  \n", None, "token")]
#[case::two_lines(b"a\nb", None, "token")]
#[case::no_certificate(b"a", Some(&b"nothing"[..]), "ca.crt")]
fn unusable_secrets_are_named(#[case] token: &[u8], #[case] ca: Option<&[u8]>, #[case] names: &str) {
    let credentials = Credentials { token: token.to_vec(), ca: ca.map(<[u8]>::to_vec) };
    let error = Console::new("https://console.example.com", REGION, &credentials).err().unwrap().to_string();
    assert!(error.contains(names), "{error}");
}
