use k8s_openapi::api::core::v1;
use serde_json::json;

use super::*;
use crate::{
    api::partial::{ingress::Ingress, metadata::Metadata},
    cluster::{
        preflight::Awaits as _,
        scripted::{Script, script, status, terminating},
    },
    core::{policy::Policy, verdict::Verdict},
};

/// A controller with one flagged Ingress in its world, and an API server by script.
struct Fixture {
    shared: Arc<Shared>,
    questions: mpsc::UnboundedReceiver<Job>,
    script: Script,
    worker: tokio::task::JoinHandle<()>,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

fn fixture(answers: impl IntoIterator<Item = (u16, serde_json::Value)>) -> Fixture {
    guarded(answers, false)
}

fn guarded(answers: impl IntoIterator<Item = (u16, serde_json::Value)>, guarded: bool) -> Fixture {
    let script = script(answers);
    let (jobs, questions) = mpsc::unbounded();
    let policy: Policy =
        serde_json::from_value(json!({"issuer": {"name": "internal"}, "gateway": {"addresses": ["203.0.113.7"]}}))
            .unwrap();
    let teller = Teller::new(script.client.clone(), "test".into());
    let writer = Writer::new(script.client.clone());
    let shared = Shared::new(World::new(policy.into()), writer, teller, ControllerMetrics::default(), jobs);
    let shared = Arc::new(shared.guarding(guarded));
    shared.settle();
    let ingress: Ingress = serde_json::from_value(json!({
        "metadata": {"name": "shop", "namespace": "n", "uid": "u", "resourceVersion": "7", "annotations": {"certgate.dev/auto-issue": "true"}},
        "spec": {"rules": [{"host": "www.example.com"}]}}))
    .unwrap();
    shared.change(|world| ingress.see(world));
    let worker = tokio::spawn(run(shared.clone()));
    Fixture { shared, questions, script, worker }
}

fn a_domain(version: &str) -> (u16, serde_json::Value) {
    (
        201,
        json!({"apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
        "metadata": {"name": "www.example.com", "namespace": "n", "uid": "d", "resourceVersion": version, "generation": 1,
            "labels": {"app.kubernetes.io/managed-by": "certgate"}},
        "spec": {"host": "www.example.com"}}),
    )
}

impl Fixture {
    /// The requests made, as "method path", once there are that many.
    async fn requests(&self, count: usize) -> Vec<String> {
        let all = || async {
            let asked = self.script.asked.lock().await;
            asked
                .iter()
                .map(|(method, uri, _)| format!("{method} {}", uri.split('?').next().unwrap_or_default()))
                .collect::<Vec<_>>()
        };
        for _ in 0..10_000 {
            let asked = all().await;
            if asked.len() >= count {
                return asked;
            }
            // Time is paused: this only lets the others go on, and the clock to the next one's turn.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("only {:?}", all().await);
    }
}

const CREATE: &str = "POST /apis/certgate.dev/v1alpha1/namespaces/n/domains";
const STATUS: &str = "PUT /apis/certgate.dev/v1alpha1/namespaces/n/domains/www.example.com/status";

#[tokio::test(start_paused = true)]
async fn no_write_is_lost_while_the_api_server_is_away() {
    let away = std::iter::repeat_n(status(503, "ServiceUnavailable", "away"), 30);
    let fixture = fixture(away.chain([a_domain("8")]));
    let requests = fixture.requests(32).await;
    assert!(requests.iter().take(31).all(|request| request == CREATE), "{requests:?}");
    assert_eq!(requests.get(31).map(String::as_str), Some(STATUS), "and then it goes on");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_asked_again_ever_more_seldom() {
    let fixture = fixture(std::iter::repeat_n(status(403, "Forbidden", "no RBAC for that"), 200));
    let begin = Instant::now();
    fixture.requests(5).await;
    assert!(begin.elapsed() >= Duration::from_secs(15), "{:?}", begin.elapsed());
    let begin = Instant::now();
    fixture.requests(10).await;
    assert!(begin.elapsed() >= Duration::from_secs(220), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_on_its_way_out_is_asked_once() {
    let fixture = fixture([terminating()]);
    fixture.requests(1).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(fixture.requests(1).await, [CREATE]);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_makes_a_new_plan_from_what_is_there_then() {
    let fixture = fixture([a_domain("8"), status(409, "Conflict", "modified")]);
    let requests = fixture.requests(2).await;
    assert_eq!(requests, [CREATE, STATUS]);
    // The watch brings the version that the write collided with: somebody switched the host off.
    let (_, mut object) = a_domain("9");
    object["spec"]["autoIssue"] = json!(false);
    let domain: Domain = serde_json::from_value(object).unwrap();
    fixture.shared.change(|world| domain.see(world));
    fixture.requests(3).await;
    let asked = fixture.script.asked.lock().await;
    let (_, _, body) = asked.get(2).unwrap();
    assert_eq!(body["metadata"]["resourceVersion"], "9");
}

#[tokio::test(start_paused = true)]
async fn a_question_is_asked_once_and_its_answer_written() {
    let mut fixture = fixture([a_domain("8")]);
    let issuer: crate::api::partial::issuer::ClusterIssuer =
        serde_json::from_value(json!({"metadata": {"name": "internal"},
        "spec": {"acme": {"server": "https://ca.example/dir", "solvers": [{"http01": {"ingress": {}}}]}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}}))
        .unwrap();
    fixture.shared.change(|world| issuer.see(world));
    let job = tokio::time::timeout(Duration::from_secs(60), futures::StreamExt::next(&mut fixture.questions))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(job.request.host.as_str(), "www.example.com");
    // Whatever else happens meanwhile asks no second time.
    fixture.shared.change(|world| Touched { everything: true, keys: world.all_keys(), ..Touched::default() });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(fixture.questions.try_recv().is_err());
    let verdict = Verdict {
        finding: crate::core::finding::Finding::new(crate::core::reason::Reason::NoAddress, "www.example.com"),
        warnings: Vec::new(),
        checks: Vec::new(),
        next_check: Duration::from_secs(60),
        validity: Duration::from_secs(60),
    };
    let before = fixture.script.asked.lock().await.len();
    fixture.shared.answered(job, verdict, Timestamp::now());
    fixture.requests(before + 1).await;
    let asked = fixture.script.asked.lock().await;
    assert!(
        asked.iter().any(|(method, _, body)| method == "PUT" && body["status"]["verdict"]["reason"] == "NoAddress")
    );
}

const VERIFIED: &str = "PATCH /apis/certgate.dev/v1alpha1/namespaces/n/verifiedhosts/certgate";

/// The host's issuer is there, and asks for no validation: the host is verified at once.
fn verify_at_once(fixture: &Fixture) {
    let issuer: crate::api::partial::issuer::ClusterIssuer = serde_json::from_value(json!({
        "metadata": {"name": "internal"}, "spec": {"ca": {}}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}))
    .unwrap();
    fixture.shared.change(|world| issuer.see(world));
}

#[tokio::test(start_paused = true)]
async fn where_policies_read_it_verified_hosts_tells_of_a_host_before_its_domain_does() {
    let told = json!({"apiVersion": "certgate.dev/v1alpha1", "kind": "VerifiedHosts",
        "metadata": {"name": "certgate", "namespace": "n", "resourceVersion": "3"},
        "spec": {"issuer": "internal", "hosts": {"www.example.com": "certgate-www.example.com"}}});
    let fixture = guarded([a_domain("8"), (200, told)], true);
    verify_at_once(&fixture);
    assert_eq!(fixture.requests(2).await, [CREATE, VERIFIED]);
    let written = Instant::now();
    assert_eq!(fixture.requests(3).await, [CREATE, VERIFIED, STATUS]);
    assert!(written.elapsed() >= Duration::from_millis(400), "{:?}: API servers must hear of it", written.elapsed());
    let asked = fixture.script.asked.lock().await;
    assert_eq!(asked[1].2["spec"]["hosts"], json!({"www.example.com": "certgate-www.example.com"}));
}

#[tokio::test(start_paused = true)]
async fn a_host_is_not_withheld_for_ever_because_verified_hosts_cannot_be_written() {
    let refused = std::iter::repeat_n(status(403, "Forbidden", "no RBAC for that"), 100);
    let fixture = guarded([a_domain("8")].into_iter().chain(refused), true);
    verify_at_once(&fixture);
    let begun = Instant::now();
    let mut count = 2;
    while !fixture.requests(count).await.iter().any(|request| request == STATUS) {
        count += 1;
    }
    assert!((9..15).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn where_no_policy_reads_it_nothing_waits_for_verified_hosts() {
    let fixture = fixture([a_domain("8")]);
    verify_at_once(&fixture);
    assert_eq!(fixture.requests(2).await, [CREATE, STATUS]);
}

fn object<K: serde::de::DeserializeOwned>(value: serde_json::Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// Returns once `holds`; time is paused, so that this only lets the others go on.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: never");
}

impl Shared {
    /// How much is remembered: of hosts, failures, troubles and announcements.
    fn sizes(&self) -> [usize; 4] {
        let failures = self.failures.lock().unwrap().len();
        [self.memory().len(), failures, self.troubles().told.len(), self.announced.lock().unwrap().len()]
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_remembered_of_hosts_that_nobody_wants_or_that_are_gone() {
    let fixture = fixture([]);
    let shop = |world: &mut World| Ingress::lose(world, "n", "shop");
    fixture.shared.change(shop);
    let hosts = 50;
    for n in 0..hosts {
        let flag = if n % 2 == 0 { json!({}) } else { json!({"certgate.dev/auto-issue": "neither"}) };
        let ingress: Ingress = object(json!({
            "metadata": {"name": format!("i{n}"), "namespace": "n", "uid": format!("u{n}"), "resourceVersion": "7", "annotations": flag},
            "spec": {"rules": [{"host": format!("h{n}.example.com")}]}}));
        fixture.shared.change(|world| ingress.see(world));
    }
    // What is told of those whose flag cannot be read is told once.
    until("told", || fixture.shared.sizes()[2] == hosts / 2).await;
    until("planned", || fixture.shared.sizes()[0] == 0).await;
    for n in 0..hosts {
        fixture.shared.change(|world| Ingress::lose(world, "n", &format!("i{n}")));
    }
    until("forgotten", || fixture.shared.sizes() == [0; 4]).await;
}

/// A plan is made for one version of the Domain, and written to that version: not to one that somebody edits meanwhile.
#[test]
fn a_plan_and_the_domain_it_is_made_for_are_of_one_look() {
    let script = tokio::runtime::Runtime::new().unwrap().block_on(async { script([]) });
    let (jobs, _questions) = mpsc::unbounded();
    let policy: Policy = serde_json::from_value(json!({"issuer": {"name": "internal"}})).unwrap();
    let teller = Teller::new(script.client.clone(), "test".into());
    let writer = Writer::new(script.client.clone());
    let shared = Shared::new(World::new(policy.into()), writer, teller, ControllerMetrics::default(), jobs);
    shared.settle();
    let host = Host::parse("www.example.com").unwrap();
    let namespace: Arc<str> = "n".into();
    // Nobody wants the host: managed, its Domain goes; edited by a person, it stays.
    let domain = |version: u64| -> Domain {
        let (_, mut value) = a_domain(&version.to_string());
        if version.is_multiple_of(2) {
            value["spec"]["autoIssue"] = json!(true);
        }
        value["status"] = json!({"conditions": [{"type": "Ready", "status": "False", "reason": "SwitchedOff",
            "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
        object(value)
    };
    shared.change(|world| domain(1).see(world));
    let end = AtomicBool::new(false);
    let deletions = std::thread::scope(|scope| {
        scope.spawn(|| {
            for version in 2.. {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                shared.change(|world| domain(version).see(world));
            }
        });
        let mut deletions = 0;
        let begun = std::time::Instant::now();
        while deletions < 20_000 && begun.elapsed() < Duration::from_secs(60) {
            let (plan, planned_for) =
                shared.plan_host(&namespace, &host, &mut Checks::default(), &Notes::default(), Timestamp::now());
            if plan.effects.contains(&Effect::DeleteDomain) {
                deletions += 1;
                let edited = planned_for.is_some_and(|domain| domain.spec.auto_issue.is_some());
                if edited {
                    end.store(true, Ordering::Relaxed);
                    panic!("after {deletions} deletions one is of a Domain that a person edited");
                }
            }
        }
        end.store(true, Ordering::Relaxed);
        deletions
    });
    assert!(deletions > 100, "{deletions}");
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_or_nudged_is_what_the_plan_was_made_for() {
    let mut fixture = fixture([]);
    fixture.worker.abort();
    let _ = (&mut fixture.worker).await;
    let before = fixture.script.asked.lock().await.len();
    // Meanwhile the object of that name is another one.
    let id = (Arc::<str>::from("n"), Host::parse("www.example.com").unwrap());
    for effect in [
        Effect::DeleteCompanion { name: "shop".into(), uid: "of-the-plan".into() },
        Effect::Nudge { ingress: "shop".into(), uid: "of-the-plan".into() },
    ] {
        let _ = fixture.shared.effect(&id.0, &id.1, &mut None, effect).await;
    }
    let asked = fixture.script.asked.lock().await;
    let ours: Vec<_> = asked[before..].iter().map(|(method, _, body)| (method.as_str(), body)).collect();
    assert!(ours.iter().any(|(method, body)| *method == "DELETE" && body["preconditions"]["uid"] == "of-the-plan"));
    assert!(ours.iter().any(|(method, body)| *method == "PATCH" && body["metadata"]["uid"] == "of-the-plan"));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_not_woken_for_what_another_one_announced() {
    let written = json!({"apiVersion": "certgate.dev/v1alpha1", "kind": "VerifiedHosts",
        "metadata": {"name": "certgate", "namespace": "x"}, "spec": {"issuer": "internal"}});
    let mut fixture = guarded(std::iter::repeat_n((200, written), 3), true);
    fixture.worker.abort();
    let _ = (&mut fixture.worker).await;
    let shared = &fixture.shared;
    for name in ["a", "b"] {
        let namespace: Metadata<v1::Namespace> = object(json!({"metadata": {"name": name}}));
        shared.change(|world| namespace.see(world));
    }
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let announced = verified::Announced::since(Instant::now());
    shared.announced.lock().unwrap().insert((a.clone(), Host::parse("www.example.com").unwrap()), announced);
    // What comes at once is taken; what is left waits for its time.
    let left = async || {
        while let Ok(Some(key)) = tokio::time::timeout(Duration::from_secs(2), shared.queue.next()).await {
            shared.queue.done(&key);
        }
        shared.queue.depth().waiting
    };
    assert_eq!(left().await, 0);
    shared.verified(&b).await.unwrap();
    assert_eq!(left().await, 0, "it has nothing to come back for");
    shared.verified(&a).await.unwrap();
    assert_eq!(left().await, 1);
}
