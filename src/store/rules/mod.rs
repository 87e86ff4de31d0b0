//! The decisions that every engine must take alike. Pure: engines fetch the facts and act.

mod browsers;
mod factors;
mod grants;
mod judge;

pub(super) use browsers::{BROWSERS_OF_USER_MAX, Remembered};
pub(super) use factors::{FactorRow, changed_kinds, enrolled, may_enrol, turned_off};
pub(super) use grants::Shown;
pub(super) use judge::{
    By, Ceremony, Challenge, Judged, Right, Verdict, judge, judge_backup, judge_new_passkey,
    judge_new_totp, judge_passkey, judge_sent, judge_totp, only_backup,
};

use crate::auth::ports::{
    Deeds, LearnedUser, NewChallenge, NewSession, NewUser, Purpose, Said, SendLimit, SendRequest,
    UserChange,
};
use crate::clock::Timestamp;
use crate::digest::{SessionKey, TokenDigest};
use crate::id::ShareId;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Lines of the feed handed out at once.
pub(super) const FEED_LINES_MAX: u32 = 1_000;

/// Tokens without a session that are kept of one share. Whoever has its link makes one with each
/// sign-in and pays nothing for it; without a bound they could fill the disk.
pub(super) const SHARE_TOKENS_MAX: usize = 1_000;

/// Wizards that are kept of one opener.
pub(super) const WIZARDS_OF_OPENER_MAX: usize = 100;

/// Enrolments that wait for a code, of one user: a device is whatever a request calls it.
pub(super) const ENROLMENTS_OF_USER_MAX: usize = 100;

/// Ceremonies that wait for an answer, of one user, from however many networks they were begun. A pair
/// has one of each purpose.
pub(super) const CEREMONIES_OF_USER_MAX: usize = 1_000;

/// Wizards without a token that are kept in all, from however many addresses they are opened.
pub(super) const WIZARDS_MAX: usize = 100_000;

/// Groups as they are kept: in order, each once.
pub(super) fn in_order(mut groups: Vec<String>) -> Vec<String> {
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// Of when what is known of a new user is, who is the operator's. A name alone is no word, for tokens may say
/// more.
pub(super) fn said_at_first(user: &NewUser, now: Timestamp) -> Said {
    match user.phone.is_none() && user.email.is_none() && user.groups.is_empty() {
        true => Said::NOTHING,
        false => by_operator(now),
    }
}

/// The operator's word.
pub(super) fn by_operator(now: Timestamp) -> Said {
    Said { at: now, by: None }
}

/// Whether the operator says something that tokens might say too.
pub(super) fn is_word(change: &UserChange) -> bool {
    change.phone.is_some() || change.email.is_some() || change.groups.is_some()
}

/// A new user who was learned, and of when that is.
pub(super) fn learned_first(learned: LearnedUser) -> (NewUser, Said) {
    let said = match learned.is_silent() {
        true => Said::NOTHING,
        false => learned.said,
    };
    let user = NewUser {
        realm: learned.realm,
        name: learned.name,
        phone: learned.phone,
        email: learned.email,
        password_hash: None,
        can_edit_users: false,
        groups: learned.groups.unwrap_or_default(),
    };
    (user, said)
}

/// Names starting like this belong to the users that share links make.
pub(super) const SHARE_USER_PREFIX: &str = "share:";

/// The name of the user who stands for the `n`-th (from 0) of a share's recipients.
pub(super) fn share_user(id: ShareId, n: usize, recipients: usize) -> String {
    match recipients {
        1 => format!("{SHARE_USER_PREFIX}{id}"),
        _ => format!("{SHARE_USER_PREFIX}{id}/{}", n + 1),
    }
}

/// What a device is counted as that opens a share with a token: the token that was given in exchange
/// for the link and what was born of it are one device's, while the link itself is everybody's.
pub(super) fn share_device(
    token: TokenDigest,
    born_of: Option<TokenDigest>,
    link: Option<TokenDigest>,
    pair: SessionKey,
) -> [u8; 32] {
    let root = born_of.unwrap_or(token);
    if link == Some(root) { pair.0 } else { root.0 }
}

/// Whether a challenge says all that its purpose needs, and nothing that contradicts itself.
pub(super) fn is_whole(challenge: &NewChallenge) -> bool {
    match &challenge.value {
        Some(value) => {
            let is_enrolment = challenge.purpose == Purpose::Enrol && challenge.user.is_some();
            is_enrolment && value.kind() == challenge.factor
        }
        None => challenge.purpose != Purpose::Enrol,
    }
}

/// Whether a wizard may end with these deeds without a code: it issues tokens and does nothing else.
pub(super) fn asks_no_code(deeds: &Deeds) -> bool {
    let changes_nothing = deeds.sessions.is_empty() && deeds.disable.is_none();
    changes_nothing && deeds.success.is_none() && deeds.remember.is_none()
}

/// Of the sessions made with a family of tokens, the one that ends last: as long is the family
/// verified, whatever the end of its first access token.
pub(super) fn longest(sessions: &[NewSession]) -> Option<(usize, &NewSession)> {
    let numbered = sessions.iter().enumerate();
    numbered.max_by_key(|(_, session)| session.expires_at)
}

/// One sending limit: at most `max` sends in any `span`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) limit: SendLimit,
    pub(super) span: Duration,
    pub(super) max: u32,
}

impl Window {
    /// Sends after this moment count.
    pub(super) fn since(&self, now: Timestamp) -> Timestamp {
        now.before(self.span)
    }

    /// How long to wait, given when the `max`-th newest send that counts was made (`None`: there are
    /// fewer). A limit of 0 lets nothing through and has no better answer than its whole span.
    pub(super) fn wait_secs(&self, full_since: Option<Timestamp>, now: Timestamp) -> Option<u64> {
        if self.max == 0 {
            return Some(self.span.as_secs().max(1));
        }
        full_since.map(|at| at.after(self.span).secs_since(now).max(1))
    }
}

/// The limits that a send must keep.
pub(super) fn windows(request: &SendRequest) -> [Window; 5] {
    let limits = request.limits;
    let window = |limit, span, max| Window { limit, span, max };
    [
        window(SendLimit::Resend, limits.resend_after, 1),
        window(SendLimit::User, HOUR, limits.per_user_per_hour),
        window(SendLimit::Number, HOUR, limits.per_number_per_hour),
        window(SendLimit::Gateway, MINUTE, limits.per_gateway_per_minute),
        window(SendLimit::Prefix, MINUTE, limits.per_prefix_per_minute),
    ]
}

/// Of the limits met, the one with the longest wait.
pub(super) fn longest_wait(
    waits: impl IntoIterator<Item = (SendLimit, Option<u64>)>,
) -> Option<(SendLimit, u64)> {
    waits
        .into_iter()
        .filter_map(|(limit, wait)| Some((limit, wait?)))
        .reduce(|longest, next| if next.1 > longest.1 { next } else { longest })
}

/// How long each kind of row is kept: rows from before these moments go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cutoffs {
    pub(super) tokens: Timestamp,
    pub(super) challenges: Timestamp,
    pub(super) sends: Timestamp,
    pub(super) revocations: Timestamp,
    pub(super) failures: Timestamp,
    pub(super) audit: Timestamp,
}

impl Cutoffs {
    /// An expired challenge stays for a month, so that its code is told "gone" and not "never sent".
    pub(super) fn at(now: Timestamp) -> Self {
        let days = |n: u32| now.before(DAY.saturating_mul(n));
        Self {
            tokens: days(1),
            challenges: days(30),
            sends: days(1),
            revocations: days(7),
            failures: days(90),
            audit: days(400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_is_told() {
        use SendLimit::{Gateway, Number, Resend, User};
        let waits = [
            (Resend, Some(9)),
            (User, Some(70)),
            (Number, Some(70)),
            (Gateway, None),
        ];
        assert_eq!(longest_wait(waits), Some((User, 70)));
        assert_eq!(longest_wait([(Resend, None)]), None);
    }

    #[test]
    fn a_limit_of_nothing_is_always_met() {
        let closed = Window {
            limit: SendLimit::Prefix,
            span: MINUTE,
            max: 0,
        };
        assert_eq!(closed.wait_secs(None, Timestamp(5)), Some(60));
    }
}
