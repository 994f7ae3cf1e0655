//! What each of those concerned sees, where they look already: kubectl's
//! columns, Events, `certgate status` and the status page, at each step.

#![allow(clippy::indexing_slicing, reason = "a test may end by panicking")]

#[path = "seen/ca.rs"]
mod ca;
#[path = "support/cluster.rs"]
#[allow(dead_code, reason = "each test binary uses its part of it")]
mod cluster;
#[path = "seen/road.rs"]
mod road;
#[path = "seen/watcher.rs"]
mod watcher;

use anyhow::{Context, Result, ensure};
use certgate_lab::{
    Identity, Lab, LabOptions, certgate as installed,
    prometheus::{self, Text},
};
use cluster::{Cluster, PATIENCE, Team, plain, program};
use futures::future::try_join_all;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use road::Road;
use serde_json::{Value, json};
use watcher::Watcher;

/// Certificates of this issuer come from the lab's CA until its directory is changed.
const CHANGING: &str = "changing";
/// The road to the CA of this one is closed for a while.
const AWAY: &str = "away";

/// An issuer of another directory, made as the lab's own is; ready.
async fn issuer(lab: &Lab, name: &str, directory: &str) -> Result<()> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", "ClusterIssuer"));
    let own = Api::<DynamicObject>::all_with(lab.client().await?, &kind).get("pebble-fast").await?;
    let mut acme = own.data["spec"]["acme"].clone();
    acme["server"] = json!(directory);
    acme["privateKeySecretRef"]["name"] = json!(format!("{name}-account"));
    let applied = lab.apply_value(json!({"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": name}, "spec": {"acme": acme}})).await?;
    lab.wait_for_condition(applied.first().context("no issuer")?, "Ready").await
}

/// The token of an account that may, or may not, list Domains everywhere.
async fn visitor(lab: &Lab, name: &str, may: bool) -> Result<String> {
    if may {
        lab.apply_value(json!([
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
                "rules": [{"apiGroups": ["certgate.dev"], "resources": ["domains"], "verbs": ["list"]}]},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": installed::NAMESPACE}]},
        ]))
        .await?;
    }
    match lab.service_account(installed::NAMESPACE, name).await? {
        Identity::Token(token) => Ok(token),
        other => anyhow::bail!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_what_a_host_waits_for_from_first_write_to_switched_off() -> Result<()> {
    let lab = Lab::start(LabOptions { audit_log: true, ..LabOptions::default() }).await?;
    lab.dns().set_negative_ttl(1, 1);
    let ca = ca::start().await?;
    let mut road = Road::open_to(&lab.pebble().directory()).await?;
    for (name, directory) in [
        ("limited", format!("{ca}/limited/directory")),
        ("broken", format!("{ca}/broken/directory")),
        (CHANGING, lab.pebble().directory()),
        (AWAY, road.directory()),
    ] {
        issuer(&lab, name, &directory).await?;
    }
    let mut policy = installed::policy(&lab, "pebble-fast");
    policy["caaIdentities"] = json!({lab.pebble().directory(): ["ca.example"]});
    let rule = |name: &str| json!({"match": {"hosts": [format!("{name}.example.com")]}, "issuer": {"kind": "ClusterIssuer", "name": name}});
    policy["rules"] = json!([rule("limited"), rule("broken"), rule(CHANGING), rule(AWAY)]);
    let chart = installed::chart(program(), &policy)
        .values(json!({"controller": {"page": {"enabled": true, "listen": "service"}}}));
    let app = installed::install(&lab, chart).await?;
    let page = app.service_address("certgate-page")?;
    let token = visitor(&lab, "viewer", true).await?;
    let cluster = Cluster { lab, app };
    let watcher = Watcher { lab: &cluster.lab, page, token };
    let result = async {
        let team = Team::new(watcher.lab, "team-a").await?;
        tokio::try_join!(
            issued_and_off(&watcher, &team),
            held(&watcher, &team),
            refused_by_the_ca(&watcher, &team, &ca),
            out_of_service(&watcher, &team),
            out_of_reach(&watcher, &team, &mut road),
            strangers(&watcher),
        )
    };
    let result = match result.await {
        Ok(_) => scrapes(&cluster).await.and_then(|()| logs(&cluster)),
        Err(error) => Err(error),
    };
    if result.is_err() {
        cluster.lab.print_log_tails();
    }
    result?;
    cluster.lab.stop()
}

/// NXDOMAIN → record added → issued → taken elsewhere → switched off.
async fn issued_and_off(watcher: &Watcher<'_>, team: &Team<'_>) -> Result<()> {
    let lab = watcher.lab;
    let host = "www.example.com";
    team.create(plain("web", &[host])).await?;
    watcher.sees(team, host, "DomainNotFound", "domain-owner", "does not exist in DNS").await?;
    ensure!(team.orders(host)? == 0, "nothing is ordered for a host that cannot pass");
    lab.dns().a(host, lab.ip());
    watcher.sees(team, host, "Issued", "nobody", "has its certificate").await?;

    // Another namespace wants it too.
    let rival = Team::new(lab, "team-b").await?;
    rival.create(plain("web", &[host])).await?;
    watcher.sees(&rival, host, "HostTaken", "app-developer", "already in use elsewhere").await?;

    // Switched off: the Ingress says so, and the host is nowhere any more.
    team.annotate("web", json!({"certgate.dev/auto-issue": "false"})).await?;
    lab.wait_for("the Domain is gone", PATIENCE, async || {
        Ok(team.domains().get_opt(host).await?.is_none().then_some(()))
    })
    .await?;
    watcher
        .soon("Event SwitchedOff", async || watcher.event(team, "Ingress", "SwitchedOff", "switched off").await)
        .await?;
    ensure!(watcher.status(team, host).await?.is_none(), "status still knows it");
    watcher
        .soon("the page forgets it", async || {
            let (code, _) = watcher.page(&format!("/host/team-a/{host}")).await?;
            ensure!(code == 404, "{code}");
            Ok(())
        })
        .await
}

/// What DNS tells beforehand.
async fn held(watcher: &Watcher<'_>, team: &Team<'_>) -> Result<()> {
    let lab = watcher.lab;
    let wrong = "wrong.example.com";
    lab.dns().a(wrong, "198.51.100.9".parse()?);
    team.create(plain("wrong", &[wrong])).await?;
    watcher.sees(team, wrong, "WrongTarget", "domain-owner", "198.51.100.9").await?;

    // CAA names another CA.
    let caa = "caa.example.com";
    lab.dns().a(caa, lab.ip());
    lab.dns().caa(caa, 0, "issue", "other-ca.example");
    team.create(plain("caa", &[caa])).await?;
    watcher.sees(team, caa, "CaaForbids", "domain-owner", "other-ca.example").await?;
    ensure!(team.orders(wrong)? + team.orders(caa)? == 0, "an order that could not pass");
    Ok(())
}

/// What DNS cannot tell: the CA itself refuses, at first or when it is time to renew, and its words come through.
async fn refused_by_the_ca(watcher: &Watcher<'_>, team: &Team<'_>, ca: &str) -> Result<()> {
    let lab = watcher.lab;
    let changing = format!("{CHANGING}.example.com");
    lab.dns().a(&changing, lab.ip());
    team.create(plain(CHANGING, &[&changing])).await?;

    let limited = "limited.example.com";
    lab.dns().a(limited, lab.ip());
    team.create(plain("limited", &[limited])).await?;
    watcher.sees(team, limited, "CaRateLimited", "ca", ca::LIMIT).await?;
    watcher.sees(team, limited, "CaRateLimited", "ca", "from 2030-11-25 13:37 UTC").await?;

    let blocked = certgate_lab::BLOCKED;
    lab.dns().a(blocked, lab.ip());
    team.create(plain("blocked", &[blocked])).await?;
    watcher.sees(team, blocked, "IssuanceFailed", "cluster-admin", "forbidden by policy").await?;
    for host in [limited, blocked] {
        let told = team.domains().get(host).await?.status.unwrap_or_default().issuance.context("no issuance")?;
        let told = serde_json::to_string(&told)?;
        ensure!(!told.contains("order resource") && !told.contains("urn:"), "no raw blob: {told}");
    }

    watcher.sees(team, &changing, "Issued", "nobody", "has its certificate").await?;
    issuer(lab, CHANGING, &format!("{ca}/limited/directory")).await?;
    renew(team, &changing).await?;
    watcher.sees(team, &changing, "RenewalAtRisk", "ca", ca::LIMIT).await
}

/// Asks cert-manager to renew, as `cmctl renew` does.
async fn renew(team: &Team<'_>, host: &str) -> Result<()> {
    let name = format!("certgate-{host}");
    let certificate = team.certificates().get(&name).await?;
    let mut conditions = certificate.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|condition| condition["type"] != "Issuing");
    conditions.push(json!({"type": "Issuing", "status": "True", "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered", "lastTransitionTime": jiff::Timestamp::now().to_string()}));
    let patch: Value = json!({"status": {"conditions": conditions}});
    team.certificates().patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

/// The CA answers that it is out of service; cert-manager says nothing of that.
async fn out_of_service(watcher: &Watcher<'_>, team: &Team<'_>) -> Result<()> {
    let host = "broken.example.com";
    watcher.lab.dns().a(host, watcher.lab.ip());
    team.create(plain("broken", &[host])).await?;
    watcher.sees(team, host, "Issuing", "nobody", "is being issued").await?;
    watcher.sees(team, host, "CaUnreachable", "cluster-admin", "cannot be reached").await
}

/// Nothing listens where the CA was. Back again, it issues, and nobody has to do anything at certgate.
async fn out_of_reach(watcher: &Watcher<'_>, team: &Team<'_>, road: &mut Road) -> Result<()> {
    let host = format!("{AWAY}.example.com");
    road.close().await?;
    watcher.lab.dns().a(&host, watcher.lab.ip());
    team.create(plain(AWAY, &[&host])).await?;
    watcher.sees(team, &host, "Issuing", "nobody", "is being issued").await?;
    watcher
        .sees(team, &host, "CaUnreachable", "cluster-admin", "check whether the cluster can reach the internet")
        .await?;
    road.open().await?;
    try_again(team, &host).await?;
    watcher.sees(team, &host, "Issued", "nobody", "has its certificate").await
}

/// Has cert-manager try a host's order at once: its own pauses grow with each attempt.
async fn try_again(team: &Team<'_>, host: &str) -> Result<()> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("acme.cert-manager.io", "v1", "Order"));
    let orders = Api::<DynamicObject>::namespaced_with(team.client.clone(), &team.name, &kind);
    let now = jiff::Timestamp::now().to_string();
    for order in orders.list(&ListParams::default()).await? {
        if order.data["spec"]["dnsNames"] == json!([host]) {
            let patch = json!({"metadata": {"annotations": {"try-again": now}}});
            orders.patch(&order.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
        }
    }
    Ok(())
}

/// Who may not list Domains sees nothing of the page, nor who calls it by a stranger's name.
async fn strangers(watcher: &Watcher<'_>) -> Result<()> {
    let nobody = visitor(watcher.lab, "nobody-in-particular", false).await?;
    let (page, token) = (watcher.page, &watcher.token);
    watcher
        .soon("the page has listed the hosts", async || {
            let (code, answer) = watcher.page("/").await?;
            ensure!(code == 200, "{answer}");
            Ok(())
        })
        .await?;
    let login = |token: &str| {
        let body = format!("token={token}&lang=zh");
        let head = "POST /login HTTP/1.1\r\nHost: certgate-page\r\nContent-Type: application/x-www-form-urlencoded\r\n";
        (format!("{head}Content-Length: {}\r\n", body.len()), body)
    };
    for (head, expected) in [
        (format!("GET / HTTP/1.1\r\nHost: {page}\r\n"), 401),
        (format!("GET /events HTTP/1.1\r\nHost: {page}\r\n"), 401),
        (format!("GET / HTTP/1.1\r\nHost: {page}\r\nAuthorization: Bearer {nobody}\r\n"), 401),
        (format!("GET / HTTP/1.1\r\nHost: {page}\r\nAuthorization: Bearer made-up\r\n"), 401),
        (format!("GET / HTTP/1.1\r\nHost: evil.example.com\r\nAuthorization: Bearer {token}\r\n"), 421),
        (
            format!("GET / HTTP/1.1\r\nHost: certgate-page.certgate-system.svc\r\nCookie: certgate_token={token}\r\n"),
            200,
        ),
    ] {
        let (code, answer) = watcher.ask(&head).await?;
        ensure!(code == expected, "{code} instead of {expected} for {head:?}: {answer:?}");
        ensure!(answer.contains("content-security-policy: default-src 'none'"), "{answer}");
        ensure!(code == 200 || !answer.contains("example.com</a>"), "a stranger sees hosts");
    }
    for (token, expected) in [(token.as_str(), 303), (&nobody, 401)] {
        let (head, body) = login(token);
        let (code, answer) = watcher.send(&head, &body).await?;
        ensure!(code == expected, "{answer}");
        ensure!(
            answer.contains(&format!("certgate_token={token}; HttpOnly; SameSite=Strict")) == (code == 303),
            "{answer}"
        );
    }
    Ok(())
}

/// Prometheus reads what both roles show, and finds in it what happened here.
async fn scrapes(cluster: &Cluster) -> Result<()> {
    let scrape = async |replica: &str| -> Result<String> {
        let address = (cluster.app.address(replica)?, 8080).into();
        let visitor = Watcher { lab: &cluster.lab, page: address, token: String::new() };
        let (code, answer) = visitor.page("/metrics").await?;
        ensure!(code == 200, "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
        let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).context("no content type")?;
        prometheus::check(Text::Metrics(kind), body)
    };
    let series = |read: &str, metric: &str| -> usize {
        let line = read.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
        line.and_then(|count| count.parse().ok()).unwrap_or_default()
    };
    // Which replica the API server asks is its own affair.
    let replicas = cluster.app.replicas_of(installed::WEBHOOK);
    let webhooks = try_join_all(replicas.iter().map(|replica| scrape(replica))).await?;
    for metric in [
        "certgate_admission_reviews_total",
        "certgate_admission_hosts_total",
        "certgate_admission_duration_seconds_bucket",
        "certgate_index_domains",
        "certgate_index_watch_failing_seconds",
        "certgate_serving_certificate_not_after_timestamp_seconds",
    ] {
        ensure!(webhooks.iter().any(|read| series(read, metric) > 0), "{metric} is not in\n{}", webhooks.join("\n"));
    }
    let replica = cluster.app.replicas_of(installed::CONTROLLER).pop().context("no replica")?;
    let controller = scrape(&replica).await?;
    for metric in [
        "certgate_controller_hosts",
        "certgate_controller_checks_total",
        "certgate_controller_queue",
        "certgate_controller_queue_lag_seconds",
        "certgate_controller_ready_to_injected_seconds_count",
        "certgate_controller_injected_to_issued_seconds_count",
        "certgate_controller_orders_spared_total",
        "certgate_controller_watch_failing_seconds",
        "certgate_controller_certificates_ending",
        "certgate_controller_soonest_not_after_timestamp_seconds",
        "certgate_dns_questions_total",
        "certgate_dns_latency_seconds_count",
        "certgate_ca_not_after_timestamp_seconds",
    ] {
        ensure!(series(&controller, metric) > 0, "{metric} is not in\n{controller}");
    }
    ensure!(series(&controller, "certgate_dns_latency_seconds_count") == 1, "one resolver is one series");
    Ok(())
}

/// The controller's log, of the chart's default form, has each change of a host once, with all that one searches for.
fn logs(cluster: &Cluster) -> Result<()> {
    let replica = cluster.app.replicas_of(installed::CONTROLLER).pop().context("no replica")?;
    let log = std::fs::read_to_string(cluster.app.log_path(&replica)?)?;
    let lines = log.lines().filter(|line| line.starts_with('{')).map(serde_json::from_str::<Value>);
    let lines = lines.collect::<Result<Vec<_>, _>>()?;
    let of = |message: &str, host: &str| -> Vec<&Value> {
        lines
            .iter()
            .filter(|line| line["message"] == message && line["host"] == host && line["namespace"] == "team-a")
            .collect()
    };
    let changes = of("host changed", "www.example.com");
    ensure!(changes.iter().all(|line| line["level"] == "INFO"), "{changes:?}");
    let reasons: Vec<&str> = changes.iter().filter_map(|line| line["reason"].as_str()).collect();
    let order: Vec<Option<usize>> = ["DomainNotFound", "Issuing", "Issued", "SwitchedOff"]
        .iter()
        .map(|reason| reasons.iter().position(|r| r == reason))
        .collect();
    ensure!(order.iter().all(Option::is_some) && order.is_sorted(), "{reasons:?}");
    for reason in ["DomainNotFound", "SwitchedOff"] {
        ensure!(reasons.iter().filter(|r| **r == reason).count() == 1, "{reason} is logged again: {reasons:?}");
    }
    ensure!(changes.iter().any(|line| line["ingress"] == "web" && line["sentence"].is_string()), "{changes:?}");
    let patched = of("Ingress patched", "www.example.com");
    let injected =
        patched.iter().filter(|line| line["action"] == "inject" && line["ingress"] == "web" && line["level"] == "INFO");
    ensure!(injected.count() == 1, "{patched:?}");
    Ok(())
}
