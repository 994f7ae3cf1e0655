//! Signing in, as a person does: a token that is refused, one that is good, and out again.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use axum::{Router, body::Bytes, routing::post};
use certgate::page::{Seen, access::Tokens};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use super::{axe, folder, serve_as};
use crate::browser::{Browser, DESK, Device, PHONE};

/// May list Domains.
const GOOD: &str = "good.token";
/// Is an account, but may not.
const STRANGER: &str = "strangers.token";

/// An API server that knows two tokens, and who of them may list Domains.
async fn accounts() -> Result<SocketAddr> {
    let whose = async |review: Value| {
        let token = &review["spec"]["token"];
        let known = token == GOOD || token == STRANGER;
        let user = json!({"username": if token == GOOD { "viewer" } else { "stranger" }});
        reviewed("authentication.k8s.io/v1", "TokenReview", &json!({"authenticated": known, "user": user}))
    };
    let may = async |review: Value| {
        let asked = &review["spec"]["resourceAttributes"];
        let allowed = review["spec"]["user"] == "viewer" && asked["resource"] == "domains" && asked["verb"] == "list";
        reviewed("authorization.k8s.io/v1", "SubjectAccessReview", &json!({"allowed": allowed}))
    };
    let read = |body: Bytes| serde_json::from_slice(&body).unwrap_or_default();
    let router = Router::new()
        .route("/apis/authentication.k8s.io/v1/tokenreviews", post(async move |body| whose(read(body)).await))
        .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(async move |body| may(read(body)).await));
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    tokio::spawn(async move { axum::serve(socket, router).await });
    Ok(address)
}

fn reviewed(version: &str, kind: &str, status: &Value) -> String {
    json!({"apiVersion": version, "kind": kind, "metadata": {}, "spec": {}, "status": status}).to_string()
}

async fn guarded(api: SocketAddr) -> Result<(SocketAddr, watch::Sender<Seen>)> {
    let client = Client::try_from(Config::new(format!("http://{api}").parse()?))?;
    serve_as(|page| page.guarded(Tokens::new(client))).await
}

/// Types a token and presses the button.
async fn enter(browser: &mut Browser, token: &str) -> Result<()> {
    let typed = format!("window.left = true; document.querySelector('[name=token]').value = '{token}'; 0");
    browser.evaluate(&typed).await?;
    browser.evaluate("document.querySelector('main form button').click()").await?;
    browser.until("!window.left && document.readyState === 'complete'").await
}

/// What answered, and what the field says of itself to who cannot see it.
async fn field(browser: &mut Browser) -> Result<Value> {
    browser
        .evaluate(
            "(() => { let field = document.querySelector('main form [name=token]'); \
             let parts = field.getAttribute('aria-describedby').split(' ').map(id => document.getElementById(id)); \
             return {status: performance.getEntriesByType('navigation')[0].responseStatus, \
             invalid: field.getAttribute('aria-invalid'), typed: field.value, live: !!document.getElementById('live'), \
             within: parts.every(part => part && field.form.contains(part)), \
             says: parts.map(part => part.textContent).join(' ')}; })()",
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and npm: make page"]
async fn signing_in_is_accessible_and_a_refusal_is_explained_at_the_field() -> Result<()> {
    let (address, _tell) = guarded(accounts().await?).await?;
    let folder = folder()?;
    let axe = axe::script(&folder)?;
    let mut browser = Browser::start().await?;
    for (lang, tag, refusal) in [("en", "en", "does not take this token"), ("zh", "zh-CN", "集群不接受该令牌")]
    {
        for device in [DESK, Device { dark: true, ..DESK }, PHONE, Device { dark: true, ..PHONE }] {
            let view = |name: &str| format!("{name}-{lang}-{}{}", device.width, if device.dark { "-dark" } else { "" });
            browser.open(&format!("http://{address}/?lang={lang}"), device).await?;
            let asked = field(&mut browser).await?;
            ensure!(asked["status"] == 401 && asked["within"] == true && asked["invalid"].is_null(), "{asked}");
            ensure!(browser.evaluate("document.querySelector('[role=alert]')").await?.is_null(), "trouble before any");
            browser.draw(&folder.join(format!("{}.png", view("sign-in")))).await?;
            axe::finds_nothing(&mut browser, &axe, &view("sign-in")).await?;

            for token in ["no.such.token", STRANGER] {
                enter(&mut browser, token).await?;
                let refused = field(&mut browser).await?;
                let bound = refused["within"] == true && refused["invalid"] == "true" && refused["status"] == 401;
                ensure!(bound && refused["says"].as_str().is_some_and(|says| says.contains(refusal)), "{refused}");
                ensure!(refused["typed"] == "" && refused["live"] == false, "{refused}");
                ensure!(browser.evaluate("document.documentElement.lang").await? == json!(tag), "the language is lost");
            }
            browser.draw(&folder.join(format!("{}.png", view("refused")))).await?;
            axe::finds_nothing(&mut browser, &axe, &view("refused")).await?;

            enter(&mut browser, GOOD).await?;
            browser.until("document.getElementById('pulse').className === 'good'").await?;
            ensure!(
                browser.evaluate("document.body.innerText.includes('www.example.com')").await? == json!(true),
                "{lang}"
            );
            ensure!(browser.evaluate("document.documentElement.lang").await? == json!(tag), "the language is lost");
            browser.draw(&folder.join(format!("{}.png", view("signed-in")))).await?;
            axe::finds_nothing(&mut browser, &axe, &view("signed-in")).await?;

            browser.evaluate("document.querySelector('header form button').click()").await?;
            browser
                .until("document.querySelector('[name=token]') !== null && document.readyState === 'complete'")
                .await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and npm: make page"]
async fn a_cluster_that_cannot_be_asked_is_no_refusal() -> Result<()> {
    let (address, _tell) = guarded(SocketAddr::from(([127, 0, 0, 1], 1))).await?;
    let folder = folder()?;
    let axe = axe::script(&folder)?;
    let mut browser = Browser::start().await?;
    browser.open(&format!("http://{address}/?lang=en"), DESK).await?;
    enter(&mut browser, GOOD).await?;
    let asked = field(&mut browser).await?;
    ensure!(asked["status"] == 503 && asked["invalid"].is_null() && asked["within"] == true, "{asked}");
    ensure!(asked["says"].as_str().is_some_and(|says| says.contains("cannot be asked")), "{asked}");
    browser.draw(&folder.join("cannot-ask-en.png")).await?;
    axe::finds_nothing(&mut browser, &axe, "cannot-ask-en").await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: make page"]
async fn whose_token_ends_while_following_is_asked_to_sign_in_again() -> Result<()> {
    let (address, tell) = guarded(accounts().await?).await?;
    let mut browser = Browser::start().await?;
    browser.open(&format!("http://{address}/?lang=en"), DESK).await?;
    enter(&mut browser, GOOD).await?;
    browser.until("document.getElementById('pulse').className === 'good'").await?;
    browser.ask("Network.clearBrowserCookies", json!({})).await?;
    tell.send_modify(|_| ());
    browser.until("document.querySelector('main form [name=token]') !== null").await
}
