//! The verbs of all ports in one table, for the stores that wrap another one.

/// Hands every port with its verbs to the macro `$each`. Its caller imports
/// [`crate::auth::ports`], the ids, digests and leaves that the signatures name.
macro_rules! store_verbs {
    ($each:ident) => {
        $each! {
            Users {
                fn create_user(user: NewUser, now: Timestamp) -> Option<UserId>;
                fn user(id: UserId) -> Option<User>;
                fn user_by_name(realm: &str, name: &str) -> Option<User>;
                fn user_in_any_case(realm: &str, name: &str) -> Option<User>;
                fn user_by_email(realm: &str, email: &str) -> Option<User>;
                fn learn_user(user: LearnedUser, now: Timestamp) -> UserId;
            }
            Tokens {
                fn put_token(token: Token) -> ();
                fn token(digest: TokenDigest, now: Timestamp) -> Option<(Token, Holder)>;
                fn drop_token(digest: TokenDigest, now: Timestamp) -> Vec<SessionId>;
            }
            Sessions {
                fn session(key: SessionKey, now: Timestamp) -> Option<Session>;
                fn touch(seen: &[Seen]) -> ();
                fn revoke(which: Which, now: Timestamp) -> u64;
                fn sessions(user: Option<UserId>, now: Timestamp) -> Vec<SessionRow>;
                fn live_sessions(now: Timestamp) -> u64;
                fn revocations_after(seq: i64) -> Vec<Revocation>;
                fn feed_head() -> i64;
            }
            Failures {
                fn blocked(subjects: &[SubjectDigest], now: Timestamp) -> Option<Blocked>;
                fn delayed(subjects: &[SubjectDigest], now: Timestamp) -> Option<u64>;
                fn failed(counted: &[Counted], now: Timestamp) -> ();
                fn succeeded(subjects: &[SubjectDigest]) -> ();
            }
            Shares {
                fn create_share(share: NewShare, now: Timestamp) -> (ShareId, Vec<UserId>);
                fn shares() -> Vec<Share>;
                fn share_of_link(link: TokenDigest, now: Timestamp) -> Option<Share>;
                fn open_share(token: Token) -> bool;
                fn revoke_share(id: ShareId, now: Timestamp) -> Vec<UserId>;
            }
            AuditTrail {
                fn append(events: &[(Timestamp, Event)]) -> ();
            }
            Oversight {
                fn users_after(after: UserId, limit: u32) -> Vec<User>;
                fn change_user(id: UserId, change: UserChange, now: Timestamp) -> bool;
                fn remove_user(id: UserId, subjects: &[SubjectDigest], now: Timestamp) -> bool;
                fn find_sessions(query: SessionQuery, now: Timestamp) -> Vec<SessionRow>;
                fn revoke_devices(labels: &[String], user: Option<UserId>, now: Timestamp) -> Vec<Ended>;
                fn lockouts(after: Option<LockoutId>, limit: u32, now: Timestamp) -> Vec<Lockout>;
                fn clear_lockouts(subjects: &[SubjectDigest]) -> u64;
                fn clear_lockout(id: LockoutId) -> Option<Lockout>;
                fn search_audit(query: AuditQuery) -> Vec<AuditLine>;
                fn audit_after(after: i64, limit: u32) -> Vec<AuditLine>;
                fn audit_head() -> i64;
            }
            Upkeep {
                fn ping() -> ();
                fn purge(now: Timestamp) -> u64;
                fn reset_user(user: UserId, subject: SubjectDigest, now: Timestamp) -> ();
            }
            Factors {
                fn factors(user: UserId) -> FactorSet;
                fn disable(user: UserId, which: Disable, now: Timestamp) -> bool;
                fn put_backup_codes(user: UserId, codes: BackupCodes, since: i64, now: Timestamp) -> bool;
                fn backup_salt(user: UserId) -> Option<[u8; 16]>;
                fn changes(user: UserId, query: ChangeQuery) -> ChangePage;
                fn change(user: UserId, id: ChangeId) -> Option<Change>;
            }
            Codes {
                fn reserve_send(request: SendRequest, now: Timestamp) -> Reserved;
                fn release_send(id: SendId) -> ();
                fn put_challenge(challenge: NewChallenge) -> ChallengeId;
                fn pending(bound_to: Binding, purpose: Purpose, now: Timestamp) -> Option<Pending>;
                fn attempt(attempt: Attempt, now: Timestamp) -> Attempted;
            }
            Passkeys {
                fn put_ceremony(ceremony: NewCeremony) -> CeremonyId;
                fn ceremony(bound_to: Binding, purpose: Purpose, now: Timestamp) -> Option<Ceremony>;
                fn rename_passkey(user: UserId, id: PasskeyId, name: &str) -> bool;
            }
            Browsers {
                fn put_token_in(token: Token, recall: Recall, now: Timestamp) -> Option<Session>;
                fn browsers(user: UserId, now: Timestamp) -> Vec<Browser>;
                fn forget_browser(user: UserId, id: BrowserId) -> bool;
            }
            Wizards {
                fn open_wizard(wizard: Wizard, opener: SubjectDigest, now: Timestamp) -> ();
                fn wizard(digest: WizardDigest, now: Timestamp) -> Option<Wizard>;
                fn advance_wizard(step: Advance, now: Timestamp) -> bool;
                fn take_wizard(digest: WizardDigest, now: Timestamp) -> Option<Wizard>;
                fn finish_wizard(digest: WizardDigest, then: Deeds, now: Timestamp) -> bool;
                fn spend_success(realm: &str, digest: SuccessDigest, token: Option<TokenDigest>, now: Timestamp) -> Option<Holder>;
            }
            Grants {
                fn open_grant(grant: Grant, text: Secret, room: Room, now: Timestamp) -> Option<UserCode>;
                fn grant(code: GrantDigest, now: Timestamp) -> Option<Grant>;
                fn refuse_grant(code: GrantDigest, until: Timestamp, now: Timestamp) -> bool;
            }
            Families {
                fn family(refresh: RefreshDigest, now: Timestamp) -> Option<Family>;
                fn rotate(rotation: Rotation, now: Timestamp) -> Refreshed;
            }
            SigningKeys {
                fn signing_keys(now: Timestamp) -> Vec<SigningKey>;
                fn add_first_key(key: SigningKey) -> bool;
                fn rotate_keys(key: SigningKey, others_end_at: Timestamp) -> ();
            }
        }
    };
}

pub(crate) use store_verbs;
