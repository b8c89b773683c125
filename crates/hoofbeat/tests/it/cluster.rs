//! A cluster of real processes counts what one process counts.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Deployment, finished, trained};

/// The machine may be loaded.
const PATIENCE: Duration = Duration::from_secs(120);

/// A process of the cluster; killed when dropped.
struct Process {
    child: Child,
}

impl Process {
    /// Starts a process and waits until it says a line with `ready`; what follows it on the line.
    fn start(mut command: Command, ready: &'static str) -> (Process, String) {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (said, hear) = mpsc::channel();
        listen(child.stderr.take().unwrap(), Arc::clone(&log), ready, said);
        let Ok(rest) = hear.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("it does not say `{ready}`:\n{}", log.lock().unwrap());
        };
        (Process { child }, rest)
    }

    /// As `kill -9` does.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn listen(stderr: ChildStderr, log: Arc<Mutex<String>>, ready: &'static str, said: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once(ready) {
                // Only the first is waited for.
                let _ = said.send(rest.to_owned());
            }
            *log.lock().unwrap() += &format!("{line}\n");
        }
    });
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A scheduler and executors, and the deployment that counts with them.
struct Cluster {
    deployment: Deployment,
    executors: Vec<Process>,
    _scheduler: Process,
}

impl Cluster {
    fn start(executors: usize) -> Cluster {
        let deployment = trained().copy();
        let command = deployment.command(["cluster", "scheduler", "--listen", "127.0.0.1:0"]);
        let (scheduler, address) = Process::start(command, "the scheduler is ready at ");
        deployment.write(
            "ballista.toml",
            &format!("study = \"study.toml\"\n[engine]\nkind = \"ballista\"\nscheduler = \"{address}\"\npartitions = 8\ntimeout_seconds = 180\n"),
        );
        let executor = || {
            let arguments =
                ["cluster", "executor", "--scheduler", &address, "--cores", "1", "--memory", "256"];
            Process::start(deployment.command(arguments), "is ready for the scheduler").0
        };
        let executors = (0..executors).map(|_| executor()).collect();
        Cluster { deployment, executors, _scheduler: scheduler }
    }

    /// A command's document, counted by the cluster or here.
    fn json(&self, line: &str, config: &str) -> Value {
        self.deployment.json(&format!("--config {config} {line}"))
    }

    fn assert_counts_alike(&self) {
        for line in [
            "profile",
            "profile --dataset-version 1",
            "evaluate m-0001",
            "model diff m-0001 m-0002 --dataset-version 2",
        ] {
            let (here, there) = (self.json(line, "hoofbeat.toml"), self.json(line, "ballista.toml"));
            assert_eq!(without_times(here), without_times(there), "{line}");
        }
    }
}

/// What differs between two runs of the same command.
fn without_times(mut document: Value) -> Value {
    if let Some(object) = document.as_object_mut() {
        object.retain(|key, _| !key.ends_with("_at") && !key.contains("seconds") && key != "evaluation_id");
        for value in object.values_mut() {
            *value = without_times(value.take());
        }
    }
    document
}

/// Training counts the cohort and verifies the split: the same model, byte by byte.
#[test]
fn two_executors_count_what_one_process_counts() {
    let cluster = Cluster::start(2);
    cluster.assert_counts_alike();
    let reproduced = cluster.json("model reproduce m-0001", "ballista.toml");
    assert_eq!(reproduced["identical"], true, "{reproduced}");
}

/// One is killed while a query runs: the answer is right, or the failure is said, and then the same command is answered.
#[test]
fn an_executor_that_is_killed_costs_no_answer() {
    let mut cluster = Cluster::start(2);
    let expected = cluster.json("profile", "hoofbeat.toml");
    let running = cluster.deployment.command(["--config", "ballista.toml", "profile", "--json"]);
    let running = {
        let mut running = running;
        running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    std::thread::sleep(Duration::from_millis(500));
    cluster.executors[0].kill();
    let output = finished("profile", running);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), expected),
        Some(1) => {
            assert!(stderr.contains("the cluster did not answer") && stderr.contains("repeated"), "{stderr}")
        }
        other => panic!("{other:?}: {stderr}"),
    }
    assert_eq!(cluster.json("profile", "ballista.toml"), expected, "a retry");
}

/// Four real executors, and one.
#[test]
#[ignore = "starts seven processes: run by hand"]
fn one_and_four_executors_count_what_one_process_counts() {
    for executors in [1, 4] {
        Cluster::start(executors).assert_counts_alike();
    }
}

#[test]
fn what_is_missing_is_said() {
    let deployment = trained().copy();
    deployment.write(
        "ballista.toml",
        "study = \"study.toml\"\n[engine]\nkind = \"ballista\"\nscheduler = \"127.0.0.1:9\"\n",
    );
    for (line, why) in [
        ("--config ballista.toml profile", "the cluster did not answer"),
        ("--config ballista.toml train", "the cluster did not answer"),
        ("cluster scheduler --listen 0.0.0.0:0", "trusted_network"),
        ("cluster executor --listen 0.0.0.0:0", "trusted_network"),
        ("cluster executor --scheduler nowhere", "HOST:PORT"),
    ] {
        let run = deployment.run(line).exits(1);
        assert!(run.reason().contains(why), "{line}: {}", run.reason());
    }
}
