//! The local endpoints as an OpenAPI 3.1 document, under `/.vestibule/openapi.json`: what each takes
//! and every status that it can answer with.
//!
//! A table for each dialect says it; nothing here is read by a handler. A test keeps the tables equal
//! to [`super::table::ENDPOINTS`], and a client that makes calls up out of the document holds the
//! program to it (`tests/it/openapi.rs`).

mod b2core;
mod conduit;
mod iogates;
mod own;
mod ziik;

use super::table::{ENDPOINTS, Endpoint};
use super::{Call, Local, Reply, encode};
use crate::route::Route;
use http::StatusCode;
use serde_json::{Map, Value, json};

/// One endpoint under one method. HEAD is described by GET.
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    token: Token,
    query: &'static [Field],
    body: &'static [Field],
    answers: &'static [(u16, Answer)],
    /// Statuses of the dialect's own error shape, besides those that every endpoint has.
    errors: &'static [u16],
}

/// Whether a call is made with a bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Needed,
    Optional,
    None,
}

/// A parameter of the query, or a member of the body.
struct Field {
    name: &'static str,
    about: &'static str,
    kind: Kind,
    is_required: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    TextOrNull,
    /// Digits; a JSON number is taken too.
    Digits,
    Whole,
    Flag,
    OneOf(&'static [&'static str]),
}

/// What is answered when all went well.
#[derive(Clone, Copy)]
enum Answer {
    /// A schema of [`Dialect::schemas`].
    Json(&'static str),
    /// The same under another media type.
    Typed(&'static str, &'static str),
    Image,
    Page,
    Empty,
}

/// The operations of one API, with their shapes.
struct Dialect {
    tag: &'static str,
    about: &'static str,
    operations: &'static [Operation],
    /// The schema of its errors.
    error: &'static str,
    error_type: &'static str,
    schemas: fn() -> Value,
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const PROBLEM: &str = "application/problem+json";
const HTML: &str = "text/html; charset=utf-8";

/// What any endpoint can answer: a request that is ambiguous or too large is refused before it is
/// looked at, as problem+json, and a store that is down is told in the dialect's own shape.
const ALWAYS: [u16; 4] = [400, 408, 413, 503];
/// Those that the head or the body earns before a handler sees them.
const BEFORE: [u16; 3] = [400, 408, 413];

const DIALECTS: [&Dialect; 6] = [
    &iogates::DIALECT,
    &ziik::DIALECT,
    &b2core::DIALECT,
    &conduit::DIALECT,
    &own::TOKENS,
    &own::PAGES,
];

const fn field(name: &'static str, kind: Kind, is_required: bool, about: &'static str) -> Field {
    Field {
        name,
        about,
        kind,
        is_required,
    }
}

/// One with a bearer token.
const fn operation(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    body: &'static [Field],
    answers: &'static [(u16, Answer)],
    errors: &'static [u16],
) -> Operation {
    Operation {
        method,
        path,
        summary,
        token: Token::Needed,
        query: &[],
        body,
        answers,
        errors,
    }
}

/// One that takes nothing but the token.
const fn plain(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    answers: &'static [(u16, Answer)],
    errors: &'static [u16],
) -> Operation {
    operation(method, path, summary, &[], answers, errors)
}

impl Local {
    /// `GET /.vestibule/openapi.json`: what this route answers itself.
    pub(super) fn openapi(&self, call: &Call) -> Reply {
        let service = self.auth.settings.load().service_name.clone();
        encode::json(StatusCode::OK, &document(&call.route, &service))
    }
}

fn document(route: &Route, service: &str) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    schemas.insert("Problem".to_owned(), problem());
    let mut tags = Vec::new();
    for dialect in DIALECTS {
        let on = dialect.operations.iter().filter_map(|operation| {
            let endpoint = endpoint(operation)?;
            endpoint.is_on(route).then_some((operation, endpoint))
        });
        let before = paths.len();
        for (operation, endpoint) in on {
            let entry = paths
                .entry(route.address(operation.path))
                .or_insert_with(|| json!({}));
            if let Some(entry) = entry.as_object_mut() {
                entry.extend(described(dialect, operation, endpoint));
            }
        }
        if paths.len() > before {
            tags.push(json!({ "name": dialect.tag, "description": dialect.about }));
            if let Value::Object(own) = (dialect.schemas)() {
                schemas.extend(own);
            }
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("{service}: second factor"),
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
        },
    })
}

const ABOUT: &str = "What Vestibule answers itself on this host. All other paths are the backend's, behind the gate.\n\n\
    A body is JSON or a form; what begins with `{` is read as JSON whatever its Content-Type says. Fields that are \
    not described are ignored. A device is named by `X-Device-Id`, by `deviceId` in the query or the body, or by \
    Vestibule's own cookie: two different names in one call are refused. A known path with another method is \
    answered 405 with `Allow`. No answer but what pages are made of may be cached.";

/// The operation object, once for each method that it stands for.
fn described(
    dialect: &Dialect,
    operation: &Operation,
    endpoint: &Endpoint,
) -> Vec<(String, Value)> {
    let id = |method: &str| {
        let path = operation.path.replace(['/', '.', '{', '}', '-'], " ");
        let words: Vec<_> = path.split_whitespace().collect();
        format!("{method}_{}", words.join("_"))
    };
    let body = request_body(operation.body);
    let of = |method: &str| {
        let is_head = method == "head";
        let mut object = json!({
            "tags": [dialect.tag],
            "operationId": id(method),
            "summary": operation.summary,
            "security": security(operation.token),
            "parameters": parameters(operation),
            "responses": responses(dialect, operation, is_head),
        });
        if let (Some(body), Some(members)) = (&body, object.as_object_mut()) {
            members.insert("requestBody".to_owned(), body.clone());
        }
        (method.to_owned(), object)
    };
    let mut all = vec![of(&operation.method.to_ascii_lowercase())];
    if operation.method == "GET" && endpoint.methods.contains(&"HEAD") {
        all.push(of("head"));
    }
    all
}

fn security(token: Token) -> Value {
    match token {
        Token::Needed => json!([{ "bearer": [] }]),
        Token::Optional => json!([{ "bearer": [] }, {}]),
        Token::None => json!([]),
    }
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let names = operation.path.split('/');
    let names = names.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<_> = names
        .map(|name| {
            json!({
                "name": name, "in": "path", "required": true,
                "description": path_parameter(name),
                "schema": { "type": "string", "minLength": 1 },
            })
        })
        .collect();
    all.extend(operation.query.iter().map(|field| {
        json!({
            "name": field.name, "in": "query", "required": field.is_required,
            "description": field.about, "schema": field.kind.schema(),
        })
    }));
    let device = json!({ "type": "string", "minLength": 1, "maxLength": 256 });
    for (name, place) in [("X-Device-Id", "header"), ("deviceId", "query")] {
        all.push(json!({
            "name": name, "in": place, "required": false,
            "description": "The device that calls: the client's own name for it, the same with every call.",
            "schema": device,
        }));
    }
    all
}

fn path_parameter(name: &str) -> &'static str {
    match name {
        "token" => "The bearer token once more, or a share link's.",
        "id" => "The user's number, as `user add` prints it.",
        "type" => "The method: `google` or `sms`.",
        "kind" => "The factor: `totp`, `sms` or `email`.",
        "changeId" => "The change's number.",
        _ => "A name out of an earlier answer.",
    }
}

fn request_body(fields: &[Field]) -> Option<Value> {
    if fields.is_empty() {
        return None;
    }
    let properties: Map<_, _> = fields
        .iter()
        .map(|field| {
            let mut schema = field.kind.schema();
            if let Some(members) = schema.as_object_mut() {
                members.insert("description".to_owned(), json!(field.about));
            }
            (field.name.to_owned(), schema)
        })
        .collect();
    let required = fields.iter().filter(|field| field.is_required);
    let required: Vec<_> = required.map(|field| field.name).collect();
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    Some(json!({
        "required": !required.is_empty(),
        "content": { JSON: { "schema": schema }, FORM: { "schema": schema } },
    }))
}

fn responses(dialect: &Dialect, operation: &Operation, is_head: bool) -> Value {
    let mut all = Map::new();
    for (status, answer) in operation.answers {
        let content = answer.content().filter(|_| !is_head);
        all.insert(status.to_string(), response(*status, content));
    }
    for status in ALWAYS.iter().chain(operation.errors) {
        let mut content = Map::new();
        let shape = json!({ "schema": reference(dialect.error) });
        content.insert(dialect.error_type.to_owned(), shape);
        if BEFORE.contains(status) {
            content.insert(
                PROBLEM.to_owned(),
                json!({ "schema": reference("Problem") }),
            );
        }
        let content = Some(Value::Object(content)).filter(|_| !is_head);
        all.insert(status.to_string(), response(*status, content));
    }
    Value::Object(all)
}

fn response(status: u16, content: Option<Value>) -> Value {
    let mut object = json!({ "description": meaning(status) });
    let header = match status {
        401 => Some((
            "WWW-Authenticate",
            "Which credential is missing or not enough (RFC 6750, RFC 9470).",
            "string",
        )),
        429 | 503 => Some(("Retry-After", "Seconds to wait.", "integer")),
        303 => Some(("Location", "Where to go on: a path of this host.", "string")),
        _ => None,
    };
    if let Some(members) = object.as_object_mut() {
        if let Some(content) = content {
            members.insert("content".to_owned(), content);
        }
        if let Some((name, about, kind)) = header {
            let header = json!({ "description": about, "schema": { "type": kind } });
            members.insert("headers".to_owned(), json!({ name: header }));
        }
    }
    object
}

fn meaning(status: u16) -> &'static str {
    match status {
        200 => "Done; between the steps of a procedure: go on with the next one.",
        202 => "The procedure is over, and done.",
        204 => "Done.",
        303 => "The code is right: go back to where you came from.",
        400 => {
            "The call cannot be read, names two tokens or devices, or (where 422 is not listed) a field is missing or cannot be taken."
        }
        401 => {
            "No token, or one that is not known (any more); wrong credentials; in some dialects, a wrong code."
        }
        403 => {
            "Not allowed without a verified second factor, at all, or any more: a code that has expired, a locked user."
        }
        404 => "There is no such thing, or it is somebody else's.",
        408 => "The body came too slowly.",
        409 => "There is nothing that this could be done to.",
        413 => "The body is larger than 64 KiB.",
        422 => "A field is missing or cannot be taken; a wrong code.",
        429 => "Too many codes or tries: wait.",
        503 => "The store or whoever sends the codes does not answer; nothing was done.",
        _ => "See the text.",
    }
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// RFC 9457.
fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
        },
    })
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::TextOrNull => json!({ "type": ["string", "null"] }),
            Self::Digits => json!({ "type": ["string", "integer"] }),
            Self::Whole => json!({ "type": "integer", "minimum": 0 }),
            Self::Flag => json!({ "type": "boolean" }),
            Self::OneOf(words) => json!({ "type": "string", "enum": words }),
        }
    }
}

impl Answer {
    fn content(self) -> Option<Value> {
        let text = |kind: &str| json!({ kind: { "schema": { "type": "string" } } });
        match self {
            Self::Json(name) => Some(json!({ JSON: { "schema": reference(name) } })),
            Self::Typed(kind, name) => Some(json!({ kind: { "schema": reference(name) } })),
            Self::Image => Some(json!({ "image/png": {} })),
            Self::Page => Some(text(HTML)),
            Self::Empty => None,
        }
    }
}

fn endpoint(operation: &Operation) -> Option<&'static Endpoint> {
    let mut all = ENDPOINTS.iter();
    all.find(|it| it.path == operation.path && it.methods.contains(&operation.method))
}

#[cfg(test)]
mod tests;
