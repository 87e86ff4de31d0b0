//! Ziik: its two-factor settings.

use super::Kind::{Digits, OneOf, Text};
use super::{Answer, Dialect, JSON, Operation, Token, field, plain};
use serde_json::{Value, json};

pub(super) const DIALECT: Dialect = Dialect {
    tag: "Ziik",
    about: "Two Factor Settings: one method for a user. Errors are `{message}`, for a field with `errors`.",
    operations: OPERATIONS,
    error: "ZiikError",
    error_type: JSON,
    schemas,
};

const OPERATIONS: &[Operation] = &[
    plain(
        "GET",
        "/api/two-factor",
        "The caller's method; a new one is shown until it is verified.",
        &[(200, Answer::Json("ZiikSettings"))],
        &[401, 403, 422],
    ),
    Operation {
        method: "PATCH",
        path: "/api/two-factor",
        summary: "Set another method, to be verified with its first code; empty or null turns it off.",
        token: Token::Needed,
        query: &[],
        body: &[
            field("method", OneOf(&["google", "sms", ""]), true, "The method."),
            field(
                "secret_key",
                Text,
                false,
                "With `google`: the app's key in base32, 80 bits or more.",
            ),
            field(
                "phone_prefix",
                Digits,
                false,
                "With `sms`: the country's code.",
            ),
            field("phone", Digits, false, "With `sms`: the number without it."),
        ],
        answers: &[(204, Answer::Empty)],
        errors: &[401, 403, 422],
    },
    plain(
        "GET",
        "/api/two-factor/qr",
        "The key that waits to be verified, as an image to scan.",
        &[(200, Answer::Json("ZiikQr"))],
        &[401, 403, 409, 422],
    ),
    plain(
        "GET",
        "/api/two-factor/secret",
        "A new key for an authenticator app; it is not kept.",
        &[(200, Answer::Json("ZiikSecret"))],
        &[401, 403, 422],
    ),
    plain(
        "POST",
        "/api/two-factor/send-verification",
        "Send a code, where the method is `sms`.",
        &[(204, Answer::Empty)],
        &[401, 403, 409, 422, 429],
    ),
    Operation {
        body: &[field(
            "key",
            Digits,
            true,
            "The code that was sent, or the app's.",
        )],
        ..plain(
            "POST",
            "/api/two-factor/verify",
            "Verify a code: it confirms a new method, and lets this device through.",
            &[(204, Answer::Empty)],
            &[401, 403, 409, 422, 429],
        )
    },
    plain(
        "POST",
        "/api/users/{id}/two-factor/reset",
        "Forget another user's second factor and end their sessions, for who may edit users.",
        &[(204, Answer::Empty)],
        &[401, 403, 404, 422],
    ),
];

fn schemas() -> Value {
    let data = |properties: Value, required: Value| {
        json!({
            "type": "object", "required": ["data"],
            "properties": {
                "data": { "type": "object", "required": required, "properties": properties },
            },
        })
    };
    let text = json!({ "type": "string" });
    let digits = json!({ "type": ["integer", "string", "null"] });
    json!({
        "ZiikError": {
            "type": "object", "required": ["message"],
            "properties": {
                "message": text,
                "errors": {
                    "type": "object",
                    "additionalProperties": { "type": "array", "items": text },
                },
            },
        },
        "ZiikSettings": data(
            json!({
                "method": { "enum": ["google", "sms", null] },
                "secret_key": { "type": ["string", "null"] },
                "phone_prefix": digits,
                "phone": digits,
                "verified": { "type": "boolean" },
            }),
            json!(["method", "secret_key", "phone_prefix", "phone", "verified"]),
        ),
        "ZiikQr": data(
            json!({ "qr_image": { "type": "string", "pattern": "^data:image/png;base64," } }),
            json!(["qr_image"]),
        ),
        "ZiikSecret": data(json!({ "secret_key": text }), json!(["secret_key"])),
    })
}
