//! Serves the files of the dashboard, which are embedded in the binary.

use hyper::HeaderMap;

use super::reply::Reply;

/// Answers with the dashboard's file `name`; the empty name is the page itself.
#[cfg(feature = "dashboard")]
pub(super) fn answer(name: &str, headers: &HeaderMap) -> Reply {
    embedded::answer(name, headers)
}

/// Answers that this program was built without its dashboard.
#[cfg(not(feature = "dashboard"))]
pub(super) fn answer(_name: &str, _headers: &HeaderMap) -> Reply {
    use super::guard::Refusal;

    super::reply::refusal(Refusal {
        status: hyper::StatusCode::NOT_FOUND,
        detail: "this program was built without its dashboard (the cargo feature `dashboard`); \
                 /active, /all and /capabilities have the data",
    })
}

#[cfg(feature = "dashboard")]
mod embedded {
    use std::borrow::Cow;
    use std::fmt::Write;

    use hyper::body::Bytes;
    use hyper::header::HeaderValue;
    use hyper::{HeaderMap, StatusCode};
    use rust_embed::Embed;

    use crate::api::etag::is_known;
    use crate::api::guard::Refusal;
    use crate::api::reply::{self, Reply};

    /// The files that `build.rs` bundled.
    #[derive(Embed)]
    #[folder = "$OUT_DIR/dashboard"]
    struct Files;

    pub(super) fn answer(name: &str, headers: &HeaderMap) -> Reply {
        let name = if name.is_empty() { "index.html" } else { name };
        let (Some(file), Some(content_type)) = (Files::get(name), content_type(name)) else {
            return reply::refusal(NO_SUCH_FILE);
        };
        let etag = etag(&file.metadata.sha256_hash());
        if is_known(headers, &etag) {
            return reply::not_modified(reply::file(content_type, etag, Bytes::new()));
        }
        let body = match file.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        reply::file(content_type, etag, body)
    }

    /// Returns the media type of a file by its extension; `None` for any other extension, so the file is not served.
    fn content_type(name: &str) -> Option<&'static str> {
        Some(match name.rsplit_once('.')?.1 {
            "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "txt" => "text/plain; charset=utf-8",
            _ => return None,
        })
    }

    fn etag(sha256: &[u8; 32]) -> HeaderValue {
        let mut text = String::from("\"");
        for byte in &sha256[..ETAG_BYTES] {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        }
        text.push('"');
        HeaderValue::try_from(text).expect("quotes and hexadecimal digits are allowed in a header")
    }

    const NO_SUCH_FILE: Refusal = Refusal {
        status: StatusCode::NOT_FOUND,
        detail: "the dashboard has no such file; it begins at /dashboard/",
    };

    /// Number of bytes of the hash in an ETag; 128 bits distinguish any two versions.
    const ETAG_BYTES: usize = 16;

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn every_embedded_file_has_a_type() {
            for name in Files::iter() {
                assert!(content_type(&name).is_some(), "{name}");
            }
        }
    }
}
