use serde_json::{Value, json};

use super::*;

fn rsa(changes: &Value) -> Value {
    let mut key = json!({"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"});
    key.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    key
}

fn read_all(keys: &[Value]) -> Result<KeySet, KeysError> {
    read(json!({"keys": keys}).to_string().as_bytes(), "here")
}

#[test]
fn each_key_is_for_the_algorithm_that_it_names_or_the_usual_one_of_its_type() {
    let ec = |curve: &str| json!({"kty": "EC", "crv": curve, "x": "AQAB", "y": "AQAB"});
    let with = |mut key: Value, algorithm: &str| {
        key["alg"] = json!(algorithm);
        key
    };
    let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": "AQAB"});
    for (key, expected) in [
        (rsa(&json!({})), Some(Algorithm::RS256)),
        (rsa(&json!({"alg": "RS512"})), Some(Algorithm::RS512)),
        (rsa(&json!({"alg": "PS256"})), Some(Algorithm::PS256)),
        (rsa(&json!({"alg": "HS256"})), None),
        (rsa(&json!({"alg": "ES256"})), None),
        (rsa(&json!({"alg": "RSA-OAEP"})), None),
        (rsa(&json!({"alg": "of tomorrow"})), None),
        (rsa(&json!({"n": "not base64!"})), None),
        (ec("P-256"), Some(Algorithm::ES256)),
        (ec("P-384"), Some(Algorithm::ES384)),
        (ec("P-521"), None),
        (ec("secp256k1"), None),
        (with(ec("P-256"), "ES384"), None),
        (ed.clone(), Some(Algorithm::EdDSA)),
        (with(ed, "EdDSA"), Some(Algorithm::EdDSA)),
        (json!({"kty": "OKP", "crv": "X25519", "x": "AQAB"}), None),
        (json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}), None),
        (json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AQAB"}), None),
        (json!({"kid": "no type"}), None),
        (json!("no object"), None),
    ] {
        let set = read_all(&[rsa(&json!({"kid": "good"})), key.clone()]).unwrap();
        assert_eq!(set.keys.get(1).map(|key| key.algorithm), expected, "{key}");
        assert_eq!(set.left_out.len(), usize::from(expected.is_none()), "{key}");
    }
}

#[test]
fn keys_for_something_else_are_left_out() {
    for (members, is_used) in [
        (json!({"use": "sig"}), true),
        (json!({"use": "enc"}), false),
        (json!({"use": "other"}), false),
        (json!({"key_ops": ["verify"]}), true),
        (json!({"key_ops": ["encrypt", "wrapKey"]}), false),
    ] {
        assert_eq!(read_all(&[rsa(&members)]).is_ok(), is_used, "{members}");
    }
}

#[test]
fn what_is_left_out_is_named() {
    let set = read_all(&[rsa(&json!({})), rsa(&json!({"kid": "e", "use": "enc"})), json!({"kty": "oct"})]).unwrap();
    assert_eq!(set.left_out.len(), 2);
    assert!(set.left_out[0].contains('e'), "{:?}", set.left_out);
}

#[test]
fn a_set_has_a_hundred_keys_at_most() {
    let hundred = vec![rsa(&json!({})); 100];
    assert_eq!(read_all(&hundred).unwrap().keys.len(), 100);
    let more = [hundred, vec![rsa(&json!({}))]].concat();
    assert!(matches!(read_all(&more), Err(KeysError::TooMany { count: 101, .. })));
    assert!(matches!(read_all(&[]), Err(KeysError::Empty { .. })));
    assert!(matches!(read(b"[]", "here"), Err(KeysError::Json { .. })));
}
