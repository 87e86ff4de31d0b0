//! Each documented call of a dialect, sent as its document sends it, against the real binary; what
//! comes back is compared with the documented answer field by field.

mod conduit;
pub(crate) mod tools;
mod ziik;
