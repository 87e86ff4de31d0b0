//! The second factors, as pure functions: no I/O, no clock, no randomness of their own.

pub mod backup;
pub mod email;
pub mod one_time;
pub mod passkey;
pub mod phone;
pub mod totp;
