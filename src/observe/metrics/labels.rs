//! What the labels of metrics say of how a thing went: closed sets.

/// How a request ended, for metrics and the access line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Forwarded with a permit.
    Permitted,
    /// Answered by a local endpoint.
    Local,
    /// Refused: a second factor (or a fresh one) is asked for.
    Challenged,
    /// Refused: no token or an unknown one.
    Unauthenticated,
    /// Refused by policy or scope.
    Denied,
    /// Malformed, too large, too slow, no such host.
    BadRequest,
    /// The store or the upstream failed.
    Failed,
}

impl Outcome {
    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::Local => "local",
            Self::Challenged => "challenged",
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::BadRequest => "bad_request",
            Self::Failed => "failed",
        }
    }
}

/// What came of a request to an issuer of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerOutcome {
    /// Keys came.
    Fetched,
    /// The keys are those that are there already.
    Unchanged,
    /// It stands by the token.
    Vouched,
    /// It does not.
    Denied,
    /// It answered, but nothing that can be used.
    Unusable,
    /// It did not answer.
    Unreachable,
}

impl IssuerOutcome {
    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::Unchanged => "unchanged",
            Self::Vouched => "vouched",
            Self::Denied => "denied",
            Self::Unusable => "unusable",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Why an event of the audit trail is in the log only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// A refusal like many others of the same minute: left out on purpose.
    Repeated,
    /// Too many events were waiting.
    Full,
    /// The store did not take it before the end.
    Unwritten,
}

impl Lost {
    pub(super) const ALL: [Self; 3] = [Self::Repeated, Self::Full, Self::Unwritten];

    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repeated => "repeated",
            Self::Full => "full",
            Self::Unwritten => "unwritten",
        }
    }
}

/// What became of a trace's spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanOutcome {
    /// The collector took them.
    Exported,
    /// Too many were waiting.
    Dropped,
    /// The collector refused them, or was not there.
    Failed,
}

impl SpanOutcome {
    pub(super) const ALL: [Self; 3] = [Self::Exported, Self::Dropped, Self::Failed];

    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}
