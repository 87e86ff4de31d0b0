//! The published JSON Schema of the config file: what editors complete and check by.

use super::raw;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use serde_json::Value;

/// The JSON Schema (draft 2020-12) of the config file, as `config/vestibule.schema.json` holds it.
#[must_use]
pub fn schema() -> String {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<raw::Config>();
    RecursiveTransform(|schema: &mut schemars::Schema| refuse_null(schema)).transform(&mut schema);
    let mut text = format!("{:#}", schema.as_value());
    text.push('\n');
    text
}

/// An optional key may be left out, not left empty: see [`super::de`].
fn refuse_null(schema: &mut schemars::Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    // A section's default is that of its keys, which each have their own.
    if matches!(object.get("default"), Some(Value::Null | Value::Object(_))) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type") != Some(&Value::String("null".to_owned())));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schema_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/vestibule.schema.json");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == schema(),
            "the config's shapes have changed: run `vestibule schema > config/vestibule.schema.json`"
        );
    }

    #[test]
    fn it_describes_every_key_and_allows_no_null() {
        let schema: Value = serde_json::from_str(&schema()).unwrap();
        let mut nulls = Vec::new();
        visit(&schema, &mut |value| {
            if value == &Value::Null || value == &Value::String("null".to_owned()) {
                nulls.push(value.clone());
            }
        });
        assert_eq!(nulls, [] as [Value; 0]);
        assert_eq!(
            schema.pointer("/required"),
            Some(&serde_json::json!([
                "listeners",
                "store",
                "identities",
                "upstreams",
                "routes"
            ]))
        );
        assert_eq!(
            schema.pointer("/additionalProperties"),
            Some(&Value::Bool(false))
        );
        assert_eq!(
            schema.pointer("/$defs/Codes/properties/lifetime/default"),
            Some(&Value::String("10m".to_owned()))
        );
    }

    #[test]
    fn it_does_not_offer_what_this_version_refuses() {
        let schema = schema();
        assert!(!schema.contains("postgres"), "of a later version");
    }

    fn visit(value: &Value, see: &mut impl FnMut(&Value)) {
        see(value);
        match value {
            Value::Array(items) => items.iter().for_each(|item| visit(item, see)),
            Value::Object(entries) => entries.values().for_each(|item| visit(item, see)),
            _ => {}
        }
    }
}
