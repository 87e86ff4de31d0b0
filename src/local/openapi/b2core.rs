//! B2Core: sign-in and its wizards, e-mail challenges, methods and their log.

use super::Kind::{Digits, Flag, OneOf, Text, Whole};
use super::{Answer, Dialect, Field, JSON, Operation, Token, field, plain};
use serde_json::{Value, json};

pub(super) const DIALECT: Dialect = Dialect {
    tag: "B2Core",
    about: "Procedures of several steps, found by a `uuid`: 200 between steps, 202 at the end. Errors are `{code, message}`, for a field with `errors`.",
    operations: OPERATIONS,
    error: "B2CoreError",
    error_type: JSON,
    schemas,
};

const UUID: Field = field(
    "uuid",
    Text,
    true,
    "The procedure, as its first step named it.",
);
const CODE: Field = field(
    "code",
    Digits,
    true,
    "The code that was sent, or the app's.",
);
const LIMIT: Field = field("limit", Whole, false, "Rows to show: 10, at most 100.");
const OFFSET: Field = field("offset", Whole, false, "Rows to leave out.");

const STEP: &[(u16, Answer)] = &[(200, Answer::Json("B2CoreStep"))];
const TOKENS: &[(u16, Answer)] = &[(202, Answer::Json("B2CoreSignedIn"))];
const METHOD: &[(u16, Answer)] = &[(200, Answer::Json("B2CoreMethod"))];
const NAMED: &[(u16, Answer)] = &[(200, Answer::Json("B2CoreNamed"))];

/// A step that posts a body; who signs in has no token yet.
const fn posted(
    path: &'static str,
    summary: &'static str,
    token: Token,
    body: &'static [Field],
    answers: &'static [(u16, Answer)],
    errors: &'static [u16],
) -> Operation {
    Operation {
        method: "POST",
        path,
        summary,
        token,
        query: &[],
        body,
        answers,
        errors,
    }
}

const OPERATIONS: &[Operation] = &[
    Operation {
        token: Token::None,
        ..plain("GET", "/api/v2/my/signin", "Open a sign-in.", STEP, &[422])
    },
    posted(
        "/api/v2/my/signin",
        "The password: tokens, or which factor is asked of the user. A code by SMS is sent at once.",
        Token::None,
        &[
            UUID,
            field("email", Text, false, "The user's email address, or:"),
            field("username", Text, false, "The user's name."),
            field("password", Text, true, "The user's password."),
            field(
                "fresh",
                Flag,
                false,
                "Ask for a factor even if no path asks the user for one.",
            ),
        ],
        &[
            (200, Answer::Json("B2CoreStep")),
            (202, Answer::Json("B2CoreSignedIn")),
        ],
        &[401, 403, 404, 422, 429],
    ),
    posted(
        "/api/v2/my/signin/2fa",
        "Choose one of two factors. Again, it sends another code.",
        Token::None,
        &[
            UUID,
            field("type", OneOf(&["google", "sms"]), true, "The method."),
        ],
        STEP,
        &[403, 404, 422, 429],
    ),
    posted(
        "/api/v2/my/2fa/google",
        "The app's code: the sign-in ends with tokens.",
        Token::None,
        &[UUID, CODE],
        TOKENS,
        &[403, 404, 422, 429],
    ),
    posted(
        "/api/v2/my/2fa/sms",
        "The code that was sent: the sign-in ends with tokens.",
        Token::None,
        &[UUID, CODE],
        TOKENS,
        &[403, 404, 422, 429],
    ),
    plain(
        "GET",
        "/api/v2/my/2fa/challenge",
        "Mail the caller a code, for a success token.",
        NAMED,
        &[401, 403, 422, 429],
    ),
    Operation {
        query: &[field(
            "email",
            Text,
            true,
            "Whoever's it is; the answer is the same if it is nobody's.",
        )],
        token: Token::None,
        ..plain(
            "GET",
            "/api/v2/my/2fa/unauthorized/challenge",
            "Mail a code to an address, for who has no token.",
            NAMED,
            &[403, 422, 429],
        )
    },
    posted(
        "/api/v2/my/2fa/challenge",
        "The mailed code: a success token, good once.",
        Token::Optional,
        &[field("token", Text, true, "The challenge's."), CODE],
        NAMED,
        &[403, 404, 422, 429],
    ),
    Operation {
        query: &[LIMIT, OFFSET],
        ..plain(
            "GET",
            "/api/v2/my/2fa",
            "Which methods are enabled.",
            &[(200, Answer::Json("B2CoreMethods"))],
            &[401, 403, 422],
        )
    },
    plain(
        "GET",
        "/api/v2/my/2fa/google",
        "Whether the app is enabled.",
        METHOD,
        &[401, 403, 422],
    ),
    plain(
        "GET",
        "/api/v2/my/2fa/sms",
        "Whether SMS is enabled.",
        METHOD,
        &[401, 403, 422],
    ),
    plain(
        "GET",
        "/api/v2/my/2fa/{type}",
        "Whether a method is enabled; `google` and `sms` are the ones there are.",
        METHOD,
        &[401, 403, 404, 422],
    ),
    plain(
        "GET",
        "/api/v2/my/2fa/{type}/enable/wizard",
        "Open the enabling of a method: an app's key, or the wait for a number.",
        STEP,
        &[401, 403, 404, 422],
    ),
    plain(
        "GET",
        "/api/v2/my/2fa/{type}/disable/wizard",
        "Open the disabling of a method. A code by SMS is sent at once.",
        STEP,
        &[401, 403, 404, 422, 429],
    ),
    posted(
        "/api/v2/my/2fa/wizard",
        "The next step of either: a number, or a code.",
        Token::Needed,
        &[
            UUID,
            field("phone", Digits, false, "To enable SMS, first: the number."),
            field("action", OneOf(&["code"]), false, "With a code: `code`."),
            field("code", Digits, false, "The code."),
            field(
                "key",
                Text,
                false,
                "To enable the app: its key, as the first step told it.",
            ),
        ],
        &[
            (200, Answer::Json("B2CoreStep")),
            (202, Answer::Json("B2CoreStep")),
        ],
        &[401, 403, 404, 422, 429],
    ),
    Operation {
        query: &[
            LIMIT,
            OFFSET,
            field("sort_by", OneOf(&["time"]), false, "By what."),
            field(
                "sort_order",
                OneOf(&["asc", "desc"]),
                false,
                "Newest first, if not said.",
            ),
            field(
                "filter[isEnabled]",
                OneOf(&["true", "false"]),
                false,
                "Only these.",
            ),
            field("filter[timeFrom]", Text, false, "ISO 8601."),
            field("filter[timeTo]", Text, false, "ISO 8601."),
            field(
                "filter[provider]",
                OneOf(&["google", "sms"]),
                false,
                "Only this method's.",
            ),
        ],
        ..plain(
            "GET",
            "/api/v2/my/2fa/changes",
            "The caller's methods as they were turned on and off.",
            &[(200, Answer::Json("B2CoreChanges"))],
            &[401, 403, 422],
        )
    },
    plain(
        "GET",
        "/api/v2/my/2fa/changes/{changeId}",
        "One of these changes.",
        &[(200, Answer::Json("B2CoreChange"))],
        &[401, 403, 404, 422],
    ),
];

fn schemas() -> Value {
    let text = json!({ "type": "string" });
    let time = json!({ "type": "string", "format": "date-time" });
    let step = |data: Value| {
        json!({
            "type": "object", "required": ["code", "data", "done", "uuid", "workflow"],
            "properties": {
                "code": { "enum": [200, 202] },
                "data": data,
                "done": { "type": "boolean", "description": "True with 202." },
                "uuid": text,
                "workflow": { "type": "string", "description": "The next step." },
            },
        })
    };
    let token = json!({
        "type": "object", "required": ["token", "createdAt", "expiresAt"],
        "properties": { "token": text, "createdAt": time, "expiresAt": time },
    });
    let tokens = json!({
        "type": "object", "required": ["accessToken", "refreshToken"],
        "properties": { "accessToken": token, "refreshToken": token },
    });
    let page = |row: &str| {
        json!({
            "type": "object", "required": ["total", "data"],
            "properties": {
                "total": { "type": "integer" },
                "data": { "type": "array", "items": super::reference(row) },
            },
        })
    };
    json!({
        "B2CoreError": {
            "type": "object", "required": ["code", "message"],
            "properties": {
                "code": { "type": "integer" },
                "message": text,
                "errors": {
                    "type": "object",
                    "additionalProperties": { "type": "array", "items": text },
                },
            },
        },
        "B2CoreStep": step(json!({ "type": ["object", "array", "null"] })),
        "B2CoreSignedIn": step(tokens),
        "B2CoreNamed": {
            "type": "object", "required": ["token", "expiresAt"],
            "properties": { "token": text, "expiresAt": time },
        },
        "B2CoreMethod": {
            "type": "object", "required": ["caption", "isEnabled", "name"],
            "properties": { "caption": text, "isEnabled": { "type": "boolean" }, "name": text },
        },
        "B2CoreMethods": page("B2CoreMethod"),
        "B2CoreChange": {
            "type": "object", "required": ["id", "provider", "isEnabled", "time"],
            "properties": {
                "id": { "type": "integer" },
                "provider": { "enum": ["google", "sms"] },
                "isEnabled": { "type": "boolean" },
                "time": time,
            },
        },
        "B2CoreChanges": page("B2CoreChange"),
    })
}
