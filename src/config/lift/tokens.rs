//! Vestibule's own tokens, and what an upstream receives of a client's.

use super::Lift;
use super::syntax;
use crate::config::model::{Forward, ForwardToken, Route, SigningAlgorithm, Tokens};
use crate::config::raw;
use crate::config::tree::At;
use std::time::Duration;

/// The issuer where no route has a host without `*`.
const NAMELESS: &str = "vestibule";
/// Signed access tokens cannot be called back at those who only look at the signature.
const ACCESS_WISE: Duration = Duration::from_secs(24 * 3600);

impl From<raw::SigningAlgorithm> for SigningAlgorithm {
    fn from(raw: raw::SigningAlgorithm) -> Self {
        match raw {
            raw::SigningAlgorithm::EdDsa => Self::EdDsa,
            raw::SigningAlgorithm::Rs256 => Self::Rs256,
        }
    }
}

impl Lift<'_> {
    pub(super) fn tokens(
        &mut self,
        raw: &raw::Tokens,
        routes: Option<&[Route]>,
        at: At<'_>,
    ) -> Option<Tokens> {
        let access_lifetime = self.period(raw.access_lifetime, at.key("access_lifetime"));
        let refresh_lifetime = self.period(raw.refresh_lifetime, at.key("refresh_lifetime"));
        if access_lifetime > ACCESS_WISE {
            self.warn(
                at.key("access_lifetime"),
                "backends that only look at the signature take a revoked token for so long: 1h is usual",
            );
        }
        if refresh_lifetime < access_lifetime {
            self.warn(
                at.key("refresh_lifetime"),
                "is shorter than `access_lifetime`: a refresh token is of no use then",
            );
        }
        let issuer = match &raw.issuer {
            Some(issuer) => self.checked(syntax::issuer(issuer), at.key("issuer"))?,
            None => default_issuer(routes.unwrap_or_default()),
        };
        Some(Tokens {
            issuer,
            algorithm: raw.algorithm.into(),
            access_lifetime,
            refresh_lifetime,
        })
    }

    /// `name`: the route's, if it has one: the audience where none is set.
    pub(super) fn forward(
        &mut self,
        raw: &raw::Forward,
        name: Option<&str>,
        at: At<'_>,
    ) -> Option<Forward> {
        let audience = match raw.audience.as_deref() {
            Some(text) => self.checked(syntax::audience(text), at.key("audience"))?,
            None => name.unwrap_or_default(),
        };
        let token = raw.token.unwrap_or_default();
        let is_signed = raw.assertion || matches!(token, raw::ForwardToken::Vestibule);
        if raw.audience.is_some() && !is_signed {
            self.warn(
                at.key("audience"),
                "nothing is signed for it: write `token: vestibule` or `assertion: true`",
            );
        }
        Some(Forward {
            token: match token {
                raw::ForwardToken::Original => ForwardToken::Original,
                raw::ForwardToken::Vestibule => ForwardToken::Vestibule,
                raw::ForwardToken::None => ForwardToken::Remove,
            },
            passwords: raw.token.is_some(),
            assertion: raw.assertion,
            audience: audience.to_owned(),
        })
    }
}

fn default_issuer(routes: &[Route]) -> String {
    let mut hosts = routes.iter().flat_map(|route| &route.hosts);
    hosts
        .find(|host| !host.contains('*'))
        .map_or_else(|| NAMELESS.to_owned(), |host| format!("https://{host}"))
}
