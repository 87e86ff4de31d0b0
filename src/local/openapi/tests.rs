//! The tables of descriptions against the table of endpoints.

use super::*;
use std::collections::BTreeSet;

fn all() -> impl Iterator<Item = &'static Operation> {
    DIALECTS.iter().flat_map(|dialect| dialect.operations)
}

#[test]
fn every_endpoint_is_described_under_every_method() {
    let described: BTreeSet<_> = all().map(|it| (it.path, it.method)).collect();
    for endpoint in ENDPOINTS {
        for method in endpoint.methods.iter().filter(|method| **method != "HEAD") {
            let at = (endpoint.path, *method);
            assert!(described.contains(&at), "not described: {at:?}");
        }
    }
}

#[test]
fn nothing_is_described_that_is_not_there() {
    let mut seen = BTreeSet::new();
    for operation in all() {
        let at = (operation.path, operation.method);
        assert!(endpoint(operation).is_some(), "no such endpoint: {at:?}");
        assert!(seen.insert(at), "described twice: {at:?}");
    }
}

#[test]
fn every_shape_that_is_named_is_there() {
    for dialect in DIALECTS {
        let schemas = (dialect.schemas)();
        assert!(schemas.get(dialect.error).is_some(), "{}", dialect.error);
        for operation in dialect.operations {
            for (_, answer) in operation.answers {
                if let Answer::Json(name) | Answer::Typed(_, name) = answer {
                    assert!(schemas.get(name).is_some(), "{name}");
                }
            }
        }
    }
}

#[test]
fn a_call_with_a_token_can_be_told_that_it_is_not_good() {
    for operation in all().filter(|it| it.token == Token::Needed) {
        let at = (operation.path, operation.method);
        assert!(operation.errors.contains(&401), "{at:?}");
    }
}
