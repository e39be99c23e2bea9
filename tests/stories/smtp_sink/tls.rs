//! The server's side of TLS, with a certificate for 127.0.0.1 that is made anew for each run and that nobody else believes.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig, crypto};
use std::sync::{Arc, LazyLock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

static PAPERS: LazyLock<Papers> = LazyLock::new(Papers::make);

struct Papers {
    certificate: CertificateDer<'static>,
    config: Arc<ServerConfig>,
}

/// Roots that vouch for it.
pub fn roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(PAPERS.certificate.clone()).unwrap();
    Arc::new(roots)
}

/// Begins TLS as its server.
pub(super) async fn begin<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> std::io::Result<TlsStream<S>> {
    TlsAcceptor::from(PAPERS.config.clone()).accept(stream).await
}

impl Papers {
    fn make() -> Papers {
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        let certificate = certificate(&EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref()).unwrap());
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], PrivatePkcs8KeyDer::from(key.as_ref().to_vec()).into())
            .unwrap();
        Papers { certificate, config: Arc::new(config) }
    }
}

/// X.509 (RFC 5280, 4.1), signed by itself.
fn certificate(key: &EcdsaKeyPair) -> CertificateDer<'static> {
    let ecdsa_with_sha256 = sequence(&[b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"]);
    let name = sequence(&[&der(0x31, &[&sequence(&[b"\x06\x03\x55\x04\x03", &der(0x0c, &[b"sink"])])])]);
    let validity = sequence(&[&der(0x17, &[b"200101000000Z"]), &der(0x17, &[b"491231235959Z"])]);
    let address = der(0x04, &[&sequence(&[&der(0x87, &[&[127, 0, 0, 1]])])]);
    let is_for = sequence(&[&sequence(&[b"\x06\x03\x55\x1d\x11", &address])]);
    let public = key.public_key().as_der().unwrap();
    let signed = sequence(&[
        b"\xa0\x03\x02\x01\x02\x02\x01\x01",
        &ecdsa_with_sha256,
        &name,
        &validity,
        &name,
        public.as_ref(),
        &der(0xa3, &[&is_for]),
    ]);
    let signature = key.sign(&SystemRandom::new(), &signed).unwrap();
    sequence(&[&signed, &ecdsa_with_sha256, &der(0x03, &[b"\0", signature.as_ref()])]).into()
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    der(0x30, parts)
}

/// Tag, length, value (X.690).
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let [.., high, low] = value.len().to_be_bytes();
    let length = match value.len() {
        0..128 => vec![low],
        128..256 => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag][..], &length, &value].concat()
}
