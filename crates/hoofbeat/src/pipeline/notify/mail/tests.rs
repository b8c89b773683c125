//! Against a small relay with certificates that `openssl` made.

#[path = "../../../../../registry/tests/it/certificates.rs"]
mod certificates;

use std::path::Path;

use registry::Event;
use time::macros::datetime;

use self::certificates::{Authority, Issued};
use super::relay::{Offers, Relay, encryption};
use super::*;

const NOON: OffsetDateTime = datetime!(2026-01-02 12:00 UTC);
const PASSWORD: &str = "hush-hush";

fn delivery() -> Delivery {
    Delivery {
        id: 7,
        alert: 3,
        sink: "email".into(),
        event: Event::Raised,
        rule: "quality.swapped".into(),
        subject: "er".into(),
        message: "12 % swapped".into(),
        at: NOON,
        tries: 0,
    }
}

fn offer(kind: fn(std::sync::Arc<rustls::ServerConfig>) -> Offers, issued: &Issued) -> Relay {
    Relay::start(kind(encryption(&issued.certificate, &issued.key)))
}

/// The settings of an encrypted relay of the house, with a user.
fn settings(encryption: &str, authority: &Path, dir: &Path) -> String {
    let password = dir.join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    format!(
        "encryption = \"{encryption}\"\ntls_ca = {authority:?}\nuser = \"hoofbeat\"\npassword_file = {password:?}"
    )
}

#[test]
fn mail_and_password_travel_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    let house = Authority::new(dir.path(), "house");
    let issued = house.issue("relay", "DNS:localhost", 2);
    for (encryption, kind) in
        [("starttls", Offers::StartTls as fn(_) -> Offers), ("tls", Offers::Tls as fn(_) -> Offers)]
    {
        let relay = offer(kind, &issued);
        let email = relay.email("localhost", &settings(encryption, house.certificate(), dir.path()));
        mail(&email, &delivery(), NOON).unwrap();
        let said = relay.said();
        for part in ["MAIL FROM:<hoofbeat@hospital.example>", "12 % swapped", "AUTH PLAIN "] {
            assert!(said.private.contains(part), "{encryption}: no {part} in {said:?}");
        }
        let begun: Vec<&str> = said.clear.lines().collect();
        match encryption {
            "starttls" => assert!(begun.len() == 2 && begun[1] == "STARTTLS", "{said:?}"),
            _ => assert!(begun.is_empty(), "{said:?}"),
        }
    }
}

#[test]
fn a_relay_that_is_not_who_it_should_be_hears_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (house, stranger) = (Authority::new(dir.path(), "house"), Authority::new(dir.path(), "stranger"));
    let good = house.issue("relay", "DNS:localhost", 2);
    let old = house.issue("old", "DNS:localhost", -1);
    for (shown, trusted, host) in
        [(&good, &stranger, "localhost"), (&good, &house, "127.0.0.1"), (&old, &house, "localhost")]
    {
        for (encryption, kind) in
            [("starttls", Offers::StartTls as fn(_) -> Offers), ("tls", Offers::Tls as fn(_) -> Offers)]
        {
            let relay = offer(kind, shown);
            let email = relay.email(host, &settings(encryption, trusted.certificate(), dir.path()));
            let error = format!("{:#}", mail(&email, &delivery(), NOON).unwrap_err());
            assert!(error.contains("tls_ca") && error.contains("certificate"), "{error}");
            assert!(!error.contains(PASSWORD), "{error}");
            let said = relay.said();
            assert_eq!(said.private, "", "{error}");
            assert!(!said.clear.contains("MAIL") && !said.clear.contains("AUTH"), "{said:?}");
        }
    }
}

#[test]
fn a_relay_without_starttls_is_refused_and_not_used_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let house = Authority::new(dir.path(), "house");
    let relay = Relay::start(Offers::Nothing);
    let email = relay.email("localhost", &settings("starttls", house.certificate(), dir.path()));
    let error = format!("{:#}", mail(&email, &delivery(), NOON).unwrap_err());
    assert!(error.contains("offers no STARTTLS") && error.contains("encryption ="), "{error}");
    let said = relay.said();
    assert!(!said.clear.contains("MAIL") && !said.clear.contains("AUTH"), "{said:?}");

    let relay = Relay::start(Offers::Nothing);
    let email = relay.email("localhost", &settings("tls", house.certificate(), dir.path()));
    let error = format!("{:#}", mail(&email, &delivery(), NOON).unwrap_err());
    assert!(error.contains("encryption = \"starttls\""), "{error}");
}

#[test]
fn settings_that_cannot_be_used_are_named_before_anybody_is_spoken_to() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = Relay::start(Offers::Nothing);
    let no_certificate = dir.path().join("empty.crt");
    std::fs::write(&no_certificate, "nothing").unwrap();
    for (authority, part) in
        [(dir.path().join("none.crt"), "cannot be read"), (no_certificate, "no certificate")]
    {
        let email = nobody.email("localhost", &settings("tls", &authority, dir.path()));
        let error = format!("{:#}", mail(&email, &delivery(), NOON).unwrap_err());
        assert!(error.contains("tls_ca") && error.contains(part), "{error}");
    }
    let email = nobody.email("localhost", "user = \"u\"\npassword_env = \"HOOFBEAT_TEST_NO_SUCH_VARIABLE\"");
    let error = format!("{:#}", mail(&email, &delivery(), NOON).unwrap_err());
    assert!(error.contains("HOOFBEAT_TEST_NO_SUCH_VARIABLE"), "{error}");
}
