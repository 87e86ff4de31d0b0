//! Vestibule: a second factor in front of the file server you already have.
//!
//! The components, in the order in which a request meets them:
//!
//! 1. [`edge`]: sockets, TLS, the hardened HTTP framework and a lean lane beside it; the only importer
//!    of Pingora.
//! 2. [`request`]: one canonical form, or a refusal.
//! 3. [`route`]: host → route.
//! 4. [`identity`]: which token, which device, whose.
//! 5. [`policy`]: what this path asks.
//! 6. [`gate`]: a `Permit` or a `Refusal`; only it can make a `Permit`.
//! 7. [`local`]: the endpoints Vestibule answers itself, thin over
//! 8. [`auth`]: the use cases, over [`factor`] (pure) and ports that
//! 9. [`store`] and [`delivery`] implement; [`observe`] watches.
//!
//! Beside that way stands [`operator`], the API that the command line and the admin socket share.
//!
//! [`clock`], [`entropy`], [`id`], [`secret`], [`digest`], [`event`], [`steps`] and [`words`] are leaves. [`app`] puts
//! concrete types together; [`cli`] starts it. `tests/tidy.rs` holds the arrows.
//!
//! | may use → | leaves | config | request … gate | auth | local | store, delivery, observe | edge |
//! |---|---|---|---|---|---|---|---|
//! | config | ✓ | | | | | | |
//! | factor, request, route, identity, policy, gate | ✓ | ✓ | what stands earlier in this row | | | | |
//! | identity::witness | ✓ | ✓ | gate (its port) | ports | | | |
//! | auth | ✓ | ✓ | gate, factor, identity | | | | |
//! | local | ✓ | ✓ | ✓ | ✓ | | | |
//! | operator | ✓ | ✓ | ✓ | ✓ | | observe (the numbers it shows) | |
//! | store, delivery, observe | ✓ | ✓ | factor, gate::session (types of ports) | ports, lockout, subject | | itself only | |
//! | edge | ✓ | ✓ | ✓ | ✓ | ✓ | observe | |
//! | app, cli | ✓ | ✓ | ✓ | ✓ | ✓ | ✓ | ✓ |

#![forbid(unsafe_code)]
#![warn(unreachable_pub)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::await_holding_lock
    )
)]

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod edge;
pub mod factor;
pub mod gate;
pub mod identity;
pub mod local;
pub mod observe;
pub mod operator;
pub mod policy;
pub mod request;
pub mod route;
pub mod store;

pub mod clock;
pub mod digest;
pub mod entropy;
pub mod event;
pub mod id;
pub mod secret;
pub mod steps;
pub mod words;
