//! Looks at everything that an engine lets one see.

use super::*;

/// What a factor stands on, which `Debug` does not tell.
fn plain(value: Option<&FactorValue>) -> String {
    match value {
        None => String::new(),
        Some(FactorValue::Sms(phone)) => phone.e164().to_owned(),
        Some(FactorValue::Totp(secret)) => format!("{:?}", secret.bytes()),
        Some(FactorValue::Email(address)) => address.expose().to_owned(),
    }
}

/// Everything the ports let one see.
pub(super) async fn view(f: &Fixture, now: Timestamp) -> Vec<String> {
    let mut seen = vec![
        said(f.store.users_after(UserId(0), 1_000).await),
        said(f.store.shares().await),
        said(f.store.sessions(None, now).await),
        said(f.store.revocations_after(0).await),
        said(f.store.feed_head().await),
        said(f.store.search_audit(AuditQuery::newest(1_000)).await),
    ];
    for token in TOKENS {
        seen.push(said(f.store.token(f.digest(token), now).await));
        seen.push(said(f.store.share_of_link(f.digest(token), now).await));
        seen.push(said(f.store.session(f.pair(token), now).await));
        for purpose in Purpose::ALL {
            let pending = f.store.pending(f.binding(token), purpose, now).await;
            let secret = plain(
                pending
                    .as_ref()
                    .ok()
                    .and_then(|it| it.as_ref()?.value.as_ref()),
            );
            seen.push(format!("{} {secret}", said(pending)));
            let ceremony = f.store.ceremony(f.binding(token), purpose, now).await;
            seen.push(said(ceremony));
        }
    }
    for user in (0..8).map(UserId) {
        let subjects = [f.user_subject(user)];
        seen.push(said(f.store.blocked(&subjects, now).await));
        let factors = f.store.factors(user).await.unwrap();
        let values = factors.enrolled.iter().map(|one| plain(Some(&one.value)));
        seen.extend(values);
        let passkeys = factors.passkeys.iter();
        seen.extend(passkeys.map(|one| one.credential.expose().to_owned()));
        seen.push(format!("{factors:?}"));
        seen.push(said(f.store.backup_salt(user).await));
        seen.push(said(f.store.browsers(user, now).await));
        let query = ChangeQuery {
            kinds: FactorKind::ALL.to_vec(),
            is_enabled: None,
            from: None,
            to: None,
            newest_first: true,
            offset: 0,
            limit: 30,
        };
        seen.push(said(f.store.changes(user, query).await));
    }
    for wizard in WIZARDS {
        seen.push(said(f.store.wizard(f.wizard_digest(wizard), now).await));
    }
    for address in ADDRESSES {
        let found = f.store.user_by_email(REALM, address).await;
        seen.push(said(found.map(|user| user.map(|user| user.id))));
    }
    seen.push(said(f.store.lockouts(None, 100, now).await));
    let address = [f.address_subject()];
    seen.push(said(f.store.blocked(&address, now).await));
    seen
}
