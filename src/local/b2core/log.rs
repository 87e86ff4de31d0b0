//! Which methods are enabled, and the log of their changes.

use super::{NO_SUCH_METHOD, kind_named};
use crate::auth::ports::{Change, ChangeQuery, FactorKind, FactorSet};
use crate::clock::Timestamp;
use crate::id::ChangeId;
use crate::local::decode::Fields;
use crate::local::trouble::Trouble;
use crate::local::{Call, Local, Reply, encode, target};
use http::StatusCode;
use serde_json::{Value, json};

/// Rows of a page where the call does not say, and at most.
const PAGE: u32 = 10;
const PAGE_MAX: u32 = 100;

/// The methods, in the document's order.
const METHODS: [(FactorKind, &str, &str); 2] = [
    (FactorKind::Sms, "sms", "SMS Confirmation"),
    (FactorKind::Totp, "google", "Google Authenticator"),
];

impl Local {
    pub(super) async fn b2core_methods(&self, call: &Call) -> Result<Reply, Trouble> {
        let by = self.signed(call, &Fields::body(call)?).await?;
        let (limit, offset) = page(&Fields::query(call))?;
        let factors = self.auth.factors(by.caller.holder.user).await?;
        let rows = METHODS.iter().map(|(kind, ..)| row(*kind, &factors));
        let (limit, offset) = (limit as usize, offset as usize);
        let rows: Vec<_> = rows.skip(offset).take(limit).collect();
        let body = json!({ "total": METHODS.len(), "data": rows });
        Ok(encode::json(StatusCode::OK, &body))
    }

    pub(super) async fn b2core_method(&self, call: &Call) -> Result<Reply, Trouble> {
        let by = self.signed(call, &Fields::body(call)?).await?;
        let kind = kind_named(&target::segment(&call.path, 5))?;
        let factors = self.auth.factors(by.caller.holder.user).await?;
        Ok(encode::json(StatusCode::OK, &row(kind, &factors)))
    }

    pub(super) async fn b2core_changes(&self, call: &Call) -> Result<Reply, Trouble> {
        let by = self.signed(call, &Fields::body(call)?).await?;
        let query = query(&Fields::query(call))?;
        let user = by.caller.holder.user;
        let page = self.auth.store.changes(user, query).await?;
        let rows: Vec<_> = page.changes.iter().map(change).collect();
        let body = json!({ "total": page.total, "data": rows });
        Ok(encode::json(StatusCode::OK, &body))
    }

    pub(super) async fn b2core_change(&self, call: &Call) -> Result<Reply, Trouble> {
        const NONE: Trouble = Trouble::NotFound("there is no such change of yours");
        let by = self.signed(call, &Fields::body(call)?).await?;
        let id = target::segment(&call.path, 6).parse().map_err(|_| NONE)?;
        let user = by.caller.holder.user;
        let found = self.auth.store.change(user, ChangeId(id)).await?;
        let found = found.filter(|found| provider(found.kind).is_some());
        Ok(encode::json(StatusCode::OK, &change(&found.ok_or(NONE)?)))
    }
}

fn row(kind: FactorKind, factors: &FactorSet) -> Value {
    let method = METHODS.iter().find(|(known, ..)| *known == kind);
    let (name, caption) = method.map_or(("", ""), |(_, name, caption)| (name, caption));
    json!({
        "caption": caption,
        "isEnabled": factors.of(kind).is_some(),
        "name": name,
    })
}

fn provider(kind: FactorKind) -> Option<&'static str> {
    let method = METHODS.iter().find(|(known, ..)| *known == kind);
    method.map(|(_, name, _)| *name)
}

fn change(change: &Change) -> Value {
    json!({
        "id": change.id.0,
        "provider": provider(change.kind),
        "isEnabled": change.is_enabled,
        "time": change.at.iso8601(),
    })
}

fn query(fields: &Fields) -> Result<ChangeQuery, Trouble> {
    let (limit, offset) = page(fields)?;
    let sort_by = filter(fields, "sort_by")?;
    if sort_by.is_some_and(|sort_by| sort_by != "time") {
        return Err(Trouble::field("sort_by", "`sort_by` must be `time`"));
    }
    let newest_first = match filter(fields, "sort_order")?.as_deref() {
        None | Some("desc") => true,
        Some("asc") => false,
        Some(_) => {
            let text = "`sort_order` must be `asc` or `desc`";
            return Err(Trouble::field("sort_order", text));
        }
    };
    let is_enabled = match filter(fields, "filter[isEnabled]")?.as_deref() {
        None => None,
        Some("true" | "1") => Some(true),
        Some("false" | "0") => Some(false),
        Some(_) => {
            let text = "`filter[isEnabled]` must be `true` or `false`";
            return Err(Trouble::field("filter[isEnabled]", text));
        }
    };
    let kinds = match filter(fields, "filter[provider]")? {
        None => METHODS.iter().map(|(kind, ..)| *kind).collect(),
        Some(name) => {
            let kind = kind_named(&name);
            let text = NO_SUCH_METHOD.to_string();
            vec![kind.map_err(|_| Trouble::field("filter[provider]", text))?]
        }
    };
    Ok(ChangeQuery {
        kinds,
        is_enabled,
        from: time(fields, "filter[timeFrom]")?,
        to: time(fields, "filter[timeTo]")?,
        newest_first,
        offset,
        limit,
    })
}

/// A parameter; an empty one filters nothing, as in the document's example.
fn filter(fields: &Fields, name: &'static str) -> Result<Option<String>, Trouble> {
    let text = fields.text(name)?.filter(|text| !text.is_empty());
    Ok(text.map(std::borrow::Cow::into_owned))
}

fn page(fields: &Fields) -> Result<(u32, u32), Trouble> {
    let number = |name: &'static str| -> Result<Option<u32>, Trouble> {
        filter(fields, name)?
            .map(|text| text.parse())
            .transpose()
            .map_err(|_| Trouble::field(name, format!("`{name}` must be a whole number")))
    };
    let limit = number("limit")?.unwrap_or(PAGE).min(PAGE_MAX);
    Ok((limit, number("offset")?.unwrap_or(0)))
}

fn time(fields: &Fields, name: &'static str) -> Result<Option<Timestamp>, Trouble> {
    filter(fields, name)?
        .map(|text| {
            // In a query, a `+` that was not encoded is a space.
            Timestamp::from_iso8601(&text.replace(' ', "+")).ok_or_else(|| {
                let text = format!("`{name}` must be a time like 2026-01-31T12:00:00+00:00");
                Trouble::field(name, text)
            })
        })
        .transpose()
}
