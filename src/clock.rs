//! Time as a parameter: the only place that reads the system clock.
//!
//! Everything that depends on time holds a [`Clock`]; tests pass one that they move by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whole seconds since the Unix epoch, UTC.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// `self + span`, saturating, fractions of a second dropped.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_secs()).unwrap_or(i64::MAX)),
        )
    }

    /// `self - span`, saturating, fractions of a second dropped.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(span.as_secs()).unwrap_or(i64::MAX)),
        )
    }

    /// Whole seconds from `earlier` to `self`; 0 if `earlier` is later.
    #[must_use]
    pub fn secs_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// ISO 8601 (RFC 3339) with an offset, e.g. `2026-11-22T03:21:34+00:00`.
    #[must_use]
    pub fn iso8601(self) -> String {
        let format = time::macros::format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second]+00:00"
        );
        time::OffsetDateTime::from_unix_timestamp(self.0)
            .ok()
            .and_then(|at| at.format(format).ok())
            .unwrap_or_else(|| "9999-12-31T23:59:59+00:00".to_owned())
    }

    /// Reads a time of RFC 3339 with any offset; fractions of a second are dropped.
    #[must_use]
    pub fn from_iso8601(text: &str) -> Option<Self> {
        let rfc3339 = &time::format_description::well_known::Rfc3339;
        let at = time::OffsetDateTime::parse(text, rfc3339).ok()?;
        Some(Self(at.unix_timestamp()))
    }

    /// Reads the `Date` of an HTTP message (RFC 9110 section 5.6.7, the one form that is sent today).
    #[must_use]
    pub fn from_http_date(text: &str) -> Option<Self> {
        let format = time::macros::format_description!(
            "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
        );
        let at = time::PrimitiveDateTime::parse(text, format).ok()?;
        Some(Self(at.assume_utc().unix_timestamp()))
    }
}

/// A source of the current time.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;

    /// The current time in nanoseconds since the Unix epoch, for what is shown beside other programs'
    /// times and decides nothing. By itself it is exact to the second.
    fn unix_nanos(&self) -> u64 {
        let secs = u64::try_from(self.now().0).unwrap_or(0);
        secs.saturating_mul(1_000_000_000)
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(since_epoch().as_secs()).unwrap_or(i64::MAX))
    }

    fn unix_nanos(&self) -> u64 {
        u64::try_from(since_epoch().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// A clock that stands still until it is moved, for tests and simulation.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `at`.
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.0))
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(
            i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
            Ordering::SeqCst,
        );
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso8601_has_an_offset() {
        assert_eq!(
            Timestamp(1_795_317_694).iso8601(),
            "2026-11-22T03:21:34+00:00"
        );
    }

    #[test]
    fn the_date_of_a_message_is_read() {
        let read = Timestamp::from_http_date;
        let at = Some(Timestamp(1_795_317_694));
        assert_eq!(read("Sun, 22 Nov 2026 03:21:34 GMT"), at);
        for wrong in [
            "",
            "Sun, 22 Nov 2026 03:21:34",
            "Sunday, 22-Nov-26 03:21:34 GMT",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_read_with_any_offset() {
        let read = Timestamp::from_iso8601;
        let same = [
            "2026-11-22T03:21:34+00:00",
            "2026-11-22T03:21:34.999Z",
            "2026-11-22T04:21:34+01:00",
        ];
        for text in same {
            assert_eq!(read(text), Some(Timestamp(1_795_317_694)), "{text}");
        }
        assert_eq!(read("2026-11-22"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(
            Timestamp(i64::MAX).after(Duration::from_secs(9)),
            Timestamp(i64::MAX)
        );
        assert_eq!(Timestamp(5).secs_since(Timestamp(9)), 0);
    }
}
