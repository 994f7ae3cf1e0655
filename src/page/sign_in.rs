//! Signing in: a token by header, or by a form that keeps it in a cookie.

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, StatusCode,
    header::{LOCATION, SET_COOKIE, WWW_AUTHENTICATE},
};
use maud::html;
use url::form_urlencoded;

use super::{
    Page,
    access::{self, Standing},
    answer, language,
    layout::{self, Frame, home},
    query::Query,
    words,
};

/// The longest form that is read.
const MAX_FORM: usize = 16 * 1024;

/// Lets through whom the cluster lets list Domains.
pub(super) async fn check(State(page): State<Page>, request: Request, next: Next) -> Response {
    let Some(tokens) = &page.tokens else { return next.run(request).await };
    let token = access::token(request.headers()).map(str::to_owned);
    let standing = match &token {
        Some(token) => tokens.standing(token).await,
        None => Standing::Refused,
    };
    if standing == Standing::Allowed {
        return next.run(request).await;
    }
    let lang = language(&Query::read(request.uri().query().unwrap_or_default()), request.headers());
    form(Frame { lang, signed_in: false, stale_since: None }, standing, token.is_some())
}

/// Takes a token from the form.
pub(super) async fn enter(State(page): State<Page>, headers: HeaderMap, body: Body) -> Response {
    let frame = Frame { lang: language(&Query::default(), &headers), signed_in: false, stale_since: None };
    let Some(tokens) = page.tokens.as_ref().filter(|_| !access::is_foreign(&headers)) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let Ok(body) = to_bytes(body, MAX_FORM).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let field = |wanted: &str| {
        let mut fields = form_urlencoded::parse(&body);
        fields.find(|(name, _)| name == wanted).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let token = field("token");
    let lang = Query::read(&format!("lang={}", field("lang"))).lang.unwrap_or(frame.lang);
    let standing = if access::is_token(&token) { tokens.standing(&token).await } else { Standing::Refused };
    if standing != Standing::Allowed {
        return form(Frame { lang, ..frame }, standing, true);
    }
    let headers = [(LOCATION, home(lang)), (SET_COOKIE, access::cookie(&token, &headers))];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// Where the form was sent to, asked for as a page: the form is where everything is.
pub(super) async fn show() -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, "/")]).into_response()
}

/// Forgets the token.
pub(super) async fn leave(headers: HeaderMap) -> Response {
    if access::is_foreign(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    (StatusCode::SEE_OTHER, [(LOCATION, "/".to_owned()), (SET_COOKIE, access::cookie("", &headers))]).into_response()
}

fn form(frame: Frame, standing: Standing, tried: bool) -> Response {
    let words = words::of(frame.lang);
    let unknown = standing == Standing::Unknown;
    let trouble = match standing {
        Standing::Unknown => Some(words.cannot_ask),
        _ => tried.then_some(words.refused),
    };
    let refused = tried && !unknown;
    // Bound to the field: who cannot see the page hears why on the way to typing another.
    let described = if trouble.is_some() { "token-trouble token-hint" } else { "token-hint" };
    let body = html! {
        form.sign-in method="post" action="/login" {
            @if let Some(trouble) = trouble { p.says.bad id="token-trouble" role="alert" { (trouble) } }
            label.find {
                (words.token)
                input type="password" name="token" required autocomplete="off" aria-invalid=[refused.then_some("true")]
                    aria-describedby=(described);
            }
            input type="hidden" name="lang" value=(words::short(frame.lang));
            button type="submit" { (words.sign_in) }
            p.soft id="token-hint" { (words.token_hint) }
        }
    };
    let other = home(words::other(frame.lang));
    let status = if unknown { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::UNAUTHORIZED };
    // Without an account there is nothing to follow.
    let page = layout::page(frame, words.sign_in, &other, &body, None);
    let mut answer = answer(status, frame.lang, &page);
    answer.headers_mut().insert(WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
    answer
}
