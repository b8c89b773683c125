//! The address of a PostgreSQL database: what the driver reads itself, and libpq's settings of encryption.
//!
//! The driver knows half of them, so they are taken out of the text before it reads the rest.

use std::{borrow::Cow, collections::HashMap, path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;
use postgres::config::{Config, Host, SslMode};

use crate::error::{Error, Result};

/// The settings that are read here, by libpq's names (PostgreSQL's manual, 34.1.2, "Parameter Key Words").
const OWN: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

/// A database's address, taken apart.
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) encryption: Encryption,
}

/// How a connection is to be encrypted.
pub(super) struct Encryption {
    pub(super) mode: Mode,
    pub(super) authorities: Authorities,
    /// Certificate and private key (PEM) that the client shows.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    /// Where the server can; without checking who it is.
    Prefer,
    Require,
    /// The certificate is by a trusted authority.
    VerifyCa,
    /// It is also for the host's name.
    VerifyFull,
}

/// Whose certificates are trusted: libpq's `sslrootcert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Authorities {
    /// Those of this machine.
    System,
    File(PathBuf),
}

impl Mode {
    pub(super) fn name(self) -> &'static str {
        match self {
            Mode::Disable => "disable",
            Mode::Prefer => "prefer",
            Mode::Require => "require",
            Mode::VerifyCa => "verify-ca",
            Mode::VerifyFull => "verify-full",
        }
    }

    /// What the driver has to do for it.
    fn of_the_driver(self) -> SslMode {
        match self {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        }
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Mode::Disable, Mode::Prefer, Mode::Require, Mode::VerifyCa, Mode::VerifyFull]
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| bad("sslmode must be disable, prefer, require, verify-ca or verify-full"))
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unreadable = || bad("it is no PostgreSQL connection string");
        let (rest, own) = take_own(text).ok_or_else(unreadable)?;
        let mut config = Config::from_str(&rest).map_err(|_| unreadable())?;
        if config.get_hosts().is_empty() {
            // The name that a certificate is compared with.
            for address in config.get_hostaddrs().to_vec() {
                config.host(&address.to_string());
            }
        }
        let encryption = Encryption::new(&own, &config)?;
        config.ssl_mode(encryption.mode.of_the_driver());
        Ok(Address { config, encryption })
    }
}

impl Encryption {
    fn new(own: &HashMap<String, String>, config: &Config) -> Result<Self> {
        let asked = own.get("sslmode").map_or(Ok(Mode::Prefer), |text| text.parse())?;
        let authorities = match own.get("sslrootcert").map(String::as_str) {
            None | Some("") => None,
            Some("system") => Some(Authorities::System),
            Some(path) => Some(Authorities::File(path.into())),
        };
        let mode = match (asked, &authorities) {
            (Mode::VerifyCa, None | Some(Authorities::System)) => {
                return Err(bad(
                    "sslmode=verify-ca needs sslrootcert=FILE: any public authority vouches for anybody; \
                     or say sslmode=verify-full",
                ));
            }
            (Mode::Require, Some(Authorities::System)) | (Mode::Prefer, Some(_)) => {
                return Err(bad("sslrootcert is of use with sslmode=verify-full only, or verify-ca"));
            }
            // As in libpq: who names an authority wants it to be asked.
            (Mode::Require, Some(Authorities::File(_))) => Mode::VerifyCa,
            (mode, _) => mode,
        };
        // PostgreSQL does not encrypt what never leaves the machine, and libpq ignores its settings there.
        let sockets = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        let identity = match (own.get("sslcert"), own.get("sslkey")) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            _ => return Err(bad("sslcert and sslkey go together")),
        };
        Ok(Encryption {
            mode: if sockets { Mode::Disable } else { mode },
            authorities: authorities.unwrap_or(Authorities::System),
            identity,
        })
    }
}

pub(super) fn bad(why: impl Into<Cow<'static, str>>) -> Error {
    Error::BadUrl { why: why.into() }
}

/// The connection string without [`OWN`] settings, and these.
fn take_own(text: &str) -> Option<(String, HashMap<String, String>)> {
    let mut own = HashMap::new();
    let url = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
    let rest = if url { rest_of_url(text, &mut own)? } else { rest_of_pairs(text, &mut own)? };
    Some((rest, own))
}

/// `postgresql://user:password@host/database?key=value&...`
fn rest_of_url(text: &str, own: &mut HashMap<String, String>) -> Option<String> {
    // A password may hold a question mark.
    let authority = text.find("://")? + 3;
    let host = authority
        + text[authority..]
            .find(['@', '/'])
            .filter(|at| text[authority + at..].starts_with('@'))
            .unwrap_or_default();
    let Some(query) = text[host..].find('?').map(|at| host + at) else { return Some(text.to_owned()) };
    let mut rest = Vec::new();
    for pair in text[query + 1..].split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = percent_decode_str(key).decode_utf8().ok()?;
        if OWN.contains(&key.as_ref()) {
            let value = percent_decode_str(value).decode_utf8().ok()?;
            own.insert(key.into_owned(), value.into_owned());
        } else {
            rest.push(pair);
        }
    }
    Some(format!("{}?{}", &text[..query], rest.join("&")))
}

/// `key=value key='quoted value' ...`
fn rest_of_pairs(text: &str, own: &mut HashMap<String, String>) -> Option<String> {
    let (mut text, mut rest) = (text.trim_start(), String::new());
    while !text.is_empty() {
        let (key, after) = text.split_once('=')?;
        let (value, after) = value(after.trim_start())?;
        text = after.trim_start();
        let key = key.trim_end();
        if OWN.contains(&key) {
            own.insert(key.to_owned(), value);
        } else {
            let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
            rest += &format!("{key}='{quoted}' ");
        }
    }
    Some(rest)
}

/// The value at the beginning of a text, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut letters = text[usize::from(quoted)..].chars();
    let mut value = String::new();
    loop {
        match letters.next() {
            None => return (!quoted).then_some((value, "")),
            Some('\'') if quoted => return Some((value, letters.as_str())),
            Some(blank) if !quoted && blank.is_whitespace() => return Some((value, letters.as_str())),
            Some('\\') => value.extend(letters.next()),
            Some(letter) => value.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refusal(text: &str) -> String {
        match text.parse::<Address>() {
            Ok(_) => panic!("{text} was taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn both_forms_say_the_same() {
        for text in [
            "postgresql://ana:s%3Fc@db.hospital:5433/house?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fetc%2Four%20ca.crt",
            "host=db.hospital port=5433 user=ana password='s?c' dbname=house connect_timeout=3 sslmode = verify-full sslrootcert='/etc/our ca.crt'",
        ] {
            let Address { config, encryption } = address(text);
            assert_eq!(config.get_hosts(), [Host::Tcp("db.hospital".into())], "{text}");
            assert_eq!((config.get_ports(), config.get_dbname()), (&[5433][..], Some("house")));
            assert_eq!((config.get_user(), config.get_password()), (Some("ana"), Some(&b"s?c"[..])));
            assert_eq!(config.get_connect_timeout().unwrap().as_secs(), 3);
            assert_eq!(encryption.mode, Mode::VerifyFull);
            assert_eq!(encryption.authorities, Authorities::File("/etc/our ca.crt".into()));
            assert_eq!(config.get_ssl_mode(), SslMode::Require);
        }
    }

    #[test]
    fn odd_passwords_are_the_drivers_and_hide_no_setting() {
        let odd = address("postgresql://ana:a?b@db/house?sslmode=require");
        assert_eq!(odd.config.get_password(), Some(&b"a?b"[..]));
        assert_eq!(odd.encryption.mode, Mode::Require);
        let quoted = address(r"host=db password='it\'s \\ sslmode=disable' sslmode=require");
        assert_eq!(quoted.config.get_password(), Some(&br"it's \ sslmode=disable"[..]));
        assert_eq!(quoted.encryption.mode, Mode::Require);
    }

    #[test]
    fn modes_are_libpqs() {
        assert_eq!(address("postgresql://db/house").encryption.mode, Mode::Prefer);
        assert_eq!(address("host=db sslmode=disable").encryption.mode, Mode::Disable);
        assert_eq!(address("host=db sslmode=require sslrootcert=/ca").encryption.mode, Mode::VerifyCa);
        let system = address("host=db sslmode=verify-full").encryption;
        assert_eq!((system.mode, system.authorities), (Mode::VerifyFull, Authorities::System));
        // A socket's folder.
        assert_eq!(address("host=/run/postgresql sslmode=require").encryption.mode, Mode::Disable);
        assert_eq!(address("hostaddr=10.0.0.1").config.get_hosts(), [Host::Tcp("10.0.0.1".into())]);
    }

    #[test]
    fn what_would_not_protect_is_refused() {
        for (text, part) in [
            ("host=db sslmode=verify", "verify-ca or verify-full"),
            ("host=db sslmode=verify-ca", "sslrootcert=FILE"),
            ("host=db sslmode=verify-ca sslrootcert=system", "sslrootcert=FILE"),
            ("host=db sslmode=require sslrootcert=system", "verify-full"),
            ("host=db sslrootcert=/ca", "verify-full"),
            ("host=db sslmode=require sslcert=/a", "go together"),
            ("host=db password='open", "no PostgreSQL connection string"),
        ] {
            let said = refusal(text);
            assert!(said.contains(part) && !said.contains("open"), "{text}: {said}");
        }
    }
}
