use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use prometheus_client::metrics::counter::Counter;
use tower::ServiceExt as _;

use super::*;

async fn get(admin: &Arc<Admin>, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = Arc::clone(admin).router().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn not_ready_says_each_thing_that_is_missing_in_a_line() {
    let readiness = Readiness::default()
        .require(|| Err("Domains are not listed yet".to_owned()))
        .require(|| Ok(()))
        .require(|| Err("no serving certificate yet".to_owned()));
    let admin = Admin::new(readiness, Registry::default(), Shutdown::default());
    let (status, body) = get(&admin, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body, "not ready:\nDomains are not listed yet\nno serving certificate yet\n");
    assert_eq!(get(&admin, "/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
}

#[tokio::test]
async fn a_process_that_leaves_is_not_ready_and_alive_all_the_same() {
    let shutdown = Shutdown::default();
    let remarks = Readiness::default()
        .remark(|| vec!["stale: Domain objects cannot be watched for 40 s now: forbidden".to_owned()]);
    let admin = Admin::new(remarks, Registry::default(), shutdown.clone());
    let ready = get(&admin, "/readyz").await;
    assert_eq!(
        ready,
        (StatusCode::OK, "ready\nstale: Domain objects cannot be watched for 40 s now: forbidden\n".to_owned())
    );
    shutdown.advance(Phase::Leaving);
    let (status, body) = get(&admin, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("shutting down"), "{body}");
    assert_eq!(get(&admin, "/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let mut registry = Registry::default();
    let counter = Counter::<u64>::default();
    registry.register("certgate_things", "Things", counter.clone());
    counter.inc();
    let admin = Admin::new(Readiness::default(), registry, Shutdown::default());
    let (status, body) = get(&admin, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("certgate_things_total 1\n") && body.ends_with("# EOF\n"), "{body}");
}
