//! TLS towards Marathon, one configuration for reads, events and kills.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files in PEM. Certificates are always verified: there is no way to turn that off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Trusted instead of the system's certificates.
    pub ca: Option<PathBuf>,
    /// Our certificate, with `key`.
    pub cert: Option<PathBuf>,
    /// Our key, with `cert`.
    pub key: Option<PathBuf>,
}

/// Reads the files.
///
/// # Errors
///
/// A sentence that names the file and what is wrong with it.
pub(super) fn configure(files: &TlsFiles) -> Result<Arc<rustls::ClientConfig>, String> {
    let mut roots = rustls::RootCertStore::empty();
    match &files.ca {
        Some(path) => {
            for cert in certificates(path)? {
                roots
                    .add(cert)
                    .map_err(|e| format!("{} holds no usable certificate: {e}", path.display()))?;
            }
        }
        None => {
            // A broken system certificate only makes fewer servers trusted.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS could not be set up: {e}"))?
        .with_root_certificates(roots);
    let config = match (&files.cert, &files.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let chain = certificates(cert)?;
            let secret = PrivateKeyDer::from_pem_file(key)
                .map_err(|e| format!("no private key could be read from {}: {e}", key.display()))?;
            builder
                .with_client_auth_cert(chain, secret)
                .map_err(|e| format!("{} and {} do not go together: {e}", cert.display(), key.display()))?
        }
        _ => return Err("a client certificate needs both its certificate and its key file".to_owned()),
    };
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let said =
        |e: &dyn std::fmt::Display| format!("certificates could not be read from {}: {e}", path.display());
    let all = CertificateDer::pem_file_iter(path)
        .map_err(|e| said(&e))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| said(&e))?;
    if all.is_empty() {
        Err(said(&"there is none in it"))
    } else {
        Ok(all)
    }
}

/// What to do about a refused handshake, where its words are those of a library.
pub(super) fn advice(said: &str) -> Option<&'static str> {
    let has = |word: &str| said.contains(word);
    Some(if has("UnknownIssuer") || has("certificate: BadSignature") {
        "its certificate is signed by no authority that we trust; name a private one with `tls.caFile`"
    } else if has("not valid for name") || has("NotValidForName") {
        "its certificate is for another name than the address in `urls`"
    } else if has("certificate expired") || has("Expired") {
        "its certificate has run out, or the clock of this machine is wrong"
    } else if has("CertificateRequired") {
        "it wants a certificate of ours: `tls.certFile` and `tls.keyFile`"
    } else if has("fatal alert: UnknownCA") || has("fatal alert: BadCertificate") || has("DecryptError") {
        "it does not take our certificate (`tls.certFile`)"
    } else {
        return None;
    })
}

#[cfg(test)]
#[path = "tls_test.rs"]
mod tests;
