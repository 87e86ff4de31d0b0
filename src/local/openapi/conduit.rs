//! Conduit: its guide to two-factor authentication.

use super::Kind::{Digits, Flag, OneOf, Text};
use super::{Answer, Dialect, Field, JSON, Operation, Token, field, operation};
use serde_json::{Value, json};

pub(super) const DIALECT: Dialect = Dialect {
    tag: "Conduit",
    about: "Two-factor authentication. What weakens a user asks for a recent verification. Errors are `{name, status, message}`.",
    operations: OPERATIONS,
    error: "ConduitError",
    error_type: JSON,
    schemas,
};

const MESSAGE: &[(u16, Answer)] = &[(200, Answer::Json("ConduitMessage"))];
const CODE: Field = field(
    "code",
    Digits,
    true,
    "The code that was sent, or the app's.",
);

const OPERATIONS: &[Operation] = &[
    operation(
        "PUT",
        "/authentication/twoFa/enable",
        "Set up a factor: a code is sent to the number, or the app's key is shown as an image.",
        &[
            field(
                "method",
                OneOf(&["sms", "authenticator"]),
                true,
                "The method.",
            ),
            field("phone", Text, false, "With `sms`: the number."),
            field("phoneNumber", Text, false, "The same by its other name."),
        ],
        &[(200, Answer::Json("ConduitEnable"))],
        &[401, 403, 429],
    ),
    operation(
        "POST",
        "/authentication/twoFa/enable/verify",
        "Confirm it with its first code.",
        &[CODE],
        MESSAGE,
        &[401, 403, 404, 429],
    ),
    operation(
        "POST",
        "/authentication/twoFa/authorize",
        "Begin to verify this device: which method, and a code where one is sent; none, where no path asks the user for one.",
        &[field("fresh", Flag, false, "Ask for a factor even so.")],
        &[(200, Answer::Json("ConduitAuthorize"))],
        &[401, 403, 404, 429],
    ),
    operation(
        "POST",
        "/authentication/twoFa/verify",
        "The code: this device is let through, and new tokens.",
        &[CODE],
        &[(200, Answer::Json("ConduitTokens"))],
        &[401, 403, 404, 429],
    ),
    operation(
        "GET",
        "/authentication/twoFa/generate",
        "Ten new backup codes, in place of older ones.",
        &[],
        &[(200, Answer::Json("ConduitCodes"))],
        &[401, 403],
    ),
    operation(
        "POST",
        "/authentication/twoFa/recover",
        "A backup code in place of the second factor. Each works once.",
        &[field(
            "code",
            Digits,
            true,
            "Eight digits, with or without the space.",
        )],
        &[(200, Answer::Json("ConduitTokens"))],
        &[401, 403, 404, 429],
    ),
    operation(
        "PUT",
        "/authentication/twoFa/disable",
        "Turn the second factor off.",
        &[],
        MESSAGE,
        &[401, 403],
    ),
    Operation {
        token: Token::None,
        ..operation(
            "GET",
            "/.vestibule/qr/{name}",
            "The image that `enable` led to, once.",
            &[],
            &[(200, Answer::Image)],
            &[404],
        )
    },
];

fn schemas() -> Value {
    let text = json!({ "type": "string" });
    let object = |required: Value, properties: Value| json!({ "type": "object", "required": required, "properties": properties });
    json!({
        "ConduitError": object(
            json!(["name", "status", "message"]),
            json!({ "name": text, "status": { "type": "integer" }, "message": text }),
        ),
        "ConduitMessage": object(json!(["message"]), json!({ "message": text })),
        "ConduitEnable": {
            "description": "`message` with `sms`, `result` (the image's URL) with `authenticator`.",
            "type": "object",
            "properties": { "message": text, "result": { "type": "string", "format": "uri" } },
        },
        "ConduitAuthorize": object(
            json!(["message"]),
            json!({ "method": { "enum": ["sms", "authenticator", "email"] }, "message": text }),
        ),
        "ConduitTokens": object(
            json!(["accessToken", "refreshToken"]),
            json!({ "accessToken": text, "refreshToken": text, "message": text }),
        ),
        "ConduitCodes": object(
            json!(["codes"]),
            json!({
                "codes": {
                    "type": "array", "minItems": 10, "maxItems": 10,
                    "items": { "type": "string", "pattern": "^[0-9]{4} [0-9]{4}$" },
                },
            }),
        ),
    })
}
