//! What the running gateway does, in numbers, for those who watch it.

use super::Operator;
use super::code::Code;
use super::problem::OperatorError;
use super::table::{Endpoint, Resource, endpoint, shape};
use super::wire::Answer;
use crate::observe::stats::Stats;
use axum::extract::State;
use axum::{Json, routing};

pub(super) const RESOURCE: Resource = Resource {
    tag: "Stats",
    about: "What the gateway has done since it started, and what it holds now: the numbers of its metrics.",
    endpoints: &[Endpoint {
        errors: &[Code::NoGateway],
        ..endpoint(
            "GET",
            "/v1/stats",
            "All numbers as they are now. What happens in a second is the difference of two answers.",
            || routing::get(stats),
            shape::<Stats>,
        )
    }],
};

async fn stats(State(operator): State<Operator>) -> Answer<Stats> {
    let metrics = operator.metrics.as_ref();
    let metrics = metrics.ok_or(OperatorError::NoGateway)?;
    Ok(Json(metrics.stats()))
}
