//! The usual three: a gateway, the backend behind it and the inbox that its codes go to.

use super::iogates::Backend;
use super::{Gateway, Inbox, Setup};
use std::net::SocketAddr;

/// Each part is there to be asked; the gateway ends with its value.
pub(crate) struct Site {
    pub(crate) gateway: Gateway,
    pub(crate) backend: Backend,
    pub(crate) inbox: Inbox,
    /// What the gateway was started with.
    pub(crate) setup: Setup,
}

impl Site {
    /// Users and share links are Vestibule's own.
    pub(crate) async fn accounts() -> Self {
        Self::accounts_with(|setup| setup).await
    }

    /// The same on a config with changes.
    pub(crate) async fn accounts_with(change: impl FnOnce(Setup) -> Setup) -> Self {
        Self::start(Setup::accounts, change).await
    }

    /// The backend's own accounts are learned.
    pub(crate) async fn learn() -> Self {
        Self::learn_with(|setup| setup).await
    }

    /// The same on a config with changes.
    pub(crate) async fn learn_with(change: impl FnOnce(Setup) -> Setup) -> Self {
        Self::start(Setup::learn, change).await
    }

    async fn start(
        setup: impl FnOnce(SocketAddr, SocketAddr) -> Setup,
        change: impl FnOnce(Setup) -> Setup,
    ) -> Self {
        let inbox = Inbox::start().await;
        let backend = Backend::start().await;
        let setup = change(setup(backend.address, inbox.address));
        Self {
            gateway: Gateway::start(&setup),
            backend,
            inbox,
            setup,
        }
    }
}
