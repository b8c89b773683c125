//! The limit that `bench/serving.py` prints: a handler that reads the body and answers a constant 200, behind the accept
//! loop's own settings. What the product costs above it is the product.
//!
//! ```text
//! empty ADDRESS BYTES        answers so many bytes to POST /api/v1/predictions
//! ```

use std::io::{Error, Result};
use std::time::Duration;

use axum::{Router, body::Bytes, http::header::CONTENT_TYPE, routing::post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, bytes] = &arguments[..] else {
        return Err(Error::other("usage: empty ADDRESS BYTES"));
    };
    let bytes = bytes.parse().map_err(|_| Error::other("BYTES is a whole number"))?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(address, bytes))
}

async fn serve(address: &str, bytes: usize) -> Result<()> {
    let answer = Bytes::from(vec![b' '; bytes]);
    let handler = move |_: Bytes| {
        let answer = answer.clone();
        async move { ([(CONTENT_TYPE, "application/json")], answer) }
    };
    let service = TowerToHyperService::new(Router::new().route("/api/v1/predictions", post(handler)));
    let listener = TcpListener::bind(address).await?;
    let mut protocol = http1::Builder::new();
    // As the server's accept loop sets them.
    protocol.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30)).max_buf_size(64 << 10);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(protocol.serve_connection(TokioIo::new(stream), service.clone()));
    }
}
