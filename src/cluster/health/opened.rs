//! [`heard_by`]: kube's watcher tells that a watch failed, but not that it
//! resumed, unless an object changes. The API server's answer does.

use std::sync::Arc;

use http::Request;
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};

use super::Health;
use crate::apiserver::deadline::is_watch;

/// The client with which one kind is watched: its health is well as soon as the API server opens the watch.
///
/// Lists say nothing here: one that was answered may still be unreadable, and the watcher tells what became of it.
pub fn heard_by(client: Client, health: Arc<Health>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, health) = (client.clone(), Arc::clone(&health));
        async move {
            let watch = is_watch(request.uri());
            let response = client.send(request).await?;
            let opened = watch && response.status().is_success();
            if opened {
                health.well();
            }
            // Bookmarks count: a calm watch is a word from the server now and then.
            let heard = opened.then_some(health);
            Ok::<_, kube::Error>(response.map(|body| {
                body.map_frame(move |frame| {
                    heard.iter().for_each(|health| health.heard());
                    frame
                })
            }))
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use kube::core::Status;
    use serde_json::json;

    use super::*;
    use crate::cluster::{
        health::Watches,
        scripted::{script, status},
    };

    #[tokio::test]
    async fn only_a_watch_that_is_opened_is_a_sign_of_health() {
        let watch = "/api/v1/namespaces?&watch=true&resourceVersion=7";
        for (uri, answer, well) in [
            (watch, (200, json!({})), true),
            (watch, status(403, "Forbidden", "not you"), false),
            (watch, status(410, "Expired", "too old"), false),
            (watch, status(503, "ServiceUnavailable", "later"), false),
            ("/api/v1/namespaces?limit=100", (200, json!({})), false),
            ("/api/v1/namespaces?labelSelector=watch", (200, json!({})), false),
        ] {
            let (server, watches) = (script([answer.clone()]), Watches::default());
            let health = watches.of("Namespace");
            health.failing(&Status::failure("not yet", "Test"));
            let client = heard_by(server.client.clone(), health);
            let answered = client.request_text(Request::get(uri).body(Vec::new()).unwrap()).await;
            assert_eq!(answered.is_ok(), answer.0 == 200, "the answer itself comes through: {answered:?}");
            assert_eq!(watches.remarks(Instant::now()).is_empty(), well, "{uri} {answer:?}");
        }
    }
}
