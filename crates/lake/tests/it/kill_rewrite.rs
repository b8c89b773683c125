//! `kill -9` at random moments of ingests, compactions, restores, erasures, retentions and releases, one after the other.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use lake::{CaseRow, DatasetVersion, Lake, QuarantineFilter, Retention};
use time::macros::datetime;

use crate::support::{
    Dice, assert_clean, begin, case_ids, child_dir, erase, key_bytes, made, on_disk, quietly, refuse,
    spawn_child,
};

const NOW: time::OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);
/// Rows of an ingest: version v brings the cases from v * ROWS on.
const ROWS: u64 = 60;

/// Not a test of its own: changes the lake in all ways, in an order that its history decides, until it is killed.
#[test]
#[ignore = "started by the tests below, in a process of its own"]
fn changes_until_killed() {
    let Some(dir) = child_dir() else { return };
    let lake = Lake::open(&dir);
    loop {
        let commits = std::fs::read_dir(dir.join("lake/cases/_delta_log")).map_or(0, Iterator::count) as u64;
        println!("\nDONE {}", change(&lake, &mut Dice(commits * 7919 + std::process::id() as u64)));
    }
}

/// One change; says what it was.
fn change(lake: &Lake, dice: &mut Dice) -> String {
    let head = lake.newest().unwrap().map_or(0, |newest| newest.version);
    match dice.below(if head < 3 { 1 } else { 10 }) {
        0..=3 => {
            let version = head + 1;
            let mut ingest = begin(lake, "ehr").unwrap();
            for n in version * ROWS..(version + 1) * ROWS {
                ingest.push(&CaseRow { recorded_at: Some(n as i64), ..made(n).row() }).unwrap();
            }
            refuse(&mut ingest, "bad.csv", 1, &format!("{{\"patient_id\":\"p-{}\"}}", version * ROWS / 2));
            format!("ingest {}", ingest.commit().unwrap().dataset_version)
        }
        4 => format!("restore {}", lake.restore(1 + dice.below(head), NOW).unwrap().version),
        5 | 6 => {
            lake.compact(dice.below(2) == 0, &quietly(false)).unwrap();
            "compact".to_owned()
        }
        7 => {
            let patient = format!("p-{}", (ROWS + dice.below(head * ROWS)) / 2);
            erase(lake, &[&patient], false);
            format!("erase {patient}")
        }
        8 => {
            let recorded_before = (ROWS + 2 * dice.below(20)) as i64;
            lake.retain(
                &Retention { recorded_before, source: None, predictions: HashSet::new() },
                &quietly(false),
            )
            .unwrap();
            format!("retain {recorded_before}")
        }
        _ => {
            let rows = lake.quarantine(head, &QuarantineFilter::default(), 2).unwrap();
            let mut ingest = begin(lake, "ehr").unwrap();
            rows.iter().for_each(|row| ingest.release(row));
            format!("release {}", ingest.commit().unwrap().released)
        }
    }
}

/// What the children were acknowledged.
#[derive(Default)]
struct Acknowledged {
    version: u64,
    erased: BTreeSet<String>,
    limit: u64,
    kinds: BTreeMap<String, u64>,
}

impl Acknowledged {
    fn hear(&mut self, line: &str) {
        let Some((kind, what)) =
            line.strip_prefix("DONE ").map(|done| done.split_once(' ').unwrap_or((done, "")))
        else {
            return;
        };
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
        match kind {
            "ingest" | "restore" => self.version = self.version.max(what.parse().unwrap()),
            "erase" => drop(self.erased.insert(what.to_owned())),
            "retain" => self.limit = self.limit.max(what.parse().unwrap()),
            _ => {}
        }
    }
}

impl Acknowledged {
    /// Cases are missing because they were erased or too old: by what was acknowledged, or by the one change that a kill
    /// cut short after its commit, which is known from now on.
    fn excuse(&mut self, missing: &BTreeSet<String>, round: u64) {
        let known = |case: &&String| number(case) < self.limit || self.erased.contains(&person(case));
        let more: Vec<&String> = missing.iter().filter(|case| !known(case)).collect();
        let persons: BTreeSet<String> = more.iter().map(|case| person(case)).collect();
        let oldest = more.iter().map(|case| number(case) + 1).max().unwrap_or(0);
        if persons.len() <= 1 {
            self.erased.extend(persons);
        } else {
            assert!(oldest <= ROWS + 40, "round {round}: rows of {persons:?} are gone");
            self.limit = self.limit.max(oldest);
        }
    }
}

/// The number of a case, and the patient that it is of.
fn number(case: &str) -> u64 {
    case[2..].parse().unwrap()
}

fn person(case: &str) -> String {
    format!("p-{}", number(case) / 2)
}

/// Kills child after child; says what it saw.
fn killed(rounds: u64, enough: impl Fn(&Acknowledged, u64, u64) -> bool) -> String {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path());
    let (mut dice, mut heard, mut swept, mut round) = (Dice(11), Acknowledged::default(), 0, 0);
    while round < rounds || !enough(&heard, swept, round) {
        round += 1;
        let mut child = spawn_child("kill_rewrite::changes_until_killed", dir.path());
        std::thread::sleep(Duration::from_millis(10 + dice.below(400)));
        child.kill().unwrap();
        child.wait().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        out.lines().map_while(Result::ok).for_each(|line| heard.hear(&line));
        swept += assert_whole(&lake, dir.path(), &mut heard, round);
    }
    // A last, undisturbed change cleans up.
    lake.compact(true, &quietly(false)).unwrap();
    assert_clean(&lake);
    format!("{round} kills, {swept} leftovers found, acknowledged: {:?}", heard.kinds)
}

/// Every version is what its commits say, nothing acknowledged is lost, no erased person is back. Answers the leftovers.
fn assert_whole(lake: &Lake, dir: &Path, heard: &mut Acknowledged, round: u64) -> u64 {
    let check = lake.check().unwrap();
    assert_eq!(check.problems, Vec::<String>::new(), "round {round}");
    let versions: BTreeMap<u64, DatasetVersion> =
        lake.versions().unwrap().into_iter().map(|version| (version.version, version)).collect();
    let head = versions.last_key_value().map_or(0, |(&version, _)| version);
    assert!(head >= heard.version, "round {round}: an acknowledged version is gone");
    heard.version = head;
    let mut missing = BTreeSet::new();
    // The newest ones each time, all of them now and then.
    let looked_at = if round.is_multiple_of(25) { usize::MAX } else { 4 };
    for (number, version) in versions.iter().rev().take(looked_at) {
        let mut at = Some(*number);
        let mut full = BTreeSet::new();
        while let Some(known) = at.and_then(|at| versions.get(&at)) {
            if known.restored.is_none() {
                full.extend((known.version * ROWS..(known.version + 1) * ROWS).map(|n| made(n).case_id));
            }
            at = known.parent;
        }
        let found: BTreeSet<String> = case_ids(lake, *number).into_iter().collect();
        assert_eq!(found.len() as u64, version.totals.rows, "round {round}: version {number}");
        assert!(found.is_subset(&full), "round {round}: version {number} has rows of others");
        missing.extend(full.difference(&found).cloned());
    }
    heard.excuse(&missing, round);
    if check.leftovers.is_empty() {
        for patient in &heard.erased {
            assert!(
                !on_disk(&dir.join("lake/cases"), &key_bytes(patient)),
                "round {round}: {patient} is back"
            );
        }
    }
    check.leftovers.len() as u64
}

#[test]
fn a_killed_change_leaves_the_lake_before_or_after() {
    killed(16, |heard, swept, round| round >= 200 || (heard.kinds.len() >= 4 && swept > 0));
}

/// By hand: `cargo test -p lake --test it kill_rewrite::three_hundred_kills -- --ignored --nocapture`.
#[test]
#[ignore = "minutes long"]
fn three_hundred_kills() {
    println!("{}", killed(300, |_, _, _| true));
}
