//! Runs an HTTP server to its orderly end.

use actix_web::dev::Server;
use tokio_util::sync::CancellationToken;

/// Runs a server that was built with `disable_signals` until `shutdown`; then it takes no more connections and
/// finishes the requests under way within its own `shutdown_timeout`.
pub async fn serve(server: Server, shutdown: CancellationToken) -> std::io::Result<()> {
    let handle = server.handle();
    let stop = tokio::spawn(async move {
        shutdown.cancelled().await;
        handle.stop(true).await;
    });
    let result = server.await;
    stop.abort();
    result
}
