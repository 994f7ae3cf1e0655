//! The status page in a real browser: what it looks like, and that nothing
//! hostile runs in it. Needs Chromium (Debian's package), so it runs when asked
//! for: `make page`. The pictures are left in `target/page` to be looked at.

use std::{net::SocketAddr, path::PathBuf, process::Command, sync::Arc};

use anyhow::{Context, Result, ensure};
use certgate::{api::domain::Domain, page::Page, status::rows};
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
    if ready {
        object["status"]["certificate"] = json!({"name": "certgate-x", "secretName": "certgate-x", "notAfter": now + jiff::SignedDuration::from_hours(24 * (80 - i64::from(day) * 5))});
    }
    object
}

async fn serve() -> Result<SocketAddr> {
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
    tokio::spawn(async move {
        let _kept = tell;
        Page::new(seen).serve(socket).await
    });
    Ok(address)
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
    let address = serve().await?;
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
