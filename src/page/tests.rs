use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::status::rows;

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn domain(namespace: &str, host: &str, reason: &str, ready: bool) -> Value {
    let word = if ready { "True" } else { "False" };
    let condition = |kind: &str| json!({"type": kind, "status": word, "reason": reason, "message": "", "lastTransitionTime": "2026-11-24T10:00:00Z"});
    json!({
        "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
        "metadata": {"namespace": namespace, "name": host, "creationTimestamp": "2026-11-20T10:00:00Z"},
        "spec": {"host": host},
        "status": {
            "conditions": [condition("Verified"), condition("Issued"), condition("Ready")],
            "verdict": {"reason": reason, "subject": host},
            "observed": ["198.51.100.9"], "required": ["203.0.113.7"],
            "nextCheckTime": "2026-11-24T12:00:30Z", "lead": "web",
            "certificate": {"name": "certgate-x", "secretName": "certgate-x", "notAfter": "2026-12-24T12:00:00Z"},
        },
    })
}

fn read(domains: Vec<Value>) -> Vec<Row> {
    rows(&domains.into_iter().map(|domain| serde_json::from_value(domain).unwrap()).collect::<Vec<_>>())
}

fn some() -> Vec<Row> {
    read(vec![
        domain("team-a", "www.example.com", "WrongTarget", false),
        domain("team-a", "new.example.com", "Pending", false),
        domain("team-b", "shop.example.com", "Issued", true),
    ])
}

fn fresh(rows: Vec<Row>) -> Seen {
    Seen { rows: Some(Arc::new(rows)), stale_since: None }
}

fn page(rows: Vec<Row>) -> Router {
    let (_, seen) = watch::channel(fresh(rows));
    Page::new(seen).router()
}

async fn get(router: Router, address: &str, language: &str) -> (StatusCode, HeaderMap, String) {
    let request = http::Request::get(address)
        .header(HOST, "127.0.0.1")
        .header(ACCEPT_LANGUAGE, language)
        .body(axum::body::Body::empty())
        .unwrap();
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn frame(lang: Lang) -> Frame {
    Frame { lang, signed_in: false, stale_since: None }
}

/// The page without style and script, a tag a line.
fn bare(page: &str) -> String {
    let live = page.split("<body>").nth(1).unwrap().split("<script>").next().unwrap();
    live.replace("><", ">\n<")
}

#[test]
fn the_overview_shows_counts_lists_and_every_host() {
    let page = overview::render(&some(), &Query::read(""), frame(Lang::En), now()).0;
    insta::assert_snapshot!(bare(&page));
}

#[test]
fn a_hosts_page_shows_what_is_seen_and_what_is_needed() {
    insta::assert_snapshot!(bare(&host::render(&some()[0], frame(Lang::ZhCn), now()).0));
}

#[tokio::test]
async fn every_answer_forbids_what_is_not_the_pages_own() {
    for address in ["/", "/host/team-a/www.example.com", "/host/no/such", "/?q=%3Cscript%3E"] {
        let (_, headers, body) = get(page(some()), address, "en").await;
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!body.contains("style=") && !body.contains(" onclick"), "nothing inline that the policy would stop");
        // What is not of this page cannot be linked or loaded.
        assert!(!body.contains("href=\"http") && !body.contains("src=\"http"));
    }
}

#[tokio::test]
async fn hostile_names_and_messages_are_inert() {
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let mut hostile = domain("team-a", "www.example.com", "WrongTarget", false);
    hostile["metadata"]["name"] = json!(evil);
    hostile["metadata"]["namespace"] = json!("\"><svg onload=alert(1)>");
    hostile["spec"]["host"] = json!(evil);
    hostile["status"]["observed"] = json!([evil]);
    hostile["status"]["required"] = json!([evil]);
    hostile["status"]["warnings"] = json!([evil]);
    hostile["status"]["lead"] = json!("javascript:alert(1)");
    let rows = read(vec![hostile]);
    let search = format!("/?q={}", url::form_urlencoded::byte_serialize(evil.as_bytes()).collect::<String>());
    let host = host::render(&rows[0], frame(Lang::En), now()).0;
    for body in [get(page(rows.clone()), "/", "en").await.2, get(page(rows), &search, "en").await.2, host] {
        assert_eq!(body.matches("<script").count(), 1, "the page's own script alone");
        assert!(!body.contains("<img") && !body.contains("<svg onload") && !body.contains("href=\"javascript"));
    }
}

#[tokio::test]
async fn the_browsers_language_counts_unless_the_address_names_one() {
    for (address, header, expected) in [
        ("/", "zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("/", "en-US,zh;q=0.5", "en"),
        ("/", "fr, zh;q=0.3, en;q=0.2", "zh-CN"),
        ("/", "", "en"),
        ("/?lang=en", "zh-CN", "en"),
        ("/?lang=zh", "en", "zh-CN"),
    ] {
        let (_, headers, body) = get(page(some()), address, header).await;
        assert_eq!(headers[CONTENT_LANGUAGE], expected, "{address} {header}");
        assert!(body.contains(&format!("<html lang=\"{expected}\">")));
    }
}

#[tokio::test]
async fn hosts_are_searched_and_filtered_without_a_script() {
    for (query, expected) in [
        ("q=SHOP", &["shop.example.com"][..]),
        ("q=team-a", &["new.example.com", "www.example.com"]),
        ("state=ready", &["shop.example.com"]),
        ("state=waiting&who=domain-owner", &["www.example.com"]),
        ("q=nothing", &[]),
    ] {
        let body = get(page(some()), &format!("/?{query}"), "en").await.2;
        let table = body.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
        let mut found: Vec<&str> = ["new.example.com", "shop.example.com", "www.example.com"]
            .into_iter()
            .filter(|host| table.contains(&format!(">{host}</a>")))
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn what_is_not_listed_yet_is_no_empty_cluster() {
    let (_, seen) = watch::channel(Seen::default());
    let router = Page::new(seen).router();
    for address in ["/", "/host/team-a/www.example.com"] {
        let (status, _, body) = get(router.clone(), address, "en").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{address}");
        assert!(body.contains(words::EN.loading), "{address}");
    }
    assert_eq!(get(page(some()), "/host/team-a/none", "en").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_no_longer_up_to_date_says_since_when_on_every_page_that_follows() {
    let en = "<p class=\"says bad\">What is shown is as of 2026-11-24 12:00 UTC: nothing newer could be read from the API server since. certgate keeps trying.</p>";
    let zh =
        "<p class=\"says bad\">所示内容截至 2026-11-24 12:00 UTC：此后未能从 API 服务器获取更新，正在持续重试。</p>";
    let (listed, unlisted) = (Some(Arc::new(some())), None);
    for (rows, address, language, stale_since, says) in [
        (&listed, "/", "en", Some(now()), en),
        (&listed, "/", "zh", Some(now()), zh),
        (&listed, "/", "en", None, ""),
        (&listed, "/host/team-a/www.example.com", "zh", Some(now()), zh),
        (&listed, "/host/team-a/www.example.com", "zh", None, ""),
        (&listed, "/host/no/such", "en", Some(now()), en),
        (&unlisted, "/", "en", Some(now()), en),
        (&unlisted, "/", "zh", None, ""),
    ] {
        let (_, seen) = watch::channel(Seen { rows: rows.clone(), stale_since });
        let body = get(Page::new(seen).router(), address, language).await.2;
        let region = format!("<div id=\"stale\" role=\"status\">{says}</div><div id=\"live\">");
        assert!(body.contains(&region), "{address} {language} {stale_since:?}: {}", bare(&body));
    }
}

#[tokio::test]
async fn a_change_is_told_to_those_who_follow() {
    let (tell, seen) = watch::channel(fresh(some()));
    let request = http::Request::get("/events").header(HOST, "localhost").body(axum::body::Body::empty()).unwrap();
    let mut body = Page::new(seen).router().oneshot(request).await.unwrap().into_body();
    for seen in [fresh(vec![]), Seen { stale_since: Some(now()), ..fresh(vec![]) }, fresh(vec![])] {
        tell.send_replace(seen);
        let frame = tokio::time::timeout(Duration::from_secs(60), body.frame()).await.unwrap().unwrap().unwrap();
        let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
        assert!(text.contains("event: change\n") && text.contains("data: rows\n"), "{text}");
    }
}

#[tokio::test]
async fn a_refused_token_is_explained_at_its_field_and_nothing_is_followed() {
    let (service, _handle) =
        tower_test::mock::pair::<http::Request<kube::client::Body>, Response<kube::client::Body>>();
    let tokens = Tokens::new(kube::Client::new(service, "default"));
    let (_, seen) = watch::channel(fresh(some()));
    let router = Page::new(seen).guarded(tokens).router();
    let (status, headers, first) = get(router.clone(), "/", "en").await;
    assert_eq!(
        (status, headers[http::header::WWW_AUTHENTICATE].to_str().unwrap()),
        (StatusCode::UNAUTHORIZED, "Bearer")
    );
    assert!(first.contains("aria-describedby=\"token-hint\"") && !first.contains("role=\"alert\""), "{first}");

    // No token at all by its form, so the cluster is not asked.
    let post = http::Request::post("/login")
        .header(HOST, "localhost")
        .body(axum::body::Body::from("token=%3Cb%3E&lang=zh"))
        .unwrap();
    let answer = router.clone().oneshot(post).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let form = body.split("<form class=\"sign-in\"").nth(1).unwrap().split("</form>").next().unwrap();
    assert!(form.contains("aria-invalid=\"true\" aria-describedby=\"token-trouble token-hint\""), "{form}");
    assert!(form.contains(&format!("id=\"token-trouble\" role=\"alert\">{}<", words::ZH.refused)), "{form}");
    // A live part would be asked for anew, by an address that takes forms alone.
    assert!(!body.contains("id=\"live\""), "{body}");
    let (status, headers, _) = get(router, "/login", "en").await;
    assert_eq!((status, headers[http::header::LOCATION].to_str().unwrap()), (StatusCode::SEE_OTHER, "/"));
}

#[test]
fn each_page_lists_a_hundred_of_ten_thousand() {
    let rows =
        read((0..10_000).map(|n| domain("team", &format!("h{n:05}.example.com"), "WrongTarget", n % 2 == 0)).collect());
    let page = overview::render(&rows, &Query::read("page=3&state=waiting"), frame(Lang::En), now()).0;
    assert_eq!(page.matches("<th scope=\"row\">").count(), overview::PER_PAGE);
    assert!(page.contains("3 / 50") && page.contains("page=4"));
    assert!(page.contains("201 to 300 of 5000, out of 10000 hosts") && page.contains("rel=\"last\""));
    // What is sent does not grow with the number of hosts.
    assert!(page.len() < 200_000, "{} octets", page.len());
}

#[test]
fn days_are_counted_where_certificates_came() {
    let days = plot::by_day(&some(), now());
    assert_eq!(days.len(), 14);
    assert_eq!(days.last().map(|(day, count)| (day.to_string(), *count)), Some(("2026-11-24".to_owned(), 1)));
    assert_eq!(days.iter().map(|(_, count)| count).sum::<usize>(), 1);
}
