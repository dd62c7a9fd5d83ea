//! The API as it is published: people write YAML, the program reads JSON.

use std::fs;

use serde_json::Value;

use crate::published;

#[test]
fn openapi_json_says_what_openapi_yaml_says() {
    let yaml = fs::read_to_string(published("openapi.yaml")).unwrap();
    let written: Value = serde_norway::from_str(&yaml).unwrap();
    let expected = serde_json::to_string_pretty(&written).unwrap() + "\n";
    if fs::read_to_string(published("openapi.json")).ok().as_ref() != Some(&expected) {
        fs::write(published("openapi.json"), expected).unwrap();
        panic!("openapi.json was not what openapi.yaml says; it is now: commit it");
    }
}
