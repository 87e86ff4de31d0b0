//! Which token and which device a request presents, and whose they are.
//!
//! [`credential`], [`device`] and [`success`] read the head (pure); [`witness`] answers the gate's
//! questions from the store; [`learn`] watches an upstream's own sign-in; [`jwt`] verifies tokens that
//! others signed and [`introspect`] reads what they answer about one, by the same rules for [`claims`]
//! (all pure); [`client`] is what a client calls itself; [`members`] are those of a JSON body; [`accounts`]
//! hashes passwords; [`basic`] reads those that come with every request; [`network`] is what tells clients
//! apart that name no device.

pub mod accounts;
pub mod basic;
pub mod budget;
pub mod claims;
pub mod client;
mod cookies;
pub mod credential;
pub mod device;
pub mod introspect;
pub mod jwt;
pub mod learn;
pub mod members;
pub mod network;
pub mod success;
pub mod witness;
mod words;
