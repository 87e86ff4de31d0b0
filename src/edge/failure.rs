//! One table from what failed to what the client is told. Nothing of the inside is in it.

use super::body::BadBody;
use http::StatusCode;
use pingora::{Error, ErrorSource, ErrorType};

/// What a client is told of a failure; `None` where nobody is left to be told.
pub(crate) fn told(error: &Error) -> Option<(StatusCode, &'static str)> {
    use ErrorType::{
        ConnectTimedout, ConnectionClosed, H2Error, HTTPStatus, ReadError, ReadTimedout,
        TLSHandshakeTimedout, WriteError, WriteTimedout,
    };
    let told = match (error.esource(), error.etype()) {
        (_, HTTPStatus(413)) => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request body is too large",
        ),
        (_, HTTPStatus(408)) | (ErrorSource::Downstream, ReadTimedout) => (
            StatusCode::REQUEST_TIMEOUT,
            "the request body came too slowly: send it again",
        ),
        (_, HTTPStatus(503)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the server behind this gateway is not known yet: try again later",
        ),
        (
            ErrorSource::Downstream,
            ReadError | WriteError | WriteTimedout | ConnectionClosed | H2Error,
        ) => return None,
        (ErrorSource::Downstream, _) => (
            StatusCode::BAD_REQUEST,
            "the request is malformed: it was not forwarded whole",
        ),
        (
            ErrorSource::Upstream,
            ReadTimedout | WriteTimedout | ConnectTimedout | TLSHandshakeTimedout,
        ) => (
            StatusCode::GATEWAY_TIMEOUT,
            "the server behind this gateway did not answer in time: try again later",
        ),
        (ErrorSource::Upstream, _) => (
            StatusCode::BAD_GATEWAY,
            "the server behind this gateway could not be asked: try again later",
        ),
        (ErrorSource::Internal | ErrorSource::Unset, _) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the gateway failed: try again later",
        ),
    };
    Some(told)
}

impl BadBody {
    /// The answer's status.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Truncated => StatusCode::BAD_REQUEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorType::{
        ConnectRefused, ConnectTimedout, ConnectionClosed, HTTPStatus, InternalError, InvalidCert,
        InvalidHTTPHeader, ReadError, ReadTimedout, WriteError,
    };

    #[test]
    fn each_failure_has_its_status() {
        let up = |kind| told(&Error::new_up(kind)).map(|(status, _)| status.as_u16());
        let down = |kind| told(&Error::new_down(kind)).map(|(status, _)| status.as_u16());
        let inside = |kind| told(&Error::new_in(kind)).map(|(status, _)| status.as_u16());
        for kind in [
            ConnectRefused,
            InvalidCert,
            ReadError,
            ConnectionClosed,
            InvalidHTTPHeader,
        ] {
            assert_eq!(up(kind), Some(502));
        }
        assert_eq!(up(ConnectTimedout), Some(504));
        assert_eq!(up(ReadTimedout), Some(504));
        assert_eq!(down(ReadTimedout), Some(408));
        assert_eq!(down(InvalidHTTPHeader), Some(400));
        for kind in [ReadError, WriteError, ConnectionClosed] {
            assert_eq!(down(kind), None, "nobody is left to be told");
        }
        assert_eq!(down(HTTPStatus(413)), Some(413));
        assert_eq!(down(HTTPStatus(408)), Some(408));
        assert_eq!(inside(HTTPStatus(503)), Some(503));
        assert_eq!(inside(InternalError), Some(500));
    }

    #[test]
    fn no_client_is_told_what_an_error_holds() {
        let error = Error::explain(InvalidHTTPHeader, "buf: Set-Cookie: token=secret").into_up();
        let (_, detail) = told(&error).unwrap();
        assert!(!detail.contains("secret"), "{detail}");
    }
}
