//! Keys over the in-memory store, and tokens as others check them: by the published keys.

use super::*;
use crate::clock::ManualClock;
use crate::entropy::OsEntropy;
use crate::store::memory::Memory;
use serde_json::{Value, json};

const START: Timestamp = Timestamp(1_800_000_000);
const DAY: Duration = Duration::from_secs(86_400);

struct World {
    store: Arc<Memory>,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        Self {
            store: Arc::default(),
            clock: Arc::new(ManualClock::at(START)),
        }
    }

    /// A gateway on the store.
    fn signer(&self) -> Signer {
        Signer::new(
            Arc::clone(&self.store) as _,
            Arc::clone(&self.clock) as _,
            Arc::new(OsEntropy),
        )
    }

    fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }
}

async fn sign(signer: &Signer, algorithm: SigningAlgorithm) -> Secret {
    signer.sign(algorithm, &json!({"sub": "7"})).await.unwrap()
}

/// The id of the key and the claims, if one of the published keys has signed them.
fn checked(token: &Secret, jwks: &JwkSet) -> Option<(String, Value)> {
    let header = jsonwebtoken::decode_header(token.expose()).unwrap();
    assert_eq!(header.typ.as_deref(), Some("JWT"));
    let kid = header.kid.unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(jwks.find(&kid)?).unwrap();
    let mut rules = jsonwebtoken::Validation::new(header.alg);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    let data = jsonwebtoken::decode::<Value>(token.expose(), &key, &rules).ok()?;
    Some((kid, data.claims))
}

#[tokio::test]
async fn the_published_keys_check_what_was_signed_and_hold_nothing_private() {
    let world = World::new();
    let signer = world.signer();
    for (algorithm, kind) in [
        (SigningAlgorithm::EdDsa, "OKP"),
        (SigningAlgorithm::Rs256, "RSA"),
    ] {
        let token = sign(&signer, algorithm).await;
        let jwks = signer.jwks(algorithm).await.unwrap();
        let (kid, claims) = checked(&token, &jwks).unwrap();
        assert_eq!(claims, json!({"sub": "7"}));
        assert_eq!(signer.kid(algorithm), Some(kid.clone()));

        let shown = serde_json::to_value(jwks.find(&kid)).unwrap();
        assert_eq!(shown["kty"], kind);
        assert_eq!(
            (&shown["use"], &shown["alg"]),
            (&json!("sig"), &json!(algorithm.as_str()))
        );
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(shown.get(private).is_none(), "{private}");
        }
        let mut forged = token.expose().to_owned();
        let last = if forged.ends_with('A') { "Q" } else { "A" };
        forged.replace_range(forged.len() - 4..forged.len() - 3, last);
        assert!(checked(&Secret::new(forged), &jwks).is_none());
    }
    let both = signer.jwks(SigningAlgorithm::EdDsa).await.unwrap();
    assert_eq!(both.keys.len(), 2, "all that have not ended");
    assert_eq!(format!("{signer:?}"), "Signer(***)");
}

#[tokio::test]
async fn two_gateways_that_start_at_once_agree_on_the_first_key() {
    let world = World::new();
    let (a, b) = (world.signer(), world.signer());
    let (of_a, of_b) = tokio::join!(
        sign(&a, SigningAlgorithm::EdDsa),
        sign(&b, SigningAlgorithm::EdDsa)
    );
    let jwks = b.jwks(SigningAlgorithm::EdDsa).await.unwrap();
    assert_eq!(jwks.keys.len(), 1);
    assert!(checked(&of_a, &jwks).is_some() && checked(&of_b, &jwks).is_some());
    assert_eq!(world.store.signing_keys(START).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_key_is_published_before_it_signs_and_the_old_one_after() {
    let world = World::new();
    let (signer, other) = (world.signer(), world.signer());
    let before = sign(&signer, SigningAlgorithm::EdDsa).await;
    let old = signer.kid(SigningAlgorithm::EdDsa).unwrap();

    let rotated = signer
        .rotate(SigningAlgorithm::EdDsa, false, DAY)
        .await
        .unwrap();
    assert_eq!(rotated.signs_from, START.after(PUBLISHED_BEFORE));
    assert_eq!(rotated.others_end_at, rotated.signs_from.after(DAY));
    let jwks = signer.jwks(SigningAlgorithm::EdDsa).await.unwrap();
    assert!(jwks.find(&rotated.kid).is_some() && jwks.find(&old).is_some());
    world.advance(599);
    assert_eq!(signer.kid(SigningAlgorithm::EdDsa), Some(old.clone()));
    world.advance(1);
    assert_eq!(
        signer.kid(SigningAlgorithm::EdDsa),
        Some(rotated.kid.clone())
    );

    // Another gateway knows of it once it has read the keys again.
    other.reread().await.unwrap();
    let after = sign(&other, SigningAlgorithm::EdDsa).await;
    let (kid, _) = checked(&after, &jwks).unwrap();
    assert_eq!(kid, rotated.kid);
    world.advance(86_399);
    let jwks = signer.jwks(SigningAlgorithm::EdDsa).await.unwrap();
    assert!(checked(&before, &jwks).is_some());
    world.advance(1);
    let jwks = signer.jwks(SigningAlgorithm::EdDsa).await.unwrap();
    assert!(checked(&before, &jwks).is_none() && checked(&after, &jwks).is_some());
}

#[tokio::test]
async fn a_key_may_sign_at_once_and_two_rotations_leave_one_that_signs() {
    let world = World::new();
    let signer = world.signer();
    sign(&signer, SigningAlgorithm::EdDsa).await;
    let first = signer
        .rotate(SigningAlgorithm::EdDsa, true, DAY)
        .await
        .unwrap();
    assert_eq!(signer.kid(SigningAlgorithm::EdDsa), Some(first.kid));
    let second = signer
        .rotate(SigningAlgorithm::EdDsa, true, DAY)
        .await
        .unwrap();
    assert_eq!(signer.kid(SigningAlgorithm::EdDsa), Some(second.kid));
    assert_eq!(
        signer
            .jwks(SigningAlgorithm::EdDsa)
            .await
            .unwrap()
            .keys
            .len(),
        3
    );
    world.advance(86_400);
    assert_eq!(
        signer
            .jwks(SigningAlgorithm::EdDsa)
            .await
            .unwrap()
            .keys
            .len(),
        1
    );
}

#[tokio::test]
async fn without_a_store_known_keys_still_sign() {
    let world = World::new();
    let signer = world.signer();
    sign(&signer, SigningAlgorithm::EdDsa).await;
    world.store.break_off();
    sign(&signer, SigningAlgorithm::EdDsa).await;
    assert!(signer.reread().await.is_err());
    sign(&signer, SigningAlgorithm::EdDsa).await;
    let fresh = signer.sign(SigningAlgorithm::Rs256, &json!({})).await;
    assert!(matches!(fresh, Err(StoreError::Unavailable(_))));
}
