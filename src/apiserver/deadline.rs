//! [`Deadline`]: how long a call may take.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Method, Request, Response, Uri};
use kube::client::Body;
use tokio::time::timeout;
use tower::{BoxError, Service};
use tower_http::timeout::TimeoutBody;

/// How long the API server may take to begin its answer to a question, and between two parts of an answer.
pub const ANSWER: Duration = Duration::from_secs(15);
/// The same for a write. Admission webhooks of others are given up to 30 s each by Kubernetes; a write given up
/// before would never be done where one of them hangs.
pub const WRITE: Duration = Duration::from_secs(35);
/// How long a watch lasts at most: the API server then ends it, and it goes on from where it was. It says something at
/// the end at the latest, so one that says nothing for longer is dead.
pub const WATCH: Duration = Duration::from_secs(30);
/// Nothing is silent for longer while the API server is there.
pub const QUIET: Duration = Duration::from_secs(45);

/// The API server went silent.
#[derive(Debug, thiserror::Error)]
#[error("the API server does not answer within {} s", .0.as_secs())]
pub struct Silent(Duration);

/// A service whose answers come in time, or an error does.
#[derive(Debug)]
pub struct Deadline<S> {
    service: S,
    /// How long an answer may be waited for at least.
    patience: Duration,
}

/// How long what may take.
#[derive(Debug, PartialEq, Eq)]
struct Limits {
    /// The beginning of the answer.
    answer: Duration,
    /// The time between two parts of it.
    between: Duration,
}

// === impl Deadline ===

impl<S> Deadline<S> {
    /// Puts deadlines to what `service` does, none of them shorter than `patience`.
    pub const fn new(service: S, patience: Duration) -> Self {
        Self { service, patience }
    }
}

impl<S, B> Service<Request<Body>> for Deadline<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: hyper::body::Body,
{
    type Response = Response<TimeoutBody<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.service.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let watch = is_watch(request.uri());
        if let Some(shorter) = Some(request.uri()).filter(|_| watch).and_then(shortened) {
            *request.uri_mut() = shorter;
        }
        let Limits { answer, between } = limits(request.method(), watch);
        let (answer, between) = (answer.max(self.patience), between.max(self.patience));
        let asked = self.service.call(request);
        Box::pin(async move {
            let response = timeout(answer, asked).await.map_err(|_| Silent(answer))?.map_err(Into::into)?;
            Ok(response.map(|body| TimeoutBody::new(between, body)))
        })
    }
}

fn limits(method: &Method, watch: bool) -> Limits {
    match *method {
        Method::GET | Method::HEAD if watch => Limits { answer: ANSWER, between: QUIET },
        Method::GET | Method::HEAD => Limits { answer: ANSWER, between: ANSWER },
        _ => Limits { answer: WRITE, between: ANSWER },
    }
}

/// Whether a request opens a watch.
pub fn is_watch(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|parameter| parameter == "watch=true"))
}

/// The same watch, asked for no longer than [`WATCH`]; `None`: it is not longer.
fn shortened(uri: &Uri) -> Option<Uri> {
    const LENGTH: &str = "timeoutSeconds=";
    let seconds = WATCH.as_secs();
    let (path, query) = (uri.path(), uri.query()?);
    let asked = query.split('&').find_map(|parameter| parameter.strip_prefix(LENGTH));
    if asked.is_some_and(|asked| asked.parse::<u64>().is_ok_and(|asked| asked <= seconds)) {
        return None;
    }
    let mut others: Vec<&str> = query.split('&').filter(|parameter| !parameter.starts_with(LENGTH)).collect();
    let length = format!("{LENGTH}{seconds}");
    others.push(&length);
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}?{}", others.join("&")).parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures::{StreamExt as _, stream};
    use http_body_util::BodyExt as _;
    use tokio::time::Instant;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    #[test]
    fn watches_are_asked_for_no_longer_than_silence_may_last() {
        for (asked, sent) in [
            (
                "/api/v1/pods?&watch=true&timeoutSeconds=290&allowWatchBookmarks=true",
                Some("/api/v1/pods?&watch=true&allowWatchBookmarks=true&timeoutSeconds=30"),
            ),
            ("/api/v1/pods?watch=true", Some("/api/v1/pods?watch=true&timeoutSeconds=30")),
            (
                "https://[::1]:6443/api/v1/pods?watch=true&timeoutSeconds=x",
                Some("https://[::1]:6443/api/v1/pods?watch=true&timeoutSeconds=30"),
            ),
            ("/api/v1/pods?watch=true&timeoutSeconds=30", None),
            ("/api/v1/pods?watch=true&timeoutSeconds=3", None),
        ] {
            let uri: Uri = asked.parse().unwrap();
            assert!(is_watch(&uri));
            assert_eq!(shortened(&uri), sent.map(|sent| sent.parse().unwrap()), "{asked}");
        }
        assert!(!is_watch(&"/api/v1/pods?limit=100".parse().unwrap()));
        assert!(!is_watch(&"/api/v1/pods?labelSelector=watch".parse().unwrap()));
        assert!(WATCH < QUIET && WRITE < QUIET, "what the API server does in time is no silence");
    }

    /// How a call ended and after how long, through an API server that begins its answer after `head` (`None`: never)
    /// and sends its parts that far apart, then nothing.
    async fn called(
        method: &str,
        uri: &str,
        head: Option<Duration>,
        parts: &[Duration],
    ) -> (Result<usize, String>, Duration) {
        let parts = parts.to_vec();
        let server = service_fn(move |_: Request<Body>| {
            let parts = parts.clone();
            async move {
                match head {
                    Some(after) => tokio::time::sleep(after).await,
                    None => std::future::pending().await,
                }
                let parts = stream::iter(parts).then(async |after| {
                    tokio::time::sleep(after).await;
                    Ok::<_, Infallible>(Bytes::from_static(b"x"))
                });
                let parts = parts.chain(stream::pending());
                Ok::<_, Infallible>(Response::new(axum::body::Body::from_stream(parts)))
            }
        });
        let begun = Instant::now();
        let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        let mut octets = 0;
        let ended = match Deadline::new(server, Duration::ZERO).oneshot(request).await {
            Err(error) => Err(error.to_string()),
            Ok(response) => {
                let mut body = Box::pin(response.into_body());
                loop {
                    match body.frame().await {
                        Some(Ok(frame)) => octets += frame.into_data().map_or(0, |data| data.len()),
                        Some(Err(_)) | None => break Ok(octets),
                    }
                }
            }
        };
        (ended, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_every_call_and_slowness_none() {
        const S: Duration = Duration::from_secs(1);
        let (get, watch) = ("/api/v1/pods", "/api/v1/pods?watch=true");
        for (method, uri, head, parts, octets, lasts) in [
            ("GET", get, None, &[][..], None, ANSWER),
            ("GET", watch, None, &[], None, ANSWER),
            ("PATCH", get, None, &[], None, WRITE),
            ("DELETE", get, None, &[], None, WRITE),
            // An admission webhook of somebody else's hangs for as long as it may.
            ("POST", get, Some(31 * S), &[], Some(0), 31 * S + ANSWER),
            ("GET", get, Some(S), &[14 * S, 14 * S], Some(2), 29 * S + ANSWER),
            // A watch over which little is told, and one that is told nothing.
            ("GET", watch, Some(S), &[29 * S, 29 * S], Some(2), 59 * S + QUIET),
            ("GET", watch, Some(S), &[], Some(0), S + QUIET),
        ] {
            let (ended, lasted) = called(method, uri, head, parts).await;
            assert_eq!(ended.as_ref().ok().copied(), octets, "{method} {uri} {ended:?}");
            let near = lasted >= lasts && lasted < lasts + S;
            assert!(near, "{method} {uri}: {lasted:?} instead of {lasts:?}");
        }
        let (ended, _) = called("GET", get, None, &[]).await;
        assert_eq!(ended.unwrap_err(), "the API server does not answer within 15 s");
    }
}
