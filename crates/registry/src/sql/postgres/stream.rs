//! The driver's connection inside rustls.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use postgres::{
    Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use rustls::{ClientConfig, pki_types::ServerName};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsConnector, client};
use x509_certificate::{SignatureAlgorithm, X509Certificate};

/// Encrypts one connection.
#[derive(Clone)]
pub(super) struct Connector {
    config: Arc<ClientConfig>,
    begun: Arc<AtomicBool>,
}

impl Connector {
    pub(super) fn new(config: &Arc<ClientConfig>) -> Self {
        Connector { config: Arc::clone(config), begun: Arc::default() }
    }

    /// Whether the server agreed to encrypt, and the handshake began. An open connection is encrypted then.
    pub(super) fn begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Encrypted;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Handshake> {
        // Another address is tried: what happened with the one before says nothing of it.
        self.begun.store(false, Ordering::Relaxed);
        Ok(Handshake { connector: self.clone(), host: host.to_owned() })
    }
}

/// What is asked for before anybody knows whether it is needed.
pub(super) struct Handshake {
    connector: Connector,
    host: String,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            self.connector.begun.store(true, Ordering::Relaxed);
            let server = ServerName::try_from(self.host).map_err(io::Error::other)?;
            let stream = TlsConnector::from(self.connector.config).connect(server, socket).await?;
            Ok(Encrypted(Box::new(stream)))
        })
    }
}

/// An encrypted connection.
pub(super) struct Encrypted(Box<client::TlsStream<Socket>>);

impl TlsStream for Encrypted {
    /// `tls-server-end-point` (RFC 5929, section 4): a password's proof is then worth nothing to who has another certificate.
    fn channel_binding(&self) -> ChannelBinding {
        let shown = self.0.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        shown
            .and_then(|certificate| digest(certificate))
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// The certificate's hash by the function that it is signed with; none where that has none of its own.
fn digest(certificate: &[u8]) -> Option<Vec<u8>> {
    match X509Certificate::from_der(certificate).ok()?.signature_algorithm()? {
        // SHA-1 is raised to SHA-256 by the same section.
        SignatureAlgorithm::RsaSha1 | SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::EcdsaSha256 => {
            Some(Sha256::digest(certificate).to_vec())
        }
        SignatureAlgorithm::RsaSha384 | SignatureAlgorithm::EcdsaSha384 => {
            Some(Sha384::digest(certificate).to_vec())
        }
        SignatureAlgorithm::RsaSha512 => Some(Sha512::digest(certificate).to_vec()),
        SignatureAlgorithm::Ed25519 | SignatureAlgorithm::NoSignature(_) => None,
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
