use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn proven(signer: &Signer, proofs: &[Proof], message: Message<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    signer.prove(proofs, message, &mut headers);
    headers
}

fn value(headers: &HeaderMap, name: &str) -> String {
    headers[name].to_str().unwrap().to_owned()
}

fn app_key() -> Arc<AppKey> {
    Arc::new(AppKey::from_seed("98da2881-0540-48db-8ffa-45d7003f1412".to_owned(), &[9; 32]).unwrap())
}

#[test]
fn s01_the_signature_is_that_of_the_specification() {
    let signer = Signer::new("app", &[(Secret::parse(SECRET).unwrap(), None)], None, false);
    let message = Message { id: "msg_p5jXN8AQM9LWM0D4loKWxJek", at: at(1_614_265_330), body: br#"{"test": 2432232314}"# };
    let headers = proven(&signer, &[Proof::StandardWebhooks], message);
    assert_eq!(value(&headers, "webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_eq!(value(&headers, "webhook-timestamp"), "1614265330");
    assert_eq!(value(&headers, "webhook-id"), "msg_p5jXN8AQM9LWM0D4loKWxJek");
}

#[test]
fn s04_two_secrets_sign_until_the_first_ends() {
    let (old, new) = (Secret::parse(SECRET).unwrap(), Secret::generate().unwrap());
    let signer = Signer::new("app", &[(new, None), (old, Some(at(100)))], None, false);
    let count = |second| {
        let headers = proven(&signer, &[Proof::StandardWebhooks], Message { id: "a", at: at(second), body: b"{}" });
        value(&headers, "webhook-signature").split(' ').count()
    };
    assert_eq!((count(99), count(100)), (2, 1));
}

#[test]
fn s05_the_asymmetric_signature_is_checked_with_the_public_half() {
    let key = app_key();
    let signer = Signer::new("app", &[], Some(key.clone()), true);
    let headers = proven(&signer, &[Proof::StandardWebhooks], Message { id: "a", at: at(7), body: b"{}" });
    let signature = STANDARD.decode(value(&headers, "webhook-signature").strip_prefix("v1a,").unwrap()).unwrap();
    let public = STANDARD.decode(key.public_standard().strip_prefix("whpk_").unwrap()).unwrap();
    UnparsedPublicKey::new(&ED25519, public).verify(b"a.7.{}", &signature).unwrap();
}

#[test]
fn s06_a_secret_has_24_to_64_bytes_in_base64() {
    let of = |bytes: usize| Secret::parse(&format!("whsec_{}", STANDARD.encode(vec![1; bytes])));
    assert!(of(23).is_none() && of(24).is_some() && of(64).is_some() && of(65).is_none());
    assert!(Secret::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_none(), "without its prefix");
    let new = Secret::generate().unwrap();
    assert_eq!(Secret::parse(&new.shown()), Some(new));
}

#[test]
fn r02_the_application_stands_in_base64_and_the_x_signature_covers_second_and_body() {
    let key = app_key();
    let signer = Signer::new("my-client-id", &[], Some(key.clone()), false);
    let headers = proven(&signer, &[Proof::ClientId, Proof::AppKey], Message { id: "a", at: at(1_650_934_596), body: b"{}" });
    assert_eq!(value(&headers, "reapit-webhook-signature"), "bXktY2xpZW50LWlk");
    let text = value(&headers, "x-signature");
    let parts: Vec<_> = text.split(':').collect();
    assert_eq!(parts[..3], ["s", "98da2881-0540-48db-8ffa-45d7003f1412", "1650934596"]);
    assert_eq!(parts[3].len(), 86);
    let public = URL_SAFE_NO_PAD.decode(key.public()).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(parts[3]).unwrap();
    UnparsedPublicKey::new(&ED25519, public).verify(b"1650934596{}", &signature).unwrap();
}

#[test]
fn secrets_do_not_show_in_logs() {
    let secret = Secret::parse(SECRET).unwrap();
    let signer = Signer::new("app", &[(secret.clone(), None)], Some(app_key()), true);
    let shown = format!("{secret:?} {signer:?}");
    assert!(!shown.contains("MfKQ") && shown.contains("***"), "{shown}");
}
