//! Which of S3's operations a request is.

use axum::http::{Method, request::Parts};

/// An operation of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum S3Operation {
    /// An object and what is kept beside it.
    GetObject,
    /// What is kept beside an object.
    HeadObject,
    /// A listing. Its key is the prefix.
    ListObjectsV2,
    /// A new object.
    PutObject,
    /// A new object out of another. Its key is that of the new one.
    CopyObject,
    /// One object.
    DeleteObject,
    /// Many objects. It has no key.
    DeleteObjects,
}

/// The operation of a request whose path is `/BUCKET/KEY`, and its key. None for what is not listed above.
pub(super) fn of(request: &Parts, path: &str) -> Option<(S3Operation, String)> {
    let (_, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    let parameter = |name: &str| {
        let query = request.uri.query().unwrap_or_default().as_bytes();
        form_urlencoded::parse(query).find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    };
    if parameter("uploadId").is_some() || parameter("uploads").is_some() {
        return None;
    }
    let operation = match (&request.method, key.is_empty()) {
        (&Method::GET, false) => S3Operation::GetObject,
        (&Method::GET, true) if parameter("list-type").as_deref() == Some("2") => {
            return Some((S3Operation::ListObjectsV2, parameter("prefix").unwrap_or_default()));
        }
        (&Method::HEAD, false) => S3Operation::HeadObject,
        (&Method::PUT, false) if request.headers.contains_key("x-amz-copy-source") => S3Operation::CopyObject,
        (&Method::PUT, false) => S3Operation::PutObject,
        (&Method::DELETE, false) => S3Operation::DeleteObject,
        (&Method::POST, true) if parameter("delete").is_some() => S3Operation::DeleteObjects,
        _ => return None,
    };
    Some((operation, key.to_owned()))
}
