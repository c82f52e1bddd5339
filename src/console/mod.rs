//! The HTTP edge: `/metrics` and `/healthz`, on an async runtime of its own, away from the data path.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

/// What the console asks.
#[derive(Clone)]
pub struct Answers {
    /// Prometheus text.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether all is well, and what is not.
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
        .route("/metrics", get(move || async move { metrics() }))
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
