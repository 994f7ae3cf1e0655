//! The approval gate: requests that are read otherwise than they look, certificates that seem to end, verdicts for another
//! issuer. None of them lets a request for a dead host to the CA.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use certgate_lab::{Identity, Lab, LabOptions, PebbleOptions, story::condition};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::cluster::{Cluster, PATIENCE, Team, plain};

const ISSUER: &str = "pebble-fast";
/// A request for `dead.example.com`, whose names stand in a second attribute for extensions.
const SECOND_ATTRIBUTE: &str = include_str!("../fixtures/tenant/second-attribute.csr.b64");
const DAY: u64 = 24 * 3600;
/// How long a certificate lives that is let through near its end; cert-manager renews it when a third is left.
const MINUTES: u64 = 240;

/// The API of a kind as somebody with every right in the namespace has it.
async fn tenant(team: &Team<'_>) -> Result<Client> {
    let (lab, name) = (team.lab, &team.name);
    lab.apply_value(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "owner", "namespace": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("owner-of-{name}")}]}))
        .await?;
    lab.client_as(&Identity::User(format!("owner-of-{name}"), Vec::new())).await
}

fn requests(team: &Team<'_>, client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("cert-manager.io", "v1", "CertificateRequest");
    let kind = ApiResource::from_gvk_with_plural(&kind, "certificaterequests");
    Api::namespaced_with(client.clone(), &team.name, &kind)
}

fn certificate(team: &Team<'_>, host: &str, issuer: &str) -> Value {
    json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": {"name": host, "namespace": team.name},
        "spec": {"secretName": host, "dnsNames": [host], "issuerRef": {"kind": "ClusterIssuer", "name": issuer}}})
}

fn csr(hosts: &[&str]) -> String {
    let mut params = rcgen::CertificateParams::new(hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

async fn gated(options: LabOptions, issuers: &[&str]) -> Result<Cluster> {
    let (first, others) = issuers.split_first().context("an issuer")?;
    let rules: Vec<Value> = others
        .iter()
        .map(|name| json!({"match": {"hosts": [format!("*.{name}.example.com")]}, "issuer": {"name": name}}))
        .collect();
    Cluster::start(options, first, |policy| {
        policy["gate"] = json!({"mode": "all"});
        policy["rules"] = json!(rules);
    })
    .await
}

async fn is_open(api: &Api<DynamicObject>, name: &str) -> Result<bool> {
    Ok(condition(&api.get(name).await?, "Approved").is_none())
}

/// The name of the open request of a Certificate's.
async fn open_of(team: &Team<'_>, certificate: &str) -> Result<Option<String>> {
    let all = requests(team, &team.client).list(&ListParams::default()).await?.items.into_iter();
    let theirs = all.filter(|request| request.name_any().starts_with(certificate));
    Ok(theirs.filter(|request| condition(request, "Approved").is_none()).map(|request| request.name_any()).next())
}

async fn until_open(team: &Team<'_>, certificate: &str) -> Result<String> {
    let what = format!("a request of {certificate} waits");
    team.lab.wait_for(&what, PATIENCE, async || open_of(team, certificate).await).await
}

/// Waits until a Certificate is Ready, and perhaps renewed so often.
async fn until_ready(team: &Team<'_>, name: &str, revision: u64) -> Result<DynamicObject> {
    team.lab
        .wait_for(&format!("Certificate {name} is Ready, revision {revision}"), PATIENCE, async || {
            let object = team.certificates().get(name).await?;
            let ready = condition(&object, "Ready").is_some_and(|one| one["status"] == "True");
            let now = object.data.pointer("/status/revision").and_then(Value::as_u64).unwrap_or_default();
            ensure!(ready && now >= revision, "revision {now}: {}", object.data["status"]);
            Ok(Some(object))
        })
        .await
}

/// Everything that was written before this has been through the gate: a host that is good goes through.
async fn until_another_is_through(team: &Team<'_>, host: &str) -> Result<()> {
    team.lab.dns().a(host, team.lab.ip());
    team.lab.apply_value(certificate(team, host, ISSUER)).await?;
    until_ready(team, host, 1).await.map(drop)
}

async fn told(team: &Team<'_>, object: &str) -> Result<Vec<String>> {
    let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(team.client.clone(), &team.name);
    let all = events.list(&ListParams::default()).await?.items.into_iter();
    Ok(all
        .filter(|event| event.reporting_controller.as_deref() == Some("certgate.dev/controller"))
        .filter(|event| event.regarding.as_ref().is_some_and(|regarding| regarding.name.as_deref() == Some(object)))
        .filter_map(|event| event.note)
        .collect())
}

async fn until_told(team: &Team<'_>, object: &str, words: &str) -> Result<()> {
    let what = format!("an Event on {object}: {words}");
    team.lab
        .wait_for(&what, PATIENCE, async || {
            let told = told(team, object).await?;
            ensure!(told.iter().any(|note| note.contains(words)), "{told:?}");
            Ok(Some(()))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_forgery_lets_a_request_for_a_dead_host_through_the_gate() -> Result<()> {
    let cluster = gated(LabOptions::default(), &[ISSUER, "private"]).await?;
    let lab = &cluster.lab;
    lab.apply_value(
        json!({"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": "private"},
        "spec": {"selfSigned": {}}}),
    )
    .await?;
    requests_that_are_read_otherwise_than_they_look(lab).await.context("forged requests")?;
    a_certificate_that_seems_to_end(lab).await.context("a forged certificate")?;
    another_issuers_verdict(lab).await.context("another issuer's verdict")
}

async fn requests_that_are_read_otherwise_than_they_look(lab: &Lab) -> Result<()> {
    let team = Team::new(lab, "forger").await?;
    let client = tenant(&team).await?;
    let api = requests(&team, &client);
    let request = |name: &str, request: &str| {
        json!({"apiVersion": "cert-manager.io/v1", "kind": "CertificateRequest", "metadata": {"name": name},
            "spec": {"request": request, "issuerRef": {"kind": "ClusterIssuer", "name": ISSUER}}})
    };
    let dead = csr(&["before.example.com"]);
    let readable = [
        ("second-attribute", "dead.example.com", SECOND_ATTRIBUTE.trim().to_owned()),
        ("text-before", "before.example.com", STANDARD.encode(format!("words\n{dead}"))),
        ("other-ends", "ends.example.com", STANDARD.encode(csr(&["ends.example.com"]).replace("-----\n", "----- \n"))),
    ];
    let unreadable = [
        ("two-blocks", STANDARD.encode(format!("{}{}", csr(&["first.example.com"]), csr(&["second.example.com"])))),
        ("two-beginnings", STANDARD.encode(format!("-----BEGIN CERTIFICATE REQUEST-----\n{dead}"))),
        ("much-before", STANDARD.encode(format!("{}\n{dead}", "x".repeat(60_000)))),
        ("garbage", STANDARD.encode("garbage")),
    ];
    let all =
        readable.iter().map(|(name, _, text)| (name, text)).chain(unreadable.iter().map(|(name, text)| (name, text)));
    for (name, text) in all {
        let object: DynamicObject = serde_json::from_value(request(name, text))?;
        api.create(&PostParams::default(), &object).await.with_context(|| (*name).to_owned())?;
    }
    for (name, host, _) in &readable {
        team.until_domain(host, "Ready", "False", Some("DomainNotFound")).await?;
        until_told(&team, name, "does not exist in DNS").await?;
    }
    for (name, _) in &unreadable {
        until_told(&team, name, "the certificate request cannot be checked").await?;
    }
    // Nor does the tenant's own approval go through, and it says why.
    let approval = json!({"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "Own", "message": "m",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    let refused = api.patch_status("two-blocks", &PatchParams::default(), &Patch::Merge(approval)).await;
    let refused = refused.err().context("approved by its tenant")?.to_string();
    ensure!(refused.contains("more than one PEM block") && refused.contains("who acts: app-developer"), "{refused}");
    until_another_is_through(&team, "good.forger.example.org").await?;
    for name in readable.iter().map(|(name, ..)| name).chain(unreadable.iter().map(|(name, _)| name)) {
        ensure!(is_open(&api, name).await?, "{name} was approved");
    }
    for (_, host, _) in &readable {
        ensure!(team.orders(host)? == 0, "an order for {host}");
    }
    // What is read is let go as every other, the moment that its host is there.
    for (name, host, _) in &readable {
        lab.dns().a(host, lab.ip());
        lab.wait_for(
            &format!("{name} is approved"),
            PATIENCE,
            async || Ok((!is_open(&api, name).await?).then_some(())),
        )
        .await?;
    }
    lab.wait_for("the second attribute's host is ordered", PATIENCE, async || {
        Ok((team.orders("dead.example.com")? == 1).then_some(()))
    })
    .await
}

async fn a_certificate_that_seems_to_end(lab: &Lab) -> Result<()> {
    let team = Team::new(lab, "ender").await?;
    let host = "ending.example.com";
    let mut params = rcgen::CertificateParams::new(vec![host.to_owned()])?;
    let now = std::time::SystemTime::now();
    (params.not_before, params.not_after) =
        ((now - Duration::from_secs(89 * DAY)).into(), (now + Duration::from_secs(DAY)).into());
    let key = rcgen::KeyPair::generate()?;
    let own = params.self_signed(&key)?;
    lab.apply_value(json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": host, "namespace": team.name, "annotations": {"cert-manager.io/certificate-name": host,
            "cert-manager.io/issuer-name": ISSUER, "cert-manager.io/issuer-kind": "ClusterIssuer"}},
        "stringData": {"tls.crt": own.pem(), "tls.key": key.serialize_pem()}}))
        .await?;
    lab.apply_value(certificate(&team, host, ISSUER)).await?;
    // cert-manager says of it what the Secret says, and so does the Domain; it proves nothing.
    lab.wait_for("the Domain tells when the certificate ends", PATIENCE, async || {
        let status = team.domains().get(host).await?.status.unwrap_or_default();
        Ok(status.certificate.and_then(|certificate| certificate.not_after).map(drop))
    })
    .await?;
    until_told(&team, host, "does not exist in DNS").await?;
    until_open(&team, host).await?;
    until_another_is_through(&team, "good.ender.example.org").await?;
    ensure!(open_of(&team, host).await?.is_some() && team.orders(host)? == 0, "let through for a forged certificate");
    let status = team.domains().get(host).await?.status.unwrap_or_default();
    ensure!(status.certified.is_empty(), "{:?}", status.certified);
    // That of a host that the CA did certify is known.
    let good = team.domains().get("good.ender.example.org").await?.status.unwrap_or_default();
    ensure!(good.certified.len() == 1 && good.certified[0].issuer.name == ISSUER, "{:?}", good.certified);
    Ok(())
}

async fn another_issuers_verdict(lab: &Lab) -> Result<()> {
    let team = Team::new(lab, "twofold").await?;
    // One host is kept for an Ingress with an issuer that needs no DNS, the other for a Certificate of such a one.
    let (led, bare) = ("led.private.example.com", "bare.private.example.com");
    team.create(plain("web", &[led])).await?;
    team.until_certificate(led).await?;
    let mut private = certificate(&team, bare, "private");
    private["metadata"]["name"] = json!("bare-private");
    private["spec"]["secretName"] = json!("bare-private");
    lab.apply_value(private).await?;
    until_ready(&team, "bare-private", 1).await?;
    for host in [led, bare] {
        lab.apply_value(certificate(&team, host, ISSUER)).await?;
        until_told(&team, host, "does not exist in DNS").await?;
    }
    until_another_is_through(&team, "good.twofold.example.org").await?;
    for host in [led, bare] {
        ensure!(open_of(&team, host).await?.is_some() && team.orders(host)? == 0, "{host} was let through");
        let status = team.domains().get(host).await?.status.unwrap_or_default();
        let verdicts = status.verdict.iter().chain(status.other_verdicts.iter().map(|other| &other.verdict));
        let said: Vec<_> = verdicts.map(|v| (v.issuer.as_ref().map(|i| i.name.clone()), v.reason.clone())).collect();
        let expected = [("private", "NoValidationNeeded"), (ISSUER, "DomainNotFound")];
        ensure!(
            expected.iter().all(|(issuer, reason)| said.contains(&(Some((*issuer).into()), (*reason).into()))),
            "{said:?}"
        );
        // Each goes by its own.
        lab.dns().a(host, lab.ip());
    }
    for host in [led, bare] {
        until_ready(&team, host, 1).await?;
        ensure!(team.orders(host)? == 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_renewal_of_a_short_certificate_is_held_until_the_last_part_of_its_life() -> Result<()> {
    let profiles = vec![("six-days".to_owned(), 6 * DAY), ("minutes".to_owned(), MINUTES)];
    let options =
        LabOptions { pebble: PebbleOptions { profiles, ..PebbleOptions::default() }, ..LabOptions::default() };
    let cluster = gated(options, &["six-days", "minutes"]).await?;
    let lab = &cluster.lab;
    let issuers: Api<DynamicObject> = Api::all_with(
        lab.client().await?,
        &ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk("cert-manager.io", "v1", "ClusterIssuer"),
            "clusterissuers",
        ),
    );
    let fast = issuers.get(ISSUER).await?;
    for profile in ["six-days", "minutes"] {
        let mut spec = fast.data["spec"].clone();
        spec["acme"]["profile"] = json!(profile);
        spec["acme"]["privateKeySecretRef"]["name"] = json!(format!("{profile}-account"));
        lab.apply_value(json!({"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer",
            "metadata": {"name": profile}, "spec": spec}))
            .await?;
    }
    let team = Team::new(lab, "short").await?;
    let (days, minutes) = ("days.example.com", "minutes.example.com");
    for (host, issuer) in [(days, "six-days"), (minutes, "minutes")] {
        lab.dns().a(host, lab.ip());
        lab.apply_value(certificate(&team, host, issuer)).await?;
        until_ready(&team, host, 1).await?;
        lab.wait_for(&format!("what the CA certified for {host} is known"), PATIENCE, async || {
            let status = team.domains().get(host).await?.status.unwrap_or_default();
            Ok((status.certified.len() == 1).then_some(()))
        })
        .await?;
        lab.dns().nxdomain(host);
        let look = json!({"metadata": {"annotations": {"certgate.dev/check-now": "1"}}});
        team.domains().patch(host, &PatchParams::default(), &Patch::Merge(look)).await?;
        team.until_domain(host, "Ready", "False", Some("RenewalAtRisk")).await?;
    }
    // Six days are less than the seven of policy, and yet it is not about to end.
    let issuing = json!({"status": {"conditions": [
        {"type": "Ready", "status": "True", "reason": "Ready", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"},
        {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "m",
         "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    team.certificates().patch_status(days, &PatchParams::default(), &Patch::Merge(issuing)).await?;
    until_open(&team, days).await?;
    until_told(&team, days, "does not exist in DNS").await?;

    // The other is renewed by itself when a third of it is left, waits, and goes when a sixth is.
    let renewing =
        team.lab.wait_for("cert-manager renews", Duration::from_secs(MINUTES), async || open_of(&team, minutes).await);
    let request = renewing.await?;
    ensure!(team.orders(minutes)? == 1, "held");
    let api = requests(&team, &team.client);
    lab.wait_for("it is let through", Duration::from_secs(MINUTES), async || {
        Ok((!is_open(&api, &request).await?).then_some(()))
    })
    .await?;
    let approved = condition(&api.get(&request).await?, "Approved").cloned().context("Approved")?;
    let status = team.domains().get(minutes).await?.status.unwrap_or_default();
    let known = status.certified.first().context("what was certified")?;
    let at: jiff::Timestamp = approved["lastTransitionTime"].as_str().context("a time")?.parse()?;
    let left = at.duration_until(known.not_after.0).as_secs();
    let sixth = i64::try_from(MINUTES / 6)?;
    eprintln!("let through with {left} s of {MINUTES} left");
    ensure!(left <= sixth, "too early: {left} s left");
    ensure!(approved["message"].as_str().is_some_and(|text| text.contains("would run out")), "{approved}");
    ensure!(open_of(&team, days).await?.is_some() && team.orders(days)? == 1, "the other is held on");
    Ok(())
}
