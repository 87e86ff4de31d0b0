//! The sections of plain numbers and times, the store and the log.

use super::Lift;
use crate::config::model::{
    Codes, Connections, Limits, Lockout, Log, Sessions, Store, StoreEngine, Timeouts,
};
use crate::config::raw;
use crate::config::tree::At;
use crate::config::values::{Period, SecretSource};
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;
use zeroize::Zeroizing;

/// The store key's length.
const KEY_BYTES: usize = 32;

impl Lift<'_> {
    /// A time that must not be zero.
    pub(super) fn period(&mut self, period: Period, at: At<'_>) -> Duration {
        if period.0.is_zero() {
            self.error(at, "must be longer than 0s");
        }
        period.0
    }

    /// A number that must not be zero.
    fn count(&mut self, count: u32, at: At<'_>) -> usize {
        if count == 0 {
            self.error(at, "must be more than 0");
        }
        count as usize
    }

    /// Says so if a number is 0 or more than `max`: any value is allowed, but these are unwise.
    fn warn_range(&mut self, value: u32, max: u32, at: At<'_>, zero: &str, many: &str) {
        if value == 0 {
            self.warn(at, zero);
        } else if value > max {
            self.warn(at, many);
        }
    }

    pub(super) fn timeouts(&mut self, raw: &raw::Timeouts, at: At<'_>) -> Timeouts {
        Timeouts {
            head: self.period(raw.head, at.key("head")),
            body: self.period(raw.body, at.key("body")),
            keepalive: self.period(raw.keepalive, at.key("keepalive")),
            write: self.period(raw.write, at.key("write")),
            // Zero is a wish that can be granted: end at once.
            drain: raw.drain.0,
        }
    }

    pub(super) fn connections(&mut self, raw: &raw::Connections, at: At<'_>) -> Connections {
        Connections {
            max: self.count(raw.max, at.key("max")),
            per_address_max: self.count(raw.per_address_max, at.key("per_address_max")),
            head_bytes_max: self.count(raw.head_bytes_max, at.key("head_bytes_max")),
            headers_max: self.count(raw.headers_max, at.key("headers_max")),
        }
    }

    pub(super) fn store(&mut self, raw: Option<&raw::Store>, at: At<'_>) -> Option<Store> {
        let raw = self.required(raw, at, "write its `url` and `key`")?;
        let at_url = at.key("url");
        let mend = "write sqlite:PATH, like sqlite:/var/lib/vestibule/vestibule.db";
        let url = self.required(raw.url.as_ref(), at_url, mend);
        let engine = url.and_then(|url| self.engine(url, at_url));
        let at_key = at.key("key");
        let mend = "make one with `vestibule key generate` and name its file, {file: PATH}";
        let key = self.required(raw.key.as_ref(), at_key, mend);
        let key = key.and_then(|key| self.store_key(key, at_key));
        Some(Store {
            engine: engine?,
            key: key?,
        })
    }

    fn engine(&mut self, url: &str, at: At<'_>) -> Option<StoreEngine> {
        if url == "memory:" {
            self.warn(at, "everything is forgotten at the end: for trials only");
            return Some(StoreEngine::Memory);
        }
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            self.later(at, "PostgreSQL");
            return None;
        }
        match url.strip_prefix("sqlite:") {
            Some(path) if path.starts_with("//") || path.contains('?') => {
                self.error(
                    at,
                    "write the path alone, like sqlite:/var/lib/vestibule/vestibule.db",
                );
                None
            }
            Some(":memory:") => {
                self.error(at, "for a store in memory, write memory:");
                None
            }
            Some(path) => self.path(path, at).map(StoreEngine::Sqlite),
            // Not quoted: another engine's URL would hold a password.
            None => {
                self.error(
                    at,
                    "is no known kind of store: write sqlite:PATH or memory:",
                );
                None
            }
        }
    }

    fn store_key(&mut self, source: &SecretSource, at: At<'_>) -> Option<Secret> {
        self.warn_of_plain(source, at);
        let key = self.secret(source, at)?;
        let problem = match STANDARD.decode(key.expose()).map(Zeroizing::new) {
            Ok(bytes) if bytes.len() == KEY_BYTES => return Some(key),
            Ok(bytes) => format!("it has {} bytes", bytes.len()),
            Err(_) => "it is not base64".to_owned(),
        };
        self.error(
            at,
            format!(
                "the store key must be {KEY_BYTES} bytes in base64, as made by `vestibule key generate`; {problem}"
            ),
        );
        None
    }

    pub(super) fn sessions(&mut self, raw: &raw::Sessions, at: At<'_>) -> Sessions {
        if raw.idle.0 > raw.lifetime.0 {
            self.warn(
                at.key("idle"),
                "is longer than `lifetime`, so it has no effect",
            );
        }
        Sessions {
            lifetime: self.period(raw.lifetime, at.key("lifetime")),
            idle: self.period(raw.idle, at.key("idle")),
            hot_max: self.count(raw.hot_max, at.key("hot_max")),
        }
    }

    pub(super) fn codes(&mut self, raw: &raw::Codes, at: At<'_>) -> Codes {
        match raw.length {
            4..=5 => self.warn(
                at.key("length"),
                "short codes are guessed sooner: 6 is usual",
            ),
            6..=10 => {}
            _ => self.error(at.key("length"), "a code has 4 to 10 digits; 6 is usual"),
        }
        if raw.lifetime.0 > Duration::from_secs(30 * 60) {
            self.warn(
                at.key("lifetime"),
                "codes that live longer than 30m are stolen more often",
            );
        }
        self.warn_range(
            raw.attempts,
            10,
            at.key("attempts"),
            "with 0 attempts no code can ever be right",
            "more than 10 attempts make a code easier to guess: 5 is usual",
        );
        match raw.totp_window {
            0..=1 => {}
            2..=10 => self.warn(
                at.key("totp_window"),
                "more than 1 step makes the codes of an app easier to guess: 1 is usual",
            ),
            _ => self.error(
                at.key("totp_window"),
                "an app's clock may be off by 0 to 10 steps of 30 s; 1 is usual",
            ),
        }
        Codes {
            length: usize::from(raw.length),
            lifetime: self.period(raw.lifetime, at.key("lifetime")),
            attempts: raw.attempts,
            resend_after: raw.resend_after.0,
            totp_window: raw.totp_window,
        }
    }

    pub(super) fn limits(&mut self, raw: &raw::Limits, at: At<'_>) -> Limits {
        let zero = "with 0, no code is ever sent";
        let often = "more than 20 codes an hour cost money and annoy: 5 is usual";
        let burst = "so many messages a minute invite SMS pumping";
        let at_user = at.key("per_user_per_hour");
        self.warn_range(raw.per_user_per_hour, 20, at_user, zero, often);
        let at_number = at.key("per_number_per_hour");
        self.warn_range(raw.per_number_per_hour, 20, at_number, zero, often);
        let at_gateway = at.key("per_gateway_per_minute");
        self.warn_range(raw.per_gateway_per_minute, 6000, at_gateway, zero, burst);
        let at_prefix = at.key("per_prefix_per_minute");
        self.warn_range(raw.per_prefix_per_minute, 6000, at_prefix, zero, burst);
        let at_countries = at.key("countries");
        let mut countries = Vec::new();
        for (index, text) in raw.countries.iter().enumerate() {
            countries.extend(self.checked(super::syntax::country(text), at_countries.index(index)));
        }
        Limits {
            per_user_per_hour: raw.per_user_per_hour,
            per_number_per_hour: raw.per_number_per_hour,
            per_gateway_per_minute: raw.per_gateway_per_minute,
            per_prefix_per_minute: raw.per_prefix_per_minute,
            countries,
        }
    }

    pub(super) fn lockout(&mut self, raw: &raw::Lockout, at: At<'_>) -> Lockout {
        let at_every = at.key("delay_every");
        self.warn_range(
            raw.delay_every,
            20,
            at_every,
            "with 0, wrong codes never cost a delay",
            "more than 20 wrong codes before a delay make guessing easier: 5 is usual",
        );
        self.warn_range(
            raw.lock_at,
            1000,
            at.key("lock_at"),
            "with 0, no number of wrong codes locks a user: 100 is usual",
            "more than 1000 wrong codes before a lock make guessing easier: 100 is usual",
        );
        if raw.lock_at > 0 && raw.lock_at < 10 {
            self.warn(
                at.key("lock_at"),
                "whoever has a token can lock its user with so few wrong codes: 100 is usual",
            );
        }
        if raw.first_delay.0.is_zero() || raw.max_delay.0.is_zero() {
            self.warn(
                at.key("first_delay"),
                "without a delay, wrong codes cost nothing",
            );
        } else if raw.max_delay.0 < raw.first_delay.0 {
            self.warn(
                at.key("max_delay"),
                "is shorter than `first_delay`, and wins over it",
            );
        }
        if raw.address_factor == 0 {
            self.warn(
                at.key("address_factor"),
                "with 0, wrong codes from one address are not counted: 10 is usual",
            );
        }
        Lockout {
            delay_every: raw.delay_every,
            first_delay: raw.first_delay.0,
            max_delay: raw.max_delay.0,
            lock_at: raw.lock_at,
            address_factor: raw.address_factor,
        }
    }

    pub(super) fn log(&mut self, raw: &raw::Log, at: At<'_>) -> Log {
        let at = at.key("level");
        // `EnvFilter` takes a lone word that is no level for the name of a target: a slip of the pen
        // would switch the log off.
        let words = raw
            .level
            .split(',')
            .filter(|part| !part.contains(['=', '[']));
        for word in words {
            if word
                .parse::<tracing_subscriber::filter::LevelFilter>()
                .is_err()
            {
                let text =
                    format!("{word:?} is not a log level: write error, warn, info, debug or trace");
                self.error(at, text);
            }
        }
        if let Err(error) = tracing_subscriber::EnvFilter::builder().parse(&raw.level) {
            let text = format!("{:?} is not a log filter, like info: {error}", raw.level);
            self.error(at, text);
        }
        Log {
            json: raw.json,
            level: raw.level.clone(),
        }
    }
}
