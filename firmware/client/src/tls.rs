//! TLS: whom to trust, who we are.

use crate::config::{TlsConfig, TlsVersion};
use crate::error::ClientError;
use crate::file::{Stamp, read};
use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The system's authorities, read at the first connection that needs them and shared by all clients.
static NATIVE: OnceLock<Result<Arc<RootCertStore>, String>> = OnceLock::new();

/// What was made of which files.
type Built = (Vec<Option<Stamp>>, Arc<ClientConfig>);

/// Makes TLS of connections. Built at the first use, and again when a file changes.
pub(crate) struct Tls {
    config: TlsConfig,
    http2: bool,
    built: Mutex<Option<Built>>,
}

impl Tls {
    pub(crate) fn new(config: &TlsConfig, http2: bool) -> Self {
        Tls { config: config.clone(), http2, built: Mutex::new(None) }
    }

    /// What tells whether files changed: connections made before are not used any more then.
    pub(crate) fn stamps(&self) -> Vec<Option<Stamp>> {
        let files = [&self.config.ca_file, &self.config.cert_file, &self.config.key_file];
        files.into_iter().map(|file| file.as_ref().and_then(|path| Stamp::of(path))).collect()
    }

    pub(crate) async fn handshake(&self, stream: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, ClientError> {
        let expected = if self.config.server_name.is_empty() { host } else { &self.config.server_name };
        let name = ServerName::try_from(expected.to_owned())
            .map_err(|_| ClientError::Tls(format!("\"{expected}\" cannot be the name of a server")))?;
        let connector = TlsConnector::from(self.client_config()?);
        connector.connect(name, stream).await.map_err(|error| explain(&error, expected))
    }

    fn client_config(&self) -> Result<Arc<ClientConfig>, ClientError> {
        let stamps = self.stamps();
        let mut built = self.built.lock();
        if let Some((known, config)) = &*built
            && *known == stamps
        {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.build()?);
        *built = Some((stamps, Arc::clone(&config)));
        Ok(config)
    }

    fn build(&self) -> Result<ClientConfig, ClientError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions: Vec<&'static rustls::SupportedProtocolVersion> =
            [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)]
                .into_iter()
                .filter(|(version, _)| self.config.min_version.is_none_or(|min| *version >= min))
                .filter(|(version, _)| self.config.max_version.is_none_or(|max| *version <= max))
                .map(|(_, version)| version)
                .collect();
        if versions.is_empty() {
            return Err(ClientError::Config("tls_config: only TLS12 and TLS13 are spoken".to_owned()));
        }
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| ClientError::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(provider)?);
        let mut config = match self.identity()? {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| ClientError::Config(format!("unable to use specified client cert & key: {error}")))?,
        };
        if self.http2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        config.alpn_protocols.push(b"http/1.1".to_vec());
        Ok(config)
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, ClientError> {
        if self.config.insecure_skip_verify {
            return Ok(Arc::new(AnyCertificate(provider)));
        }
        let text = pem(self.config.ca.as_deref(), self.config.ca_file.as_ref(), "CA cert")?;
        let (roots, given) = match text {
            None => (native_roots()?, Vec::new()),
            Some(text) => {
                let given: Vec<CertificateDer<'static>> =
                    CertificateDer::pem_slice_iter(&text).filter_map(Result::ok).collect();
                let mut roots = RootCertStore::empty();
                let (added, _) = roots.add_parsable_certificates(given.iter().cloned());
                if added == 0 {
                    return Err(ClientError::Config(
                        "unable to use specified CA cert: no certificate in it".to_owned(),
                    ));
                }
                (Arc::new(roots), given)
            }
        };
        let inner = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| ClientError::Config(format!("unable to use specified CA cert: {error}")))?;
        Ok(Arc::new(Trusting { inner, given }))
    }

    fn identity(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, ClientError> {
        let Some(chain) = pem(self.config.cert.as_deref(), self.config.cert_file.as_ref(), "client cert")? else {
            return Ok(None);
        };
        let key = pem(Some(self.config.key.expose()), self.config.key_file.as_ref(), "client key")?.unwrap_or_default();
        let wrong = |what: &str, error: rustls::pki_types::pem::Error| {
            ClientError::Config(format!("unable to use specified client {what}: {error}"))
        };
        let chain = CertificateDer::pem_slice_iter(&chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| wrong("cert", error))?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| wrong("key", error))?;
        Ok(Some((chain, key)))
    }
}

/// A PEM text from the configuration or a file; `None` if neither is given.
fn pem(inline: Option<&str>, file: Option<&PathBuf>, what: &str) -> Result<Option<Vec<u8>>, ClientError> {
    if let Some(text) = inline.filter(|text| !text.is_empty()) {
        return Ok(Some(text.as_bytes().to_vec()));
    }
    let Some(path) = file.filter(|path| !path.as_os_str().is_empty()) else { return Ok(None) };
    let failed = |error: std::io::Error| {
        let reason = crate::error::io_text(&error);
        ClientError::Auth(format!("unable to load specified {what} {}: {reason}", path.display()))
    };
    read(path).map(Some).map_err(failed)
}

fn native_roots() -> Result<Arc<RootCertStore>, ClientError> {
    let load = || {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        match (added, found.errors.first()) {
            (0, Some(error)) => Err(format!("no certificate authorities of the system: {error}")),
            (0, None) => Err("this system has no certificate authorities (ca-certificates)".to_owned()),
            _ => Ok(Arc::new(roots)),
        }
    };
    NATIVE.get_or_init(load).clone().map_err(ClientError::Tls)
}

/// Verification against roots, with one case more than webpki takes: a certificate that is itself among those given
/// as trusted. `openssl req -x509` marks a server's own certificate as an authority, and Go accepts it.
#[derive(Debug)]
struct Trusting {
    inner: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let outcome = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match outcome {
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
                if other.0.to_string().contains("CaUsedAsEndEntity")
                    && self.given.iter().any(|given| given == end_entity) =>
            {
                let parsed = rustls::server::ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&parsed, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// `insecure_skip_verify`: whoever holds the key of the certificate shown is believed.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A failed handshake, in Go's words where they are the ones people know.
fn explain(error: &std::io::Error, host: &str) -> ClientError {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return ClientError::Tls(crate::error::io_text(error));
    };
    ClientError::Tls(match tls {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "failed to verify certificate: x509: certificate signed by unknown authority".to_owned()
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("failed to verify certificate: x509: certificate is not valid for {host}"),
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "failed to verify certificate: x509: certificate has expired or is not yet valid".to_owned()
        }
        rustls::Error::InvalidMessage(_) => "first record does not look like a TLS handshake".to_owned(),
        other => other.to_string(),
    })
}
