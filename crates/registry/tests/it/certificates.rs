//! Certificates of one's own, as `openssl` makes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A certificate and its private key, PEM files.
pub(crate) struct Issued {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// An authority that signs itself and others.
pub(crate) struct Authority {
    dir: PathBuf,
    own: Issued,
}

impl Authority {
    pub(crate) fn new(dir: &Path, name: &str) -> Authority {
        Authority { dir: dir.to_owned(), own: self_signed(dir, name, "DNS:authority.test", 2) }
    }

    /// What others trust.
    pub(crate) fn certificate(&self) -> &Path {
        &self.own.certificate
    }

    /// A certificate for a host (`DNS:name` or `IP:address`), good for so many days; of -1 days it has expired.
    pub(crate) fn issue(&self, name: &str, host: &str, days: i32) -> Issued {
        signed(
            &self.dir,
            name,
            &format!("subjectAltName={host}\nbasicConstraints=CA:FALSE\n"),
            days,
            |sign, _| {
                sign.arg("-CAcreateserial")
                    .arg("-CA")
                    .arg(&self.own.certificate)
                    .arg("-CAkey")
                    .arg(&self.own.key);
            },
        )
    }
}

/// A certificate that calls itself an authority, as `openssl req -x509` makes it.
pub(crate) fn self_signed(dir: &Path, name: &str, host: &str, days: i32) -> Issued {
    let claims = format!("subjectAltName={host}\nbasicConstraints=critical,CA:TRUE\n");
    signed(dir, name, &claims, days, |sign, own| {
        sign.arg("-signkey").arg(&own.key);
    })
}

fn signed(dir: &Path, name: &str, claims: &str, days: i32, by: impl Fn(&mut Command, &Issued)) -> Issued {
    let path = |kind: &str| dir.join(format!("{name}.{kind}"));
    let issued = Issued { certificate: path("crt"), key: path("key") };
    openssl(request(name, &issued.key).arg("-out").arg(path("csr")));
    fs::write(path("ext"), claims).unwrap();
    let mut sign = Command::new("openssl");
    sign.args(["x509", "-req", "-sha256", "-days", &days.to_string()]);
    sign.arg("-in").arg(path("csr")).arg("-extfile").arg(path("ext")).arg("-out").arg(path("crt"));
    by(&mut sign, &issued);
    openssl(&mut sign);
    issued
}

fn request(name: &str, key: &Path) -> Command {
    let mut command = Command::new("openssl");
    command.args(["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    command.args(["-subj", &format!("/CN={name}"), "-keyout"]).arg(key);
    command
}

fn openssl(command: &mut Command) {
    let run = command
        .output()
        .unwrap_or_else(|error| panic!("openssl is missing ({error}): scripts/setup --tests"));
    assert!(run.status.success(), "{command:?}: {}", String::from_utf8_lossy(&run.stderr));
}
