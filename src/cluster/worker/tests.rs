use serde_json::json;

use super::*;
use crate::{
    api::partial::ingress::Ingress,
    cluster::scripted::{Script, script, status},
    core::policy::Policy,
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
    let terminating = "domains.certgate.dev \"x\" is forbidden: unable to create new content in namespace n because it is being terminated";
    let fixture = fixture([status(403, "Forbidden", terminating)]);
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
