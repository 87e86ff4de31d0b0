//! Every endpoint of the operator's API, with what it takes and answers: the router is built from this
//! table, and so is the OpenAPI document. A resource's own part stands in its file.

use super::code::Code;
use super::{Operator, audit, factors, keys, lockouts, openapi, sessions, shares, stats, users};
use axum::routing::MethodRouter;
use schemars::{JsonSchema, Schema, SchemaGenerator};

/// The endpoints about one thing.
pub struct Resource {
    pub tag: &'static str,
    pub about: &'static str,
    pub endpoints: &'static [Endpoint],
}

/// A path under one method.
pub struct Endpoint {
    pub method: &'static str,
    pub path: &'static str,
    pub summary: &'static str,
    pub(super) handler: fn() -> MethodRouter<Operator>,
    /// What the query may hold: an object whose members are its parameters.
    pub(super) query: Option<Shape>,
    pub(super) body: Option<Shape>,
    pub(super) status: u16,
    pub(super) answer: Shape,
    /// The media type of the answer.
    pub(super) kind: &'static str,
    /// What it refuses, besides what every endpoint does.
    pub(super) errors: &'static [Code],
}

/// The JSON Schema of a type.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

pub(super) fn shape<T: JsonSchema>(of: &mut SchemaGenerator) -> Schema {
    of.subschema_for::<T>()
}

/// All of them. A new one is a file with a `RESOURCE`, and a line here.
pub const RESOURCES: &[Resource] = &[
    users::RESOURCE,
    factors::RESOURCE,
    sessions::RESOURCE,
    shares::RESOURCE,
    lockouts::RESOURCE,
    audit::RESOURCE,
    keys::RESOURCE,
    stats::RESOURCE,
    openapi::RESOURCE,
];

/// One that takes nothing but its path.
pub(super) const fn endpoint(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    handler: fn() -> MethodRouter<Operator>,
    answer: Shape,
) -> Endpoint {
    Endpoint {
        method,
        path,
        summary,
        handler,
        query: None,
        body: None,
        status: 200,
        answer,
        kind: "application/json",
        errors: &[],
    }
}
