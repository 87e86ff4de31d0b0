//! The page behind a share link: whom it is for, and one press to get that person's code.
//!
//! GET sends nothing and changes nothing, so that what looks at links before people do (previews, mail
//! scanners) uses nothing up. The press exchanges the link for a token of the recipient that was chosen,
//! has the code sent, and goes on to where it is typed. The token is kept in the same cookie as a
//! sign-in's: another share's is replaced, and whoever is signed in to an account goes to the folder
//! as that account, and keeps it.

use super::super::{Call, Local, Reply, encode, target};
use super::challenge_url;
use super::cookie;
use super::form::Visit;
use super::page::{self, Frame, Moment};
use super::said::{self, Alert, Notice, Stop};
use super::sign_in::context;
use crate::auth::challenge::StartError;
use crate::auth::ports::{FactorKind, Share};
use crate::auth::share::{Follows, OpenShareError};
use crate::auth::sign_in::{SignInError, SignedIn};
use crate::auth::{Caller, Standing};
use crate::config::model::Requirement;
use crate::gate::Presented;
use crate::policy::{self, Person, Reach, Target};
use crate::secret::Secret;
use askama::Template;
use http::{Method, StatusCode};
use percent_encoding::{CONTROLS, percent_decode_str, utf8_percent_encode};

/// The page in one of its states.
#[derive(Template)]
#[template(path = "share.html")]
struct Page<'a> {
    t: &'a Frame<'a>,
    /// Where its forms are sent to.
    action: &'a str,
    folder: &'a str,
    until: Option<Moment>,
    /// What went wrong, as a sentence.
    alert: Option<String>,
    view: View,
}

/// What there is to do.
enum View {
    /// The folder asks for no code.
    Open,
    /// A code is sent to one of these.
    Send(Vec<Offer>),
    /// There is nowhere to send one.
    Unreachable,
}

/// Where a recipient's code can be sent.
struct Offer {
    /// Which recipient, from 0.
    nth: usize,
    kind: FactorKind,
    /// Masked.
    address: String,
}

/// Who comes with the link.
enum Guest {
    /// Nobody that matters here.
    Stranger,
    /// One of its recipients, or an account: both go to the folder, and the gate says what they lack.
    Known,
    /// A recipient whose code is on its way.
    Waiting(Caller),
}

impl Local {
    /// `GET|POST /share/{token}`.
    pub(super) async fn share(&self, visit: &Visit<'_>) -> Result<Reply, Stop> {
        let link = Secret::new(target::last_segment(&visit.call.path));
        let found = self.auth.find_share(context(visit.call, None), &link).await;
        let share = match found {
            Ok(share) => share,
            Err(error) => return refused(visit, error),
        };
        let guest = self.guest(visit.call, &share).await?;
        if matches!(guest, Guest::Known) {
            return Ok(said::go_to(&address(&share)));
        }
        match visit.call.method {
            Method::POST => self.open(visit, &share, guest).await,
            _ if share.is_used_up() && matches!(guest, Guest::Stranger) => Ok(used_up(visit)),
            _ => self.shared(visit, &share, None).await,
        }
    }

    /// Who comes, by our own cookies: the link itself is everybody's.
    async fn guest(&self, call: &Call, share: &Share) -> Result<Guest, Stop> {
        let device = cookie::device(call);
        let Some(token) = cookie::token(call) else {
            return Ok(Guest::Stranger);
        };
        let presented = Presented {
            token: &token,
            device: device.as_deref(),
        };
        let Some(caller) = self.caller(call, presented).await? else {
            return Ok(Guest::Stranger);
        };
        let is_recipient = (share.recipients.iter()).any(|one| one.user == caller.holder.user);
        Ok(match (caller.is_guest(), is_recipient) {
            (false, _) => Guest::Known,
            (true, true) if caller.standing >= Standing::Verified => Guest::Known,
            (true, true)
                if follows(call, share) == Follows::Nothing && !caller.holder.is_uncounted() =>
            {
                Guest::Known
            }
            (true, true) => Guest::Waiting(caller),
            (true, false) => Guest::Stranger,
        })
    }

    async fn open(&self, visit: &Visit<'_>, share: &Share, guest: Guest) -> Result<Reply, Stop> {
        let device = self.new_device()?;
        let at = context(visit.call, Some(&device));
        if follows(visit.call, share) == Follows::Nothing {
            let opened = match share.recipients.first() {
                Some(first) => {
                    let opened = self.auth.open_share_as(at, share, first, Follows::Nothing);
                    opened.await
                }
                None => Err(SignInError::Wrong.into()),
            };
            return match opened {
                Ok(signed_in) => {
                    let to_folder = said::go_to(&address(share));
                    Ok(self
                        .let_in(visit.call, to_folder, &signed_in, &device)
                        .await)
                }
                Err(error) => self.not_opened(visit, share, error).await,
            };
        }
        let nth = visit.field("recipient")?.parse().unwrap_or(usize::MAX);
        let kind = FactorKind::from_name(&visit.field("factor")?);
        let kind = kind.ok_or_else(|| Stop::malformed(&"`factor` must be one of the page's"))?;
        let to_code = said::go_to(&challenge_url(&visit.call.route, &share.path, false));
        if let Guest::Waiting(caller) = &guest
            && share.recipients.get(nth).map(|one| one.user) == Some(caller.holder.user)
        {
            return match self.auth.start(caller, kind).await {
                // Pressed twice: the first code is on its way.
                Ok(_) | Err(StartError::TooMany { .. }) => Ok(to_code),
                Err(error) => self.shared(visit, share, Some(error.into())).await,
            };
        }
        match self
            .auth
            .ask_recipient(at, share, nth, (kind, visit.frame.words()))
            .await
        {
            Ok((signed_in, _)) => Ok(self.let_in(visit.call, to_code, &signed_in, &device).await),
            Err(error) => self.not_opened(visit, share, error).await,
        }
    }

    async fn not_opened(
        &self,
        visit: &Visit<'_>,
        share: &Share,
        error: OpenShareError,
    ) -> Result<Reply, Stop> {
        match error {
            OpenShareError::NoSuchRecipient | OpenShareError::SeveralRecipients => {
                Err(Stop::malformed(&"`recipient` must be one of the page's"))
            }
            OpenShareError::Full => Ok(used_up(visit)),
            OpenShareError::Start(error) => self.shared(visit, share, Some(error.into())).await,
            OpenShareError::SignIn(error) => refused(visit, error),
        }
    }

    /// Leaves the token with the browser, under a new name: of one that somebody planted, nothing is
    /// taken over. The cookie outlives the share, so that its guest can be told that it is over.
    async fn let_in(&self, call: &Call, reply: Reply, signed_in: &SignedIn, device: &str) -> Reply {
        let token = signed_in.token.expose();
        self.gate.token_issued(call.route.keys.token(token));
        // Another share's: with its cookie, the browser has lost it.
        if let Some(before) = cookie::token(call) {
            let _ = self.end_token(call, &before).await;
        }
        let reply = cookie::set_token(reply, call, token, self.cookie_secs());
        cookie::set_device(reply, call, device, self.cookie_secs())
    }

    async fn shared(
        &self,
        visit: &Visit<'_>,
        share: &Share,
        alert: Option<Alert>,
    ) -> Result<Reply, Stop> {
        let view = match follows(visit.call, share) {
            Follows::Nothing => View::Open,
            Follows::Code => self.offers(share).await?,
        };
        let page = Page {
            t: &visit.frame,
            action: &visit.call.path,
            folder: &folder(share).unwrap_or_else(|| visit.frame.name().to_owned()),
            until: share.expires_at.map(Moment),
            alert: alert.map(|alert| alert.text(visit.frame.words()).to_string()),
            view,
        };
        Ok(page::shown(visit, alert, None, &page))
    }

    /// Everywhere that a code of this share can be sent to.
    async fn offers(&self, share: &Share) -> Result<View, Stop> {
        let mut offers = Vec::new();
        for (nth, recipient) in share.recipients.iter().enumerate() {
            let factors = self.auth.factors(recipient.user).await?;
            offers.extend(factors.enrolled.iter().filter_map(|enrolled| {
                Some(Offer {
                    nth,
                    kind: enrolled.value.kind(),
                    address: enrolled.value.masked()?,
                })
            }));
        }
        Ok(match offers.is_empty() {
            true => View::Unreachable,
            false => View::Send(offers),
        })
    }
}

/// Whether whoever has a token for the folder is asked for a code there.
pub(in crate::local) fn follows(call: &Call, share: &Share) -> Follows {
    let demand = policy::required(Target {
        route: &call.route.config,
        method: &Method::GET,
        reach: Reach::Itself,
        path: &share.path,
        destination: None,
        address: call.address,
    });
    // No rule names those whom a link is for, and they are in no group.
    let guest = Person {
        name: "",
        groups: &[],
    };
    match demand.of(guest) {
        Requirement::Nothing | Requirement::Token => Follows::Nothing,
        _ => Follows::Code,
    }
}

/// The folder's address, as it can stand in a header.
fn address(share: &Share) -> String {
    utf8_percent_encode(&share.path, CONTROLS).to_string()
}

/// What the folder is called; `None`: it is the whole site.
fn folder(share: &Share) -> Option<String> {
    let last = share.path.trim_end_matches('/').rsplit('/').next();
    let last = last.filter(|last| !last.is_empty())?;
    Some(percent_decode_str(last).decode_utf8_lossy().into_owned())
}

/// A link that is good for nothing: unknown, expired and revoked ones look the same.
fn refused(visit: &Visit<'_>, error: SignInError) -> Result<Reply, Stop> {
    match error {
        SignInError::Wrong => Ok(page::notice(
            &visit.frame,
            StatusCode::NOT_FOUND,
            Notice::new("share-gone-title", "share-gone"),
        )),
        SignInError::TooMany { retry_after_secs } => {
            let reply = page::notice(
                &visit.frame,
                StatusCode::TOO_MANY_REQUESTS,
                Notice::new("share-wait-title", "share-wait"),
            );
            Ok(encode::retry_after(reply, retry_after_secs))
        }
        SignInError::Closed => Err(Stop::Closed),
        SignInError::Unavailable => Err(Stop::Unavailable),
    }
}

fn used_up(visit: &Visit<'_>) -> Reply {
    let notice = Notice::new("share-full-title", "share-full");
    page::notice(&visit.frame, StatusCode::FORBIDDEN, notice)
}
