//! The encrypted connection to PostgreSQL, against a real server with certificates of its own.

use std::path::Path;
use std::process::Command;

use ::postgres::{Client, NoTls};
use registry::{Error, Registry, ServerCheck, Transport};
use tempfile::{TempDir, tempdir};

use crate::certificates::{Authority, self_signed};
use crate::postgres_server::Server;

/// `clear` may not come encrypted, everybody else must; `shown` needs a certificate, `ana` a password.
const RULES: &str = "hostssl all clear 127.0.0.1/32 reject
hostnossl all clear 127.0.0.1/32 trust
hostssl all shown 127.0.0.1/32 cert
hostssl all ana 127.0.0.1/32 scram-sha-256
hostssl all all 127.0.0.1/32 trust
";
const PASSWORD: &str = "hush-hush";

/// A server with a certificate for `localhost`.
struct House {
    dir: TempDir,
    authority: Authority,
    server: Server,
}

impl House {
    fn new() -> House {
        let dir = tempdir().unwrap();
        let authority = Authority::new(dir.path(), "house");
        let server =
            Server::encrypted(&authority.issue("server", "DNS:localhost", 2), authority.certificate(), RULES);
        let roles = format!(
            "SET password_encryption = 'scram-sha-256'; CREATE ROLE ana SUPERUSER LOGIN PASSWORD '{PASSWORD}';
             CREATE ROLE clear SUPERUSER LOGIN; CREATE ROLE shown SUPERUSER LOGIN"
        );
        admin(&server).batch_execute(&roles).unwrap();
        House { dir, authority, server }
    }

    /// The registry in the server's database, as `user:password@host` and settings ask.
    fn connect(&self, who: &str, settings: &str) -> Result<Registry, Error> {
        let url = format!("postgresql://{who}:{}/postgres?{settings}", self.server.port());
        Registry::connect(&url, self.dir.path())
    }

    fn transport(&self, who: &str, settings: &str) -> Transport {
        match self.connect(who, settings) {
            Ok(registry) => registry.transport().unwrap(),
            Err(error) => panic!("{who} {settings}: {error:?}"),
        }
    }

    /// Why it was refused; the password is in no refusal.
    fn refusal(&self, who: &str, settings: &str) -> String {
        let error = self.connect(who, settings).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(PASSWORD), "{error:?}");
        assert!(matches!(error, Error::Connection { .. } | Error::BadUrl { .. }), "{settings}: {error:?}");
        error.to_string()
    }
}

fn admin(server: &Server) -> Client {
    Client::connect(&format!("{} dbname=postgres", server.address()), NoTls).unwrap()
}

fn trusting(certificate: &Path) -> String {
    format!("sslrootcert={}", certificate.display())
}

#[test]
fn a_server_that_demands_encryption_gets_it_and_no_less() {
    let house = House::new();
    let refused = house.refusal("hoofbeat@localhost", "sslmode=disable");
    assert!(refused.contains("sslmode=verify-full or sslmode=require"), "{refused}");
    let unchecked = Transport::Encrypted(ServerCheck::Nothing);
    assert_eq!(house.transport("hoofbeat@localhost", ""), unchecked, "prefer");
    assert_eq!(house.transport("hoofbeat@127.0.0.1", "sslmode=require"), unchecked);

    // The server says the same of an open connection.
    let open = house.connect("hoofbeat@localhost", "sslmode=require").unwrap();
    let mut admin = admin(&house.server);
    let seen = "SELECT bool_and(ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                WHERE application_name = 'hoofbeat'";
    let seen = admin.query_one(seen, &[]).unwrap();
    assert_eq!((seen.get(0), seen.get(1)), (Some(true), 1i64));
    drop(open);
}

#[test]
fn the_servers_certificate_is_checked_as_far_as_asked() {
    let house = House::new();
    let ours = trusting(house.authority.certificate());
    let full = format!("sslmode=verify-full&{ours}");
    assert_eq!(house.transport("hoofbeat@localhost", &full), Transport::Encrypted(ServerCheck::Name));
    let by_authority = Transport::Encrypted(ServerCheck::Authority);
    assert_eq!(house.transport("hoofbeat@127.0.0.1", &format!("sslmode=verify-ca&{ours}")), by_authority);
    assert_eq!(house.transport("hoofbeat@127.0.0.1", &format!("sslmode=require&{ours}")), by_authority);

    let name = house.refusal("hoofbeat@127.0.0.1", &full);
    assert!(name.contains("subjectAltName") && name.contains("localhost"), "{name}");
    let stranger = Authority::new(house.dir.path(), "stranger");
    let theirs = trusting(stranger.certificate());
    for mode in ["verify-ca", "verify-full", "require"] {
        let issuer = house.refusal("hoofbeat@localhost", &format!("sslmode={mode}&{theirs}"));
        assert!(issuer.contains("sslrootcert") && issuer.contains("stranger.crt"), "{issuer}");
    }
    let unknown = house.refusal("hoofbeat@localhost", "sslmode=verify-full");
    assert!(unknown.contains("sslrootcert=FILE"), "{unknown}");
    let nowhere = house.refusal("hoofbeat@localhost", "sslmode=verify-full&sslrootcert=/nowhere.crt");
    assert!(nowhere.contains("sslrootcert /nowhere.crt cannot be read"), "{nowhere}");

    house.server.show(&house.authority.issue("old", "DNS:localhost", -1));
    let old = house.refusal("hoofbeat@localhost", &full);
    assert!(old.contains("expired"), "{old}");
    assert!(house.connect("hoofbeat@localhost", "sslmode=require").is_ok());
}

/// Every mode with every authority, by name and by address: PostgreSQL's own client decides the same.
#[test]
fn libpq_decides_the_same() {
    let house = House::new();
    let stranger = Authority::new(house.dir.path(), "stranger");
    let [ours, theirs] = [&house.authority, &stranger].map(|authority| trusting(authority.certificate()));
    let agree = |who: &str, settings: &str| {
        let url = format!("postgresql://{who}:{}/postgres?{settings}", house.server.port());
        let mut psql = Command::new("psql");
        // Where it would look for certificates of its own.
        psql.args(["--no-psqlrc", "--no-password", "-c", "SELECT 1", &url]).env("HOME", house.dir.path());
        let libpq = psql.output().unwrap();
        let own = house.connect(who, settings).err();
        let said = String::from_utf8_lossy(&libpq.stderr);
        assert_eq!(libpq.status.success(), own.is_none(), "{who} {settings}: {said} {own:?}");
        own.is_none()
    };
    let mut taken = 0;
    for host in ["localhost", "127.0.0.1"] {
        for mode in ["disable", "prefer", "require", "verify-ca", "verify-full"] {
            for user in ["hoofbeat", "clear", "shown"] {
                taken += u32::from(agree(&format!("{user}@{host}"), &format!("sslmode={mode}")));
            }
            for authority in [&ours, &theirs] {
                // Here an authority that nobody asks is refused.
                if mode != "prefer" {
                    let settings = format!("sslmode={mode}&{authority}");
                    taken += u32::from(agree(&format!("hoofbeat@{host}"), &settings));
                }
            }
        }
    }
    assert_eq!(taken, 13, "by name 7: clear 2, hoofbeat 2, with our authority 3; by address one less");
}

#[test]
fn a_certificate_that_signed_itself_is_trusted_where_it_is_named() {
    let house = House::new();
    let own = self_signed(house.dir.path(), "own", "DNS:localhost", 2);
    house.server.show(&own);
    let named = format!("sslmode=verify-full&{}", trusting(&own.certificate));
    assert_eq!(house.transport("hoofbeat@localhost", &named), Transport::Encrypted(ServerCheck::Name));
    assert!(house.refusal("hoofbeat@127.0.0.1", &named).contains("subjectAltName"));
    // Another of the same name.
    let other = tempdir().unwrap();
    let other = self_signed(other.path(), "own", "DNS:localhost", 2);
    let refused =
        house.refusal("hoofbeat@localhost", &format!("sslmode=verify-full&{}", trusting(&other.certificate)));
    assert!(refused.contains("is not by an authority in sslrootcert"), "{refused}");

    let old = self_signed(house.dir.path(), "old", "DNS:localhost", -1);
    house.server.show(&old);
    let refused =
        house.refusal("hoofbeat@localhost", &format!("sslmode=verify-full&{}", trusting(&old.certificate)));
    assert!(refused.contains("expired"), "{refused}");
}

#[test]
fn clients_show_who_they_are_by_password_bound_to_the_channel_or_by_certificate() {
    let house = House::new();
    let ana = format!("ana:{PASSWORD}@localhost");
    let checked = Transport::Encrypted(ServerCheck::Nothing);
    assert_eq!(house.transport(&ana, "sslmode=require&channel_binding=require"), checked);
    let wrong = house.connect(&format!("ana:not-{PASSWORD}@localhost"), "").unwrap_err();
    assert!(!format!("{wrong} {wrong:?}").contains(PASSWORD), "{wrong:?}");

    let refused = house.refusal("shown@localhost", "sslmode=require");
    assert!(refused.contains("sslcert and sslkey"), "{refused}");
    let shown = house.authority.issue("shown", "DNS:client", 2);
    let identity = format!("sslcert={}&sslkey={}", shown.certificate.display(), shown.key.display());
    assert_eq!(house.transport("shown@localhost", &format!("sslmode=require&{identity}")), checked);
    let swapped = format!("sslcert={0}&sslkey={0}", shown.certificate.display());
    let refused = house.refusal("shown@localhost", &format!("sslmode=require&{swapped}"));
    assert!(refused.contains("sslkey") && refused.contains("no private key"), "{refused}");
}

#[test]
fn encryption_that_is_only_preferred_gives_way_and_one_that_is_required_does_not() {
    let house = House::new();
    assert_eq!(house.transport("clear@localhost", "sslmode=prefer"), Transport::Local);
    let refused = house.refusal("clear@localhost", "sslmode=require");
    assert!(refused.contains("the server refuses it"), "{refused}");

    let (server, dir) = (Server::plain(), tempdir().unwrap());
    let url =
        |mode: &str| format!("postgresql://hoofbeat@localhost:{}/postgres?sslmode={mode}", server.port());
    let open = Registry::connect(&url("prefer"), dir.path()).unwrap();
    assert_eq!(open.transport().unwrap(), Transport::Local);
    for mode in ["require", "verify-full"] {
        let error = Registry::connect(&url(mode), dir.path()).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("offers no encryption") && said.contains(&format!("sslmode={mode}")),
            "{error:?}"
        );
    }
}
