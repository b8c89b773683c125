//! A real PostgreSQL server of one's own: it can be crashed and started again.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

/// A folder, a socket, no port. It ends with this value.
pub(crate) struct Server {
    dir: TempDir,
}

impl Server {
    /// # Panics
    /// PostgreSQL is not installed, or does not start.
    pub(crate) fn start() -> Server {
        let dir = tempdir().unwrap();
        let server = Server { dir };
        fs::create_dir(server.data()).unwrap();
        if is_root() {
            // The server refuses to run as root.
            for path in [server.dir.path().to_owned(), server.data()] {
                assert!(Command::new("chown").arg("postgres").arg(path).status().unwrap().success());
            }
        }
        server.run("initdb", &["--auth=trust", "--username=hoofbeat", "--no-sync", "--encoding=UTF8"]);
        server.begin();
        server
    }

    /// Kills the server's processes, as a failing machine would, and starts them again.
    pub(crate) fn crash(&self) {
        self.run("pg_ctl", &["stop", "--mode=immediate"]);
        self.begin();
    }

    fn begin(&self) {
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c max_connections=200",
            self.dir.path().display()
        );
        self.run("pg_ctl", &["start", "--wait", "--log=/dev/null", &format!("--options={options}")]);
    }

    pub(crate) fn address(&self) -> String {
        format!("host={} user=hoofbeat", self.dir.path().display())
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let path = installed(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.arg("--pgdata").arg(self.data()).args(arguments);
        let status = command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "{program}: {status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run("pg_ctl", &["stop", "--mode=immediate"]);
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
