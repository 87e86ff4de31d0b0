//! Which factors a user has, and what turning one on or off does to the others.

use crate::auth::ports::{Authority, Disable, Enrolled, FactorKind, FactorValue};
use crate::factor::phone::Phone;
use crate::id::{FactorId, PasskeyId};
use crate::secret::Secret;

/// What the store holds of one kind of a user's factors.
#[derive(Clone, Debug)]
pub(in crate::store) struct FactorRow {
    /// Rises with every change, so that it orders a user's factors too.
    pub(in crate::store) id: FactorId,
    pub(in crate::store) kind: FactorKind,
    /// `None`: the user turned the kind off, and what the profile gives stays hidden.
    pub(in crate::store) value: Option<FactorValue>,
}

/// The verified factors of a user: what was enrolled, newest first, then what the profile gives and
/// the user neither replaced nor turned off.
pub(in crate::store) fn enrolled(
    mut rows: Vec<FactorRow>,
    phone: Option<Phone>,
    email: Option<Secret>,
) -> Vec<Enrolled> {
    let profile: Vec<_> = [phone.map(FactorValue::Sms), email.map(FactorValue::Email)]
        .into_iter()
        .flatten()
        .filter(|given| rows.iter().all(|row| row.kind != given.kind()))
        .map(|value| Enrolled { id: None, value })
        .collect();
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.id));
    rows.into_iter()
        .filter_map(|row| {
            let id = Some(row.id);
            row.value.map(|value| Enrolled { id, value })
        })
        .chain(profile)
        .collect()
}

/// Whether an enrolment is covered, now that the user has these factors.
pub(in crate::store) fn may_enrol(
    authority: Authority,
    factors: &[Enrolled],
    has_passkeys: bool,
) -> bool {
    match authority {
        Authority::Verified => true,
        Authority::First { email_counts } => {
            !has_passkeys && !factors.iter().any(|one| one.counts(email_counts))
        }
    }
}

/// What goes when factors are turned off.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Off {
    /// Without passkeys.
    pub(in crate::store) kinds: Vec<FactorKind>,
    pub(in crate::store) passkeys: Vec<PasskeyId>,
    pub(in crate::store) backup_codes: bool,
}

impl Off {
    /// Whether a factor is among it.
    pub(in crate::store) fn has_any(&self) -> bool {
        !self.kinds.is_empty() || !self.passkeys.is_empty()
    }
}

/// What is on and goes.
pub(in crate::store) fn turned_off(
    which: Disable,
    factors: &[Enrolled],
    passkeys: &[PasskeyId],
) -> Off {
    let leaves_any = leaves_any(which, factors, passkeys);
    if matches!(
        which,
        Disable::Own {
            last_too: false,
            ..
        }
    ) && !leaves_any
    {
        return Off::default();
    }
    let passkeys = passkeys.iter().copied();
    let mut off = Off {
        kinds: kinds(factors).filter(|kind| which.covers(*kind)).collect(),
        passkeys: passkeys.filter(|id| which.covers_passkey(*id)).collect(),
        backup_codes: false,
    };
    off.backup_codes = match which {
        Disable::One(_) => false,
        Disable::All => true,
        Disable::Own { .. } => off.has_any() && !leaves_any,
    };
    off
}

/// Whether a factor that counts is left.
fn leaves_any(which: Disable, factors: &[Enrolled], passkeys: &[PasskeyId]) -> bool {
    let email_counts = match which {
        Disable::Own { email_counts, .. } => email_counts,
        Disable::One(_) | Disable::All => true,
    };
    let mut left = factors.iter().filter(|one| one.counts(email_counts));
    left.any(|one| !which.covers(one.value.kind()))
        || passkeys.iter().any(|id| !which.covers_passkey(*id))
}

/// Which kinds went on or off between two looks, with whether they are on now; without passkeys.
pub(in crate::store) fn changed_kinds(
    before: &[Enrolled],
    after: &[Enrolled],
) -> Vec<(FactorKind, bool)> {
    let is_on = |factors: &[Enrolled], kind| kinds(factors).any(|one| one == kind);
    FactorKind::ALL
        .into_iter()
        .filter(|kind| is_on(before, *kind) != is_on(after, *kind))
        .map(|kind| (kind, is_on(after, kind)))
        .collect()
}

fn kinds(factors: &[Enrolled]) -> impl Iterator<Item = FactorKind> {
    factors.iter().map(|one| one.value.kind())
}
