//! Processes that are waited for, but not for ever: a hang is a failure with a name.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No command of a test takes this long, however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(420);

/// Runs a command to its end; `name` is what it is called where it has none.
pub(crate) fn output(name: &str, command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    finished(name, child.unwrap_or_else(|error| panic!("`{name}` cannot be started: {error}")))
}

/// What a process whose output is piped has written by its end.
pub(crate) fn finished(name: &str, mut child: Child) -> Output {
    let (stdout, stderr) = (drained(child.stdout.take()), drained(child.stderr.take()));
    let ended = ended(&mut child);
    if ended.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    let status = ended.unwrap_or_else(|| {
        panic!("`{name}` does not end; so far it said:\n{}", String::from_utf8_lossy(&stderr))
    });
    Output { status, stdout, stderr }
}

/// How a process ended; nothing if it does not.
pub(crate) fn ended(child: &mut Child) -> Option<ExitStatus> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// Reads a pipe to its end, so that its writer never waits.
fn drained(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A pipe of a killed process may end in an error; what was read counts.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}
