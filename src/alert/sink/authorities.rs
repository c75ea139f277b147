//! The certificate authorities that the system trusts, read with a timeout: their files may be on a disk that hangs, or
//! one of them may be a pipe, and whoever reads them must be able to end with the program.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use rustls_native_certs::CertificateResult;
use ureq::tls::Certificate;

use crate::sandbox::{self, ThreadKind};

use super::worker::Failure;

/// Number of threads that read them, also after the timeout.
static READING: AtomicUsize = AtomicUsize::new(0);

/// Maximum number of such threads.
const READING_MAX: usize = 4;

/// Maximum time for reading them. It takes some milliseconds.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the authorities.
///
/// # Errors
/// There are none, they are not read in time, or the system refuses a thread.
pub(super) fn authorities() -> Result<Vec<Certificate<'static>>, Failure> {
    let loaded = load()?;
    if loaded.certs.is_empty() {
        let cause = loaded.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
        return Err(Failure::passing(format!(
            "this system trusts no certificate authority{cause}: install ca-certificates"
        )));
    }
    Ok(loaded.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
}

/// Reads the files on a thread of its own, which is left alone after the timeout.
fn load() -> Result<CertificateResult, Failure> {
    if READING.fetch_add(1, Ordering::Relaxed) >= READING_MAX {
        READING.fetch_sub(1, Ordering::Relaxed);
        return Err(late());
    }
    let (done, loaded) = sync_channel(1);
    let read = move || {
        sandbox::enter(ThreadKind::Lookup);
        let certificates = rustls_native_certs::load_native_certs();
        READING.fetch_sub(1, Ordering::Relaxed);
        // After the timeout the receiver no longer exists.
        let _ = done.send(certificates);
    };
    if let Err(error) = thread::Builder::new().name("certificates".to_owned()).spawn(read) {
        READING.fetch_sub(1, Ordering::Relaxed);
        return Err(Failure::passing(format!("no thread to read the certificate authorities: {error}")));
    }
    loaded.recv_timeout(TIMEOUT).map_err(|error: RecvTimeoutError| match error {
        RecvTimeoutError::Timeout => late(),
        RecvTimeoutError::Disconnected => Failure::passing("the certificate authorities were not read"),
    })
}

fn late() -> Failure {
    Failure::passing(
        "the certificate authorities of this system are not read: does the disk hang, or is SSL_CERT_FILE or a file in \
         SSL_CERT_DIR a pipe?",
    )
}
