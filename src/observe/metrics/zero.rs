//! The series that are there before anything has happened.

use super::{Lost, SpanOutcome};
use crate::event::EventKind;
use crate::gate::session::Factor;
use crate::observe::families::Families;
use crate::observe::unanswered::Unanswered;

/// What can become of a code that is sent, and of one that is only typed.
const SENT_OUTCOMES: [&str; 6] = ["sent", "verified", "wrong", "expired", "limited", "failed"];
const TYPED_OUTCOMES: [&str; 2] = ["verified", "wrong"];

/// Gives series to what may happen rarely: the first time that it does is a rise only if there was a
/// zero before it.
pub(super) fn begin_at_zero(families: &Families) {
    for kind in EventKind::ALL {
        families.events.with_label_values(&[kind.as_str()]);
    }
    for method in [Factor::Sms, Factor::Email] {
        for outcome in SENT_OUTCOMES {
            let labels = [method.as_str(), outcome];
            families.challenges.with_label_values(&labels);
        }
    }
    for method in [Factor::Totp, Factor::BackupCode, Factor::Passkey] {
        for outcome in TYPED_OUTCOMES {
            let labels = [method.as_str(), outcome];
            families.challenges.with_label_values(&labels);
        }
    }
    for why in Lost::ALL {
        families.events_lost.with_label_values(&[why.as_str()]);
    }
    for why in Unanswered::ALL {
        let refused = &families.forward_auth_refused;
        refused.with_label_values(&[why.as_str()]);
    }
    for outcome in SpanOutcome::ALL {
        families.spans.with_label_values(&[outcome.as_str()]);
    }
    for of in ["user", "address"] {
        families.lockouts.with_label_values(&[of]);
    }
    for outcome in ["applied", "refused"] {
        families.config_reloads.with_label_values(&[outcome]);
    }
    families.config_is_current.set(1);
}
