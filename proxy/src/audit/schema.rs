//! Holds records against the published schema, by the keywords that it uses. Stricter than it: what a record
//! says must be in it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

const SCHEMA: &str = include_str!("../../../docs/audit.schema.json");

/// # Panics
/// If a record is not as the schema says.
pub(crate) fn check(record: &Value) {
    let schema = serde_json::from_str(SCHEMA).unwrap();
    let mut checker = Checker { root: &schema, wrong: Vec::new() };
    checker.check(&schema, record, "");
    assert!(checker.wrong.is_empty(), "{:?}: {record}", checker.wrong);
}

struct Checker<'s> {
    root: &'s Value,
    wrong: Vec<String>,
}

impl<'s> Checker<'s> {
    fn check(&mut self, schema: &'s Value, value: &Value, at: &str) {
        for part in self.parts(schema) {
            self.keywords(part, value, at);
        }
        let Some(object) = value.as_object() else { return };
        let known = self.known(schema);
        let open = self.parts(schema).iter().find_map(|part| part.get("additionalProperties"));
        for (name, field) in object {
            let at = format!("{at}/{name}");
            match known.get(&**name).copied().or(open) {
                Some(schema) => self.check(schema, field, &at),
                None if known.is_empty() => {}
                None => self.wrong.push(format!("{at} is not in the schema")),
            }
        }
    }

    fn keywords(&mut self, schema: &'s Value, value: &Value, at: &str) {
        let types = schema.get("type").map(all).unwrap_or_default();
        let is_of = |name: &Value| match name.as_str().unwrap() {
            "null" => value.is_null(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            name => panic!("the schema has a type {name}"),
        };
        if !types.is_empty() && !types.iter().any(is_of) {
            self.wrong.push(format!("{at} is not of type {types:?}"));
        }
        let allowed = schema.get("const").map(|one| vec![one.clone()]).or(schema.get("enum").map(all));
        if allowed.is_some_and(|allowed| !allowed.contains(value)) {
            self.wrong.push(format!("{at} is {value}"));
        }
        let is_time = |text: &str| text.parse::<Timestamp>().is_ok_and(|at| at > Timestamp::UNIX_EPOCH);
        if schema.get("format").is_some() && !value.as_str().is_none_or(is_time) {
            self.wrong.push(format!("{at} is no time"));
        }
        for name in schema.get("required").map(all).unwrap_or_default() {
            if value.as_object().is_some_and(|object| !object.contains_key(name.as_str().unwrap())) {
                self.wrong.push(format!("{at}/{name} is missing"));
            }
        }
        if let (Some(schema), Some(items)) = (schema.get("items"), value.as_array()) {
            for (index, item) in items.iter().enumerate() {
                self.check(schema, item, &format!("{at}/{index}"));
            }
        }
    }

    /// The schema and those that it refers to.
    fn parts(&self, schema: &'s Value) -> Vec<&'s Value> {
        let referred = schema.get("$ref").and_then(Value::as_str).map(|name| {
            self.root.pointer(name.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("no {name}"))
        });
        let further = schema.get("allOf").and_then(Value::as_array).into_iter().flatten().chain(referred);
        std::iter::once(schema).chain(further.flat_map(|part| self.parts(part))).collect()
    }

    fn known(&self, schema: &'s Value) -> BTreeMap<&'s str, &'s Value> {
        let properties =
            self.parts(schema).into_iter().filter_map(|part| part.get("properties")?.as_object());
        properties.flatten().map(|(name, schema)| (&**name, schema)).collect()
    }
}

/// One or several.
fn all(one_or_more: &Value) -> Vec<Value> {
    one_or_more.as_array().cloned().unwrap_or_else(|| vec![one_or_more.clone()])
}

#[test]
fn what_is_not_as_the_schema_says_is_found() {
    let fine = serde_json::json!({"v": 1, "type": "gap", "node": "n", "ended_at": "2026-11-25T10:00:00Z"});
    check(&fine);
    for (name, value) in [
        ("v", "2"),
        ("type", r#""other""#),
        ("node", "null"),
        ("ended_at", r#""soon""#),
        ("unknown", "1"),
        ("request", r#"{"bytes":"1"}"#),
        ("usage", r#"{"total":1}"#),
        ("attempts", "[{}]"),
    ] {
        let mut record = fine.clone();
        record[name] = serde_json::from_str(value).unwrap();
        assert!(std::panic::catch_unwind(|| check(&record)).is_err(), "{record}");
    }
}
