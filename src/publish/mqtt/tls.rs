//! TLS with verification; a client certificate where one is given.

use std::path::Path;
use std::sync::Arc;

use rumqttc::TlsConfiguration;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::publish::MqttOptions;

/// Whom the system trusts, where `mqtt.ca` names nobody.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// # Errors
/// A file cannot be read or holds no certificate or key: with the key of `[mqtt]` that names it.
pub(super) fn configuration(options: &MqttOptions) -> Result<TlsConfiguration, String> {
    let ca = options.ca.as_deref().unwrap_or(Path::new(SYSTEM));
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(certificates("ca", ca)?);
    if roots.is_empty() {
        return Err(fail("ca", ca, "no certificate in it can be understood"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots);
    let config = match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => {
            let key_der =
                PrivateKeyDer::from_pem_file(key).map_err(|e| fail("key", key, &format!("no PEM key ({e})")))?;
            builder
                .with_client_auth_cert(certificates("cert", cert)?, key_der)
                .map_err(|e| fail("cert", cert, &e.to_string()))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(TlsConfiguration::Rustls(Arc::new(config)))
}

fn certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|e| fail(name, path, &format!("no PEM certificates ({e})")))?;
    if found.is_empty() {
        return Err(fail(name, path, "no certificate in it; PEM is needed"));
    }
    Ok(found)
}

fn fail(name: &str, path: &Path, why: &str) -> String {
    format!("mqtt.{name}: {}: {why}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_pem_is_named_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.der");
        std::fs::write(&path, [0x30, 0x82, 0x01, 0x0a, 0xff]).unwrap();
        let error = certificates("ca", &path).unwrap_err();
        assert!(
            error.starts_with("mqtt.ca: ") && error.contains("ca.der: no "),
            "{error}"
        );
        let error = certificates("cert", &dir.path().join("nowhere")).unwrap_err();
        assert!(
            error.starts_with("mqtt.cert: ") && error.contains("nowhere: no "),
            "{error}"
        );
    }
}
