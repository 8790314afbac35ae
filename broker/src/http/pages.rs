//! The pages, the console and the JavaScript client that come with the broker, embedded in the binary.

use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::{Method, header};

use super::HttpState;

/// The pages load nothing from elsewhere and may talk to this broker only.
const POLICY: &str = "default-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The console runs nothing but its own script, and nothing may show it inside another page.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                              base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the router of the pages.
pub(super) fn router() -> Router<HttpState> {
    Router::new()
        .route("/", get(|| page(include_str!("../../pages/index.html"))))
        .route("/examples/chat.html", get(|| page(include_str!("../../pages/chat.html"))))
        .route("/examples/chat-sse.html", get(|| page(include_str!("../../pages/chat-sse.html"))))
        .route("/examples/room.html", get(|| page(include_str!("../../pages/room.html"))))
        .route("/examples/notifications.html", get(|| page(include_str!("../../pages/notifications.html"))))
        .route("/examples/chart.html", get(|| page(include_str!("../../pages/chart.html"))))
        .route("/examples/board.html", get(|| page(include_str!("../../pages/board.html"))))
        .merge(console())
        .route("/openapi.json", get(openapi))
        .route("/favicon.svg", get(favicon))
        .route("/fanwire.js", get(|| script(include_str!("../../../client-sdk/js/dist/fanwire.js"))))
        .route(
            "/fanwire-http.mjs",
            get(|| script(include_str!("../../../client-sdk/js/dist/fanwire-http.mjs"))),
        )
        .route(
            "/fanwire-msgpack.js",
            get(|| script(include_str!("../../../client-sdk/js/dist/fanwire-msgpack.js"))),
        )
        .route(
            "/fanwire-msgpack.mjs",
            get(|| script(include_str!("../../../client-sdk/js/dist/fanwire-msgpack.mjs"))),
        )
        .route("/fanwire.mjs", get(|| script(include_str!("../../../client-sdk/js/dist/fanwire.mjs"))))
        .route(
            "/fanwire-tabs.js",
            get(|| script(include_str!("../../../client-sdk/js/dist/fanwire-tabs.js"))),
        )
        .route(
            "/fanwire-tabs.mjs",
            get(|| script(include_str!("../../../client-sdk/js/dist/fanwire-tabs.mjs"))),
        )
}

/// The console (console/): one page with its script and style sheet. It shows only what /api/v1 answers.
fn console() -> Router<HttpState> {
    Router::new()
        .route(
            "/console",
            get(|| guarded_page(include_str!("../../../console/dist/console.html"), CONSOLE_POLICY)),
        )
        // With a slash at its end the page would look for its parts one level too deep.
        .route("/console/", get(|| async { Redirect::permanent("../console") }))
        .route("/console/console.js", get(|| script(include_str!("../../../console/dist/console.js"))))
        .route(
            "/console/console.css",
            get(|| text("text/css", include_str!("../../../console/dist/console.css"))),
        )
        .route(
            "/console/licences.txt",
            get(|| text("text/plain", include_str!("../../../console/dist/licences.txt"))),
        )
}

/// Returns whether a request is for a file that pages of every origin may load: the JavaScript client.
pub(crate) fn is_shared_file(method: &Method, path: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
        && path.starts_with("/fanwire")
        && (path.ends_with(".js") || path.ends_with(".mjs"))
}

async fn page(html: &'static str) -> Response {
    guarded_page(html, POLICY).await
}

/// A page that a browser lets do only what `policy` allows (W3C Content Security Policy).
async fn guarded_page(html: &'static str, policy: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, html).into_response()
}

async fn text(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}

/// The description of the HTTP interface, for tools (OpenAPI 3.1).
async fn openapi() -> Response {
    text("application/json", include_str!("../../../docs/openapi.json")).await
}

async fn favicon() -> Response {
    let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "max-age=86400")];
    (headers, include_str!("../../pages/favicon.svg")).into_response()
}

/// A file of the JavaScript client (client-sdk/js), as a plain script or a module, for pages of every origin.
async fn script(text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ];
    (headers, text).into_response()
}
