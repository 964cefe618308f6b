//! Whether a value fits a schema, by the keywords that are in use.

use presence_engine::wire::schema;
use serde_json::{Value, json};

pub(crate) fn schema_of(name: &str) -> Value {
    let file = format!("{name}.schema.json");
    let (_, text) = schema::all().into_iter().find(|(name, _)| *name == file).expect("a schema of this name");
    serde_json::from_str(&text).expect("schemas are JSON")
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the test knows no type {other}"),
    }
}

/// What of `value` does not fit `schema`. Knows the keywords that are in use, and panics at any other.
fn faults(schema: &Value, value: &Value, at: &str, faults_found: &mut Vec<String>) {
    let Value::Object(schema) = schema else { panic!("{at}: {schema} is no schema that the test knows") };
    let number = |limit: &Value| limit.as_f64().expect("a number");
    let count = |limit: &Value| limit.as_u64().expect("a count") as usize;
    for (keyword, rule) in schema {
        let fits = match keyword.as_str() {
            "$schema" | "title" | "description" | "examples" | "format" | "default" => true,
            "type" => match rule {
                Value::String(name) => is_type(value, name),
                Value::Array(names) => names.iter().any(|name| is_type(value, name.as_str().expect("a name"))),
                other => panic!("{at}: {other} is no type"),
            },
            "const" => value == rule,
            "enum" => rule.as_array().expect("a list").contains(value),
            "minimum" => value.as_f64().is_none_or(|value| value >= number(rule)),
            "maximum" => value.as_f64().is_none_or(|value| value <= number(rule)),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() >= count(rule)),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() <= count(rule)),
            "minItems" => value.as_array().is_none_or(|items| items.len() >= count(rule)),
            "maxItems" => value.as_array().is_none_or(|items| items.len() <= count(rule)),
            "anyOf" => rule.as_array().expect("a list").iter().any(|choice| {
                let mut of_choice = Vec::new();
                faults(choice, value, at, &mut of_choice);
                of_choice.is_empty()
            }),
            "required" => value.as_object().is_none_or(|map| {
                rule.as_array().expect("a list").iter().all(|name| map.contains_key(name.as_str().expect("a name")))
            }),
            "properties" => {
                for (name, inner) in rule.as_object().expect("a map") {
                    if let Some(value) = value.get(name) {
                        faults(inner, value, &format!("{at}.{name}"), faults_found);
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                let others = value.as_object().into_iter().flatten();
                let others: Vec<_> =
                    others.filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name))).collect();
                if *rule != json!(false) {
                    for (name, value) in &others {
                        faults(rule, value, &format!("{at}.{name}"), faults_found);
                    }
                }
                *rule != json!(false) || others.is_empty()
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    faults(rule, item, &format!("{at}[]"), faults_found);
                }
                true
            }
            other => panic!("{at}: the test knows no keyword {other}"),
        };
        if !fits {
            faults_found.push(format!("{at}: {value} is not {keyword} {rule}"));
        }
    }
}

pub(crate) fn check(name: &str, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    faults(&schema_of(name), value, name, &mut found);
    found
}

pub(crate) fn fits(name: &str, payload: &[u8]) {
    let value: Value = serde_json::from_slice(payload).expect("a payload of JSON");
    assert_eq!(check(name, &value), Vec::<String>::new(), "{value}");
    // Nothing is written that the schema doesn't name.
    let schema = schema_of(name);
    for key in value.as_object().expect("an object").keys() {
        assert!(schema["properties"].get(key).is_some(), "{name}: {key} is in no schema");
    }
}
