use std::io::Write;

use tempfile::NamedTempFile;

use super::*;

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn certificate(name: &str) -> String {
    rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.pem()
}

#[test]
fn the_authorities_of_a_file_are_trusted_besides_those_of_the_web() {
    let web = roots(None).unwrap().len();
    assert!(web > 100, "{web}");
    let several = file(&format!("{}Of the house:\n{}", certificate("one"), certificate("two")));
    assert_eq!(roots(Some(several.path())).unwrap().len(), web + 2);
}

#[test]
fn a_file_without_a_certificate_is_refused() {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for text in ["", "no certificate\n", &key] {
        let empty = file(text);
        let error = Trust::authorities(Some(empty.path())).unwrap_err();
        assert!(matches!(&error, TrustError::Empty { path } if path == empty.path()), "{text:?}: {error:?}");
        assert_eq!(error.to_string(), format!("{}: it holds no certificate in PEM", empty.path().display()));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_refused_with_what_is_wrong() {
    let missing = Trust::authorities(Some(Path::new("/nonexistent/ca.pem"))).unwrap_err();
    assert!(matches!(missing, TrustError::Unreadable { .. }), "{missing:?}");
    assert!(missing.to_string().starts_with("/nonexistent/ca.pem: "), "{missing}");
    let whole = certificate("one");
    let cut = whole.lines().take(3).collect::<Vec<_>>().join("\n");
    for text in [cut, whole.replacen("MII", "M!!", 1), format!("{whole}-----BEGIN CERTIFICATE-----\n")] {
        let broken = file(&text);
        let error = Trust::authorities(Some(broken.path())).unwrap_err();
        assert!(matches!(error, TrustError::Unreadable { .. }), "{text}: {error:?}");
    }
    let no_certificate = file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let error = Trust::authorities(Some(no_certificate.path())).unwrap_err();
    assert!(matches!(error, TrustError::Certificate { .. }), "{error:?}");
}
