//! `[alerts]`: who is told.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde::Deserialize;

/// Who is told of an alert. Prometheus' gauges are there in any case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// Also write alerts to the log.
    pub log: bool,
    pub webhook: Vec<Webhook>,
    pub email: Option<Email>,
}

impl Default for Alerts {
    fn default() -> Self {
        Alerts { log: true, webhook: Vec::new(), email: None }
    }
}

impl Alerts {
    pub(super) fn check(&self) -> Result<()> {
        self.email.as_ref().map_or(Ok(()), Email::check)
    }

    /// Every path that is relative to the configuration file.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let mail = self.email.iter_mut().flat_map(|email| [&mut email.tls_ca, &mut email.password_file]);
        self.webhook.iter_mut().map(|hook| &mut hook.secret_file).chain(mail).flatten()
    }
}

/// A program that takes alerts as JSON by HTTP POST.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Tells several apart, in the outbox and in the log.
    pub name: String,
    pub url: String,
    /// The environment variable that holds the key of the signature.
    pub secret_env: Option<String>,
    /// The file that holds it.
    pub secret_file: Option<PathBuf>,
}

/// A mail relay.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    pub host: String,
    /// Default: 465 with `encryption = "tls"`, else 25.
    port: Option<u16>,
    /// Default: `starttls`; `none` where the relay is this machine.
    encryption: Option<MailEncryption>,
    /// Certificates of authorities (PEM) that are trusted beside this machine's; relative to the configuration file.
    pub tls_ca: Option<PathBuf>,
    /// Who logs in, where the relay asks for it.
    pub user: Option<String>,
    /// The environment variable that holds the password.
    pub password_env: Option<String>,
    /// The file that holds it; relative to the configuration file.
    pub password_file: Option<PathBuf>,
    pub from: String,
    pub to: Vec<String>,
}

/// How the connection to a mail relay is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailEncryption {
    None,
    /// Begins in clear and is encrypted before anything is said (RFC 3207); a relay that cannot is refused.
    StartTls,
    /// From the first byte (RFC 8314).
    Tls,
}

impl Email {
    pub fn encryption(&self) -> MailEncryption {
        let default = if self.is_local() { MailEncryption::None } else { MailEncryption::StartTls };
        self.encryption.unwrap_or(default)
    }

    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.encryption() == MailEncryption::Tls { 465 } else { 25 })
    }

    /// Whether the relay is this machine.
    fn is_local(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    fn check(&self) -> Result<()> {
        let password = self.password_env.is_some() || self.password_file.is_some();
        ensure!(
            self.user.is_some() == password,
            "[alerts.email] user goes with password_env or password_file"
        );
        ensure!(
            !password || self.is_local() || self.encryption() != MailEncryption::None,
            "[alerts.email] sends no password without encryption: say encryption = \"starttls\" or \"tls\""
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(more: &str) -> Email {
        toml::from_str(&format!("from = \"a@b\"\nto = []\n{more}")).unwrap()
    }

    #[test]
    fn a_relay_elsewhere_is_spoken_to_encrypted_unless_told_otherwise() {
        for (settings, encryption, port) in [
            ("host = \"mail.hospital\"", MailEncryption::StartTls, 25),
            ("host = \"10.0.0.1\"\nport = 587", MailEncryption::StartTls, 587),
            ("host = \"mail.hospital\"\nencryption = \"tls\"", MailEncryption::Tls, 465),
            ("host = \"mail.hospital\"\nencryption = \"none\"", MailEncryption::None, 25),
            ("host = \"localhost\"", MailEncryption::None, 25),
            ("host = \"127.0.0.2\"\nencryption = \"starttls\"", MailEncryption::StartTls, 25),
        ] {
            let email = email(settings);
            assert_eq!((email.encryption(), email.port()), (encryption, port), "{settings}");
            email.check().unwrap();
        }
    }

    #[test]
    fn a_password_needs_a_user_and_privacy() {
        let refused = |settings: &str| email(settings).check().unwrap_err().to_string();
        assert!(refused("host = \"m\"\nuser = \"u\"").contains("password_env"));
        assert!(refused("host = \"m\"\npassword_env = \"P\"").contains("user"));
        let clear = "host = \"m\"\nuser = \"u\"\npassword_env = \"P\"\nencryption = \"none\"";
        assert!(refused(clear).contains("starttls"));
        email("host = \"::1\"\nuser = \"u\"\npassword_env = \"P\"").check().unwrap();
    }
}
