//! One request: its path, method, type and size are checked, its body is read
//! within a budget, and the [`Application`] answers it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, SizeHint};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{Notify, Semaphore, SemaphorePermit},
};

use crate::telemetry::metrics::{Refusal, ServerMetrics};

/// The largest body: two objects of the API server's 3 MiB and some, as
/// controller-runtime bounds it (`pkg/webhook/admission/http.go`).
pub const MAX_BODY: usize = 7 * 1024 * 1024;

/// What answers requests. Called between awaits, so it must not block.
pub trait Application: Send + Sync + 'static {
    /// Whether anything is served at this path.
    fn serves(&self, path: &str) -> bool;
    /// Answers a POST of JSON to such a path.
    fn answer(&self, path: &str, body: &[u8]) -> Reply;
}

/// What is answered.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: StatusCode,
    /// The media type.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

/// Bounds on requests.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Octets of one body.
    pub body: usize,
    /// Octets of the large bodies under way together.
    pub budget: usize,
}

/// Up to this size a body is not counted against the budget: that many octets
/// times the bound on connections is what small bodies can cost.
const SMALL_BODY: usize = 64 * 1024;

/// How long a large body takes that comes from an API server, and more than that.
const LONG_UPLOAD: Duration = Duration::from_millis(500);
/// How often it is looked, while the budget is used up, who has been at it for that long.
const SHORTAGE: Duration = Duration::from_millis(100);

/// Stands between connections and the application.
pub struct Gate<A> {
    application: A,
    limits: RequestLimits,
    budget: Semaphore,
    uploads: Uploads,
    metrics: ServerMetrics,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { body: MAX_BODY, budget: 96 * 1024 * 1024 }
    }
}

// === impl Reply ===

impl Reply {
    /// A JSON body.
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: "application/json", body: body.into() }
    }

    /// A line of text.
    pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    fn into_response(self, close: bool) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if close {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

// === impl Gate ===

impl<A: Application> Gate<A> {
    /// A gate in front of `application`.
    pub fn new(application: A, limits: RequestLimits, metrics: ServerMetrics) -> Self {
        let budget = Semaphore::new(limits.budget.min(Semaphore::MAX_PERMITS));
        Self { application, limits, budget, uploads: Uploads::default(), metrics }
    }

    /// Answers one request. Never an error: what goes wrong is a status code.
    /// How long the body may take is the connection's affair.
    pub async fn serve<B: Body<Data = Bytes> + Unpin>(
        &self,
        request: Request<B>,
        close: bool,
    ) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let read = match self.check(&parts, &body.size_hint()) {
            Ok(()) => self.read(body).await,
            Err(refusal) => Err(refusal),
        };
        match read {
            Ok((body, _share)) => self.answer(parts.uri.path(), &body).into_response(close),
            Err(refusal) => {
                self.metrics.refuse(refusal);
                // The rest of the body is not read, so the connection cannot be used on.
                refuse(refusal).into_response(true)
            }
        }
    }

    /// Answers. What takes milliseconds leaves the worker to the other connections meanwhile.
    fn answer(&self, path: &str, body: &[u8]) -> Reply {
        if body.len() > SMALL_BODY && has_threads() {
            return tokio::task::block_in_place(|| self.application.answer(path, body));
        }
        self.application.answer(path, body)
    }

    fn check(&self, parts: &http::request::Parts, size: &SizeHint) -> Result<(), Refusal> {
        if !self.application.serves(parts.uri.path()) {
            Err(Refusal::Path)
        } else if parts.method != Method::POST {
            Err(Refusal::Method)
        } else if !parts.headers.get(CONTENT_TYPE).is_some_and(is_json) {
            Err(Refusal::ContentType)
        } else if size.lower() > self.limits.body as u64 {
            Err(Refusal::TooLarge)
        } else {
            Ok(())
        }
    }

    /// Waits for a part of the budget. Whoever has been sending for long ends for whoever needs it.
    async fn pay(&self, due: u32, upload: &Upload<'_>) -> Result<SemaphorePermit<'_>, Refusal> {
        let mut permit = std::pin::pin!(self.budget.acquire_many(due));
        loop {
            tokio::select! {
                biased;
                permit = permit.as_mut() => return permit.map_err(|_| Refusal::Budget),
                () = upload.ended() => return Err(Refusal::Budget),
                // Not ready at once: there is no room.
                () = std::future::ready(()) => self.uploads.end_longest(upload.number),
            }
            tokio::select! {
                biased;
                permit = permit.as_mut() => return permit.map_err(|_| Refusal::Budget),
                () = upload.ended() => return Err(Refusal::Budget),
                () = tokio::time::sleep(SHORTAGE) => {}
            }
        }
    }

    /// Reads a body. What arrives beyond [`SMALL_BODY`] is paid from the budget as it
    /// arrives, so an announcement alone costs nobody anything.
    async fn read<B: Body<Data = Bytes> + Unpin>(
        &self,
        mut body: B,
    ) -> Result<(Bytes, Option<SemaphorePermit<'_>>), Refusal> {
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        let mut paid: Option<SemaphorePermit<'_>> = None;
        let mut upload: Option<Upload<'_>> = None;
        loop {
            let frame = match &upload {
                None => body.frame().await,
                Some(upload) => tokio::select! {
                    frame = body.frame() => frame,
                    () = upload.ended() => return Err(Refusal::Budget),
                },
            };
            let Some(frame) = frame else { break };
            let Ok(data) = frame.map_err(|_| Refusal::Body)?.into_data() else { continue };
            let size = first.len() + whole.len() + data.len();
            if size > self.limits.body {
                return Err(Refusal::TooLarge);
            }
            let due = size.saturating_sub(SMALL_BODY) - paid.as_ref().map_or(0, SemaphorePermit::num_permits);
            if due > 0 {
                let due = u32::try_from(due).map_err(|_| Refusal::TooLarge)?;
                let upload = upload.get_or_insert_with(|| self.uploads.begin());
                let permit = self.pay(due, upload).await?;
                match &mut paid {
                    Some(paid) => paid.merge(permit),
                    None => paid = Some(permit),
                }
            }
            if first.is_empty() && whole.is_empty() {
                // Most bodies are one piece, which need not be copied.
                first = data;
                continue;
            }
            if whole.is_empty() {
                let announced = usize::try_from(body.size_hint().lower()).unwrap_or(0).min(self.limits.body);
                whole.reserve(size + announced);
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&data);
        }
        Ok((if whole.is_empty() { first } else { whole.freeze() }, paid))
    }
}

/// The large bodies under way, the longest first.
#[derive(Default)]
struct Uploads {
    under_way: Mutex<BTreeMap<u64, (Instant, Arc<Notify>)>>,
    next: AtomicU64,
}

/// One of them.
struct Upload<'u> {
    uploads: &'u Uploads,
    number: u64,
    end: Arc<Notify>,
}

// === impl Uploads ===

impl Uploads {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, (Instant, Arc<Notify>)>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> Upload<'_> {
        let (number, end) = (self.next.fetch_add(1, Ordering::Relaxed), Arc::new(Notify::new()));
        self.lock().insert(number, (Instant::now(), end.clone()));
        Upload { uploads: self, number, end }
    }

    /// Ends the one that has been under way longest, if that is long for an API server, and another than `own`.
    fn end_longest(&self, own: u64) {
        let mut under_way = self.lock();
        let longest = under_way.iter().next().map(|(number, (begun, _))| (*number, begun.elapsed()));
        if let Some((number, elapsed)) = longest
            && number != own
            && elapsed >= LONG_UPLOAD
            && let Some((_, end)) = under_way.remove(&number)
        {
            end.notify_one();
        }
    }
}

// === impl Upload ===

impl Upload<'_> {
    async fn ended(&self) {
        self.end.notified().await;
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        self.uploads.lock().remove(&self.number);
    }
}

/// Whether other tasks go on while this thread is busy, if they are told to.
fn has_threads() -> bool {
    Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// The type is JSON, with or without parameters.
fn is_json(value: &HeaderValue) -> bool {
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

fn refuse(refusal: Refusal) -> Reply {
    let (status, text) = match refusal {
        Refusal::Path => (StatusCode::NOT_FOUND, "nothing is served at this path\n"),
        Refusal::Method => (StatusCode::METHOD_NOT_ALLOWED, "reviews come by POST\n"),
        Refusal::ContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "reviews are application/json\n"),
        Refusal::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 7 MiB\n"),
        Refusal::Body => (StatusCode::BAD_REQUEST, "the body did not arrive\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "too much at once; try again\n"),
    };
    Reply::text(status, text)
}
