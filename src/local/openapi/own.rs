//! What is on every route: Vestibule's own tokens, its page, this document.

use super::Kind::{Digits, Flag, OneOf, Text, Whole};
use super::{Answer, Dialect, Field, HTML, JSON, Kind, Operation, Token, field, operation};
use serde_json::{Value, json};

pub(super) const TOKENS: Dialect = Dialect {
    tag: "Vestibule",
    about: "Tokens that Vestibule signs, and this document. Errors are those of OAuth 2.0 (RFC 6749).",
    operations: &[
        open(
            "GET",
            "/.vestibule/jwks.json",
            "The public keys of these tokens (RFC 7517).",
            &[],
            &[(200, Answer::Typed("application/jwk-set+json", "Jwks"))],
            &[],
        ),
        open(
            "POST",
            "/.vestibule/token",
            "New tokens for a refresh token, which is good once.",
            &[
                field(
                    "grant_type",
                    OneOf(&["refresh_token"]),
                    true,
                    "The kind of grant.",
                ),
                field("refresh_token", Text, true, "The refresh token."),
            ],
            &[(200, Answer::Json("TokenAnswer"))],
            &[429],
        ),
        open(
            "GET",
            "/.vestibule/openapi.json",
            "This document.",
            &[],
            &[(200, Answer::Json("OpenApi"))],
            &[],
        ),
    ],
    error: "OAuthError",
    error_type: JSON,
    schemas,
};

pub(super) const PAGES: Dialect = Dialect {
    tag: "Page",
    about: "The pages for people with a browser.",
    operations: &[
        open(
            "GET",
            "/.vestibule/assets/{name}",
            "What pages are made of: `style.css`, `theme.css`, `page.js`, `logo`.",
            &[],
            &[(200, Answer::Typed("text/css; charset=utf-8", "Html"))],
            &[404],
        ),
        Operation {
            token: Token::Optional,
            query: &[RETURN_TO, FRESH, BY],
            ..open(
                "GET",
                PAGE,
                "Show the page, or go on if the second factor was passed.",
                &[],
                &[(200, Answer::Page), (303, Answer::Empty)],
                &[401],
            )
        },
        Operation {
            token: Token::Optional,
            query: &[RETURN_TO, FRESH, BY],
            ..open(
                "POST",
                PAGE,
                "Send a code, or verify one: its form.",
                &[
                    FORM,
                    field(
                        "action",
                        OneOf(&["send", "verify", "recover", "passkey"]),
                        true,
                        "What to do.",
                    ),
                    field(
                        "factor",
                        OneOf(&["sms", "email"]),
                        false,
                        "With `send`: by what.",
                    ),
                    field(
                        "code",
                        Digits,
                        false,
                        "With `verify`: the code; with `recover`: a backup code.",
                    ),
                    ANSWER,
                    field(
                        "remember",
                        OneOf(&["yes"]),
                        false,
                        "With `verify` and `passkey`: remember this browser, where the route does.",
                    ),
                ],
                &[(303, Answer::Empty)],
                &[401, 403, 404, 429],
            )
        },
        open(
            "GET",
            SHARE,
            "Show what a share link opens and whom it is for; sends nothing. Go on if this browser is in.",
            &[],
            &[(200, Answer::Page), (303, Answer::Empty)],
            &[403, 404, 429],
        ),
        open(
            "POST",
            SHARE,
            "Exchange the link for a token of one recipient, kept in a cookie, and send this one a code.",
            &[
                FORM,
                field(
                    "recipient",
                    Text,
                    false,
                    "Which of the page's recipients, from 0.",
                ),
                field(
                    "factor",
                    OneOf(&["sms", "email"]),
                    false,
                    "By what the code is sent.",
                ),
            ],
            &[(200, Answer::Page), (303, Answer::Empty)],
            &[403, 404, 429],
        ),
        Operation {
            query: &[USER_CODE, BY, done(&["in", "refused"])],
            ..open(
                "GET",
                DEVICE,
                "Show which client waits under a user code, or the field for one.",
                &[],
                &[(200, Answer::Page)],
                &[404, 429],
            )
        },
        Operation {
            query: &[USER_CODE, BY],
            ..open(
                "POST",
                DEVICE,
                "Let the client in by a second factor of its user, or keep it out: its form.",
                &[
                    FORM,
                    field(
                        "action",
                        OneOf(&["send", "verify", "recover", "passkey", "refuse"]),
                        true,
                        "What to do.",
                    ),
                    field(
                        "factor",
                        OneOf(&["sms", "email"]),
                        false,
                        "With `send`: by what.",
                    ),
                    field(
                        "code",
                        Digits,
                        false,
                        "With `verify`: the code; with `recover`: a backup code.",
                    ),
                    ANSWER,
                ],
                &[(200, Answer::Page), (303, Answer::Empty)],
                &[401, 403, 404, 429],
            )
        },
        Operation {
            token: Token::Optional,
            query: &[RETURN_TO],
            ..open(
                "GET",
                SIGN_IN,
                "Show the sign-in page, or go on if the browser is signed in.",
                &[],
                &[(200, Answer::Page), (303, Answer::Empty)],
                &[],
            )
        },
        Operation {
            query: &[RETURN_TO],
            ..open(
                "POST",
                SIGN_IN,
                "Sign in: its form. The token comes as a cookie.",
                &[
                    FORM,
                    field("username", Text, true, "A user's name or email address."),
                    field("password", Text, true, "The password."),
                ],
                &[(303, Answer::Empty)],
                &[401, 403, 429],
            )
        },
        open(
            "GET",
            SIGN_OUT,
            "Show the sign-out page.",
            &[],
            &[(200, Answer::Page)],
            &[],
        ),
        open(
            "POST",
            SIGN_OUT,
            "End the browser's token with its sessions: its form.",
            &[FORM],
            &[(303, Answer::Empty)],
            &[403],
        ),
        Operation {
            query: &[done(&["session", "others", "forgotten", "removed"])],
            ..form_page(
                "GET",
                "/.vestibule/account",
                "Show sessions and factors.",
                &[],
                &[401, 403],
            )
        },
        form_page(
            "POST",
            "/.vestibule/account",
            "End a session or all others, forget a browser, or remove a factor: its forms.",
            &[
                FORM,
                field(
                    "action",
                    OneOf(&["end", "end-others", "forget", "remove"]),
                    true,
                    "What to do.",
                ),
                field("session", Whole, false, "With `end`: its number."),
                field("browser", Whole, false, "With `forget`: its number."),
                field("factor", KINDS, false, "With `remove`: which one."),
            ],
            &[401, 403, 404, 409],
        ),
        Operation {
            query: &[RETURN_TO],
            ..form_page(
                "GET",
                "/.vestibule/enrol",
                "Show which second factors can be set up.",
                &[],
                &[401, 403],
            )
        },
        Operation {
            query: &[RETURN_TO, done(&["added", "renamed", "removed"])],
            ..form_page(
                "GET",
                "/.vestibule/enrol/{kind}",
                "Show the setting up of a factor (`totp`, `sms`, `email`), or the passkeys (`passkey`).",
                &[],
                &[401, 403, 404],
            )
        },
        Operation {
            query: &[RETURN_TO],
            ..form_page(
                "POST",
                "/.vestibule/enrol/{kind}",
                "Begin, send a code again, or confirm by a code: its forms. `passkey`: add, rename or remove one.",
                &[
                    FORM,
                    field(
                        "action",
                        OneOf(&["begin", "again", "verify", "add", "rename", "remove"]),
                        true,
                        "What to do.",
                    ),
                    field("to", Text, false, "With `begin`: the number or address."),
                    field("code", Digits, false, "With `verify`: the code."),
                    ANSWER,
                    field(
                        "name",
                        Text,
                        false,
                        "With `add`, `rename`: the passkey's name.",
                    ),
                    field(
                        "passkey",
                        Digits,
                        false,
                        "With `rename`, `remove`: its number.",
                    ),
                ],
                &[401, 403, 404, 409, 429],
            )
        },
        Operation {
            query: &[RETURN_TO],
            ..form_page(
                "GET",
                "/.vestibule/backup-codes",
                "Show how many backup codes are left.",
                &[],
                &[401, 403],
            )
        },
        Operation {
            query: &[RETURN_TO],
            ..form_page(
                "POST",
                "/.vestibule/backup-codes",
                "Make new backup codes, and show them: its form.",
                &[FORM],
                &[401, 403],
            )
        },
    ],
    error: "Html",
    error_type: HTML,
    schemas: || json!({ "Html": { "type": "string" } }),
};

/// A page, or the way to another one.
const fn form_page(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    body: &'static [Field],
    errors: &'static [u16],
) -> Operation {
    Operation {
        token: Token::Optional,
        ..open(
            method,
            path,
            summary,
            body,
            &[(200, Answer::Page), (303, Answer::Empty)],
            errors,
        )
    }
}

const PAGE: &str = "/.vestibule/challenge";
const KINDS: Kind = OneOf(&["totp", "sms", "email"]);
const SHARE: &str = "/share/{token}";
const DEVICE: &str = "/.vestibule/device";
const USER_CODE: Field = field(
    "code",
    Text,
    false,
    "The user code that the client was told.",
);
const SIGN_IN: &str = "/.vestibule/sign-in";
const SIGN_OUT: &str = "/.vestibule/sign-out";
const FORM: Field = field(
    "form",
    Text,
    true,
    "Of the page that was shown to this browser.",
);
const ANSWER: Field = field(
    "answer",
    Text,
    false,
    "Of a passkey: the JSON of its `PublicKeyCredential`, as the page's script puts it.",
);
const BY: Field = field(
    "by",
    OneOf(&["app", "backup", "other"]),
    false,
    "Which way of passing to show: the app's code, a backup code, or the choice.",
);
const FRESH: Field = field("fresh", Flag, false, "Ask for a new second factor.");
const RETURN_TO: Field = field(
    "return_to",
    Text,
    false,
    "Where to go afterwards: a path of this host, which may hold the token.",
);

/// How a page is told what a form has just done.
const fn done(words: &'static [&'static str]) -> Field {
    field(
        "done",
        OneOf(words),
        false,
        "What has just been done, for the page to say so. Anything else says nothing.",
    )
}

/// One without a token.
const fn open(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    body: &'static [Field],
    answers: &'static [(u16, Answer)],
    errors: &'static [u16],
) -> Operation {
    Operation {
        token: Token::None,
        ..operation(method, path, summary, body, answers, errors)
    }
}

fn schemas() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "OAuthError": {
            "type": "object", "required": ["error"],
            "properties": {
                "error": { "enum": [
                    "invalid_request", "unsupported_grant_type", "invalid_grant", "temporarily_unavailable",
                ] },
                "error_description": text,
            },
        },
        "TokenAnswer": {
            "type": "object",
            "required": ["access_token", "token_type", "expires_in", "refresh_token"],
            "properties": {
                "access_token": text,
                "token_type": { "const": "Bearer" },
                "expires_in": { "type": "integer" },
                "refresh_token": text,
            },
        },
        "Jwks": {
            "type": "object", "required": ["keys"],
            "properties": {
                "keys": {
                    "type": "array",
                    "items": {
                        "type": "object", "required": ["kty", "kid", "alg", "use"],
                        "properties": { "kty": { "enum": ["RSA", "OKP"] }, "kid": text },
                    },
                },
            },
        },
        "OpenApi": {
            "type": "object", "required": ["openapi", "info", "paths"],
            "properties": { "openapi": { "const": "3.1.0" } },
        },
    })
}
