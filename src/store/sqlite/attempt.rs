//! The step that judges a code and does what it is good for.

use super::{
    Sqlite, browsers, challenges, digest, failures, families, grants, passkeys, sessions, shares,
    tokens, wizards,
};
use crate::auth::lockout::{Blocked, longer};
use crate::auth::ports::{
    Attempt, Attempted, Deeds, Disable, NewSuccess, Passed, Purpose, Stored, Try,
};
use crate::clock::Timestamp;
use crate::digest::CodeDigest;
use crate::factor::passkey::OF_USER_MAX;
use crate::gate::session::{Factor, Session};
use crate::id::{FactorId, UserId};
use crate::store::rules::{self, By, Challenge, Judged, Right, Verdict};
use sqlx::sqlite::SqliteConnection;

/// The whole step. What it breaks off is rolled back.
pub(super) async fn run(store: &Sqlite, attempt: &Attempt, now: Timestamp) -> Stored<Attempted> {
    let mut tx = store.begin().await?;
    if let Some(blocked) = block_of(&mut tx, attempt, now).await? {
        return Ok(Attempted::Blocked(blocked));
    }
    if !may_ask(&mut tx, attempt, now).await? {
        return Ok(Attempted::Gone);
    }
    if let Some(first) = attempt.then.sessions.first()
        && !shares::has_room(&mut tx, first).await?
    {
        return Ok(Attempted::Full);
    }
    let mut verdicts = Vec::new();
    for one in &attempt.tries {
        verdicts.push(judge(store, &mut tx, attempt.user, one, now).await?);
    }
    let attempted = match rules::judge(verdicts) {
        Judged::NeverSent => return Ok(Attempted::NeverSent),
        Judged::Gone => return Ok(Attempted::Gone),
        Judged::Wrong { missed, left } => {
            for missed in missed {
                let state = if missed.left == 0 { "void" } else { "pending" };
                challenges::set_state(&mut tx, missed.challenge.id, state, missed.left).await?;
            }
            store.count_failure(&mut tx, attempt, now).await?;
            Attempted::Wrong { left }
        }
        Judged::WentBack => {
            store.count_failure(&mut tx, attempt, now).await?;
            Attempted::WentBack
        }
        Judged::Right(right) => accept(store, &mut tx, attempt, right, now).await?,
    };
    for ceremony in attempt.tries.iter().filter_map(Try::ceremony) {
        passkeys::end_ceremony(&mut tx, ceremony).await?;
    }
    tx.commit().await?;
    Ok(attempted)
}

impl Sqlite {
    async fn count_failure(
        &self,
        conn: &mut SqliteConnection,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Stored<()> {
        let subjects = &attempt.subjects;
        self.add_failure(&mut *conn, &subjects.user, now).await?;
        self.add_failure(conn, &subjects.address, now).await
    }
}

async fn block_of(
    conn: &mut SqliteConnection,
    attempt: &Attempt,
    now: Timestamp,
) -> Stored<Option<Blocked>> {
    let (user, address) = (
        attempt.subjects.user.subject,
        attempt.subjects.address.subject,
    );
    if rules::only_backup(attempt) {
        let of_user = failures::counter(&mut *conn, user).await?.delayed(now);
        let of_address = failures::longest_block(conn, &[address], now).await?;
        return Ok(longer(of_user, of_address));
    }
    failures::longest_block(conn, &[user, address], now).await
}

async fn may_ask(conn: &mut SqliteConnection, attempt: &Attempt, now: Timestamp) -> Stored<bool> {
    if let Some(token) = attempt.token {
        let Some(user) = attempt.user else {
            return Ok(false);
        };
        if !tokens::is_live(&mut *conn, token, user, now).await? {
            return Ok(false);
        }
    }
    if let Some(grant) = attempt.grant
        && !grants::is_live(&mut *conn, grant, attempt.user, now).await?
    {
        return Ok(false);
    }
    match attempt.wizard {
        Some(wizard) => wizards::is_open(conn, wizard, now).await,
        None => Ok(true),
    }
}

async fn judge(
    store: &Sqlite,
    conn: &mut SqliteConnection,
    user: Option<UserId>,
    one: &Try,
    now: Timestamp,
) -> Stored<Verdict> {
    Ok(match one {
        Try::Sent {
            bound_to,
            purpose,
            code,
        } => {
            let challenge = store.challenge(conn, *bound_to, *purpose).await?;
            rules::judge_sent(user, challenge, code, now)
        }
        Try::NewTotp {
            bound_to,
            challenge: id,
            step,
        } => {
            let challenge = store.challenge(conn, *bound_to, Purpose::Enrol).await?;
            rules::judge_new_totp(user, challenge, *id, *step, now)
        }
        Try::Totp { factor, step } => {
            let last_step = last_step(conn, user, *factor).await?;
            rules::judge_totp(user, *factor, last_step, *step)
        }
        Try::Backup { code } => {
            let unspent = unspent(conn, user).await?;
            rules::judge_backup(user, &unspent, *code)
        }
        Try::Passkey { answers, proof } => {
            let of_pair = (answers.bound_to, Purpose::Verify);
            let ceremony = store
                .find_ceremony(&mut *conn, of_pair.0, of_pair.1)
                .await?;
            let last = match proof {
                Ok(proof) => passkeys::last_count(conn, user, proof.passkey).await?,
                Err(_) => None,
            };
            rules::judge_passkey(user, ceremony.as_ref(), (*answers, proof), last, now)
        }
        Try::NewPasskey { answers, passkey } => {
            let of_pair = (answers.bound_to, Purpose::Enrol);
            let ceremony = store
                .find_ceremony(&mut *conn, of_pair.0, of_pair.1)
                .await?;
            let is_known = match passkey {
                Ok(passkey) => passkeys::is_known(&mut *conn, passkey.digest).await?,
                Err(_) => false,
            };
            let passkeys = match user {
                Some(user) => passkeys::ids(conn, user).await?.len(),
                None => 0,
            };
            let has_room = passkeys < OF_USER_MAX;
            let facts = (has_room, is_known);
            rules::judge_new_passkey(user, ceremony.as_ref(), (*answers, passkey), facts, now)
        }
    })
}

/// The step of the last right code, if the user has that authenticator.
async fn last_step(
    conn: &mut SqliteConnection,
    user: Option<UserId>,
    factor: FactorId,
) -> Stored<Option<Option<i64>>> {
    let last_step = sqlx::query_scalar(
        "SELECT last_step FROM factors
         WHERE id = ?1 AND user_id = ?2 AND kind = 'totp' AND value IS NOT NULL",
    )
    .bind(factor.0)
    .bind(user.map(|user| user.0))
    .fetch_optional(conn)
    .await?;
    Ok(last_step)
}

async fn unspent(conn: &mut SqliteConnection, user: Option<UserId>) -> Stored<Vec<CodeDigest>> {
    let codes: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT code FROM backup_codes WHERE user_id = ?1")
            .bind(user.map(|user| user.0))
            .fetch_all(conn)
            .await?;
    let codes = codes.iter();
    codes
        .map(|code| digest(code, CodeDigest::from_slice))
        .collect()
}

/// Does what a right code is good for.
async fn accept(
    store: &Sqlite,
    conn: &mut SqliteConnection,
    attempt: &Attempt,
    right: Right,
    now: Timestamp,
) -> Stored<Attempted> {
    let (user, factor) = (right.user, right.factor());
    let has_enrolled = right.has_enrolled();
    if has_enrolled && !may_enrol(store, &mut *conn, attempt, user).await? {
        if let Some(challenge) = right.challenge() {
            let left = challenge.attempts_left;
            challenges::set_state(conn, challenge.id, "void", left).await?;
        }
        return Ok(Attempted::Forbidden);
    }
    spend_code(store, &mut *conn, right, now).await?;
    let sessions = act(store, &mut *conn, (user, factor), &attempt.then, now).await?;
    if let Some(wizard) = attempt.wizard {
        wizards::end(&mut *conn, wizard).await?;
    }
    if let Some(grant) = attempt.grant {
        grants::end(&mut *conn, grant).await?;
    }
    failures::clear(&mut *conn, attempt.subjects.user.subject).await?;
    Ok(Attempted::Right(Passed {
        factor,
        has_enrolled,
        sessions,
        backup_codes_left: super::factors::backup_codes_left(conn, user).await?,
    }))
}

async fn may_enrol(
    store: &Sqlite,
    conn: &mut SqliteConnection,
    attempt: &Attempt,
    user: UserId,
) -> Stored<bool> {
    let factors = store.enrolled(&mut *conn, user).await?;
    let has_passkeys = !passkeys::ids(conn, user).await?.is_empty();
    Ok(rules::may_enrol(attempt.authority, &factors, has_passkeys))
}

/// What was right is never right again; an enrolment is confirmed.
async fn spend_code(
    store: &Sqlite,
    conn: &mut SqliteConnection,
    right: Right,
    now: Timestamp,
) -> Stored<()> {
    let user = right.user;
    match right.by {
        By::Challenge(challenge, step) => {
            let left = challenge.attempts_left;
            challenges::set_state(&mut *conn, challenge.id, "used", left).await?;
            if challenge.purpose == Purpose::Enrol {
                confirm(store, conn, user, &challenge, step, now).await?;
            }
        }
        By::Totp(factor, step) => {
            sqlx::query("UPDATE factors SET last_step = ?2 WHERE id = ?1")
                .bind(factor.0)
                .bind(step)
                .execute(conn)
                .await?;
        }
        By::Backup(code) => {
            sqlx::query("DELETE FROM backup_codes WHERE user_id = ?1 AND code = ?2")
                .bind(user.0)
                .bind(&code.0[..])
                .execute(conn)
                .await?;
        }
        By::Passkey(proof) => store.use_passkey(conn, user, &proof, now).await?,
        By::NewPasskey(new) => store.add_passkey(conn, user, &new, now).await?,
    }
    Ok(())
}

async fn confirm(
    store: &Sqlite,
    conn: &mut SqliteConnection,
    user: UserId,
    enrolment: &Challenge,
    step: Option<i64>,
    now: Timestamp,
) -> Stored<()> {
    let (kind, value) = (enrolment.factor, enrolment.value.as_ref());
    store
        .set_factor(&mut *conn, (user, kind), value, step, now)
        .await?;
    if enrolment.replaces_others {
        let factors = store.enrolled(&mut *conn, user).await?;
        let others = passkeys::ids(&mut *conn, user).await?;
        let off = rules::turned_off(Disable::All, &factors, &others);
        for other in off.kinds {
            if other != kind {
                store
                    .set_factor(&mut *conn, (user, other), None, None, now)
                    .await?;
            }
        }
        passkeys::remove(conn, user, &off.passkeys, now).await?;
    }
    Ok(())
}

async fn act(
    store: &Sqlite,
    conn: &mut SqliteConnection,
    (user, factor): (UserId, Factor),
    then: &Deeds,
    now: Timestamp,
) -> Stored<Vec<Session>> {
    if let Some(issue) = &then.issue {
        tokens::put(&mut *conn, &store.vault, &issue.access).await?;
    }
    let mut made = Vec::new();
    for new in &then.sessions {
        made.push(sessions::put(&mut *conn, &store.vault, new, factor, now).await?);
    }
    if let Some(first) = then.sessions.first() {
        shares::opened(&mut *conn, first, now).await?;
    }
    if let Some(issue) = &then.issue {
        let verified = rules::longest(&then.sessions).and_then(|(at, new)| {
            let session = made.get(at)?.clone();
            let expires_at = new.expires_at;
            Some(Session {
                expires_at,
                ..session
            })
        });
        families::issue(&mut *conn, &store.vault, issue, verified.as_ref(), now).await?;
    }
    if let Some(kind) = then.disable {
        let which = Disable::One(kind);
        store.turn_off(&mut *conn, user, which, now).await?;
    }
    if let Some(success) = &then.success {
        put_success(&mut *conn, success).await?;
    }
    if let Some(browser) = &then.remember
        && factor.can_be_remembered()
    {
        browsers::remember(conn, &store.vault, (user, factor), browser, now).await?;
    }
    Ok(made)
}

async fn put_success(conn: &mut SqliteConnection, success: &NewSuccess) -> Stored<()> {
    sqlx::query(
        "INSERT OR REPLACE INTO success_tokens (digest, user_id, token, expires_at)
         VALUES (?1, ?2, ?3, ?4)",
    )
    .bind(&success.digest.0[..])
    .bind(success.user.0)
    .bind(success.token.map(|token| token.0.to_vec()))
    .bind(success.expires_at.0)
    .execute(conn)
    .await?;
    Ok(())
}
