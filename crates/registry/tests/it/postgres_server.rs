//! A real PostgreSQL server of one's own: it can be crashed and started again.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

use crate::certificates::Issued;

/// A folder, a socket, a port only where asked. It ends with this value.
pub(crate) struct Server {
    dir: TempDir,
    /// On the loopback interface.
    port: Option<u16>,
}

impl Server {
    /// # Panics
    /// PostgreSQL is not installed, or does not start.
    pub(crate) fn start() -> Server {
        let server = Server::made();
        server.begin();
        server
    }

    /// A server that listens on a port, too, with a certificate and rules of who may come in how (`pg_hba.conf`).
    pub(crate) fn encrypted(shown: &Issued, authority: &Path, rules: &str) -> Server {
        let mut server = Server::made();
        fs::write(server.data().join("pg_hba.conf"), format!("local all all trust\n{rules}")).unwrap();
        server.put("authority.crt", authority);
        server.put("server.crt", &shown.certificate);
        server.put("server.key", &shown.key);
        let settings = OpenOptions::new().append(true).open(server.data().join("postgresql.conf"));
        settings.unwrap().write_all(b"ssl = on\nssl_ca_file = 'authority.crt'\n").unwrap();
        server.listen();
        server
    }

    /// A server that listens on a port, too, and encrypts nothing.
    pub(crate) fn plain() -> Server {
        let mut server = Server::made();
        server.listen();
        server
    }

    /// The port that is free now may be taken in the next moment.
    fn listen(&mut self) {
        let started = (0..5).any(|_| {
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            self.port = Some(free.port());
            self.begins()
        });
        assert!(started, "PostgreSQL does not start");
    }

    /// Begins anew with another certificate.
    pub(crate) fn show(&self, shown: &Issued) {
        self.put("server.crt", &shown.certificate);
        self.put("server.key", &shown.key);
        self.crash();
    }

    /// A file of the server's, which only the server may read.
    fn put(&self, name: &str, from: &Path) {
        let path = self.data().join(name);
        fs::copy(from, &path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        self.give(&path);
    }

    /// The server refuses to run as root.
    fn give(&self, path: &Path) {
        if is_root() {
            assert!(Command::new("chown").arg("postgres").arg(path).status().unwrap().success());
        }
    }

    fn made() -> Server {
        let server = Server { dir: tempdir().unwrap(), port: None };
        fs::create_dir(server.data()).unwrap();
        server.give(server.dir.path());
        server.give(&server.data());
        let made =
            server.run("initdb", &["--auth=trust", "--username=hoofbeat", "--no-sync", "--encoding=UTF8"]);
        assert!(made, "initdb failed");
        server
    }

    /// Kills the server's processes, as a failing machine would, and starts them again.
    pub(crate) fn crash(&self) {
        assert!(self.run("pg_ctl", &["stop", "--mode=immediate"]));
        self.begin();
    }

    fn begin(&self) {
        assert!(self.begins(), "PostgreSQL does not start");
    }

    fn begins(&self) -> bool {
        let listen = self.port.map_or("-c listen_addresses=''".to_owned(), |port| {
            format!("-c listen_addresses=127.0.0.1 -c port={port}")
        });
        let options = format!(
            "{listen} -c unix_socket_directories='{}' -c max_connections=200",
            self.dir.path().display()
        );
        self.run("pg_ctl", &["start", "--wait", "--log=/dev/null", &format!("--options={options}")])
    }

    /// By its socket.
    pub(crate) fn address(&self) -> String {
        let port = self.port.map_or(String::new(), |port| format!(" port={port}"));
        format!("host={}{port} user=hoofbeat", self.dir.path().display())
    }

    /// Where it listens on the loopback interface.
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap()
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Whether it ended well.
    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let path = installed(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.arg("--pgdata").arg(self.data()).args(arguments);
        let quiet = command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.run("pg_ctl", &["stop", "--mode=immediate"]);
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Debian keeps the server's programs off the path.
fn installed(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin").join(program)).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop().unwrap_or_else(|| program.into())
}
