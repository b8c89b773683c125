//! A message about an alert by SMTP.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Message, SmtpTransport, Transport};
use registry::Delivery;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{PATIENCE, secret};
use crate::config::{Email, MailEncryption};

pub(super) fn mail(email: &Email, delivery: &Delivery, now: OffsetDateTime) -> Result<()> {
    let message = message(email, delivery, now)?;
    let sent = transport(email)?.send(&message);
    sent.map(drop).map_err(|error| {
        let remedy = remedy(&error.to_string());
        anyhow::Error::new(error).context(format!(
            "the mail relay {}:{} did not take it{remedy}",
            email.host,
            email.port()
        ))
    })
}

fn message(email: &Email, delivery: &Delivery, now: OffsetDateTime) -> Result<Message> {
    let address = |text: &String| -> Result<Mailbox> {
        text.parse().with_context(|| format!("`{text}` is no mail address"))
    };
    let domain = address(&email.from)?.email.domain().to_owned();
    let mut builder = Message::builder()
        .from(address(&email.from)?)
        .date(now.into())
        .message_id(Some(format!("<alert-{}-{}@{domain}>", delivery.alert, delivery.id)))
        .subject(format!("[hoofbeat] {}: {} {}", delivery.event.code(), delivery.rule, delivery.subject));
    for to in &email.to {
        builder = builder.to(address(to)?);
    }
    let body = format!(
        "{}\r\n\r\nEvent: {} at {}\r\nAlert: {}\r\nRule: {}\r\nSubject: {}\r\n",
        delivery.message,
        delivery.event.code(),
        delivery.at.format(&Rfc3339)?,
        delivery.alert,
        delivery.rule,
        delivery.subject
    );
    Ok(builder.body(body)?)
}

fn transport(email: &Email) -> Result<SmtpTransport> {
    let tls = match email.encryption() {
        MailEncryption::None => Tls::None,
        // Not the kind that goes on in clear where the relay offers nothing.
        MailEncryption::StartTls => Tls::Required(certificates(email)?),
        MailEncryption::Tls => Tls::Wrapper(certificates(email)?),
    };
    let mut builder =
        SmtpTransport::builder_dangerous(&email.host).port(email.port()).timeout(Some(PATIENCE)).tls(tls);
    let password = secret("password", email.password_env.as_deref(), email.password_file.as_deref())?;
    if let (Some(user), Some(password)) = (&email.user, password) {
        builder = builder.credentials(Credentials::new(user.clone(), password));
    }
    Ok(builder.build())
}

/// Who the relay may be: its certificate is checked, for its name.
fn certificates(email: &Email) -> Result<TlsParameters> {
    let mut builder = TlsParameters::builder(email.host.clone());
    if let Some(path) = &email.tls_ca {
        builder = builder.add_root_certificate(authorities(path)?);
    }
    Ok(builder.build_rustls()?)
}

fn authorities(path: &Path) -> Result<Certificate> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("tls_ca {} under [alerts.email] cannot be read", path.display()))?;
    // The library takes a text without any for an empty list.
    ensure!(
        text.contains("-----BEGIN CERTIFICATE-----"),
        "tls_ca {} holds no certificate (PEM)",
        path.display()
    );
    Certificate::from_pem(text.as_bytes())
        .with_context(|| format!("tls_ca {} under [alerts.email] cannot be used", path.display()))
}

/// What helps against a failure, by the words of the mail library and of rustls.
fn remedy(failure: &str) -> &'static str {
    if failure.contains("STARTTLS is not supported") {
        "; it offers no STARTTLS: say encryption = \"tls\" (port 465) under [alerts.email], or \"none\" where the network is trusted"
    } else if failure.contains("invalid peer certificate") {
        "; its certificate must be good for the name in host, and by an authority of this machine or one in tls_ca under [alerts.email]"
    } else if failure.contains("corrupt message") {
        "; it does not begin with encryption: say encryption = \"starttls\" under [alerts.email]"
    } else {
        ""
    }
}

#[cfg(test)]
pub(super) mod relay;
#[cfg(test)]
mod tests;
