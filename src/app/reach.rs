//! Whether backends and issuers of tokens can be reached, each by the very client that the gateway asks
//! it with. For `vestibule doctor`: no token goes out, and nothing is asked that changes anything.

use super::issuers::{Base, Client, question};
use super::probe::Server;
use crate::clock::SystemClock;
use crate::config::model::{Config, Identity, Introspection, JwtKeys};
use crate::delivery::reach::{Answered, Unreached, answer, unreached};
use crate::identity::jwt::KeySet;
use crate::observe::metrics::Metrics;
use std::sync::Arc;

/// A token that no issuer has issued.
const NOBODYS: &str = "vestibule-doctor";
const KEYS_BYTES_MAX: usize = 256 << 10;

/// Asks one server (`host:port`) of an upstream for its front page, as a stranger.
pub async fn server(config: &Config, upstream: &str, server: &str) -> Result<Answered, Unreached> {
    let routes = &mut config.routes.iter();
    let route = routes.find(|route| route.upstream == upstream);
    let (Some(route), Some(upstream)) = (route, config.upstreams.get(upstream)) else {
        return Err(Unreached("no route leads to it".to_owned()));
    };
    let server = Server::new(route, upstream, server, "/");
    let server = server.map_err(|error| Unreached::because(&error))?;
    let answer = answer(server.question()).await?;
    Ok(Answered::from(&answer))
}

/// Asks an identity's issuer what it is asked when a token comes; `None`: it is asked nothing.
pub async fn issuer(name: &str, identity: &Identity) -> Option<Result<Answered, Unreached>> {
    match identity {
        Identity::Jwt(jwt) => match &jwt.keys {
            JwtKeys::Url { url, .. } => Some(keys(name, url).await),
            JwtKeys::Set(_) | JwtKeys::Pem(_) => None,
        },
        Identity::Introspection(rules) => Some(introspection(name, rules).await),
        Identity::Accounts | Identity::Learn(_) => None,
    }
}

fn client(name: &str) -> Result<Client, Unreached> {
    let base = Base {
        clock: Arc::new(SystemClock),
        metrics: Metrics::new().map_err(|error| Unreached::because(&error))?,
    };
    Client::new(name, &base).map_err(|error| Unreached::because(&error))
}

async fn keys(name: &str, url: &str) -> Result<Answered, Unreached> {
    let mut answer = answer(client(name)?.http.get(url)).await?;
    let answered = Answered::from(&answer);
    if answered.status != 200 {
        return Err(Unreached(format!("status {}", answered.status)));
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(unreached)? {
        body.extend_from_slice(&piece);
        if body.len() > KEYS_BYTES_MAX {
            return Err(Unreached("the answer is too large".to_owned()));
        }
    }
    let keys = KeySet::from_jwks(&body);
    keys.map_err(|error| Unreached::because(&error))?;
    Ok(answered)
}

async fn introspection(name: &str, rules: &Introspection) -> Result<Answered, Unreached> {
    let request = question(&client(name)?.http, rules, NOBODYS);
    let answered = Answered::from(&answer(request).await?);
    match answered.status {
        200 => Ok(answered),
        401 | 403 => Err(Unreached(
            "it does not take `client`'s id and secret".to_owned(),
        )),
        status => Err(Unreached(format!("status {status}"))),
    }
}
