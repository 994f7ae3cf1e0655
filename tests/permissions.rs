//! Every permission that certgate uses is granted, and every permission that is granted is used: the roles that the chart
//! installs, held against the audit log of a real API server while certgate does its work.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

#[path = "support/cluster.rs"]
#[allow(dead_code, reason = "each test binary uses its part of it")]
mod cluster;

use std::{collections::BTreeSet, fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use certgate_lab::{Identity, Lab, LabOptions, certgate as installed};
use cluster::{Team, plain, program, rainbond};
use k8s_openapi::api::{
    core::v1::Secret,
    rbac::v1::{ClusterRole, PolicyRule, Role},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const ACCOUNTS: [&str; 2] = ["certgate-webhook", "certgate-controller"];
/// Used unseen: to create by server-side apply is asked for as a patch, and the right to create is checked within. An
/// Event is patched when the same is told again within minutes, which here it may or may not be.
/// To approve is no request at all: cert-manager's own webhook, which the lab is without, asks whether it is granted.
const UNSEEN: &[&str] = &[
    "certgate-controller approve cert-manager.io/signers clusterissuers.cert-manager.io/*",
    "certgate-controller approve cert-manager.io/signers issuers.cert-manager.io/*",
    "certgate-controller patch events.k8s.io/events",
    "certgate-controller create certgate.dev/verifiedhosts",
];
/// Where the gateway's Service is.
const EDGE: &str = "edge";
const WITHIN: Duration = Duration::from_secs(60);

/// What an account asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Used {
    account: String,
    verb: String,
    group: String,
    resource: String,
    name: String,
}

/// Reads the audit log: what was allowed, and what was not.
fn audited(log: &Path) -> Result<(BTreeSet<Used>, BTreeSet<String>)> {
    let (mut allowed, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for line in fs::read_to_string(log)?.lines() {
        // The last line may be half written.
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let user = event["user"]["username"].as_str().unwrap_or_default();
        let Some(account) = user.strip_prefix("system:serviceaccount:certgate-system:") else { continue };
        let of = &event["objectRef"];
        let text = |field: &str| of[field].as_str().unwrap_or_default().to_owned();
        let resource = match of["subresource"].as_str() {
            Some(sub) => format!("{}/{sub}", text("resource")),
            None => text("resource"),
        };
        let used = Used {
            account: account.to_owned(),
            verb: event["verb"].as_str().unwrap_or_default().to_owned(),
            group: text("apiGroup"),
            resource,
            name: text("name"),
        };
        if event["annotations"]["authorization.k8s.io/decision"] == "forbid" {
            refused.insert(format!("{} {} {}/{} {}", used.account, used.verb, used.group, used.resource, used.name));
        } else {
            allowed.insert(used);
        }
    }
    Ok((allowed, refused))
}

/// Each single permission that a role's rules grant, in words, that nothing in `used` needed.
fn unused(account: &str, rules: &[PolicyRule], used: &BTreeSet<Used>) -> Vec<String> {
    let mut found = Vec::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    // A watch by name carries the name in a selector, which the audit log shows as the object's name.
                    let names: Vec<Option<&str>> = match &rule.resource_names {
                        Some(names) => names.iter().map(|name| Some(name.as_str())).collect(),
                        None => vec![None],
                    };
                    for name in names {
                        let needed = used.iter().any(|used| {
                            used.account == account
                                && used.verb == *verb
                                && used.group == *group
                                && used.resource == *resource
                                && name.is_none_or(|name| used.name == name)
                        });
                        if !needed {
                            let name = name.map(|name| format!(" {name}")).unwrap_or_default();
                            found.push(format!("{account} {verb} {group}/{resource}{name}"));
                        }
                    }
                }
            }
        }
    }
    found.retain(|permission| !UNSEEN.contains(&permission.as_str()));
    found
}

/// A gateway's Service.
async fn edge(lab: &Lab) -> Result<()> {
    lab.namespace(EDGE).await?;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "gateway", "namespace": EDGE},
        "spec": {"ports": [{"port": 443}]}});
    lab.apply_value(service).await?;
    Ok(())
}

/// The kinds of Rainbond 6, as far as it matters that they are there.
async fn rainbond_kinds(lab: &Lab) -> Result<()> {
    for (group, version, kind, plural) in [
        ("rainbond.io", "v1alpha1", "RainbondCluster", "rainbondclusters"),
        ("apisix.apache.org", "v2", "ApisixRoute", "apisixroutes"),
    ] {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {"group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
                "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
        let definition = lab.apply_value(definition).await?.remove(0);
        lab.wait_for_condition(&definition, "Established").await?;
    }
    Ok(())
}

/// Everything that certgate does for hosts, from the first look to the last trace.
async fn work(lab: &Lab) -> Result<()> {
    let team = Team::new(lab, "team").await?;
    // Held, then issued inline, with a companion that makes the v5 gateway load the Secret.
    let shop = "shop.permissions-example.com".to_owned();
    team.create(rainbond("shop", &shop, "/")).await?;
    team.until_domain(&shop, "Verified", "False", None).await?;
    lab.dns().a(&shop, lab.ip());
    team.until_injected("shop", &shop).await?;
    team.until_domain(&shop, "Ready", "True", None).await?;
    // Issued apart and bound.
    let blog = "blog.permissions-example.com".to_owned();
    lab.dns().a(&blog, lab.ip());
    let mut apisix = plain("blog", &[&blog]);
    apisix["spec"]["ingressClassName"] = json!("apisix");
    team.create(apisix).await?;
    team.until_injected("blog", &blog).await?;
    // With plain HTTP kept by a twin.
    let kept = "kept.permissions-example.com".to_owned();
    lab.dns().a(&kept, lab.ip());
    team.create(rainbond("kept", &kept, "/")).await?;
    lab.wait_for("the twin", WITHIN, async || Ok(team.ingresses().get_opt("kept-certgate-http").await?)).await?;
    team.until_domain(&kept, "Ready", "True", None).await?;
    // Asked for by Rainbond 6's switch: approved, and told on the Certificate.
    let (route, direct) = ("direct.permissions-example.comp-ps-s", "direct.permissions-example.com".to_owned());
    lab.dns().a(&direct, lab.ip());
    lab.apply_value(json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": {"name": route, "namespace": "team", "labels": {"app_id": "6def"}},
        "spec": {"secretName": route, "dnsNames": [direct],
            "issuerRef": {"kind": "ClusterIssuer", "name": "pebble-fast"}}}))
        .await?;
    team.until_domain(&direct, "Ready", "True", None).await?;
    team.certificates().delete(route, &DeleteParams::default()).await?;
    // Switched off, and gone.
    for (name, host) in [("shop", &shop), ("blog", &blog), ("kept", &kept)] {
        team.annotate(name, json!({ "certgate.dev/auto-issue": "false" })).await?;
        team.until_gone(&team.certificates(), &format!("certgate-{host}")).await?;
        team.ingresses().delete(name, &DeleteParams::default()).await?;
    }
    // Certificates that somebody spoilt are made anew, in place.
    let secrets: Api<Secret> = Api::namespaced(lab.client().await?, installed::NAMESPACE);
    for (name, field) in [("certgate-webhook-tls", "tls.crt"), ("certgate-ca", "ca.crt")] {
        let spoilt = json!({ "data": { field: "c3BvaWx0" } });
        secrets.patch(name, &PatchParams::default(), &Patch::Merge(spoilt)).await.context(name)?;
    }
    for host in [&shop, &blog, &kept] {
        let what = format!("the Domain of {host}, which was switched off, is gone");
        lab.wait_for(&what, WITHIN, async || Ok(team.domains().get_opt(host).await?.is_none().then_some(()))).await?;
    }
    // Whose Certificate was only deleted may come back within a minute.
    lab.wait_for("no Domain is left", 3 * WITHIN, async || {
        Ok(team.domains().list(&ListParams::default()).await?.items.is_empty().then_some(()))
    })
    .await
}

/// Somebody opens the status page.
async fn visit(lab: &Lab, page: SocketAddr) -> Result<()> {
    let Identity::Token(token) = lab.service_account(installed::NAMESPACE, "visitor").await? else { bail!("no token") };
    let head = format!("GET / HTTP/1.1\r\nHost: {page}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
    let answer = lab
        .wait_for("the page answers", WITHIN, async || {
            let mut socket = TcpStream::connect(page).await?;
            socket.write_all(head.as_bytes()).await?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await?;
            Ok((!answer.is_empty()).then_some(answer))
        })
        .await?;
    ensure!(answer.starts_with("HTTP/1.1 401"), "an account without rights: {answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_granted_is_used_and_what_is_used_is_granted() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let (policy, log) = (scratch.path().join("audit.yaml"), scratch.path().join("audit.log"));
    fs::write(&policy, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n")?;
    let options = LabOptions {
        apiserver_args: vec![
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", log.display()),
        ],
        ..LabOptions::default()
    };
    Lab::with(options, async |lab| {
        lab.dns().set_negative_ttl(1, 1);
        rainbond_kinds(lab).await?;
        let mut policy = installed::policy(lab, "pebble-fast");
        policy["gate"] = json!({"mode": "all"});
        policy["claims"] = json!({"keepDays": 0});
        policy["rainbond"] = json!({"routes": true});
        policy["gateway"]["rainbond"] = json!(true);
        policy["rules"] = json!([{"match": {"hosts": ["kept.*"]}, "http": "keep"}]);
        // Where the gateway is reached is looked up in both places that there are.
        policy["gateway"]["service"] = json!({"namespace": EDGE, "name": "gateway"});
        edge(lab).await?;
        let page = json!({"controller": {"page": {"enabled": true, "listen": "service"}}});
        let app = installed::install(lab, installed::chart(program(), &policy).values(page)).await?;
        visit(lab, app.service_address("certgate-page")?).await?;
        work(lab).await?;

        let client = lab.client().await?;
        let mut rules = Vec::new();
        for account in ACCOUNTS {
            let cluster: ClusterRole = Api::all(client.clone()).get(account).await?;
            let own: Role = Api::namespaced(client.clone(), installed::NAMESPACE).get(account).await?;
            let edge: Api<Role> = Api::namespaced(client.clone(), EDGE);
            let edge = edge.get_opt(&format!("{account}-gateway")).await?;
            let all = [cluster.rules, own.rules, edge.and_then(|role| role.rules)];
            rules.push((account, all.into_iter().flatten().flatten().collect()));
        }
        let rules: Vec<(&str, Vec<PolicyRule>)> = rules;
        lab.wait_for("every permission is used", WITHIN, async || {
            let (used, _) = audited(&log)?;
            let left: Vec<_> = rules.iter().flat_map(|(account, rules)| unused(account, rules, &used)).collect();
            ensure!(left.is_empty(), "granted and not used:\n  {}", left.join("\n  "));
            Ok(Some(()))
        })
        .await?;
        let (used, refused) = audited(&log)?;
        ensure!(
            refused.is_empty(),
            "used and not granted:\n  {}",
            refused.into_iter().collect::<Vec<_>>().join("\n  ")
        );
        let writes = |account: &str| {
            let of = |used: &&Used| used.account == account && !["get", "list", "watch"].contains(&used.verb.as_str());
            used.iter().filter(of).count()
        };
        ensure!(writes("certgate-webhook") == 0, "the webhook wrote");
        ensure!(writes("certgate-controller") > 5, "the controller wrote nothing");
        Ok(())
    })
    .await
    .context("permissions")
}
