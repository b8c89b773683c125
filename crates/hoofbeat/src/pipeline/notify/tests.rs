//! Against real small servers: one that takes HTTP, one that takes mail.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use registry::{Act, AlertFinding};
use time::macros::datetime;

use super::mail::relay::{Offers, Relay};
use super::*;

const NOON: OffsetDateTime = datetime!(2026-01-02 12:00 UTC);

/// A registry with one raised alert for these sinks.
fn raised(sinks: &[&str]) -> (tempfile::TempDir, Registry) {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path()).unwrap();
    let detail = json!({});
    let finding =
        AlertFinding { rule: "quality.swapped", subject: "er", message: "12 % swapped", detail: &detail };
    let act = Act { key: "k", actor: "test", reason: "test", at: NOON };
    registry.settle_alerts(&[finding], &[], sinks, &act).unwrap();
    (dir, registry)
}

/// Answers each connection's one request with the next status; hands on what it was sent.
fn http(statuses: &'static [&'static str]) -> (u16, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sent, requests) = channel();
    std::thread::spawn(move || {
        for status in statuses {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                reader.read_line(&mut head).unwrap();
            }
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body).unwrap();
            sent.send((head, String::from_utf8(body).unwrap())).unwrap();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (port, requests)
}

fn hook(port: u16, secret_file: Option<std::path::PathBuf>) -> Webhook {
    Webhook {
        name: "house".into(),
        url: format!("http://127.0.0.1:{port}/alerts"),
        secret_env: None,
        secret_file,
    }
}

#[test]
fn a_webhook_that_fails_is_told_later_with_a_signature_over_the_same_body() {
    let (dir, registry) = raised(&["webhook:house"]);
    let key = dir.path().join("key");
    std::fs::write(&key, "s3cret\n").unwrap();
    let (port, requests) = http(&["503 Busy", "204 Taken"]);
    let config = Alerts { log: false, webhook: vec![hook(port, Some(key))], email: None };
    let failed = Round { delivered: 0, failed: ["webhook:house".to_owned()].into() };
    assert_eq!(deliver(&registry, &config, NOON).unwrap(), failed);
    assert_eq!(deliver(&registry, &config, NOON).unwrap(), Round::default(), "it is not due yet");
    let later = NOON + Duration::from_secs(31);
    assert_eq!(deliver(&registry, &config, later).unwrap(), Round { delivered: 1, ..Round::default() });
    assert_eq!(registry.deliveries_open().unwrap(), (0, 0));

    let told: Vec<(String, String)> = requests.iter().collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].1, told[1].1);
    for ((head, body), at) in told.iter().zip([NOON, later]) {
        assert!(head.starts_with("POST /alerts HTTP/1.1\r\n"), "{head}");
        let header = head.lines().find_map(|line| line.strip_prefix("x-hoofbeat-signature: ")).unwrap();
        assert_eq!(header, signed("s3cret", at.unix_timestamp(), body).unwrap());
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["event"], &body["alert"]["rule"]), (&json!("raised"), &json!("quality.swapped")));
    }
}

#[test]
fn mail_reaches_the_relay_although_another_sink_is_gone() {
    let (_dir, registry) = raised(&["webhook:house", "email", "webhook:forgotten", "log"]);
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let relay = Relay::start(Offers::Nothing);
    let config =
        Alerts { log: true, webhook: vec![hook(closed, None)], email: Some(relay.email("127.0.0.1", "")) };
    assert_eq!(names(&config), ["log", "webhook:house", "email"]);
    let round = deliver(&registry, &config, NOON).unwrap();
    assert_eq!(round.delivered, 2);
    assert_eq!(round.failed, ["webhook:forgotten".to_owned(), "webhook:house".to_owned()].into());
    let mail = relay.said().clear;
    for part in [
        "MAIL FROM:<hoofbeat@hospital.example>",
        "RCPT TO:<it@hospital.example>",
        "RCPT TO:<q@hospital.example>",
        "Subject: [hoofbeat] raised: quality.swapped er",
        "12 % swapped",
        "Date: Fri, 02 Jan 2026 12:00:00 +0000",
    ] {
        assert!(mail.contains(part), "no {part} in {mail}");
    }
}

#[test]
fn a_missing_key_is_a_failure_of_the_sink_and_never_an_unsigned_message() {
    let (dir, registry) = raised(&["webhook:house"]);
    let config = Alerts { log: false, webhook: vec![hook(9, Some(dir.path().join("none")))], email: None };
    assert_eq!(deliver(&registry, &config, NOON).unwrap().failed.len(), 1);
}

/// The signature, once more, from RFC 2104's definition.
#[test]
fn the_signature_covers_time_and_body() {
    use sha2::Digest;
    let (key, text) = ("Jefe", "5.what do ya want for nothing?");
    let pad = |byte: u8| -> Vec<u8> {
        let mut pad: Vec<u8> = key.bytes().map(|key| key ^ byte).collect();
        pad.resize(64, byte);
        pad
    };
    let inner = Sha256::digest([pad(0x36), text.as_bytes().to_vec()].concat());
    let outer = Sha256::digest([pad(0x5c), inner.to_vec()].concat());
    let expected: String = outer.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(signed(key, 5, &text[2..]).unwrap(), format!("t=5,v1={expected}"));
}
