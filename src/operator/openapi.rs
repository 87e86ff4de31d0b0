//! The operator's API as an OpenAPI 3.1 document, made of the table of endpoints and the types that
//! they read and write.

use super::code::Code;
use super::lockouts;
use super::problem::Problem;
use super::table::{Endpoint, RESOURCES, Resource, Shape, endpoint, shape};
use axum::{Json, routing};
use schemars::generate::{Contract, SchemaSettings};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const RESOURCE: Resource = Resource {
    tag: "OpenAPI",
    about: "What this API takes and answers.",
    endpoints: &[endpoint(
        "GET",
        "/v1/openapi.json",
        "This document.",
        || routing::get(async || Json(document())),
        shape::<Map<String, Value>>,
    )],
};

const ABOUT: &str = "Vestibule's users with their factors, sessions, share links, lockouts, the audit trail, the keys that tokens are \
    signed with, and the gateway's numbers, as the command line sees them. It is served on the admin socket alone, to root and \
    the gateway's own user. Unknown fields and parameters are refused.\n\n\
    Lists are `{items, next}` and bounded. Where `next` is not null, the same request with `after` set to it has the next part; \
    of lists whose newest come first (sessions, the audit trail), with `before`. What is made or changed is answered as `GET` \
    shows it; what ends one thing answers its `id`, what ends many how many.\n\n\
    In requests, a user is a name, a number, or `id:` and a number, and `identity` tells namesakes apart; in answers `user` is \
    the number, `name` the name and `identity` what it is a name of.\n\n\
    Every refusal is a problem (RFC 9457), whose `code` programs can go by, and whose `where` names the part of the request \
    that has to change: `body/phone`, `query/limit`, `path/user`.";

/// What every endpoint can refuse: who calls, what cannot be read, a store that is down.
const ALWAYS: &[Code] = &[Code::Unreadable, Code::NotOperator, Code::StoreDown];
/// What endpoints refuse that take a body.
const OF_BODY: &[Code] = &[Code::TooLarge, Code::Invalid];
/// What endpoints refuse that take parameters.
const OF_QUERY: &[Code] = &[Code::Invalid];

/// The shapes of what is read and of what is written: the same type can differ in both.
struct Shapes {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Shapes {
    fn new() -> Self {
        let of = |contract: Contract| {
            let settings = SchemaSettings::draft2020_12().with(|it| {
                it.definitions_path = "/components/schemas".into();
                it.contract = contract;
            });
            settings.into_generator()
        };
        Self {
            read: of(Contract::Deserialize),
            written: of(Contract::Serialize),
        }
    }

    fn all(mut self) -> Map<String, Value> {
        let mut all = self.read.take_definitions(true);
        all.extend(self.written.take_definitions(true));
        all
    }
}

/// The whole document.
#[must_use]
pub fn document() -> Value {
    let mut shapes = Shapes::new();
    let mut paths = Map::new();
    let mut tags = Vec::new();
    for resource in RESOURCES {
        tags.push(json!({ "name": resource.tag, "description": resource.about }));
        for endpoint in resource.endpoints {
            let described = described(resource, endpoint, &mut shapes);
            let entry = paths.entry(endpoint.path).or_insert_with(|| json!({}));
            if let Some(entry) = entry.as_object_mut() {
                entry.insert(endpoint.method.to_ascii_lowercase(), described);
            }
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Vestibule: the operator's API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
        },
        "servers": [{ "url": "http://vestibule" }],
        "tags": tags,
        "paths": paths,
        "components": { "schemas": shapes.all() },
    })
}

fn described(resource: &Resource, endpoint: &Endpoint, shapes: &mut Shapes) -> Value {
    let mut object = json!({
        "tags": [resource.tag],
        "operationId": id(endpoint),
        "summary": endpoint.summary,
        "parameters": parameters(resource, endpoint, shapes),
        "responses": responses(endpoint, shapes),
    });
    if let (Some(body), Some(members)) = (endpoint.body, object.as_object_mut()) {
        let schema = body(&mut shapes.read);
        let body = json!({ "content": { "application/json": { "schema": schema } } });
        members.insert("requestBody".to_owned(), body);
    }
    object
}

/// `get_users_user_factors`
fn id(endpoint: &Endpoint) -> String {
    let path = endpoint.path.strip_prefix("/v1/").unwrap_or(endpoint.path);
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    format!(
        "{}_{}",
        endpoint.method.to_ascii_lowercase(),
        words.join("_")
    )
}

fn parameters(resource: &Resource, endpoint: &Endpoint, shapes: &mut Shapes) -> Vec<Value> {
    let names = endpoint.path.split('/');
    let names = names.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<_> = names
        .map(|name| {
            json!({
                "name": name, "in": "path", "required": true,
                "description": path_parameter(resource, name),
                "schema": { "type": "string", "minLength": 1 },
            })
        })
        .collect();
    if let Some(query) = endpoint.query {
        all.extend(
            members(query, shapes)
                .into_iter()
                .map(|(name, mut schema)| {
                    never_null(&mut schema);
                    let about = schema
                        .as_object_mut()
                        .and_then(|it| it.remove("description"));
                    json!({
                        "name": name, "in": "query", "required": false,
                        "description": about, "schema": schema,
                    })
                }),
        );
    }
    all
}

fn path_parameter(resource: &Resource, name: &str) -> &'static str {
    match name {
        "user" => "A name, a number, or `id:` and a number.",
        "id" if resource.tag == lockouts::RESOURCE.tag => "16 hex digits, as the list has them.",
        "id" => "Its number.",
        "factor" => "`sms`, `totp`, `email`, or `passkey-` and its number.",
        _ => "A name out of a list.",
    }
}

/// The members of the object that a query is; it has no name of its own in the document.
fn members(query: Shape, shapes: &mut Shapes) -> Map<String, Value> {
    let reference = query(&mut shapes.read);
    let name = reference.get("$ref").and_then(Value::as_str);
    let name = name.and_then(|it| it.rsplit('/').next());
    let whole = match name {
        Some(name) => shapes.read.definitions_mut().remove(name),
        None => Some(Schema::to_value(reference)),
    };
    let members = whole.and_then(|mut it| it.get_mut("properties").map(Value::take));
    match members {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// A parameter is left out; `null` would be a text.
fn never_null(schema: &mut Value) {
    if let Some(types) = schema.get_mut("type")
        && let Some([one, other]) = types.as_array().map(Vec::as_slice)
        && (one == "null") != (other == "null")
    {
        *types = if one == "null" { other } else { one }.clone();
    }
    if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.retain(|it| it.get("type").is_none_or(|it| it != "null"));
    }
}

fn responses(endpoint: &Endpoint, shapes: &mut Shapes) -> Value {
    let mut all = Map::new();
    let schema = (endpoint.answer)(&mut shapes.written);
    let done = json!({
        "description": "Done.",
        "content": { endpoint.kind: { "schema": schema } },
    });
    all.insert(endpoint.status.to_string(), done);
    let problem = shapes.written.subschema_for::<Problem>();
    let mut by_status = BTreeMap::<u16, Vec<Code>>::new();
    for code in refused(endpoint) {
        let same = by_status.entry(code.status().as_u16()).or_default();
        same.push(code);
    }
    for (status, codes) in by_status {
        let lines = codes
            .iter()
            .map(|code| format!("`{}`: {}", code.as_str(), code.about()));
        let refused = json!({
            "description": lines.collect::<Vec<_>>().join("\n\n"),
            "content": { "application/problem+json": { "schema": problem } },
        });
        all.insert(status.to_string(), refused);
    }
    Value::Object(all)
}

/// All that an endpoint refuses, each once.
pub(super) fn refused(endpoint: &Endpoint) -> BTreeSet<Code> {
    let of_body = endpoint.body.map_or(&[][..], |_| OF_BODY);
    let of_query = endpoint.query.map_or(&[][..], |_| OF_QUERY);
    let all = ALWAYS.iter().chain(of_body).chain(of_query);
    all.chain(endpoint.errors).copied().collect()
}
