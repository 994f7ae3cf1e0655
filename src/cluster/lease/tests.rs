use std::sync::{Mutex, MutexGuard};

use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::Value;
use tokio::{sync::oneshot, task::JoinHandle, time::sleep};

use super::*;
use crate::cluster::stage::Stage;

const S: Duration = Duration::from_secs(1);

/// What becomes of one replica's requests.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Link {
    Up,
    /// They do not arrive.
    Silent,
    /// Those about the Lease are done, and nobody hears of it.
    Mute,
}

/// The Lease and the work of an API server, as far as they matter here: a resourceVersion that is not the present one
/// meets a 409.
#[derive(Default)]
struct Server {
    lease: Option<Value>,
    version: u64,
    /// Who wrote work, and when.
    work: Vec<(usize, Instant)>,
}

struct World {
    server: Mutex<Server>,
    links: Mutex<[Link; 2]>,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self { server: Mutex::default(), links: Mutex::new([Link::Up; 2]) })
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap()
    }

    fn set(&self, who: usize, link: Link) {
        self.links.lock().unwrap()[who] = link;
    }

    fn holder(&self) -> Option<String> {
        Some(self.server().lease.as_ref()?["spec"]["holderIdentity"].as_str()?.to_owned())
    }

    /// When `who` wrote.
    fn work_of(&self, who: usize) -> Vec<Instant> {
        self.server().work.iter().filter(|(by, _)| *by == who).map(|(_, at)| *at).collect()
    }

    /// Waits until `who` has written after `since`, and returns when.
    async fn until_works(&self, who: usize, since: Instant) -> Instant {
        let deadline = Instant::now() + 120 * S;
        loop {
            if let Some(at) = self.work_of(who).into_iter().find(|at| *at > since) {
                return at;
            }
            assert!(Instant::now() < deadline, "{who} does not lead");
            sleep(S / 20).await;
        }
    }

    fn client(self: &Arc<Self>, who: usize) -> Client {
        let world = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<Body>| {
            let world = Arc::clone(&world);
            async move {
                let link = world.links.lock().unwrap()[who];
                if link == Link::Silent {
                    std::future::pending::<()>().await;
                }
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let (code, answer) = world.server().answer(who, &parts.method, parts.uri.path(), &body);
                if link == Link::Mute && parts.uri.path() != "/work" {
                    std::future::pending::<()>().await;
                }
                let answer = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
                Ok::<_, Infallible>(answer.unwrap())
            }
        });
        Client::new(service, "default")
    }

    fn start(self: &Arc<Self>, who: usize) -> Replica {
        let (leave, left) = oneshot::channel::<()>();
        let settings = LeaseSettings {
            namespace: "certgate-system".into(),
            name: "certgate-controller".into(),
            identity: format!("replica-{who}"),
        };
        let stages = Stages::default();
        let (client, told) = (self.client(who), (stages.clone(), ControllerMetrics::default()));
        let task = tokio::spawn(async move {
            let work = |client: Client| async move {
                loop {
                    let request = Request::put("/work").body(Body::empty()).unwrap();
                    // As all work, it does not end by one refusal.
                    let _ = client.send(request).await;
                    sleep(S / 10).await;
                }
            };
            while_leading::<_, _, ()>(client, &settings, async { drop(left.await) }, told, work).await.unwrap();
        });
        Replica { leave, stages, task }
    }
}

impl Server {
    fn answer(&mut self, who: usize, method: &Method, path: &str, body: &Value) -> (u16, Value) {
        let status = |code: u16, reason: &str| {
            (code, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}))
        };
        if path == "/work" {
            self.work.push((who, Instant::now()));
            return (200, json!({}));
        }
        assert!(path.starts_with("/apis/coordination.k8s.io/v1/namespaces/certgate-system/leases"), "{path}");
        match (method, &mut self.lease) {
            (&Method::GET, Some(lease)) => (200, lease.clone()),
            (&Method::POST, Some(_)) => status(409, "AlreadyExists"),
            (&Method::POST, empty) => {
                self.version += 1;
                let mut lease = body.clone();
                lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
                *empty = Some(lease.clone());
                (201, lease)
            }
            (_, None) => status(404, "NotFound"),
            (_, Some(lease)) => {
                if body["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"] {
                    return status(409, "Conflict");
                }
                json_patch::merge(lease, body);
                self.version += 1;
                lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
                (200, lease.clone())
            }
        }
    }

    /// Somebody else writes the Lease.
    fn edit(&mut self, pointer: &str, value: &str) {
        self.version += 1;
        let lease = self.lease.as_mut().unwrap();
        json_patch::merge(lease, &json!({"metadata": {"annotations": {}}}));
        let version = json!(self.version.to_string());
        lease["metadata"]["resourceVersion"] = version;
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        lease.pointer_mut(parent).unwrap()[key] = json!(value);
    }
}

struct Replica {
    leave: oneshot::Sender<()>,
    stages: Stages,
    task: JoinHandle<()>,
}

impl Replica {
    async fn leave(self) {
        self.leave.send(()).unwrap();
        self.task.await.unwrap();
    }
}

/// No write of one lies between two of the other's, and between them is a while for what is on its way.
fn apart(world: &World) {
    let work = world.server().work.clone();
    for pair in work.windows(2) {
        let ((before, ended), (after, began)) = (pair[0], pair[1]);
        if before != after {
            assert!(
                began.duration_since(ended) >= S,
                "{before} wrote {:?} before {after}",
                began.duration_since(ended)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hears_nothing_stops_before_another_leads_and_leads_again_in_its_turn() {
    for deaf in [Link::Silent, Link::Mute] {
        let world = World::new();
        let (first, begun) = (world.start(0), Instant::now());
        world.until_works(0, begun).await;
        let second = world.start(1);
        sleep(30 * S).await;
        assert!(world.work_of(1).is_empty(), "it stands by");
        assert_eq!(
            (second.stages.stage(), second.stages.remarks(std::time::Instant::now()).len()),
            (Stage::Waiting, 0)
        );

        world.set(0, deaf);
        let silent = Instant::now();
        let took = world.until_works(1, silent).await.duration_since(silent);
        if deaf == Link::Silent {
            assert!(took <= 14 * S, "within a term, a period and a bit: {took:?}");
        }
        sleep(20 * S).await;
        assert!(!first.stages.remarks(std::time::Instant::now()).is_empty(), "it says that it cannot ask");
        let last = *world.work_of(0).last().unwrap();
        world.set(0, Link::Up);
        sleep(60 * S).await;
        assert_eq!(world.work_of(0).last(), Some(&last), "it does not write before it leads again");
        assert!(first.stages.remarks(std::time::Instant::now()).is_empty());

        let leaving = Instant::now();
        second.leave().await;
        assert_eq!(world.holder().as_deref(), Some(""), "released");
        let again = world.until_works(0, leaving).await;
        assert!(again.duration_since(leaving) <= 3 * S, "a release is seen at the next look");
        first.leave().await;
        let work = world.server().work.clone();
        let takeover = work.windows(2).find(|pair| pair[0].0 == 0 && pair[1].0 == 1).unwrap();
        assert!(takeover[1].1.duration_since(takeover[0].1) >= 2 * S, "time for what was on its way");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_else_holds_is_given_up_at_the_next_renewal() {
    let (world, begun) = (World::new(), Instant::now());
    let replica = world.start(0);
    world.until_works(0, begun).await;
    world.server().edit("/spec/holderIdentity", "somebody");
    let stolen = Instant::now();
    sleep(9 * S).await;
    let last = *world.work_of(0).last().unwrap();
    assert!(last.duration_since(stolen) <= 3 * S, "{:?}", last.duration_since(stolen));
    // Of whom nothing more is heard.
    let again = world.until_works(0, last).await;
    assert!(again.duration_since(stolen) >= 10 * S);
    replica.leave().await;
    apart(&world);
}

#[tokio::test(start_paused = true)]
async fn notes_on_the_lease_answers_that_are_lost_and_short_silences_end_nothing() {
    let (world, begun) = (World::new(), Instant::now());
    let replica = world.start(0);
    world.until_works(0, begun).await;
    for _ in 0..20 {
        world.server().edit("/metadata/annotations/certgate.dev~1console-answered", "now");
        sleep(S).await;
        world.set(0, Link::Mute);
        sleep(3 * S).await;
        world.set(0, Link::Up);
        sleep(4 * S).await;
    }
    let work = world.work_of(0);
    let lasting = Instant::now().duration_since(begun);
    let gap = work.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(gap <= S, "it went on writing all the while: {gap:?} in {lasting:?}");
    assert_eq!(world.server().lease.as_ref().unwrap()["spec"]["leaseTransitions"], 0);
    replica.leave().await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_the_api_server_is_silent_is_not_held_up() {
    let (world, begun) = (World::new(), Instant::now());
    let (leader, standby) = (world.start(0), world.start(1));
    world.until_works(0, begun).await;
    world.set(0, Link::Silent);
    world.set(1, Link::Silent);
    sleep(3 * S).await;
    let leaving = Instant::now();
    leader.leave().await;
    standby.leave().await;
    assert!(leaving.elapsed() <= 4 * S, "{:?}", leaving.elapsed());
}
