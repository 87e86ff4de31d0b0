//! The one YAML file: [`raw`] shapes → [`lift`]ed and validated [`model`], all errors at once.

pub mod model;
