//! The status page in a real browser: what it looks like, and that nothing
//! hostile runs in it. Needs Chromium (Debian's package), so it runs when asked
//! for: `make page`. The pictures are left in `target/page` to be looked at.

#![allow(clippy::indexing_slicing, reason = "a test may end by panicking")]

use std::{net::SocketAddr, path::PathBuf, process::Command, sync::Arc};

use anyhow::{Context, Result, ensure};
use certgate::{
    api::domain::Domain,
    page::{Page, Rows},
    status::rows,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, unix::pipe},
    sync::watch,
};

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
    if ready {
        object["status"]["certificate"] = json!({"name": "certgate-x", "secretName": "certgate-x", "notAfter": now + jiff::SignedDuration::from_hours(24 * (80 - i64::from(day) * 5))});
    }
    object
}

/// The page's address, and the way to change what it shows.
async fn serve() -> Result<(SocketAddr, watch::Sender<Rows>)> {
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
    let domains: Vec<Domain> = domains.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?;
    let (tell, seen) = watch::channel(Some(Arc::new(rows(&domains))));
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    tokio::spawn(Page::new(seen).serve(socket));
    Ok((address, tell))
}

async fn chromium(arguments: Vec<String>) -> Result<String> {
    let profile = tempfile::tempdir()?;
    let profile_argument = format!("--user-data-dir={}", profile.path().display());
    let output = tokio::task::spawn_blocking(move || {
        Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--no-first-run",
                "--timeout=4000",
            ])
            .arg(profile_argument)
            .args(arguments)
            .output()
    })
    .await?
    .context("chromium cannot be started; apt-get install chromium")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: make page"]
async fn the_page_is_drawn_in_light_dark_small_and_chinese_and_nothing_hostile_runs() -> Result<()> {
    let (address, _tell) = serve().await?;
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/page");
    std::fs::create_dir_all(&folder)?;
    for (name, path, size, scheme) in [
        ("light", "/?lang=en", "1280,1500", 1),
        ("dark", "/?lang=en", "1280,1500", 0),
        ("phone", "/?lang=zh&state=waiting", "500,1900", 1),
        ("chinese", "/?lang=zh&who=domain-owner", "1280,1200", 1),
        ("host", "/host/team-a/www.example.com?lang=en", "1000,1000", 1),
        ("host-dark-chinese", "/host/team-b/slow.example.com?lang=zh", "1000,1000", 0),
        ("hostile", "/host/evil/evil.example.com?lang=en", "1000,1100", 1),
    ] {
        let picture = folder.join(format!("{name}.png"));
        let _ = std::fs::remove_file(&picture);
        chromium(vec![
            format!("--screenshot={}", picture.display()),
            format!("--window-size={size}"),
            format!("--blink-settings=preferredColorScheme={scheme}"),
            format!("http://{address}{path}"),
        ])
        .await?;
        ensure!(std::fs::metadata(&picture)?.len() > 10_000, "{name} is as good as empty");
    }
    for path in ["/", "/host/evil/evil.example.com"] {
        let drawn = chromium(vec!["--dump-dom".into(), format!("http://{address}{path}")]).await?;
        ensure!(drawn.contains("onerror"), "the hostile text is shown: {drawn}");
        ensure!(!drawn.contains("<title>owned") && !drawn.contains("<img"), "something hostile ran on {path}");
    }
    Ok(())
}

/// A browser that is told what to do over a pair of pipes (Chrome DevTools Protocol).
struct Browser {
    process: std::process::Child,
    _profile: tempfile::TempDir,
    to: pipe::Sender,
    from: pipe::Receiver,
    heard: Vec<u8>,
    asked: u64,
}

impl Browser {
    fn start() -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let (to, from) = (profile.path().join("to"), profile.path().join("from"));
        ensure!(Command::new("mkfifo").args([&to, &from]).status()?.success(), "mkfifo");
        let open = || {
            let mut options = pipe::OpenOptions::new();
            options.read_write(true);
            options
        };
        let (sender, receiver) = (open().open_sender(&to)?, open().open_receiver(&from)?);
        let flags = "--headless --no-sandbox --disable-gpu --no-first-run --remote-debugging-pipe";
        let process = Command::new("bash")
            .args([
                "-c",
                &format!("exec chromium {flags} --user-data-dir=\"$0\" about:blank 3<\"$1\" 4>\"$2\" 2>/dev/null"),
            ])
            .args([profile.path(), &to, &from])
            .spawn()?;
        Ok(Self { process, _profile: profile, to: sender, from: receiver, heard: Vec::new(), asked: 0 })
    }

    /// Asks, and waits for the answer to just that.
    async fn ask(&mut self, session: Option<&str>, method: &str, params: Value) -> Result<Value> {
        self.asked += 1;
        let mut request = json!({"id": self.asked, "method": method, "params": params});
        if let Some(session) = session {
            request["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&request)?;
        bytes.push(0);
        self.to.write_all(&bytes).await?;
        loop {
            while let Some(end) = self.heard.iter().position(|byte| *byte == 0) {
                let message: Vec<u8> = self.heard.drain(..=end).collect();
                let message: Value = serde_json::from_slice(&message[..end])?;
                if message["id"] == self.asked {
                    ensure!(message["error"].is_null(), "{message}");
                    return Ok(message["result"].clone());
                }
            }
            let mut chunk = [0; 16 * 1024];
            let read = tokio::time::timeout(std::time::Duration::from_secs(20), self.from.read(&mut chunk)).await??;
            self.heard.extend_from_slice(&chunk[..read]);
        }
    }

    async fn evaluate(&mut self, session: &str, expression: &str) -> Result<Value> {
        let params = json!({"expression": expression, "returnByValue": true});
        Ok(self.ask(Some(session), "Runtime.evaluate", params).await?["result"]["value"].clone())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium: make page"]
async fn a_change_shows_without_a_reload() -> Result<()> {
    let (address, tell) = serve().await?;
    let mut browser = Browser::start()?;
    let target = browser.ask(None, "Target.createTarget", json!({"url": format!("http://{address}/?lang=en")})).await?;
    let attached =
        browser.ask(None, "Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true})).await?;
    let session = attached["sessionId"].as_str().context("no session")?.to_owned();
    let shows = "document.readyState === 'complete' && document.body.innerText.includes";
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while browser.evaluate(&session, &format!("{shows}('www.example.com')")).await? != json!(true) {
        ensure!(tokio::time::Instant::now() < deadline, "the page is not drawn");
    }
    browser.evaluate(&session, "window.same = true").await?;
    let late: Domain = serde_json::from_value(domain("team-z", "late.example.com", "NoAddress", 0))?;
    while browser.evaluate(&session, &format!("{shows}('late.example.com')")).await? != json!(true) {
        // Told again, for the page may not have been listening yet.
        tell.send_replace(Some(Arc::new(rows(std::slice::from_ref(&late)))));
        ensure!(tokio::time::Instant::now() < deadline, "the change is not shown");
    }
    ensure!(browser.evaluate(&session, "window.same").await? == json!(true), "the page was loaded anew");
    Ok(())
}
