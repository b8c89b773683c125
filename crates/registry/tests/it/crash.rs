//! Several processes on one file, killed at any moment: what was acknowledged is there, and all else is whole.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use registry::{Act, Level, NewFeedback, Replaces, Verdict};
use tempfile::tempdir;

use crate::{NOON, open, validated};

const DIR: &str = "REGISTRY_TEST_DIR";
const NAME: &str = "REGISTRY_TEST_NAME";

/// The body of a child process; without its environment it is an empty test.
#[test]
fn child_writes_until_killed() {
    let (Ok(dir), Ok(name)) = (env::var(DIR), env::var(NAME)) else { return };
    let registry = open(Path::new(&dir));
    let versions: Vec<_> = registry.models().unwrap().into_iter().map(|m| m.version).collect();
    for i in 0_usize.. {
        let key = format!("{name}-{i}");
        let act = Act { key: &key, actor: &name, reason: "crash test", at: NOON };
        match i % 3 {
            0 => drop(registry.promote(versions[i % versions.len()], Replaces::Any, &act).unwrap()),
            1 => {
                let opinion = NewFeedback {
                    prediction_id: &key,
                    verdict: Verdict::Wrong,
                    severity: None,
                    rarity: None,
                    disease_code: None,
                    comment: None,
                };
                drop(registry.record_feedback(&opinion, &act).unwrap());
            }
            // Nothing to go back to is an answer, too.
            _ => drop(registry.rollback(&act)),
        }
        // Written past the test harness's capture; the pipe is read by the parent.
        let mut out = std::io::stdout().lock();
        writeln!(out, "done {key}").unwrap();
        out.flush().unwrap();
    }
}

/// A hang, however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(300);

struct Writer {
    child: Child,
    acknowledged: mpsc::Receiver<String>,
    /// What it says on standard error.
    said: PathBuf,
}

impl Writer {
    /// Its next write; a writer that ends by itself fails the test with what it said.
    fn next(&mut self) -> String {
        self.acknowledged.recv_timeout(PATIENCE).unwrap_or_else(|gone| {
            // Killed, it has its status at once; otherwise it ended already.
            let _ = self.child.kill();
            let status = self.child.wait().unwrap();
            panic!("no write came ({gone}); the writer ended with {status}:\n{}", self.said())
        })
    }

    /// Kills it; it must have run until then. Its last writes.
    fn kill(mut self) -> Vec<String> {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "the writer ended by itself with {ended:?}:\n{}", self.said());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.acknowledged.iter().collect()
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }
}

fn spawn(dir: &Path, name: &str) -> Writer {
    let said = dir.join(format!("{name}.stderr"));
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "crash::child_writes_until_killed", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(NAME, name)
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (send, acknowledged) = mpsc::channel();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some((_, key)) = line.split_once("done ") {
                let _ = send.send(key.to_owned());
            }
        }
    });
    Writer { child, acknowledged, said }
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    for i in 0..3 {
        validated(&registry, &format!("r{i}"));
        registry.finish_run(&format!("r{i}"), NOON, &serde_json::json!({})).unwrap();
    }
    let mut acknowledged = Vec::new();
    for round in 0..20_u64 {
        let mut writers: Vec<_> = (0..2).map(|w| spawn(dir.path(), &format!("w{w}-{round}"))).collect();
        // Only once both write does the kill fall between, or into, two processes' writes.
        for w in &mut writers {
            acknowledged.extend([w.next(), w.next()]);
        }
        thread::sleep(Duration::from_millis(round * 7 % 40));
        for w in writers {
            acknowledged.extend(w.kill());
        }
        assert_eq!(registry.check(None).unwrap(), [], "round {round}");
        registry
            .promote(
                registry.models().unwrap()[0].version,
                Replaces::Any,
                &crate::act(&format!("after-{round}")),
            )
            .unwrap();
    }

    assert!(acknowledged.len() >= 80, "{}", acknowledged.len());
    let stored = |query: &str, key: &str| crate::exists(dir.path(), query, key);
    for key in &acknowledged {
        let number: usize = key.rsplit('-').next().unwrap().parse().unwrap();
        match number % 3 {
            0 => assert!(stored("SELECT 1 FROM requests WHERE key = ?1", key), "{key}"),
            1 => assert!(
                stored(
                    "SELECT 1 FROM feedback JOIN reviews ON reviews.feedback = feedback.id WHERE key = ?1",
                    key
                ),
                "{key}"
            ),
            _ => {}
        }
    }
    assert!(registry.check(None).unwrap().iter().all(|f| f.level < Level::Error));
}

#[test]
fn processes_that_open_a_new_registry_at_once_make_it_once() {
    for _ in 0..5 {
        let dir = tempdir().unwrap();
        thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| open(dir.path()).champion_epoch().unwrap());
            }
        });
        assert_eq!(open(dir.path()).check(None).unwrap(), []);
    }
}

/// Each of the others' writes waits for one of its writes at most. Without turns one of them would wait until it is "busy".
#[test]
fn a_writer_that_never_rests_starves_nobody() {
    let dir = tempdir().unwrap();
    let (restless, patient) = (open(dir.path()), open(dir.path()));
    let model = validated(&patient, "r0");
    let (written, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|s| {
        s.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let key = format!("restless-{}", written.load(Ordering::Relaxed));
                restless.promote(model, Replaces::Any, &crate::act(&key)).unwrap();
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
        let results: Vec<_> = (0..30)
            .map(|i| {
                // It writes, so it has the lock most of the time.
                let before = written.load(Ordering::Relaxed);
                while written.load(Ordering::Relaxed) == before {
                    thread::yield_now();
                }
                patient.promote(model, Replaces::Any, &crate::act(&format!("patient-{i}")))
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        results.into_iter().for_each(|result| assert!(result.is_ok(), "{result:?}"));
    });
}
