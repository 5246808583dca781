//! Errors as RFC 9457 problem JSON: what is wrong, what to do, what did not happen.

use crate::model::ids::{PolicyName, RunId};
use crate::model::view::{Refusal, RefusalKind};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An error as it goes out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Problem {
    /// `urn:heartbreak:WORD`, a closed set.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The kind in a few words.
    title: &'static str,
    /// The HTTP status, again, as the RFC asks.
    status: u16,
    /// What is wrong, what to do, what did not happen.
    detail: String,
    /// The run it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    /// The policy it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyName>,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            run: None,
            policy: None,
        }
    }

    /// The request makes no sense.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "urn:heartbreak:invalid",
            "The request makes no sense",
            detail,
        )
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "urn:heartbreak:not-found",
            "There is no such thing",
            detail,
        )
    }

    /// The path is there, the method is not.
    pub fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "urn:heartbreak:method",
            "Wrong method",
            "this path does not take this method; nothing was done",
        )
    }

    /// Nobody known.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "urn:heartbreak:unauthorized",
            "A token is needed",
            detail,
        )
    }

    /// Somebody known who may not.
    pub fn not_allowed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "urn:heartbreak:not-allowed",
            "Not allowed",
            detail,
        )
    }

    /// A body beyond the cap, or one that broke off.
    pub fn too_large(limit_bytes: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "urn:heartbreak:too-large",
            "The body is too large",
            format!("the body could not be read within {limit_bytes} bytes; nothing was done"),
        )
    }

    /// The operator did not answer in time.
    pub fn late(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "urn:heartbreak:late",
            "No answer in time",
            detail,
        )
    }

    /// Our own fault.
    pub fn ours(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "urn:heartbreak:bug",
            "Our own fault",
            detail,
        )
    }

    /// A refusal of the operator.
    pub fn refused(refusal: Refusal) -> Self {
        let Refusal { kind, why } = refusal;
        match kind {
            RefusalKind::NotFound => Self::not_found(why),
            RefusalKind::NotAllowed => Self::not_allowed(why),
            RefusalKind::Invalid => Self::invalid(why),
            RefusalKind::Conflict => {
                Self::new(StatusCode::CONFLICT, "urn:heartbreak:conflict", "Not now", why)
            }
            RefusalKind::Unavailable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:heartbreak:unavailable",
                "Something needed cannot be reached",
                why,
            ),
        }
    }

    /// Says which run and policy it is about.
    pub fn about(self, run: Option<RunId>, policy: Option<PolicyName>) -> Self {
        Self { run, policy, ..self }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"heartbreak\""),
            );
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_status_and_keeps_its_sentence() {
        #[track_caller]
        fn check(kind: RefusalKind, status: u16, word: &str) {
            let problem = Problem::refused(Refusal::new(kind, "because"));
            assert_eq!(
                (problem.status, problem.kind, problem.detail.as_str()),
                (status, word, "because")
            );
        }
        check(RefusalKind::NotFound, 404, "urn:heartbreak:not-found");
        check(RefusalKind::NotAllowed, 403, "urn:heartbreak:not-allowed");
        check(RefusalKind::Conflict, 409, "urn:heartbreak:conflict");
        check(RefusalKind::Invalid, 400, "urn:heartbreak:invalid");
        check(RefusalKind::Unavailable, 503, "urn:heartbreak:unavailable");
    }

    #[test]
    fn the_form_is_rfc_9457_and_names_the_run() {
        let problem = Problem::not_found("no run r-7Q2MK4XN").about(Some("r-7Q2MK4XN".into()), None);
        insta::assert_snapshot!(serde_json::to_string(&problem).unwrap(), @r#"{"type":"urn:heartbreak:not-found","title":"There is no such thing","status":404,"detail":"no run r-7Q2MK4XN","run":"r-7Q2MK4XN"}"#);
        let response = problem.into_response();
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
}
