//! The published contract as one JSON document: the schemas that it names are put into it. It is `protocol/openapi.yaml`, which people
//! write, in JSON: a test of `protocol` keeps the two alike, so that the program needs no reader of YAML.

use bytes::Bytes;
use protocol::id::Product;
use serde_json::{Map, Value, json};

const OPENAPI: &str = include_str!("../../../../protocol/openapi.json");
const SCHEMAS: [(&str, &str); 5] = [
    ("envelope", include_str!("../../../../protocol/schemas/envelope.json")),
    ("incomingCall", include_str!("../../../../protocol/schemas/incomingCall.json")),
    ("answeredCall", include_str!("../../../../protocol/schemas/answeredCall.json")),
    ("endedCall", include_str!("../../../../protocol/schemas/endedCall.json")),
    ("missedCall", include_str!("../../../../protocol/schemas/missedCall.json")),
];

/// The document with this node's products.
pub(crate) fn published(products: &[Product]) -> Result<Bytes, String> {
    let mut document: Value = serde_json::from_str(OPENAPI).map_err(|error| error.to_string())?;
    let mut schemas = Map::new();
    for (name, text) in SCHEMAS {
        let mut schema: Value = serde_json::from_str(text).map_err(|error| format!("{name}: {error}"))?;
        if let Some(schema) = schema.as_object_mut() {
            // Inside the document they are found by their place, not by an address of their own.
            schema.remove("$schema");
            schema.remove("$id");
        }
        schemas.insert(name.to_owned(), schema);
    }
    if let Some(names) = schemas.get_mut("envelope").and_then(|schema| schema.pointer_mut("/properties/products/items/enum")) {
        *names = products.iter().map(|product| json!(product.as_str())).collect();
    }
    let components = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut).ok_or("no components")?;
    components.extend(schemas);
    point_inside(&mut document);
    serde_json::to_vec(&document).map(Bytes::from).map_err(|error| error.to_string())
}

/// Turns `schemas/envelope.json` and `incomingCall.json` into places of the document.
fn point_inside(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref")
                && let Some(name) = reference.strip_suffix(".json")
            {
                *reference = format!("#/components/schemas/{}", name.trim_start_matches("schemas/"));
            }
            members.values_mut().for_each(point_inside);
        }
        Value::Array(values) => values.iter_mut().for_each(point_inside),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
