//! Encryption of the wire.

use std::sync::Arc;

use datafusion_postgres::pgwire::tokio::TlsAcceptor;
use datafusion_postgres::pgwire::tokio::tokio_rustls::rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::pem::PemObject,
    pki_types::{CertificateDer, PrivateKeyDer},
};

use super::Tls;
use crate::QueryError;

/// # Errors
/// When certificate and key are no PEM, or do not belong together.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, QueryError> {
    let unusable = |what: &str, error: &dyn std::fmt::Display| {
        QueryError::Failed(format!("the {what} of the SQL endpoint cannot be used: {error}"))
    };
    let certificates = CertificateDer::pem_slice_iter(&tls.certificates).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| unusable("certificate", &error))?;
    let key = PrivateKeyDer::from_pem_slice(&tls.key).map_err(|error| unusable("private key", &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("encryption", &error))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| unusable("certificate", &error))?;
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
