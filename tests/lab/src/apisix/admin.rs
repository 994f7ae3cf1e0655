//! A stand-in for APISIX's admin API (v3) that remembers what it was told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::gateway::accepted;

const PREFIX: &str = "/apisix/admin/";

/// Something that was put or deleted.
#[derive(Clone, Debug)]
pub struct AdminWrite {
    /// When.
    pub at: SystemTime,
    /// `PUT` or `DELETE`.
    pub method: String,
    /// `routes`, `upstreams`, `ssls` and so on.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// What was put, null for a deletion.
    pub value: Value,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<(String, String), Value>,
    writes: Vec<AdminWrite>,
    listed: bool,
}

/// What APISIX would have now, and all writes that made it so.
#[derive(Clone, Debug, Default)]
pub struct AdminStore(Arc<Mutex<State>>);

impl AdminStore {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The objects of a kind: `routes`, `upstreams`, `ssls` and so on.
    pub fn objects(&self, kind: &str) -> Vec<Value> {
        let state = self.state();
        state.objects.iter().filter(|((of, _), _)| of == kind).map(|(_, value)| value.clone()).collect()
    }

    /// One object.
    pub fn object(&self, kind: &str, id: &str) -> Option<Value> {
        self.state().objects.get(&(kind.to_owned(), id.to_owned())).cloned()
    }

    /// All writes so far, oldest first.
    pub fn writes(&self) -> Vec<AdminWrite> {
        self.state().writes.clone()
    }

    /// Whether the controller has read what there is, which it does before it writes anything.
    pub(super) fn was_listed(&self) -> bool {
        self.state().listed
    }

    /// Answers a request: a status and a body.
    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
        let Some(path) = path.strip_prefix(PREFIX) else { return (StatusCode::NOT_FOUND, json!({})) };
        let (kind, id) = match path.split_once('/') {
            // Names and schemas of plugins: there are none.
            _ if path.starts_with("plugins") || path.starts_with("schema") => return (StatusCode::OK, json!({})),
            Some((kind, id)) => (kind, Some(id)),
            None => (path, None),
        };
        let mut state = self.state();
        let name = |id: &str| format!("/apisix/{kind}/{id}");
        let missing = || (StatusCode::NOT_FOUND, json!({"message": "Key not found"}));
        match (method, id) {
            (&Method::GET, None) => {
                state.listed = true;
                let of_kind = state.objects.iter().filter(|((of, _), _)| of == kind);
                let list: Vec<_> = of_kind.map(|((_, id), value)| json!({"key": name(id), "value": value})).collect();
                (StatusCode::OK, json!({"total": list.len(), "list": list}))
            }
            (&Method::GET, Some(id)) => match state.objects.get(&(kind.to_owned(), id.to_owned())) {
                Some(value) => (StatusCode::OK, json!({"key": name(id), "value": value})),
                None => missing(),
            },
            (&Method::PUT, Some(id)) => {
                let value: Value = match serde_json::from_slice(body) {
                    Ok(value) => value,
                    Err(error) => return (StatusCode::BAD_REQUEST, json!({"error_msg": error.to_string()})),
                };
                let old = state.objects.insert((kind.to_owned(), id.to_owned()), value.clone());
                let answer = json!({"key": name(id), "value": value});
                state.writes.push(write(method, kind, id, value));
                (if old.is_some() { StatusCode::OK } else { StatusCode::CREATED }, answer)
            }
            (&Method::DELETE, Some(id)) => {
                state.writes.push(write(method, kind, id, Value::Null));
                match state.objects.remove(&(kind.to_owned(), id.to_owned())) {
                    Some(_) => (StatusCode::OK, json!({"key": name(id), "deleted": "1"})),
                    None => missing(),
                }
            }
            _ => (StatusCode::METHOD_NOT_ALLOWED, json!({})),
        }
    }
}

fn write(method: &Method, kind: &str, id: &str, value: Value) -> AdminWrite {
    AdminWrite { at: SystemTime::now(), method: method.to_string(), kind: kind.to_owned(), id: id.to_owned(), value }
}

pub(super) async fn serve(listener: TcpListener, store: AdminStore) {
    loop {
        let Some(stream) = accepted(listener.accept().await) else { continue };
        let store = store.clone();
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| answer(request, store.clone()));
            if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "a connection to the admin API ended");
            }
        });
    }
}

async fn answer(request: Request<Incoming>, store: AdminStore) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let (status, value) = match body.collect().await {
        Ok(body) => store.answer(&parts.method, parts.uri.path(), &body.to_bytes()),
        Err(error) => (StatusCode::BAD_REQUEST, json!({"error_msg": error.to_string()})),
    };
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_what_it_was_told() {
        let store = AdminStore::default();
        let route = br#"{"id": "1", "name": "a"}"#;
        let status = |method: &Method, path: &str, body: &[u8]| store.answer(method, path, body).0.as_u16();
        assert!(!store.was_listed());
        assert_eq!(status(&Method::GET, "/apisix/admin/routes/1", b""), 404);
        assert_eq!(status(&Method::PUT, "/apisix/admin/routes/1", route), 201);
        assert_eq!(status(&Method::PUT, "/apisix/admin/routes/1", route), 200);
        let (_, list) = store.answer(&Method::GET, "/apisix/admin/routes", b"");
        assert_eq!(list.pointer("/list/0/key"), Some(&json!("/apisix/routes/1")));
        assert_eq!(store.objects("routes").len(), 1);
        assert!(store.objects("ssls").is_empty() && store.was_listed());
        assert_eq!(status(&Method::DELETE, "/apisix/admin/routes/1", b""), 200);
        assert_eq!(status(&Method::DELETE, "/apisix/admin/routes/1", b""), 404);
        assert_eq!(status(&Method::PUT, "/apisix/admin/routes/1", b"{"), 400);
        assert_eq!(status(&Method::GET, "/apisix/admin/plugins", b""), 200);
        assert_eq!(store.writes().len(), 4);
    }
}
