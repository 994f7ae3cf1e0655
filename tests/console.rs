//! The flag of Rainbond 5's gateway page, on its way from the console to a served certificate and back.
//!
//! The console is played by a server that answers in its shape: Rainbond's own needs a database and a cluster of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

#[path = "support/cluster.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
mod cluster;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use anyhow::{Result, ensure};
use axum::{
    Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::get,
};
use certgate_lab::LabOptions;
use cluster::{Cluster, SOON, Team, rainbond};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

const NAMESPACE: &str = "certgate-system";
const TOKEN: &str = "an-administrators-token";
const REGION: &str = "rainbond";
const RULE: &str = "7d1f0c3a9b5e4d2f8a6c1e0b3f9d7a52";
const HOST: &str = "flagged.example.com";
const EXEMPT_RULE: &str = "0a9b8c7d6e5f40312213f4e5d6c7b8a9";
const EXEMPT: &str = "exempt.example.com";

/// What the console does.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Failing,
    CutShort,
    Empty,
}

#[derive(Clone)]
struct Console(Arc<Mutex<(Mood, Vec<Value>, usize)>>);

impl Console {
    async fn start() -> Result<(Self, SocketAddr)> {
        let console = Self(Arc::new(Mutex::new((Mood::Well, Vec::new(), 0))));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/openapi/v1/httpdomains", get(answer)).with_state(console.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((console, address))
    }

    fn set(&self, mood: Mood, rules: Vec<Value>) {
        *self.0.lock().unwrap() = (mood, rules, 0);
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().2
    }
}

async fn answer(State(console): State<Console>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    if headers.get("authorization").is_none_or(|token| token != TOKEN) {
        return (StatusCode::UNAUTHORIZED, "{\"msg\": \"No such user\"}").into_response();
    }
    let mut state = console.0.lock().unwrap();
    state.2 += 1;
    let flagged_only = query.is_some_and(|query| query.split('&').any(|part| part == "auto_ssl=true"));
    let rules: Vec<&Value> = state.1.iter().filter(|rule| !flagged_only || rule["auto_ssl"] == true).collect();
    let body = json!(rules).to_string();
    match state.0 {
        Mood::Well => body.into_response(),
        Mood::Failing => StatusCode::BAD_GATEWAY.into_response(),
        Mood::CutShort => body[..body.len() - 2].to_owned().into_response(),
        Mood::Empty => "[]".into_response(),
    }
}

fn rule(id: &str, host: &str, flagged: bool) -> Value {
    json!({"ID": 1, "http_rule_id": id, "region_id": "r", "tenant_id": "t", "service_id": "s1", "service_name": "gr1",
        "domain_name": host, "container_port": 5000, "protocol": "http", "certificate_id": 0, "domain_type": "www",
        "service_alias": "gr1", "is_senior": false, "domain_path": "/", "domain_cookie": "", "domain_heander": "",
        "type": 1, "the_weight": 100, "rule_extensions": "", "is_outer_service": true, "auto_ssl": flagged,
        "auto_ssl_config": "", "path_rewrite": false, "rewrites": "", "region_name": REGION, "team_name": "t1", "app_id": 1})
}

fn ingress(id: &str, host: &str) -> Value {
    let mut object = rainbond(id, host, "/");
    object["metadata"]["labels"]["tenant_name"] = json!("t1");
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_in_the_console_becomes_a_certificate_and_only_a_certain_no_takes_it_back() -> Result<()> {
    let (console, address) = Console::start().await?;
    console.set(Mood::Well, vec![rule(RULE, HOST, true), rule(EXEMPT_RULE, EXEMPT, true)]);
    let settings = json!({"url": format!("http://{address}"), "region": REGION, "intervalSeconds": 1});
    let cluster = Cluster::start(LabOptions::default(), "pebble-fast", |policy| {
        policy["autoIssue"] = json!("annotated");
        policy["rules"] = json!([]);
        policy["console"] = settings;
    })
    .await?;
    let lab = &cluster.lab;
    lab.apply_value(json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "certgate-console", "namespace": NAMESPACE}, "stringData": {"token": TOKEN}}))
        .await?;
    let team = Team::new(lab, "flags").await?;
    for (id, host) in [(RULE, HOST), (EXEMPT_RULE, EXEMPT)] {
        lab.dns().a(host, lab.ip());
        let said = json!({"apiVersion": "certgate.dev/v1alpha1", "kind": "Domain", "metadata": {"name": host},
            "spec": {"host": host, "autoIssue": false}});
        if host == EXEMPT {
            team.domains().create(&PostParams::default(), &serde_json::from_value(said)?).await?;
        }
        team.create(ingress(id, host)).await?;
    }
    team.until_certificate(HOST).await?;
    team.until_injected(RULE, HOST).await?;
    team.until_served(HOST).await?;
    let flag = async || anyhow::Ok(team.domains().get_opt(HOST).await?.and_then(|domain| domain.spec.auto_issue));
    let mark = team.domains().get(HOST).await?.metadata.annotations.unwrap_or_default();
    ensure!(mark.get("certgate.dev/console-rules").is_some_and(|rules| rules == RULE), "{mark:?}");
    ensure!(flag().await? == Some(true));

    // A console in trouble, and one that forgot everything, take nothing away.
    for mood in [Mood::Failing, Mood::CutShort, Mood::Empty] {
        console.set(mood, vec![rule(RULE, HOST, true)]);
        // Twice and more for what is flagged, and of an empty list also for all rules.
        let often = if mood == Mood::Empty { 5 } else { 3 };
        lab.wait_for("the console is asked again", SOON, async || Ok((console.asked() >= often).then_some(()))).await?;
        ensure!(flag().await? == Some(true), "the flag is gone");
        console.set(Mood::Well, vec![rule(RULE, HOST, true)]);
        lab.wait_for("the console answers again", SOON, async || Ok((console.asked() > 1).then_some(()))).await?;
    }
    ensure!(team.orders(HOST)? == 1, "{} orders", team.orders(HOST)?);
    let leases: Api<Lease> = Api::namespaced(lab.client().await?, NAMESPACE);
    let noted = leases.get("certgate-controller").await?.metadata.annotations.unwrap_or_default();
    ensure!(noted.contains_key("certgate.dev/console-answered"), "{noted:?}");

    // A person's no stands beside the console's yes.
    let exempt = team.domains().get(EXEMPT).await?;
    ensure!(exempt.spec.auto_issue == Some(false) && team.orders(EXEMPT)? == 0, "{exempt:?}");
    // So does a later one, until it is taken back.
    let word = |word: Value| Patch::Merge(json!({"spec": {"autoIssue": word}}));
    team.domains().patch(HOST, &PatchParams::default(), &word(json!(false))).await?;
    team.until_gone(&team.certificates(), &format!("certgate-{HOST}")).await?;
    ensure!(flag().await? == Some(false));
    team.domains().patch(HOST, &PatchParams::default(), &word(Value::Null)).await?;
    team.until_certificate(HOST).await?;

    console.set(Mood::Well, vec![rule(RULE, HOST, false)]);
    team.until_gone(&team.certificates(), &format!("certgate-{HOST}")).await?;
    lab.wait_for("the Ingress is as it was", SOON, async || Ok(team.tls(RULE).await?.is_empty().then_some(()))).await?;
    ensure!(flag().await?.is_none());

    // The chart grants all that this took.
    let refused = lab.audit_log()?.into_iter().filter(|event| {
        event["user"]["username"] == "system:serviceaccount:certgate-system:certgate-controller"
            && event["responseStatus"]["code"] == 403
    });
    let refused: Vec<Value> = refused.map(|mut event| event["objectRef"].take()).collect();
    ensure!(refused.is_empty(), "{refused:?}");
    Ok(())
}
