//! TLS with verification; a client certificate where one is given.

use std::path::Path;
use std::sync::Arc;

use rumqttc::TlsConfiguration;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::publish::MqttOptions;

/// # Errors
/// A file cannot be read or holds no certificate or key.
pub(super) fn configuration(options: &MqttOptions) -> Result<TlsConfiguration, String> {
    let ca = options
        .ca
        .clone()
        .unwrap_or_else(|| "/etc/ssl/certs/ca-certificates.crt".into());
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&ca)?);
    if roots.is_empty() {
        return Err(fail(&ca, "no certificate in it".into()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots);
    let config = match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => {
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| fail(key, format!("no PEM key ({e})")))?;
            builder
                .with_client_auth_cert(certificates(cert)?, key_der)
                .map_err(|e| fail(cert, e.to_string()))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(TlsConfiguration::Rustls(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|e| fail(path, format!("no PEM certificates ({e})")))
}

fn fail(path: &Path, why: String) -> String {
    format!("mqtt: {}: {why}", path.display())
}
