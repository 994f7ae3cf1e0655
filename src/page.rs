//! The status page: what every host waits for, in a browser. Read only, made
//! of Domains alone; works without JavaScript, and follows by itself with it.
//!
//! All text of the cluster is hostile: it is escaped by maud, links lead only
//! to paths of this page, and the content security policy names by hash the one
//! script and the one style sheet that may be. Who calls it by a stranger's name
//! is not answered, and where asked to it lets in those alone who may list Domains.

pub mod access;
pub mod host;
pub mod layout;
pub mod overview;
pub mod plot;
pub mod query;
pub mod sign_in;
pub mod timeline;
pub mod words;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, RawQuery, Request, State},
    middleware::{self, Next},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures::stream;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{
        ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
        VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use jiff::Timestamp;
use maud::Markup;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

use self::{
    access::{Names, Tokens},
    layout::Frame,
    query::Query,
};
use crate::{
    core::finding::Lang,
    server::{house::Guarded, seats::Bounds},
    status::Row,
};

/// Browsers that follow at one time.
const VIEWERS: usize = 64;
/// The most connections, those of viewers among them.
const CONNECTIONS: usize = 256;
/// How often a quiet stream shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// What is shown.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The hosts as last seen; `None`: not listed yet.
    pub rows: Option<Arc<Vec<Row>>>,
    /// Since when the API server has told nothing newer; `None`: they are as they are now.
    pub stale_since: Option<Timestamp>,
}

/// What the page is made of; clones share it.
#[derive(Clone)]
pub struct Page {
    seen: watch::Receiver<Seen>,
    viewers: Arc<Semaphore>,
    names: Names,
    /// `None`: whoever reaches it may see it.
    tokens: Option<Tokens>,
}

// === impl Page ===

impl Page {
    /// A page of what is seen.
    pub fn new(seen: watch::Receiver<Seen>) -> Self {
        Self { seen, viewers: Arc::new(Semaphore::new(VIEWERS)), names: Names::default(), tokens: None }
    }

    /// Answers to these names too.
    #[must_use]
    pub fn named(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// Lets in only those who may list Domains.
    #[must_use]
    pub fn guarded(mut self, tokens: Tokens) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(show_overview))
            .route("/host/{namespace}/{name}", get(show_host))
            .route("/events", get(events))
            .route_layer(middleware::from_fn_with_state(self.clone(), sign_in::check))
            .route("/login", get(sign_in::show).post(sign_in::enter))
            .route("/logout", post(sign_in::leave))
            .layer(middleware::from_fn_with_state(self.clone(), fence))
            .with_state(self)
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// The socket fails.
    pub async fn serve(self, socket: TcpListener) -> std::io::Result<()> {
        let bounds = Bounds { all: CONNECTIONS, unanswered: CONNECTIONS / 2 };
        axum::serve(Guarded::new(socket, bounds), self.router()).await
    }

    /// The hosts, and what they are shown in: both of one moment.
    fn look(&self, query: &Query, headers: &HeaderMap) -> (Option<Arc<Vec<Row>>>, Frame) {
        let Seen { rows, stale_since } = self.seen.borrow().clone();
        (rows, Frame { lang: language(query, headers), signed_in: self.tokens.is_some(), stale_since })
    }
}

/// Answers to known names alone, and forbids in every answer what is not the page's own.
async fn fence(State(page): State<Page>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut answer = if page.names.allow(host) {
        next.run(request).await
    } else {
        let why =
            "this name is not one of the status page's: call it by its address, or allow the name by --page-host\n";
        (StatusCode::MISDIRECTED_REQUEST, why).into_response()
    };
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, layout::content_security_policy()),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

async fn show_overview(State(page): State<Page>, RawQuery(text): RawQuery, headers: HeaderMap) -> Response {
    let query = Query::read(text.as_deref().unwrap_or_default());
    let (rows, frame) = page.look(&query, &headers);
    match rows {
        Some(rows) => answer(StatusCode::OK, frame.lang, &overview::render(&rows, &query, frame, Timestamp::now())),
        None => answer(StatusCode::SERVICE_UNAVAILABLE, frame.lang, &overview::loading(frame)),
    }
}

async fn show_host(
    State(page): State<Page>,
    Path((namespace, name)): Path<(String, String)>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = Query::read(text.as_deref().unwrap_or_default());
    let (rows, frame) = page.look(&query, &headers);
    // Whether there is such a host is not known before they are listed.
    let Some(rows) = rows else {
        return answer(StatusCode::SERVICE_UNAVAILABLE, frame.lang, &overview::loading(frame));
    };
    match rows.iter().find(|row| row.namespace == namespace && row.name == name) {
        Some(row) => answer(StatusCode::OK, frame.lang, &host::render(row, frame, Timestamp::now())),
        None => answer(StatusCode::NOT_FOUND, frame.lang, &host::missing(frame)),
    }
}

/// Says "change" whenever the rows changed, or became stale or fresh; what changed the browser asks for itself.
/// An event without data would not reach a script (HTML, server-sent events).
async fn events(State(page): State<Page>) -> Response {
    let Ok(place) = page.viewers.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many viewers\n").into_response();
    };
    let mut seen = page.seen.clone();
    seen.mark_unchanged();
    let changes = stream::unfold((seen, place), |(mut seen, place)| async move {
        seen.changed().await.ok()?;
        Some((Ok::<_, Infallible>(Event::default().event("change").data("rows")), (seen, place)))
    });
    Sse::new(changes).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// The language asked for: by query, else by the browser's first of ours.
fn language(query: &Query, headers: &HeaderMap) -> Lang {
    let header = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    query.lang.unwrap_or_else(|| query::preferred(header))
}

fn answer(status: StatusCode, lang: Lang, page: &Markup) -> Response {
    let headers =
        [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_LANGUAGE, words::tag(lang)), (VARY, "accept-language")];
    (status, headers, page.0.clone()).into_response()
}

#[cfg(test)]
mod tests;
