//! What an upstream is sent in the place of a client's token, and the assertion beside it.
//!
//! A token that Vestibule issued in the place of another one is exchanged for that one, or for one
//! that is signed for the upstream. What is opened here lives as long as its request, no longer.

use super::headers;
use super::proxy::Gateway;
use crate::auth::assertion::Asserted;
use crate::auth::ports::{StoreError, Stored};
use crate::config::model::{self, CredentialSource, ForwardToken};
use crate::gate::Grant;
use crate::identity::credential;
use crate::route::Route;
use crate::secret::Secret;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use pingora::http::RequestHeader;
use std::sync::Arc;

/// What one request carries up besides what it came with.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// What the presented token stands for, if it does and the upstream is to have it.
    pub(super) original: Option<Secret>,
    /// Signed for this upstream.
    assertion: Option<Arc<Secret>>,
}

impl Outgoing {
    /// The value of `X-Vestibule-Assertion`.
    pub(super) fn header(&self, route: &model::Route) -> Option<&Secret> {
        self.assertion
            .as_deref()
            .filter(|_| route.forward.assertion)
    }
}

impl Gateway {
    /// Opens and signs what a permitted request carries up. Nothing, and no work, for a plain token on
    /// a route that asks for none of it.
    pub(super) async fn outgoing(
        &self,
        route: &Route,
        grant: &Grant,
        token: Option<&str>,
        device: Option<&str>,
    ) -> Stored<Outgoing> {
        let Some(holder) = headers::holder(grant) else {
            return Ok(Outgoing::default());
        };
        let forward = &route.config.forward;
        let terms = holder.terms.as_ref();
        let sealed = terms.and_then(|terms| terms.original.as_ref());
        let original = match (forward.token, sealed, token) {
            (ForwardToken::Original, Some(sealed), Some(token)) => {
                let digest = route.keys.token(token);
                let original = self.local.auth.store.original(digest, sealed);
                Some(original.ok_or(StoreError::Damaged("original token"))?)
            }
            _ => None,
        };
        let assertion = if signs(&route.config) {
            let about = Asserted {
                user: holder.user,
                name: &holder.name,
                proof: match grant {
                    Grant::Session {
                        factor,
                        verified_at,
                        ..
                    } => Some((*factor, *verified_at)),
                    Grant::Open | Grant::Token(_) => None,
                },
                device,
                audience: &forward.audience,
                algorithm: route.config.token_algorithm,
            };
            Some(self.local.auth.assertion(&about).await?)
        } else {
            None
        };
        Ok(Outgoing {
            original,
            assertion,
        })
    }
}

/// Whether something is signed for this route's upstream.
pub(super) fn signs(route: &model::Route) -> bool {
    route.forward.assertion || route.forward.token == ForwardToken::Vestibule
}

/// Whether the token was issued in the place of another one, which is kept sealed.
pub(super) fn stands_for_another(grant: &Grant) -> bool {
    let terms = headers::holder(grant).and_then(|holder| holder.terms.as_ref());
    terms.is_some_and(|terms| terms.original.is_some())
}

/// Puts what goes up into the places of the client's token. Those in the target: `head::target`.
pub(super) fn place_token(
    request: &mut RequestHeader,
    outgoing: &Outgoing,
    route: &model::Route,
) -> pingora::Result<()> {
    match (route.forward.token, &outgoing.original) {
        (ForwardToken::Original, None) => {
            if !route.forward.passwords && credential::has_basic(&request.headers) {
                request.remove_header(&AUTHORIZATION);
            }
            Ok(())
        }
        (ForwardToken::Original, Some(original)) => {
            put_original(request, original, &route.credentials)
        }
        (ForwardToken::Remove, _) => headers::remove_token(request, &route.credentials),
        (ForwardToken::Vestibule, _) => {
            headers::remove_token(request, &route.credentials)?;
            // Nobody else's word stands where the upstream looks for ours.
            request.remove_header(&AUTHORIZATION);
            match &outgoing.assertion {
                Some(signed) => put_bearer(request, signed),
                None => Ok(()),
            }
        }
    }
}

fn put_original(
    request: &mut RequestHeader,
    original: &Secret,
    sources: &[CredentialSource],
) -> pingora::Result<()> {
    for source in sources {
        match source {
            CredentialSource::Bearer if credential::has_bearer(&request.headers) => {
                put_bearer(request, original)?;
            }
            CredentialSource::Cookie(name) => headers::put_cookie(request, name, original)?,
            CredentialSource::Bearer
            | CredentialSource::Basic
            | CredentialSource::Query(_)
            | CredentialSource::Path(_)
            | CredentialSource::OwnCookie => {}
        }
    }
    Ok(())
}

fn put_bearer(request: &mut RequestHeader, token: &Secret) -> pingora::Result<()> {
    request.insert_header(
        AUTHORIZATION,
        sensitive(&format!("Bearer {}", token.expose()))?,
    )
}

/// A value that is never written to a log, and never kept by header compression.
pub(super) fn sensitive(text: &str) -> pingora::Result<HeaderValue> {
    let value = HeaderValue::from_str(text);
    let mut value = value.map_err(|_| super::exchange::internal("a token that is no header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Identity;
    use crate::edge::head::tests::route;

    fn request(pairs: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in pairs {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    fn lines(request: &RequestHeader, name: &str) -> Vec<String> {
        let values = request.headers.get_all(name).iter();
        values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    /// `Authorization` and `Cookie` as they go up.
    fn placed(
        token: ForwardToken,
        outgoing: &Outgoing,
        pairs: &[(&'static str, &'static str)],
    ) -> (Vec<String>, Vec<String>) {
        let cookie = CredentialSource::Cookie("IOGATES".to_owned());
        let mut route = route(Identity::Accounts, vec![CredentialSource::Bearer, cookie]);
        route.config.forward.token = token;
        let mut request = request(pairs);
        place_token(&mut request, outgoing, &route.config).unwrap();
        (lines(&request, "authorization"), lines(&request, "cookie"))
    }

    fn original(text: &str) -> Outgoing {
        Outgoing {
            original: Some(Secret::new(text)),
            assertion: None,
        }
    }

    #[test]
    fn the_original_stands_where_the_token_stood_and_nowhere_else() {
        let token = ForwardToken::Original;
        let root = original("root");
        let both = [
            ("authorization", "Bearer born"),
            ("cookie", "a=b; IOGATES=born"),
            ("cookie", " IOGATES=born ; IOGATESX=c"),
        ];
        let (authorization, cookies) = placed(token, &root, &both);
        assert_eq!(authorization, ["Bearer root"]);
        assert_eq!(cookies, ["a=b; IOGATES=root; IOGATES=root; IOGATESX=c"]);
        let (authorization, cookies) = placed(token, &root, &[("cookie", "a=b")]);
        assert!(authorization.is_empty() && cookies == ["a=b"]);
        let basic = [("authorization", "Basic born")];
        assert_eq!(placed(token, &root, &basic).0, ["Basic born"], "no bearer");
        // A token that would begin another cookie takes its own away.
        let (_, cookies) = placed(token, &original("x;IOGATES=other"), &both);
        assert_eq!(cookies, ["a=b; IOGATESX=c"]);
        let plain = placed(token, &Outgoing::default(), &both);
        assert_eq!((plain.0.len(), plain.1.len()), (1, 2), "as it came");
    }

    #[test]
    fn what_is_signed_stands_alone() {
        let signed = Outgoing {
            original: None,
            assertion: Some(Arc::new(Secret::new("signed"))),
        };
        let both = [
            ("authorization", "Bearer born"),
            ("cookie", "a=b; IOGATES=born"),
        ];
        let token = ForwardToken::Vestibule;
        let (authorization, cookies) = placed(token, &signed, &both);
        assert_eq!(
            (authorization, cookies),
            (vec!["Bearer signed".to_owned()], vec!["a=b".to_owned()])
        );
        // Nobody was let through: nobody's word goes up.
        let basic = [("authorization", "Basic born")];
        assert!(placed(token, &Outgoing::default(), &basic).0.is_empty());
        assert!(placed(ForwardToken::Remove, &signed, &both).0.is_empty());
    }

    #[test]
    fn a_parameter_gets_the_original_escaped() {
        let put = |query| headers::put_query(query, &["token"], &Secret::new("a&b=c/ü"));
        assert_eq!(
            put("x=1&token=born&%74oken=born&y").as_deref(),
            Some("x=1&token=a%26b%3Dc%2F%C3%BC&token=a%26b%3Dc%2F%C3%BC&y")
        );
        assert_eq!(put("x=1&tokens=2"), None);
    }
}
