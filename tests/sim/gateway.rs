//! One gateway: its store, and the use cases over it.

use super::*;

pub(super) async fn open(engine: &Engine, entropy: &Arc<Seeded>) -> (Arc<dyn Store>, DigestKeys) {
    let engine = match engine {
        Engine::Memory => StoreEngine::Memory,
        Engine::Sqlite(path) => StoreEngine::Sqlite(path.clone()),
    };
    let key = Secret::new("c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlLi4=");
    vestibule::store::open(&engine, &key, Arc::clone(entropy) as _)
        .await
        .unwrap()
}

pub(super) fn auth(
    store: Arc<dyn Store>,
    keys: &DigestKeys,
    clock: &Arc<ManualClock>,
    entropy: &Arc<Seeded>,
    provider: &Arc<Provider>,
) -> Auth {
    let secs = Duration::from_secs;
    let deliver: Box<dyn Deliver> = Box::new(ToProvider(Arc::clone(provider)));
    let signer = Signer::new(
        Arc::clone(&store) as _,
        Arc::clone(clock) as _,
        Arc::clone(entropy) as _,
    );
    Auth {
        store,
        signer: Arc::new(signer),
        keys: keys.clone(),
        clock: Arc::clone(clock) as _,
        entropy: Arc::clone(entropy) as _,
        deliver: ArcSwap::from_pointee(deliver),
        events: Arc::new(NoEvents),
        settings: ArcSwap::from_pointee(Settings {
            sessions: Sessions {
                lifetime: secs(LIFETIME),
                idle: secs(IDLE),
                hot_max: 1_000,
            },
            codes: Codes {
                length: 6,
                lifetime: secs(CODE_LIFETIME),
                attempts: CODE_ATTEMPTS,
                resend_after: secs(RESEND_AFTER),
                totp_window: 1,
            },
            limits: Limits {
                per_user_per_hour: PER_HOUR as u32,
                per_number_per_hour: PER_HOUR as u32,
                per_gateway_per_minute: PER_MINUTE as u32,
                per_prefix_per_minute: PER_MINUTE as u32 - 1,
                countries: Vec::new(),
            },
            lockout: Lockout {
                delay_every: DELAY_EVERY,
                first_delay: secs(FIRST_DELAY),
                max_delay: secs(MAX_DELAY),
                lock_at: LOCK_AT,
                address_factor: ADDRESS_FACTOR,
            },
            sudo: secs(5 * MINUTE),
            sends_mail: false,
            sends_sms: true,
            service_name: "Files".to_owned(),
            tokens: Tokens {
                issuer: "https://files.example.org".to_owned(),
                algorithm: SigningAlgorithm::EdDsa,
                access_lifetime: secs(HOUR),
                refresh_lifetime: secs(30 * DAY),
            },
        }),
        hashing: Arc::new(tokio::sync::Semaphore::new(1)),
        guesses: Default::default(),
        passwords: Passwords::new(Arc::default()),
        look_ups: Default::default(),
        exchanges: Default::default(),
        ceremonies: Default::default(),
    }
}

/// Few and weak rounds: the simulation is not about them.
pub(super) fn cheap_hash(password: &str) -> Secret {
    use argon2::password_hash::{PasswordHasher as _, phc::PasswordHash};
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    let hash: PasswordHash = argon2::Argon2::from(params)
        .hash_password_with_salt(password.as_bytes(), b"salt of the test")
        .unwrap();
    Secret::new(hash.to_string())
}
