//! ioGates: its auth token, and its second factor by SMS.

use super::Kind::{Digits, Flag, Text, TextOrNull};
use super::{Answer, Dialect, Field, JSON, Operation, Token, field};
use serde_json::{Value, json};

pub(super) const DIALECT: Dialect = Dialect {
    tag: "ioGates",
    about: "Auth Token API and Two Factor Auth API. Errors are `{message}`.",
    operations: OPERATIONS,
    error: "IoGatesMessage",
    error_type: JSON,
    schemas,
};

const PATH: &str = "/api/apiauth/twofactorsms/{token}";
const CODE: Field = field(
    "authcode",
    Digits,
    false,
    "The code that was sent. Without it, one is sent.",
);
const FRESH: Field = field(
    "fresh",
    Flag,
    false,
    "Send a code to a verified pair too, for a path that asks for a recent one.",
);

const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/api/authtoken",
        summary: "Sign in with a name and a password, or open a share link: a token.",
        token: Token::None,
        query: &[],
        body: &[
            field(
                "username",
                TextOrNull,
                false,
                "The user's name, with `password`.",
            ),
            field("password", TextOrNull, false, "The user's password."),
            field(
                "URL",
                TextOrNull,
                false,
                "A share link, in place of name and password.",
            ),
            field(
                "deviceId",
                Text,
                false,
                "The installation that signs in; needed here or as `X-Device-Id`.",
            ),
        ],
        answers: &[(200, Answer::Json("IoGatesToken"))],
        errors: &[401, 403, 429],
    },
    Operation {
        method: "GET",
        path: PATH,
        summary: "Send a code by SMS; with `authcode`, verify it.",
        token: Token::Needed,
        query: &[CODE, FRESH],
        body: &[],
        answers: &[(200, Answer::Json("IoGatesTwoFactor"))],
        errors: &[401, 403, 404, 429],
    },
    Operation {
        method: "POST",
        path: PATH,
        summary: "The same, with the fields in the body.",
        token: Token::Needed,
        query: &[],
        body: &[CODE, FRESH],
        answers: &[(200, Answer::Json("IoGatesTwoFactor"))],
        errors: &[401, 403, 404, 429],
    },
];

fn schemas() -> Value {
    let text = json!({ "type": "string" });
    let text_or_null = json!({ "type": ["string", "null"] });
    json!({
        "IoGatesMessage": {
            "type": "object", "required": ["message"],
            "properties": { "message": text },
        },
        "IoGatesTwoFactor": {
            "description": "`type`, `auth_required` and `expiry` are there where a code was asked for.",
            "type": "object", "required": ["message"],
            "properties": {
                "message": text,
                "type": { "const": "SMS" },
                "auth_required": { "type": "boolean" },
                "expiry": { "type": ["string", "null"], "format": "date-time" },
            },
        },
        "IoGatesToken": {
            "type": "object",
            "required": ["token", "profile", "max_file_size", "available_storage"],
            "properties": {
                "token": text,
                "max_file_size": { "type": "integer", "description": "Bytes; 0: no limit." },
                "available_storage": { "type": "integer", "description": "Bytes." },
                "profile": {
                    "type": "object",
                    "required": ["username", "realname", "accountname", "email", "address",
                        "mobile", "expires", "status", "logo"],
                    "properties": {
                        "username": text, "realname": text, "accountname": text, "email": text,
                        "address": text_or_null, "mobile": text_or_null,
                        "expires": { "type": ["string", "null"], "format": "date-time" },
                        "status": text, "logo": text,
                    },
                },
            },
        },
    })
}
