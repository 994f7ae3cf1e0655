//! For tests: API servers that answer by a script, or by hand.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::{sync::Mutex, task::JoinHandle, time::timeout};
use tower_test::mock::{self, Handle, SendResponse};

/// However busy the machine is, a request that is due has come by then.
const DEADLINE: Duration = Duration::from_secs(60);

/// An API server that answers what it is told to, in order, and remembers what it was asked.
pub(super) struct Script {
    pub(super) client: Client,
    pub(super) asked: Arc<Mutex<Vec<(String, String, Value)>>>,
    server: JoinHandle<()>,
}

pub(super) fn script(answers: impl IntoIterator<Item = (u16, Value)>) -> Script {
    let (service, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut answers: VecDeque<_> = answers.into_iter().collect();
    let server = tokio::spawn({
        let asked = asked.clone();
        async move {
            while let Some((request, send)) = handle.next_request().await {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap_or_default();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                asked.lock().await.push((parts.method.to_string(), parts.uri.to_string(), body));
                let (code, answer) = answers.pop_front().unwrap_or((500, json!({})));
                let answer = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
                send.send_response(answer.unwrap());
            }
        }
    });
    Script { client: Client::new(service, "default"), asked, server }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(super) fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code});
    (code, body)
}

/// As kube-apiserver 1.36.3 answers who would make a Domain in a namespace that is going.
pub(super) fn terminating() -> (u16, Value) {
    let message = "domains.certgate.dev \"www.example.com\" is forbidden: \
                   unable to create new content in namespace n because it is being terminated";
    let (code, mut body) = status(403, "Forbidden", message);
    body["details"] = json!({"name": "www.example.com", "group": "certgate.dev", "kind": "domains", "causes": [{
        "reason": "NamespaceTerminating", "message": "namespace n is being terminated", "field": "metadata.namespace",
    }]});
    (code, body)
}

/// An API server whose answers a test gives itself, one by one.
pub(super) struct ByHand {
    pub(super) client: Client,
    handle: Handle<Request<Body>, Response<axum::body::Body>>,
}

/// A request that waits for its answer.
pub(super) struct Asked {
    pub(super) uri: String,
    send: SendResponse<Response<axum::body::Body>>,
}

pub(super) fn by_hand() -> ByHand {
    let (service, handle) = mock::pair();
    ByHand { client: Client::new(service, "default"), handle }
}

impl ByHand {
    /// The next request, once it has come.
    pub(super) async fn next(&mut self) -> Asked {
        let next = timeout(DEADLINE, self.handle.next_request()).await;
        let (request, send) = next.expect("a request in time").expect("a client that asks");
        Asked { uri: request.uri().to_string(), send }
    }
}

impl Asked {
    pub(super) fn is_watch(&self) -> bool {
        self.uri.contains("watch=true")
    }

    pub(super) fn answer(self, (code, body): (u16, Value)) {
        let response = Response::builder().status(code).body(axum::body::Body::from(body.to_string()));
        self.send.send_response(response.unwrap());
    }

    /// Opens a watch that has nothing to tell.
    pub(super) fn open(self) {
        let silence = axum::body::Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        self.send.send_response(Response::new(silence));
    }
}

/// A list without objects.
pub(super) fn empty_list() -> (u16, Value) {
    (200, json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": []}))
}

/// Returns once `holds`.
pub(super) async fn until(holds: impl Fn() -> bool) {
    let met = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(DEADLINE, met).await.expect("met in time");
}
