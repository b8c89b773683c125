//! Several processes on one file, killed at any moment: what was acknowledged is there, and all else is whole.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
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

struct Writer {
    child: Child,
    acknowledged: mpsc::Receiver<String>,
}

fn spawn(dir: &Path, name: &str) -> Writer {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "crash::child_writes_until_killed", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(NAME, name)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
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
    Writer { child, acknowledged }
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
        for w in &writers {
            acknowledged.push(w.acknowledged.recv_timeout(Duration::from_secs(60)).unwrap());
        }
        thread::sleep(Duration::from_millis(round * 7 % 40));
        for w in &mut writers {
            w.child.kill().unwrap();
            w.child.wait().unwrap();
        }
        for w in writers {
            acknowledged.extend(w.acknowledged.iter());
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

    assert!(acknowledged.len() > 60, "{}", acknowledged.len());
    let raw = rusqlite::Connection::open(dir.path().join("registry.db")).unwrap();
    let stored = |sql: &str, key: &str| raw.query_row(sql, [key], |r| r.get::<_, bool>(0)).unwrap();
    for key in &acknowledged {
        let number: usize = key.rsplit('-').next().unwrap().parse().unwrap();
        match number % 3 {
            0 => assert!(stored("SELECT EXISTS (SELECT 1 FROM requests WHERE key = ?1)", key), "{key}"),
            1 => assert!(
                stored(
                    "SELECT EXISTS (SELECT 1 FROM feedback JOIN reviews ON reviews.feedback = feedback.id WHERE key = ?1)",
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
