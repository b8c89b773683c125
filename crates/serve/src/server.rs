//! The accept loop: bounded connections, bounded heads, and an orderly end.

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{Router, http::Method, response::Response};
use hyper::{Request, body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::{
    app::{App, State},
    edge, routes,
};

/// Largest head of a request, in bytes.
const HEAD_BYTES: usize = 64 << 10;

/// Serves until `shutdown` resolves; then takes no further connection, finishes the requests in flight
/// (for at most [`crate::Settings::drain`]) and returns.
///
/// A listener on a loopback address answers to loopback names only.
///
/// # Errors
/// The listener's address cannot be read.
pub async fn serve(
    listener: TcpListener,
    state: State,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let loopback = listener.local_addr()?.ip().is_loopback();
    let permits = Arc::new(Semaphore::new(state.settings.connections));
    let (head_timeout, drain) = (state.settings.head_timeout, state.settings.drain);
    let app = Arc::new(App::new(state, loopback, &routes::names()));
    let router = TowerToHyperService::new(routes::router(Arc::clone(&app)));
    let service = Door { app: Arc::clone(&app), router };
    let connections = GracefulShutdown::new();
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(HEAD_BYTES);

    let mut shutdown = pin!(shutdown);
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (accept(&listener).await, permit)
        };
        let (stream, permit) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            next = next => next,
        };
        let guard = (permit, app.metrics.connection());
        let connection = protocol.serve_connection(TokioIo::new(stream), service.clone());
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // A connection that breaks is the client's affair; its requests were answered or dropped.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended early");
            }
            drop(guard);
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, connections.shutdown()).await.is_err() {
        tracing::warn!("requests were still running at the end of the time given for shutdown");
    }
    Ok(())
}

/// Where requests come in: those for a prediction go to it at once, the others to the router.
#[derive(Clone)]
struct Door {
    app: Arc<App>,
    router: TowerToHyperService<Router>,
}

impl Service<Request<Incoming>> for Door {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if request.method() == Method::POST && request.uri().path() == routes::PREDICTIONS {
            let app = Arc::clone(&self.app);
            return Box::pin(async move { Ok(edge::prediction(app, request).await) });
        }
        Box::pin(self.router.call(request))
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are one write each: nothing to gain from waiting for more.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY was refused");
                }
                return stream;
            }
            Err(error) => {
                // Out of file descriptors, most likely: wait for some to be closed.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
