//! The command line: every command but `serve` and `demo` is over when it returns.

pub mod operator;
mod wiring;
