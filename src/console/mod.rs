//! The HTTP edge: `/metrics` and `/healthz`, on an async runtime of its own, away from the data path.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;

/// Prometheus refuses a page whose type it does not know.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// What the console asks.
#[derive(Clone)]
pub struct Answers {
    /// Prometheus text.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether all is well, and what is not, as JSON.
    pub health: Arc<dyn Fn() -> (bool, String) + Send + Sync>,
}

/// Serves until the process ends. Returns the address that was taken.
///
/// # Errors
/// The address is taken or not ours.
pub fn serve(listen: SocketAddr, answers: Answers) -> Result<SocketAddr, String> {
    let fail = |e: std::io::Error| format!("http.listen {listen}: {e}");
    let socket = std::net::TcpListener::bind(listen).map_err(fail)?;
    socket.set_nonblocking(true).map_err(fail)?;
    let address = socket.local_addr().map_err(fail)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(fail)?;
    let (metrics, health) = (answers.metrics, answers.health);
    let router = Router::new()
        .route(
            "/metrics",
            get(move || async move { ([(header::CONTENT_TYPE, PROMETHEUS)], metrics()) }),
        )
        .route(
            "/healthz",
            get(move || async move {
                let (well, text) = health();
                (
                    if well {
                        StatusCode::OK
                    } else {
                        StatusCode::SERVICE_UNAVAILABLE
                    },
                    [(header::CONTENT_TYPE, JSON)],
                    text,
                )
            }),
        );
    let serve = async move {
        match tokio::net::TcpListener::from_std(socket) {
            Ok(listener) => {
                if let Err(error) = axum::serve(listener, router).await {
                    tracing::error!(%error, "the console ended");
                }
            }
            Err(error) => tracing::error!(%error, "the console does not start"),
        }
    };
    std::thread::Builder::new()
        .name("wf-http".into())
        .spawn(move || runtime.block_on(serve))
        .map_err(fail)?;
    Ok(address)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn each_page_says_what_it_is() {
        let answers = |well: bool| Answers {
            metrics: Arc::new(|| "watchfire_up 1\n".to_owned()),
            health: Arc::new(move || (well, "{}\n".to_owned())),
        };
        let get = |well: bool, path: &str| {
            let address = serve(SocketAddr::from(([127, 0, 0, 1], 0)), answers(well)).unwrap();
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut page = String::new();
            stream.read_to_string(&mut page).unwrap();
            page
        };
        let metrics = get(true, "/metrics");
        assert!(
            metrics.contains("content-type: text/plain; version=0.0.4") && metrics.ends_with("watchfire_up 1\n"),
            "{metrics}"
        );
        for (well, code) in [(true, "HTTP/1.1 200"), (false, "HTTP/1.1 503")] {
            let page = get(well, "/healthz");
            assert!(page.starts_with(code), "{page}");
            assert!(page.contains("\r\ncontent-type: application/json\r\n"), "{page}");
            assert_eq!(page.matches("content-type").count(), 1, "{page}");
        }
    }
}
