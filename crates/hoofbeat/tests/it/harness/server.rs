//! A running server on a free port.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Client, Deployment, ended};

/// A first run trains before it serves, and the machine may be loaded.
const PATIENCE: Duration = Duration::from_secs(300);

/// A free port; the server says which.
const ANYWHERE: &str = "127.0.0.1:0";

/// Sends a process a signal by its name; false when there is no such process.
pub(crate) fn signal(process: u32, name: &str) -> bool {
    let mut command = Command::new("kill");
    command.args([&format!("-{name}"), &process.to_string()]).stderr(Stdio::null());
    command.status().unwrap().success()
}

/// The parent of a process that has not ended (proc(5), `/proc/PID/stat`, fields 3 and 4).
pub(crate) fn running(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    fields.next().filter(|state| *state != "Z")?;
    fields.next()?.parse().ok()
}

/// Killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts `hoofbeat serve`.
    pub(crate) fn start(deployment: &Deployment) -> Server {
        Server::run(deployment.command(["serve", "--listen", ANYWHERE]))
    }

    /// Starts the server with everything logged that can be.
    pub(crate) fn start_tracing(deployment: &Deployment) -> Server {
        let mut command = deployment.command(["serve", "--listen", ANYWHERE]);
        command.env("RUST_LOG", "trace");
        Server::run(command)
    }

    /// Starts `hoofbeat up`.
    pub(crate) fn up(deployment: &Deployment, rows: &str) -> Server {
        Server::run(deployment.command(["up", "--listen", ANYWHERE, "--rows", rows]))
    }

    /// Runs a command that serves, and waits until it says its address.
    fn run(mut command: Command) -> Server {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let (ready, address) = mpsc::channel();
        let written = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some(port) = line.strip_prefix("hoofbeat is ready at http://localhost:") {
                    let _ = ready.send(port.parse().unwrap());
                }
                *written.lock().unwrap() += &format!("{line}\n");
            }
        });
        let Ok(port) = address.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("the server did not get ready:\n{}", log.lock().unwrap());
        };
        Server { child, port, log, reader: Some(reader) }
    }

    /// The port of the SQL endpoint, which is said before the server's own.
    pub(crate) fn sql_port(&self) -> u16 {
        let said = self.said();
        let at = said.split_once("SQL is ready at postgresql://localhost:");
        let port = at.and_then(|(_, rest)| rest.split('/').next()).and_then(|port| port.parse().ok());
        port.unwrap_or_else(|| panic!("there is no SQL endpoint:\n{said}"))
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.port)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    /// A client that goes away in the middle of its request.
    pub(crate) fn break_off(&self, beginning: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(beginning.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // Until the server has noticed.
        let _ = stream.read_to_end(&mut Vec::new());
    }

    /// Waits until a promotion has reached this server.
    pub(crate) fn wait_for_model(&self, version: &str) {
        let mut client = self.client();
        let started = Instant::now();
        while !client.get("/").text().contains(version) {
            assert!(started.elapsed() < PATIENCE, "{version} does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it wrote to standard error so far.
    pub(crate) fn said(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Processor time of it and of the children that it waited for (proc(5), `/proc/PID/stat`, fields 14 to 17).
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = fields.split(' ').skip(11).take(4).map(|ticks| ticks.parse::<u64>().unwrap());
        // A tick is 10 ms on every Linux that Rust runs on (`sysconf(_SC_CLK_TCK)` is 100).
        Duration::from_millis(10 * ticks.sum::<u64>())
    }

    /// Sends the process a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        assert!(signal(self.child.id(), name));
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process that works on its job, where it has one.
    pub(crate) fn worker(&self) -> Option<u32> {
        let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
        let mut ids = processes.filter_map(|name| name.to_str()?.parse::<u32>().ok());
        ids.find(|&id| running(id) == Some(self.child.id()))
    }

    /// The status of a request that may be answered 5xx.
    pub(crate) fn status(&self, method: &str, path: &str, body: &str) -> u16 {
        self.client().status(method, path, &[("content-type", "application/json")], body.as_bytes())
    }

    /// Asks it to stop and waits until it has; everything that it wrote to standard error and standard output.
    pub(crate) fn stop(mut self) -> String {
        self.signal("TERM");
        let status =
            ended(&mut self.child).unwrap_or_else(|| panic!("the server does not stop:\n{}", self.said()));
        self.reader.take().unwrap().join().unwrap();
        let mut log = std::mem::take(&mut *self.log.lock().unwrap());
        self.child.stdout.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(status.success(), "the server did not stop well ({status}):\n{log}");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
