//! Why a question of another proxy (forward-auth) is not answered: the labels of its counter.

/// The reasons, each with its own label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Who asks is none of `trusted_proxies`.
    UntrustedPeer,
    /// Part of the request it asks about is not said.
    MissingHeader,
    /// Two headers say different things of it.
    ConflictingHeaders,
    /// One cannot be read.
    MalformedHeader,
    /// It asks about a path of Vestibule's own.
    OwnPath,
    /// It asks about a sign-in that Vestibule has to see.
    SignIn,
    /// The request would have to be forwarded in another form.
    Rewritten,
    /// A header of the request asks its server for another one.
    Override,
}

impl Unanswered {
    pub const ALL: [Self; 8] = [
        Self::UntrustedPeer,
        Self::MissingHeader,
        Self::ConflictingHeaders,
        Self::MalformedHeader,
        Self::OwnPath,
        Self::SignIn,
        Self::Rewritten,
        Self::Override,
    ];

    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UntrustedPeer => "untrusted_peer",
            Self::MissingHeader => "missing_header",
            Self::ConflictingHeaders => "conflicting_headers",
            Self::MalformedHeader => "malformed_header",
            Self::OwnPath => "own_path",
            Self::SignIn => "sign_in",
            Self::Rewritten => "rewritten",
            Self::Override => "override",
        }
    }
}
