//! Who the server must be: the certificates that a connection trusts, and what is said when it does not.

use std::{error::Error as StdError, fs, io, path::Path, sync::Arc};

use postgres::error::SqlState;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

use super::address::{Authorities, Encryption, Mode, bad};
use crate::{
    error::{Error, Result},
    sql::ServerCheck,
};

impl Encryption {
    /// # Errors
    /// A named file cannot be used, or this machine trusts nobody and somebody is to be trusted.
    pub(super) fn client(&self) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier {
            check: self.check(),
            trusted: self.trusted()?,
            algorithms: provider.signature_verification_algorithms,
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(storage)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut client = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let unusable = |error: &dyn std::fmt::Display| {
                    bad(format!("sslkey {} cannot be used: {error}", key.display()))
                };
                let read = PrivateKeyDer::from_pem_slice(&contents("sslkey", key)?)
                    .map_err(|_| unusable(&"it holds no private key without a passphrase (PEM)"))?;
                let chain = certificates("sslcert", certificate)?;
                builder.with_client_auth_cert(chain, read).map_err(|error| unusable(&error))?
            }
        };
        // What a server that encrypts from the first byte asks for (`sslnegotiation=direct`).
        client.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Arc::new(client))
    }

    pub(super) fn check(&self) -> ServerCheck {
        match self.mode {
            Mode::Disable | Mode::Prefer | Mode::Require => ServerCheck::Nothing,
            Mode::VerifyCa => ServerCheck::Authority,
            Mode::VerifyFull => ServerCheck::Name,
        }
    }

    fn trusted(&self) -> Result<Trusted> {
        let mut trusted = Trusted { authorities: RootCertStore::empty(), named: Vec::new() };
        match &self.authorities {
            _ if self.check() == ServerCheck::Nothing => {}
            Authorities::System => {
                let found = rustls_native_certs::load_native_certs().certs;
                if trusted.authorities.add_parsable_certificates(found).0 == 0 {
                    return Err(bad(
                        "this machine trusts no authority of certificates: name one by sslrootcert=FILE",
                    ));
                }
            }
            Authorities::File(path) => {
                trusted.named = certificates("sslrootcert", path)?;
                for certificate in &trusted.named {
                    trusted.authorities.add(certificate.clone()).map_err(|error| {
                        bad(format!(
                            "a certificate in sslrootcert {} cannot be used: {error}",
                            path.display()
                        ))
                    })?;
                }
            }
        }
        Ok(trusted)
    }

    /// What went wrong with a connection, in the words of its settings. `begun`: the handshake had begun.
    pub(super) fn explain(&self, error: postgres::Error, begun: bool) -> Error {
        let why = match (handshake(&error), error.as_db_error()) {
            (Some(TlsError::InvalidCertificate(problem)), _) => self.distrust(problem),
            (Some(problem), _) => {
                format!("the encryption failed: {problem}")
            }
            (None, Some(refused)) if *refused.code() == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                let remedy = match (begun, &self.identity) {
                    (false, _) => "; if it wants encryption, say sslmode=verify-full or sslmode=require",
                    (true, None) => "; if it wants a client's certificate, name it by sslcert and sslkey",
                    (true, Some(_)) => "",
                };
                format!("the server refuses it: {}{remedy}", refused.message())
            }
            // Only the handshake is left: the server did not agree to begin it.
            (None, None) if self.mode != Mode::Disable && !begun && is_handshake(&error) => format!(
                "the server offers no encryption, and sslmode={} asks for it: set ssl = on in its postgresql.conf, \
                 or say sslmode=disable where the network is trusted",
                self.mode.name()
            ),
            _ => return error.into(),
        };
        Error::Connection { why }
    }

    fn distrust(&self, problem: &CertificateError) -> String {
        match problem {
            CertificateError::UnknownIssuer => match &self.authorities {
                Authorities::System => {
                    "the server's certificate is by nobody that this machine trusts: name its authority's certificate \
                     by sslrootcert=FILE"
                        .to_owned()
                }
                Authorities::File(path) => format!(
                    "the server's certificate is not by an authority in sslrootcert {}: put the right authority's \
                     certificate there",
                    path.display()
                ),
            },
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the server's certificate has expired: renew it on the server".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet: check the clocks of both machines".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
                "the server's certificate is for another host ({problem}): use a name that is among its \
                 subjectAltName entries, or say sslmode=verify-ca if another check of the name is not needed"
            ),
            _ => format!(
                "the server's certificate cannot be used ({problem}): make it anew, as X.509 version 3 with \
                 subjectAltName, signed by the authority in sslrootcert"
            ),
        }
    }
}

/// What rustls said, where the handshake failed.
fn handshake(error: &postgres::Error) -> Option<&TlsError> {
    error.source()?.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
}

/// The driver's errors have no kind that could be asked for.
fn is_handshake(error: &postgres::Error) -> bool {
    error.to_string() == "error performing TLS handshake"
}

/// Whether a connection that is encrypted only by preference is tried without: a wrong password is wrong there, too.
pub(super) fn falls_back(error: &postgres::Error) -> bool {
    is_handshake(error) || error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

fn storage(error: impl StdError + Send + Sync + 'static) -> Error {
    Error::Storage(Box::new(error))
}

fn contents(setting: &str, path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| bad(format!("{setting} {} cannot be read: {error}", path.display())))
}

/// One certificate or more (PEM).
fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&contents(setting, path)?).collect();
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(bad(format!("{setting} {} holds no certificate (PEM)", path.display()))),
    }
}

#[derive(Debug)]
struct Trusted {
    authorities: RootCertStore,
    /// The same, as they stand in the file that was named.
    named: Vec<CertificateDer<'static>>,
}

#[derive(Debug)]
struct Verifier {
    check: ServerCheck,
    trusted: Trusted,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn chain(
        &self,
        shown: &CertificateDer<'_>,
        parsed: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), TlsError> {
        let Trusted { authorities, named } = &self.trusted;
        let all = self.algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(parsed, authorities, intermediates, now, all) {
            // A certificate that signed itself may call itself an authority, as those that PostgreSQL's manual makes do.
            // That is complained of after its time was found right, and is no harm where it is the very one that was named.
            Err(TlsError::InvalidCertificate(CertificateError::Other(why)))
                if why.to_string() == "CaUsedAsEndEntity" =>
            {
                let known = named.iter().any(|certificate| certificate == shown);
                if known { Ok(()) } else { Err(CertificateError::UnknownIssuer.into()) }
            }
            verdict => verdict,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if self.check != ServerCheck::Nothing {
            let parsed = ParsedCertificate::try_from(shown)?;
            self.chain(shown, &parsed, intermediates, now)?;
            if self.check == ServerCheck::Name {
                verify_server_name(&parsed, server)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, shown, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, shown, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
