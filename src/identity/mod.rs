//! Which token and which device a request presents, and whose they are.
//!
//! [`credential`], [`device`] and [`success`] read the head (pure); [`witness`] answers the gate's questions from
//! the store; [`learn`] watches an upstream's own sign-in; [`accounts`] hashes passwords.

pub mod accounts;
mod cookies;
pub mod credential;
pub mod device;
pub mod learn;
pub mod success;
pub mod witness;
