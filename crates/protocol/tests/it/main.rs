//! Every example in `protocol/examples` is a test, and schemas and code agree on every one.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod asyncapi; // the session protocol, as it is published
mod openapi; // the API, as it is published

use std::fs;
use std::path::{Path, PathBuf};

use protocol::envelope::Envelope;
use protocol::fault::Malformed;
use protocol::id::Product;
use serde_json::{Value, json};

fn published(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol").join(folder)
}

/// The JSON documents of a folder with their names; a folder without any is a fault of the test.
fn documents(folder: &str) -> Vec<(String, Value)> {
    let mut documents: Vec<_> = fs::read_dir(published(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let text = fs::read(&path).unwrap();
            let json = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.file_stem().unwrap().to_string_lossy().into_owned(), json)
        })
        .collect();
    documents.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert!(!documents.is_empty(), "{folder} is empty");
    documents
}

fn envelope_schema() -> jsonschema::Validator {
    let mut registry = jsonschema::Registry::new();
    let mut envelope = Value::Null;
    for (name, schema) in documents("schemas") {
        if name == "envelope" {
            envelope = schema.clone();
        }
        let id = schema["$id"].as_str().unwrap().to_owned();
        registry = registry.add(id, schema).unwrap();
    }
    let registry = registry.prepare().unwrap();
    jsonschema::options().with_registry(&registry).build(&envelope).unwrap()
}

/// What the code says of a body: its faults, or the error of one that cannot be read.
fn verdict(body: &[u8]) -> Result<Value, String> {
    let known = ["AgencyCloud", "PropertyCloud"].map(|name| Product::parse(name).unwrap()).iter().collect();
    match Envelope::parse(body, &known) {
        Ok(_) => Ok(json!([])),
        Err(Malformed::Invalid(faults)) => Ok(serde_json::to_value(faults.as_slice()).unwrap()),
        Err(Malformed::Unreadable(error)) => Err(error.to_string()),
    }
}

#[test]
fn every_schema_compiles() {
    for (name, schema) in documents("schemas") {
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
    }
    envelope_schema();
}

#[test]
fn schema_and_code_take_every_valid_example() {
    let schema = envelope_schema();
    for (name, body) in documents("examples/valid") {
        assert_eq!(verdict(body.to_string().as_bytes()), Ok(json!([])), "{name}");
        let refused: Vec<_> = schema.iter_errors(&body).map(|error| error.to_string()).collect();
        assert!(refused.is_empty(), "{name}: {refused:?}");
    }
}

#[test]
fn schema_and_code_refuse_every_invalid_example_and_the_code_says_exactly_why() {
    let schema = envelope_schema();
    for (name, example) in documents("examples/invalid") {
        let body = match &example["text"] {
            Value::String(text) => text.clone(),
            _ => {
                assert!(!schema.is_valid(&example["body"]), "{name}: the schema takes it");
                example["body"].to_string()
            }
        };
        assert_eq!(verdict(body.as_bytes()).as_ref(), Ok(&example["errors"]), "{name}");
    }
}

#[test]
fn every_unreadable_example_says_where_it_breaks() {
    for (name, example) in documents("examples/unreadable") {
        let text = example["text"].as_str().unwrap();
        assert_eq!(verdict(text.as_bytes()).as_ref().map_err(String::as_str), Err(example["error"].as_str().unwrap()), "{name}");
    }
}
