//! For tests: an API server that answers by a script.

use std::{collections::VecDeque, sync::Arc};

use http::{Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::{sync::Mutex, task::JoinHandle};
use tower_test::mock;

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
