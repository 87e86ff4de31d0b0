//! Every endpoint, asked in every wrong way, and the document that describes them.

use super::*;
use crate::operator::code::Code;
use crate::operator::openapi::{document, refused as refused_by};
use crate::operator::table::{Endpoint, RESOURCES};
use std::collections::BTreeSet;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

fn endpoints() -> impl Iterator<Item = &'static Endpoint> {
    RESOURCES.iter().flat_map(|resource| resource.endpoints)
}

/// The path with names that are nobody's.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{user}" => "nobody",
        "{factor}" => "sms",
        "{id}" => "99",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// An answer, whose body was looked at if it is a refusal.
struct Raw {
    status: u16,
    kind: String,
    allow: String,
    problem: Option<Problem>,
}

async fn raw(operator: &Operator, method: &str, uri: &str, body: Vec<u8>) -> Raw {
    let request = Request::builder().method(method).uri(uri);
    let request = request.extension(Caller { uid: 1000 });
    let request = request.body(Body::from(body)).unwrap();
    let answer = router(operator.clone()).oneshot(request).await.unwrap();
    let header = |name: &str| {
        let value = answer.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    let mut raw = Raw {
        status: answer.status().as_u16(),
        kind: header("content-type"),
        allow: header("allow"),
        problem: None,
    };
    let status = raw.status;
    if (400..600).contains(&status) && method != "HEAD" {
        assert_eq!(raw.kind, "application/problem+json", "{method} {uri}");
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let problem: Problem = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(problem.status, status);
        assert!(!problem.detail.is_empty());
        assert_eq!(
            (&*problem.kind, problem.title.is_empty()),
            ("about:blank", false)
        );
        raw.problem = Some(problem);
    }
    raw
}

/// What the document says that an endpoint can refuse: a code that it does not name would be news to programs.
fn assert_named(endpoint: &Endpoint, answer: &Raw) {
    if let Some(problem) = &answer.problem {
        let named = refused_by(endpoint);
        let is_named = named.iter().any(|code| code.as_str() == problem.code);
        assert!(
            is_named,
            "{} {}: {problem:?}",
            endpoint.method, endpoint.path
        );
    }
}

#[tokio::test]
async fn every_endpoint_takes_its_methods_and_no_other() {
    let operator = operator();
    let paths: BTreeSet<_> = endpoints().map(|endpoint| endpoint.path).collect();
    assert!(paths.len() >= 15, "{paths:?}");
    let mut walk = String::new();
    for path in paths {
        let takes: BTreeSet<_> = endpoints()
            .filter(|endpoint| endpoint.path == path)
            .map(|endpoint| endpoint.method)
            .collect();
        for method in METHODS {
            let answer = raw(&operator, method, &filled(path), b"{}".to_vec()).await;
            let mut there = endpoints().filter(|it| it.path == path && it.method == method);
            if let Some(endpoint) = there.next() {
                assert_named(endpoint, &answer);
            }
            let Raw {
                status,
                kind,
                allow,
                ..
            } = answer;
            let is_taken = takes.contains(method) || method == "HEAD" && takes.contains("GET");
            assert_eq!(status == 405, !is_taken, "{method} {path}: {status}");
            if !is_taken {
                for method in &takes {
                    assert!(allow.contains(method), "{path}: {allow}");
                }
                continue;
            }
            walk += &format!("{method:6} {path:36} {status} {kind}\n");
        }
    }
    insta::assert_snapshot!(walk);
}

#[tokio::test]
async fn whoever_is_not_known_to_be_an_operator_changes_nothing() {
    let operator = operator();
    add(&operator, named("anna")).await.unwrap();
    let request = Request::builder().method("DELETE").uri("/v1/users/anna");
    let request = request.body(Body::empty()).unwrap();
    let answer = router(operator.clone()).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 403);
    assert_eq!(list(&operator).await.len(), 1);
}

#[tokio::test]
async fn bodies_are_bounded_and_no_field_goes_unnoticed() {
    let operator = operator();
    let with_body: Vec<_> = endpoints().filter(|it| it.body.is_some()).collect();
    assert!(with_body.len() >= 5);
    for endpoint in with_body {
        let uri = filled(endpoint.path);
        let status = async |body: &[u8]| {
            let answer = raw(&operator, endpoint.method, &uri, body.to_vec()).await;
            assert_named(endpoint, &answer);
            answer.status
        };
        let at = format!("{} {uri}", endpoint.method);
        let long = format!("{{\"name\": \"{}\"}}", "x".repeat(100_000));
        assert_eq!(status(long.as_bytes()).await, 413, "{at}");
        assert_eq!(status(b"{").await, 400, "{at}");
        assert_eq!(status(b"\xff\xfe").await, 400, "{at}");
        assert_eq!(status(b"name=anna").await, 400, "{at}");
        assert_eq!(status(b"[]").await, 422, "{at}");
        assert_eq!(status(b"null").await, 422, "{at}");
        assert_eq!(status(b"{\"surprise\": 1}").await, 422, "{at}");
    }
    for endpoint in endpoints().filter(|it| it.query.is_some()) {
        let uri = filled(endpoint.path) + "?surprise=1";
        let answer = raw(&operator, endpoint.method, &uri, b"{}".to_vec()).await;
        assert_named(endpoint, &answer);
        let place = answer.problem.and_then(|it| it.place);
        let found = (answer.status, place.as_deref());
        assert_eq!(
            found,
            (422, Some("query/surprise")),
            "{} {uri}",
            endpoint.method
        );
    }
    assert_eq!(
        raw(&operator, "GET", "/v1/users/%ff", Vec::new())
            .await
            .status,
        400
    );
    assert_eq!(
        raw(&operator, "GET", "/v1/nothing", Vec::new())
            .await
            .status,
        404
    );
    assert_eq!(
        raw(&operator, "DELETE", "/v1/sessions/x", Vec::new())
            .await
            .status,
        422
    );
    assert_eq!(list(&operator).await, []);
}

/// Every reference in the document.
fn references(value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(to) if name == "$ref" => drop(out.insert(to.clone())),
                    member => references(member, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, out)),
        _ => {}
    }
}

#[test]
fn the_document_and_the_endpoints_are_the_same() {
    let document = document();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(|method| (path.clone(), method.to_uppercase()))
        })
        .collect();
    let there: BTreeSet<_> = endpoints()
        .map(|endpoint| (endpoint.path.to_owned(), endpoint.method.to_owned()))
        .collect();
    assert_eq!(described, there);
    assert_eq!(there.len(), endpoints().count(), "nothing twice");

    let mut named = BTreeSet::new();
    references(&document, &mut named);
    assert!(named.len() > 10);
    for name in named {
        let schema = name.strip_prefix("#/components/schemas/").expect("a shape");
        assert!(
            document["components"]["schemas"][schema].is_object(),
            "{name}"
        );
    }
    let mut ids = BTreeSet::new();
    for methods in document["paths"].as_object().unwrap().values() {
        for operation in methods.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} twice");
        }
    }
    // What a query takes is a list of parameters, each with a shape and a word about it.
    let parameters = &document["paths"]["/v1/audit"]["get"]["parameters"];
    let names: Vec<_> = parameters.as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 8, "{parameters}");
    for parameter in names {
        assert!(parameter["description"].is_string(), "{parameter}");
        assert!(parameter["schema"].is_object(), "{parameter}");
    }
    // Every code is in the document, with a word about it.
    let codes = document["components"]["schemas"]["Code"]["oneOf"].as_array();
    let codes: BTreeSet<_> = codes
        .unwrap()
        .iter()
        .map(|code| {
            assert!(code["description"].is_string(), "{code}");
            code["const"].as_str().unwrap()
        })
        .collect();
    assert_eq!(codes, Code::ALL.iter().map(|code| code.as_str()).collect());
    let set = &document["components"]["schemas"]["UserSet"];
    assert_eq!(set["additionalProperties"], json!(false), "{set}");
}

#[tokio::test]
async fn answers_are_as_the_document_says() {
    let operator = operator();
    with_sessions(&operator).await;
    share(&operator, of("/docs/")).await.unwrap();
    let document = document();
    for (path, of) in [
        ("/v1/users", "/v1/users"),
        ("/v1/sessions", "/v1/sessions"),
        ("/v1/shares", "/v1/shares"),
    ] {
        let (status, answer) = call(&operator, "GET", path, ()).await;
        assert_eq!(status, 200);
        let shape = &document["paths"][of]["get"]["responses"]["200"]["content"]["application/json"]
            ["schema"];
        let page = shape["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        let page = &document["components"]["schemas"][page];
        let item = page["properties"]["items"]["items"]["$ref"]
            .as_str()
            .unwrap();
        let item = &document["components"]["schemas"][item.rsplit('/').next().unwrap()];
        let said: BTreeSet<_> = item["properties"].as_object().unwrap().keys().collect();
        let given: BTreeSet<_> = answer["items"][0].as_object().unwrap().keys().collect();
        assert_eq!(said, given, "{path}");
    }
}
