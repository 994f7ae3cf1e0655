//! The status page in a real browser: what it looks like, and that nothing
//! hostile runs in it. Needs Chromium (Debian's package), so it runs when asked
//! for: `make page`. The pictures are left in `target/page` to be looked at.

#![allow(clippy::indexing_slicing, reason = "a test may end by panicking")]

#[path = "page/axe.rs"]
mod axe;
#[path = "support/browser.rs"]
mod browser;
#[path = "page/sign_in.rs"]
mod sign_in;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Result, ensure};
use browser::{Browser, DESK, Device, PHONE};
use certgate::{
    api::domain::Domain,
    page::{Page, Seen},
    status::rows,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

const HOSTILE: &str = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";

fn domain(namespace: &str, host: &str, reason: &str, day: u8) -> Value {
    let ready = matches!(reason, "Issued" | "BoundExisting");
    let verified = ready || matches!(reason, "Issuing" | "CaRateLimited" | "CaPaused" | "ChallengeFailed");
    let word = |yes: bool| if yes { "True" } else { "False" };
    let now = jiff::Timestamp::now();
    let ago = |hours: i64| now - jiff::SignedDuration::from_hours(hours);
    let since = ago(i64::from(day) * 24 + 3);
    let condition = |kind: &str, yes: bool| json!({"type": kind, "status": word(yes), "reason": reason, "message": "", "lastTransitionTime": since});
    let mut object = json!({
        "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
        "metadata": {"namespace": namespace, "name": host.replace('*', "wildcard"), "creationTimestamp": ago(24 * 20)},
        "spec": {"host": host},
        "status": {
            "conditions": [condition("Verified", verified), condition("Issued", ready), condition("Ready", ready)],
            "verdict": {"reason": if verified { "Verified" } else { reason }, "subject": host},
            "issuance": {"reason": reason, "note": if reason == "CaRateLimited" { "2026-11-25 13:37 UTC" } else { "" },
                "observed": if reason == "CaRateLimited" { json!(["too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s"]) } else { json!([]) }},
            "observed": ["198.51.100.9"], "required": ["203.0.113.7", "2001:db8::7"],
            "lastCheckTime": ago(0), "nextCheckTime": now + jiff::SignedDuration::from_secs(45), "lead": "shop-web-1",
        },
    });
    if reason == "CaaForbids" {
        object["status"]["observed"] =
            json!(["0 issue \"other-ca.example\"", "0 iodef \"mailto:security@example.cn\""]);
        object["status"]["required"] = json!([format!("{host}. CAA 0 issue \"letsencrypt.org\"")]);
    }
    if verified {
        object["status"]["releasedSince"] = json!(since + jiff::SignedDuration::from_secs(4));
        object["status"]["verdict"]["issuer"] = json!({"kind": "ClusterIssuer", "name": "letsencrypt"});
    }
    if ready {
        object["status"]["certificate"] = json!({"name": "certgate-x", "secretName": "certgate-x", "notAfter": now + jiff::SignedDuration::from_hours(24 * (80 - i64::from(day) * 5))});
    }
    object
}

/// The page's address, and the way to change what it shows.
async fn serve() -> Result<(SocketAddr, watch::Sender<Seen>)> {
    serve_as(|page| page).await
}

async fn serve_as(change: impl FnOnce(Page) -> Page) -> Result<(SocketAddr, watch::Sender<Seen>)> {
    serve_of(some(), change).await
}

fn some() -> Vec<Value> {
    let mut domains = vec![
        domain("team-a", "www.example.com", "WrongTarget", 2),
        domain("team-a", "new.example.com", "DomainNotFound", 0),
        domain("team-b", "shop.example.cn", "CaaForbids", 1),
        domain("team-b", "slow.example.com", "CaRateLimited", 0),
        domain("team-c", "api.example.net", "ChallengeFailed", 3),
        domain("team-c", "xn--fiq228c.example.com", "Issuing", 0),
        domain("team-d", "*.apps.example.com", "IssuerMissing", 6),
    ];
    let mut hostile = domain("evil", "evil.example.com", "WrongTarget", 1);
    hostile["status"]["observed"] = json!([HOSTILE]);
    hostile["status"]["warnings"] = json!([HOSTILE]);
    hostile["spec"]["host"] = json!(HOSTILE);
    domains.push(hostile);
    domains.extend((0..40).map(|n| domain("team-e", &format!("app-{n}.example.org"), "Issued", n % 13)));
    domains
}

async fn serve_of(domains: Vec<Value>, change: impl FnOnce(Page) -> Page) -> Result<(SocketAddr, watch::Sender<Seen>)> {
    let domains: Vec<Domain> = domains.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?;
    let (tell, seen) = watch::channel(Seen { rows: Some(Arc::new(rows(&domains))), stale_since: None });
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    tokio::spawn(change(Page::new(seen)).serve(socket));
    Ok((address, tell))
}

fn folder() -> Result<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/page");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and npm: make page"]
async fn every_view_is_accessible_and_drawn_in_both_languages_and_colour_schemes() -> Result<()> {
    let (address, _tell) = serve().await?;
    let folder = folder()?;
    let axe = axe::script(&folder)?;
    let mut browser = Browser::start().await?;
    let views = [
        ("overview", "/?page=1"),
        ("stuck", "/host/team-a/www.example.com?"),
        ("caa", "/host/team-b/shop.example.cn?"),
        ("limited", "/host/team-b/slow.example.com?"),
        ("ready", "/host/team-e/app-1.example.org?"),
        ("search", "/?q=example.com&state=action"),
        ("none", "/?q=no-such-host"),
        ("missing", "/host/no/such?"),
    ];
    for (name, path) in views {
        for lang in ["en", "zh"] {
            for device in [DESK, Device { dark: true, ..DESK }, PHONE, Device { dark: true, ..PHONE }] {
                let view = format!("{name}-{lang}-{}{}", device.width, if device.dark { "-dark" } else { "" });
                browser.open(&format!("http://{address}{path}&lang={lang}"), device).await?;
                browser.until("document.getElementById('pulse').className === 'good'").await?;
                browser.draw(&folder.join(format!("{view}.png"))).await?;
                axe::finds_nothing(&mut browser, &axe, &view).await?;
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: make page"]
async fn a_phone_shows_all_without_sideways_scrolling_and_with_room_for_a_finger() -> Result<()> {
    let (address, _tell) = serve().await?;
    let mut browser = Browser::start().await?;
    for path in
        ["/?lang=en", "/?lang=zh&state=action", "/host/team-a/www.example.com?lang=en", "/host/evil/evil.example.com"]
    {
        browser.open(&format!("http://{address}{path}"), PHONE).await?;
        let wide = browser.evaluate("[document.documentElement.scrollWidth, innerWidth]").await?;
        let beyond = browser.evaluate("[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > 360).map(e => e.outerHTML.slice(0, 120))").await?;
        ensure!(wide == json!([360, 360]), "{path} scrolls sideways: {wide} {beyond}");
        // WCAG 2.2, 2.5.8: 24 CSS pixels each way, but for links within a sentence.
        let small = "[...document.querySelectorAll('a:not(.skip), button, input:not([type=hidden]), select')].map(e => \
                     [e.outerHTML.slice(0, 80), e.getBoundingClientRect()]).filter(([_, r]) => r.height < 24 || r.width < 24).map(([e]) => e)";
        ensure!(browser.evaluate(small).await? == json!([]), "{path}: {}", browser.evaluate(small).await?);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: make page"]
async fn nothing_hostile_runs_even_where_it_gets_into_the_page() -> Result<()> {
    let (address, _tell) = serve().await?;
    let mut browser = Browser::start().await?;
    for path in ["/?lang=en", "/host/evil/evil.example.com?lang=en"] {
        browser.open(&format!("http://{address}{path}"), DESK).await?;
        browser.until("document.body.innerText.includes('onerror=')").await?;
        let inert = browser
            .evaluate("document.title !== 'owned' && document.images.length === 0 && document.scripts.length === 1");
        ensure!(inert.await? == json!(true), "something hostile became part of {path}");
        // Were the escaping to fail, the policy still stops what is not the page's own.
        let stopped = browser.evaluate(
            "new Promise(done => { let stopped = []; \
             document.addEventListener('securitypolicyviolation', e => { stopped.push(e.effectiveDirective); if (stopped.length === 3) done(stopped.sort().join()); }); \
             document.body.insertAdjacentHTML('beforeend', \"<b style='color:red' onclick='1'>x</b>\"); \
             let s = document.createElement('script'); s.textContent = \"document.title='owned'\"; document.body.append(s); document.querySelector('b[onclick]').click(); })",
        );
        let stopped = stopped.await?;
        ensure!(
            ["script-src-attr", "script-src-elem", "style-src-attr"]
                .iter()
                .all(|part| stopped.as_str().is_some_and(|s| s.contains(part))),
            "{stopped}"
        );
        ensure!(browser.evaluate("document.title !== 'owned'").await? == json!(true), "a script ran on {path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: make page"]
async fn without_scripts_everything_is_there_and_the_search_works() -> Result<()> {
    let (address, _tell) = serve().await?;
    let mut browser = Browser::start().await?;
    let plain = Device { script: false, ..DESK };
    browser.open(&format!("http://{address}/host/team-a/www.example.com?lang=en"), plain).await?;
    ensure!(
        browser.evaluate("document.querySelector('code.copy').textContent === 'www.example.com' && !document.querySelector('button.copy')").await?
            == json!(true),
        "no record to copy"
    );
    browser.open(&format!("http://{address}/?lang=zh"), plain).await?;
    ensure!(browser.evaluate("document.getElementById('pulse').textContent").await? == json!(""), "a script ran");
    // What a person does: types, and presses the button.
    browser
        .evaluate(
            "document.querySelector('[name=q]').value = 'SHOP'; document.querySelector('main form button').click()",
        )
        .await?;
    browser.until("location.search.includes('q=SHOP') && document.readyState === 'complete'").await?;
    let found = browser.evaluate("[...document.querySelectorAll('tbody th a')].map(a => a.textContent).join()").await?;
    ensure!(found == json!("shop.example.cn"), "{found}");
    ensure!(browser.evaluate("document.documentElement.lang").await? == json!("zh-CN"), "the language is lost");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: make page"]
async fn a_change_shows_without_a_reload_and_takes_no_selection_away() -> Result<()> {
    let (address, tell) = serve().await?;
    let mut browser = Browser::start().await?;
    browser.open(&format!("http://{address}/?lang=en"), DESK).await?;
    browser.until("document.getElementById('pulse').className === 'good'").await?;
    browser.evaluate("window.same = true").await?;
    let shows = |host: &str| format!("document.body.innerText.includes('{host}')");
    let now = |host: &str| -> Result<Seen> {
        let domain: Domain = serde_json::from_value(domain("team-z", host, "NoAddress", 0))?;
        Ok(Seen { rows: Some(Arc::new(rows(&[domain]))), stale_since: None })
    };
    tell.send_replace(now("late.example.com")?);
    browser.until(&shows("late.example.com")).await?;
    ensure!(browser.evaluate("window.same").await? == json!(true), "the page was loaded anew");

    // While the API server is away nothing is called live, and it is again by itself.
    let stale = Seen { stale_since: Some(jiff::Timestamp::now()), ..now("late.example.com")? };
    tell.send_replace(stale);
    let says = |what: bool| {
        let (notice, pulse) = if what { ("says bad", "") } else { ("", "● live") };
        format!(
            "(document.querySelector('#stale[role=status]').firstElementChild?.className ?? '') === '{notice}' \
             && document.getElementById('pulse').textContent === '{pulse}'"
        )
    };
    browser.until(&says(true)).await?;
    browser.draw(&folder()?.join("stale-1280.png")).await?;
    tell.send_replace(now("late.example.com")?);
    browser.until(&says(false)).await?;

    browser.evaluate("getSelection().selectAllChildren(document.querySelector('tbody th a'))").await?;
    tell.send_replace(now("later.example.com")?);
    // The stream has brought the change once a second one of its own would have come.
    browser.evaluate("fetch('/?lang=en').then(answer => answer.text())").await?;
    ensure!(browser.evaluate("getSelection().toString()").await? == json!("late.example.com"), "the selection is gone");
    browser.evaluate("getSelection().removeAllRanges()").await?;
    browser.until(&shows("later.example.com")).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: make page"]
async fn a_record_is_copied_by_its_button() -> Result<()> {
    let (address, _tell) = serve().await?;
    let mut browser = Browser::start().await?;
    browser.open(&format!("http://{address}/host/team-a/www.example.com?lang=en"), DESK).await?;
    let origin = format!("http://{address}");
    let grant = json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": origin});
    browser.ask("Browser.grantPermissions", grant).await?;
    browser.evaluate("document.querySelectorAll('button.copy')[1].click()").await?;
    browser.until("navigator.clipboard.readText().then(text => text === '203.0.113.7')").await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and npm: make page"]
async fn of_ten_thousand_hosts_each_is_found() -> Result<()> {
    let reasons = ["DomainNotFound", "WrongTarget", "CaaForbids", "CaRateLimited", "Issuing"];
    let domains = (0..10_000_usize).map(|n| {
        let reason = if n.is_multiple_of(10) { reasons[n / 10 % reasons.len()] } else { "Issued" };
        domain(&format!("team-{}", n % 300), &format!("h{n}.example.com"), reason, u8::try_from(n % 13).unwrap_or(0))
    });
    let (address, _tell) = serve_of(domains.collect(), |page| page).await?;
    let folder = folder()?;
    let axe = axe::script(&folder)?;
    let mut browser = Browser::start().await?;
    let hosts = "[...document.querySelectorAll('tbody th a')].map(a => a.textContent)";
    for (device, name) in [(DESK, "many-1280"), (PHONE, "many-360")] {
        browser.open(&format!("http://{address}/?lang=en"), device).await?;
        browser.until("document.getElementById('pulse').className === 'good'").await?;
        browser.draw(&folder.join(format!("{name}.png"))).await?;
        axe::finds_nothing(&mut browser, &axe, name).await?;
        ensure!(browser.evaluate(&format!("{hosts}.length")).await? == json!(100), "{name}");
        // The last page, as one comes there from the first.
        browser.evaluate("document.querySelector('nav.pages a[rel=last]').click()").await?;
        browser.until("location.search.includes('page=100') && document.readyState === 'complete'").await?;
        ensure!(browser.evaluate(&format!("{hosts}.length")).await? == json!(100), "{name}");
    }
    browser.open(&format!("http://{address}/?lang=zh&q=h9990.example"), DESK).await?;
    browser.draw(&folder.join("many-found-zh.png")).await?;
    ensure!(browser.evaluate(&format!("{hosts}.join()")).await? == json!("h9990.example.com"), "it is not found");
    Ok(())
}
