//! A small mail relay (RFC 5321), with encryption where it is told to have it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::config::Email;

/// What a relay offers to who connects.
pub(in super::super) enum Offers {
    Nothing,
    StartTls(Arc<ServerConfig>),
    /// Encryption from the first byte.
    Tls(Arc<ServerConfig>),
}

/// What was said to a relay before and after encryption.
#[derive(Debug, Default)]
pub(in super::super) struct Said {
    pub(in super::super) clear: String,
    pub(in super::super) private: String,
}

/// Takes one connection.
pub(in super::super) struct Relay {
    port: u16,
    said: Receiver<Said>,
}

impl Relay {
    pub(in super::super) fn start(offers: Offers) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, said) = channel();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            sender.send(serve(stream, &offers)).unwrap();
        });
        Relay { port, said }
    }

    /// The configuration of who sends to it.
    pub(in super::super) fn email(&self, host: &str, more: &str) -> Email {
        let text = format!(
            "host = \"{host}\"\nport = {}\nfrom = \"hoofbeat@hospital.example\"\n\
             to = [\"it@hospital.example\", \"Quality <q@hospital.example>\"]\n{more}",
            self.port
        );
        toml::from_str(&text).unwrap()
    }

    /// What it has heard when the connection ended.
    pub(in super::super) fn said(self) -> Said {
        self.said.recv().unwrap()
    }
}

/// What a server with this certificate and key (PEM) encrypts with.
pub(in super::super) fn encryption(certificate: &Path, key: &Path) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap());
    Arc::new(config.unwrap())
}

fn serve(stream: TcpStream, offers: &Offers) -> Said {
    let mut said = Said::default();
    let encrypt = |config: &Arc<ServerConfig>, stream| {
        StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream)
    };
    match offers {
        Offers::Nothing => {
            talk(stream, true, "", &mut said.clear);
        }
        Offers::Tls(config) => {
            talk(encrypt(config, stream), true, "AUTH PLAIN LOGIN", &mut said.private);
        }
        Offers::StartTls(config) => {
            if let Some(stream) = talk(stream, true, "STARTTLS", &mut said.clear) {
                talk(encrypt(config, stream), false, "AUTH PLAIN LOGIN", &mut said.private);
            }
        }
    }
    said
}

/// Talks until the client leaves, or asks for encryption: then the stream is given back.
fn talk<S: Read + Write>(stream: S, greets: bool, extension: &str, said: &mut String) -> Option<S> {
    let mut reader = BufReader::new(stream);
    // A client that leaves in mid-word has its reasons: a certificate, say.
    let say = |reader: &mut BufReader<S>, line: &str| {
        let _ = reader.get_mut().write_all(format!("{line}\r\n").as_bytes());
        let _ = reader.get_mut().flush();
    };
    if greets {
        say(&mut reader, "220 test");
    }
    let mut in_data = false;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        *said += &line;
        match line.trim_end() {
            "." if in_data => {
                in_data = false;
                say(&mut reader, "250 taken");
            }
            _ if in_data => {}
            "DATA" => {
                in_data = true;
                say(&mut reader, "354 go on");
            }
            "STARTTLS" if extension == "STARTTLS" => {
                say(&mut reader, "220 go on");
                return Some(reader.into_inner());
            }
            "QUIT" => {
                say(&mut reader, "221 bye");
                return None;
            }
            hello if hello.starts_with("EHLO") && !extension.is_empty() => {
                say(&mut reader, &format!("250-test\r\n250 {extension}"));
            }
            login if login.starts_with("AUTH") => say(&mut reader, "235 welcome"),
            _ => say(&mut reader, "250 fine"),
        }
    }
}
