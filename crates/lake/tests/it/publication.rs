//! The tables of what was served, over a real prediction log: every answer once, corrections, removal, compaction, kills.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use lake::predictions::{self, LogOptions, Mark, PredictionLog, PredictionReader};
use lake::{Lake, OutcomeRow, PredictionLayout, PredictionRow, Published, Retention, Served, columns};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use uuid::Uuid;

use crate::support::{
    Dice, Site, assert_clean, begin, erase, key_bytes, on_disk, on_each_storage, push_all, quietly, refuse,
};

const REGISTRY: &str = "registry 1";

fn layout(inputs: &[&str]) -> PredictionLayout {
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    PredictionLayout { inputs: texts(inputs), severities: texts(&["healthy", "mild"]) }
}

/// A log of small segments; answer `n` is of patient `p-<n / 2>`, at second `n`.
fn open_log(dir: &Path) -> PredictionLog {
    PredictionLog::open_with(dir, LogOptions { segment_bytes: 2048, ..LogOptions::default() }).unwrap()
}

fn answer(log: &PredictionLog, numbers: std::ops::Range<u64>) -> Vec<Uuid> {
    let payloads: Vec<String> = numbers.map(|n| format!("{n}")).collect();
    log.append_all(&payloads).wait().unwrap()
}

fn number(payload: &[u8]) -> u64 {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

/// What a publication of the first log brings; at most `limit` answers.
fn publish_some(lake: &Lake, dir: &Path, limit: u64) -> Published {
    publish_of(lake, dir, 0, limit)
}

/// The same of any log.
fn publish_of(lake: &Lake, dir: &Path, log: u32, limit: u64) -> Published {
    let feed = format!("{} {log}", predictions::identity(dir).unwrap());
    let mut publication = lake.publish_predictions(&feed, &layout(&["age_years", "gender"])).unwrap();
    let mut reached = None;
    for record in PredictionReader::open(dir).scan_durable(log, publication.after()).unwrap() {
        let (id, payload) = record.unwrap();
        let n = number(&payload);
        publication
            .push(&PredictionRow {
                prediction_id: &id.to_string(),
                created_at: n as i64 * 1_000_000,
                model_version: "m-0001",
                dataset_version: 1,
                patient_id: Some(&format!("p-{}", n / 2)),
                severity: Some(if n.is_multiple_of(3) { "healthy" } else { "mild" }),
                rarity: (!n.is_multiple_of(3)).then_some("common"),
                probability_orphan: 0.01,
                threshold: 0.08,
                abstained: n.is_multiple_of(5),
                probabilities: &[Some(0.25), Some(0.75)],
                inputs: &[Some((n % 100) as i32), Some((n % 2) as i32)],
            })
            .unwrap();
        reached = Mark::of(id, &payload);
        if publication.rows() == limit {
            break;
        }
    }
    match reached {
        None => Published::default(),
        reached => publication.commit(reached).unwrap(),
    }
}

fn publish(lake: &Lake, dir: &Path) -> Published {
    publish_some(lake, dir, u64::MAX)
}

/// Outcomes with numbers from `first` on, of the predictions in turn.
fn publish_outcomes(lake: &Lake, first: u64, predictions: &[Uuid], severity: &str) -> Published {
    let mut publication = lake.publish_outcomes(REGISTRY).unwrap();
    for (outcome_id, id) in (first..).zip(predictions) {
        publication.push(&OutcomeRow {
            outcome_id,
            prediction_id: &id.to_string(),
            severity,
            rarity: Some("orphan"),
            disease_code: Some("ORPHA:586"),
            confirmed_at: 1_000_000 * outcome_id as i64,
            recorded_at: 2_000_000 * outcome_id as i64,
            source: "review",
            reviewer: "reviewer-1",
        });
    }
    publication.commit((first + predictions.len() as u64 - 1) as i64).unwrap()
}

/// A column's texts over all files of a table, as a plain Parquet reader finds them.
fn texts(site: &Site, lake: &Lake, what: Served, column: &str) -> Vec<String> {
    let mut found = Vec::new();
    for url in lake.served_files(what).unwrap().whole {
        let name = url.path_segments().unwrap().next_back().unwrap();
        let file = File::open(site.dir.join(what.name()).join(name)).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let texts = cast(batch.column_by_name(column).unwrap(), &DataType::Utf8).unwrap();
            found.extend(texts.as_string::<i32>().iter().map(|text| text.unwrap_or("-").to_owned()));
        }
    }
    found
}

fn in_log(dir: &Path) -> Vec<String> {
    PredictionReader::open(dir).scan().unwrap().map(|record| record.unwrap().0.to_string()).collect()
}

/// Every answer of the log is in the table, once, and no other.
fn assert_published(site: &Site, lake: &Lake, dir: &Path) {
    let mut published = texts(site, lake, Served::Predictions, columns::PREDICTION_ID);
    published.sort();
    let mut logged = in_log(dir);
    logged.sort();
    assert_eq!(published, logged);
}

struct Place {
    lake: Lake,
    log: tempfile::TempDir,
}

impl Place {
    fn on(site: &Site) -> Place {
        Place { lake: site.lake(), log: tempfile::tempdir().unwrap() }
    }

    fn dir(&self) -> PathBuf {
        self.log.path().join("predictions")
    }
}

on_each_storage! {
    each_publication_brings_what_is_new_and_each_answer_once
    a_correction_takes_the_place_of_the_outcome_before
    a_person_and_old_answers_leave_both_tables_and_every_file
}

fn each_publication_brings_what_is_new_and_each_answer_once(site: &Site) {
    let place = Place::on(site);
    let (lake, dir) = (&place.lake, place.dir());
    let log = open_log(&dir);
    assert_eq!(lake.served_files(Served::Predictions).unwrap().whole.len(), 0);
    answer(&log, 0..100);
    assert_eq!(publish_some(lake, &dir, 30).rows, 30);
    assert_eq!(publish(lake, &dir).rows, 70);
    assert_eq!(publish(lake, &dir).rows, 0);
    answer(&log, 100..103);
    assert_eq!(publish(lake, &dir).rows, 3);
    assert_published(site, lake, &dir);
    // Another log, of another server, has places of its own.
    let other = Place { lake: site.lake(), log: tempfile::tempdir().unwrap() };
    let second = open_log(&other.dir());
    answer(&second, 500..510);
    assert_eq!(publish(lake, &other.dir()).rows, 10);
    assert_eq!(publish(lake, &dir).rows, 0);
    assert_eq!(lake.served_rows(Served::Predictions).unwrap(), 113);
    // A study with another input adds a column; the old answers have no value there.
    let feed = predictions::identity(&dir).unwrap().to_string();
    answer(&log, 103..104);
    let mut publication =
        lake.publish_predictions(&feed, &layout(&["age_years", "gender", "glucose"])).unwrap();
    let record = PredictionReader::open(&dir).scan_durable(0, publication.after()).unwrap().next();
    let (id, payload) = record.unwrap().unwrap();
    publication
        .push(&PredictionRow {
            prediction_id: &id.to_string(),
            created_at: 0,
            model_version: "m-0002",
            dataset_version: 2,
            patient_id: None,
            severity: None,
            rarity: None,
            probability_orphan: 0.0,
            threshold: 0.5,
            abstained: false,
            probabilities: &[],
            inputs: &[Some(1), Some(1), Some(99)],
        })
        .unwrap();
    publication.commit(Mark::of(id, &payload)).unwrap();
    let files = lake.served_files(Served::Predictions).unwrap();
    assert!(
        files.schema.column_with_name("glucose").is_some()
            && files.schema.column_with_name("p_mild").is_some()
    );
    assert_clean(lake);
}

fn a_correction_takes_the_place_of_the_outcome_before(site: &Site) {
    let lake = site.lake();
    let ids: Vec<Uuid> = (0..6).map(|n| Uuid::from_u128(n + 1)).collect();
    assert_eq!(publish_outcomes(&lake, 1, &ids[..4], "mild"), Published { rows: 4, corrected: 0 });
    assert_eq!(publish_outcomes(&lake, 5, &ids[4..], "mild").rows, 2);
    let again = publish_outcomes(&lake, 7, &ids[1..3], "healthy");
    assert_eq!(again, Published { rows: 2, corrected: 2 });
    assert_eq!(lake.publish_outcomes(REGISTRY).unwrap().after(), Some(8));
    let found: BTreeMap<String, String> = texts(site, &lake, Served::Outcomes, columns::PREDICTION_ID)
        .into_iter()
        .zip(texts(site, &lake, Served::Outcomes, columns::SEVERITY))
        .collect();
    assert_eq!(found.len() as u64, lake.served_rows(Served::Outcomes).unwrap());
    let corrected = found.iter().filter(|(_, severity)| *severity == "healthy").map(|(id, _)| id.clone());
    assert_eq!(corrected.collect::<Vec<_>>(), ids[1..3].iter().map(Uuid::to_string).collect::<Vec<_>>());
    assert_clean(&lake);
}

fn a_person_and_old_answers_leave_both_tables_and_every_file(site: &Site) {
    let place = Place::on(site);
    let (lake, dir) = (&place.lake, place.dir());
    let log = open_log(&dir);
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.extend(answer(&log, n * 20..(n + 1) * 20));
        publish(lake, &dir);
    }
    publish_outcomes(lake, 1, &ids, "mild");
    // Compaction leaves files behind that hold the person, too.
    let done = lake.compact(false, &quietly(false)).unwrap();
    assert_eq!((done.predictions.files_before, done.predictions.files_after), (5, 1));
    assert!(on_disk(&site.dir.join("predictions"), &key_bytes("p-7")));

    let planned = erase(lake, &["p-7"], true).served;
    assert_eq!((planned.predictions, planned.outcomes), (2, 2));
    assert_eq!(lake.served_rows(Served::Predictions).unwrap(), 100);
    assert_eq!(erase(lake, &["p-7"], false).served, planned);
    assert_eq!(erase(lake, &["p-7"], false).served.predictions, 0);
    assert!(!on_disk(&site.dir.join("predictions"), &key_bytes("p-7")), "a file still holds the person");
    let left = texts(site, lake, Served::Outcomes, columns::PREDICTION_ID);
    assert!(left.len() == 98 && !left.contains(&ids[14].to_string()));

    // Answers of before second 30, and their outcomes, go; by source nothing does, since answers have none.
    let retain = |source: Option<&str>| {
        let retention = Retention {
            recorded_before: 30_000_000,
            source: source.map(str::to_owned),
            predictions: HashSet::new(),
        };
        lake.retain(&retention, &quietly(false)).unwrap().served
    };
    assert_eq!(retain(Some("ehr")).predictions, 0);
    let gone = retain(None);
    assert_eq!((gone.predictions, gone.outcomes), (28, 28));
    assert_eq!(lake.served_rows(Served::Predictions).unwrap(), 70);
    // What was published is not published again.
    assert_eq!(publish(lake, &dir).rows, 0);
    assert_clean(lake);
}

#[test]
fn many_publications_stay_few_files_and_the_place_outlives_old_commits() {
    let site = Site::local();
    let place = Place::on(&site);
    let (lake, dir) = (&place.lake, place.dir());
    let log = open_log(&dir);
    for n in 0..70 {
        answer(&log, n * 3..(n + 1) * 3);
        assert_eq!(publish(lake, &dir).rows, 3);
        assert!(lake.served_files(Served::Predictions).unwrap().whole.len() < 30);
    }
    assert_published(&site, lake, &dir);
    // As the cleaning of the log does after a week: what is older than the newest checkpoint goes.
    let delta = site.dir.join("predictions/_delta_log");
    let hint: serde_json::Value =
        serde_json::from_slice(&std::fs::read(delta.join("_last_checkpoint")).unwrap()).unwrap();
    let checkpoint = hint["version"].as_u64().unwrap();
    assert!(checkpoint >= 40, "{checkpoint}");
    for version in 0..checkpoint {
        std::fs::remove_file(delta.join(format!("{version:020}.json"))).unwrap();
    }
    assert_eq!(publish(lake, &dir).rows, 0);
    answer(&log, 210..215);
    assert_eq!(publish(lake, &dir).rows, 5);
    assert_published(&site, lake, &dir);
    assert_clean(lake);
}

#[test]
fn retention_empties_and_deletes_segments_but_never_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_log(dir.path());
    let ids = (0..60).flat_map(|n| answer(&log, n * 5..(n + 1) * 5)).collect::<Vec<_>>();
    let count = || {
        std::fs::read_dir(dir.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().path().extension().is_some())
            .count()
    };
    let before = count();
    assert!(before >= 4, "{before} segments");
    let keep = log.get(ids[200]).unwrap();
    assert_eq!(predictions::retain(dir.path(), |payload| number(payload) < 150).unwrap(), 150);
    assert!(count() < before);
    assert_eq!(log.get(ids[200]).unwrap(), keep);
    assert_eq!(log.get(ids[3]).unwrap(), None);
    assert_eq!(in_log(dir.path()).len(), 150);
    // Everything goes, and the log goes on under new names.
    assert_eq!(predictions::retain(dir.path(), |_| true).unwrap(), 150);
    assert_eq!(count(), 1);
    let more = answer(&log, 300..310);
    drop(log);
    let log = open_log(dir.path());
    assert!(more.iter().all(|id| log.get(*id).unwrap().is_some()));
    let place = |id| Mark::of(id, b"").unwrap().place;
    assert!(place(more[0]) > place(ids[299]));
}

#[test]
fn a_look_at_a_stretch_reads_its_segments_only() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_log(dir.path());
    for n in 0..200 {
        answer(&log, n * 10..(n + 1) * 10);
    }
    let reader = PredictionReader::open(dir.path());
    let time = |payload: &[u8]| Some(number(payload) as i64);
    let between = |from: i64, to: Option<i64>| -> Vec<u64> {
        let scan = reader.scan_between(time, from, to, 20).unwrap();
        scan.map(|record| number(&record.unwrap().1)).collect()
    };
    let (all, some, end) = (between(0, None), between(900, Some(1000)), between(1950, None));
    assert_eq!(all, (0..2000).collect::<Vec<_>>());
    let wanted: HashSet<u64> = (900..1000).collect();
    assert!(wanted.iter().all(|n| some.contains(n)));
    assert!(some.len() < 500 && end.len() < 400, "{} {}", some.len(), end.len());
    assert!((1950..2000).all(|n| end.contains(&n)));
    // A segment whose first records were erased is told by the next one.
    predictions::erase(dir.path(), |payload| (880..905).contains(&number(payload))).unwrap();
    assert!((905..1000).all(|n| between(900, Some(1000)).contains(&n)));
}

#[test]
fn a_log_that_was_put_back_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let ids = answer(&open_log(dir.path()), 0..40);
    let reader = PredictionReader::open(dir.path());
    let last = Mark::of(ids[39], b"39").unwrap();
    assert!(reader.holds(last).unwrap());
    predictions::erase(dir.path(), |payload| number(payload) == 39).unwrap();
    assert!(reader.holds(last).unwrap(), "an erased record keeps its place");
    let mut segments: Vec<PathBuf> =
        std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some());
    segments.sort();
    let bytes = std::fs::read(segments.last().unwrap()).unwrap();
    std::fs::write(segments.last().unwrap(), &bytes[..bytes.len() / 2]).unwrap();
    assert!(!reader.holds(last).unwrap(), "it ends before the place");
    assert_eq!(predictions::identity(dir.path()).unwrap(), predictions::identity(dir.path()).unwrap());
}

#[test]
fn a_log_that_was_put_back_and_has_grown_again_is_noticed_by_what_it_holds() {
    let (dir, site) = (tempfile::tempdir().unwrap(), Site::local());
    let (lake, copy) = (site.lake(), dir.path().join("copy"));
    let lies = dir.path().join("000001.log");
    answer(&open_log(dir.path()), 10..20);
    std::fs::copy(&lies, &copy).unwrap();
    answer(&open_log(dir.path()), 20..30);
    assert_eq!(publish(&lake, dir.path()).rows, 20);
    let feed = format!("{} 0", predictions::identity(dir.path()).unwrap());
    let after = || lake.publish_predictions(&feed, &layout(&["age_years", "gender"])).unwrap().after();
    let (reader, mark) = (PredictionReader::open(dir.path()), after().unwrap());
    assert!(reader.holds(mark).unwrap());
    // Records of the same lengths, so another one ends up at the same place.
    std::fs::rename(&copy, &lies).unwrap();
    let ids = answer(&open_log(dir.path()), 30..50);
    assert_eq!(Mark::of(ids[9], b"39").unwrap().place, mark.place);
    assert!(!reader.holds(mark).unwrap());
    assert!(
        reader.holds(Mark { print: None, ..mark }).unwrap(),
        "before prints were kept it was not noticed"
    );
    // What was kept goes with the next publication, and a table may forget how far it has read.
    assert_eq!(publish(&lake, dir.path()).rows, 10);
    assert!(reader.holds(after().unwrap()).unwrap());
    let publication = lake.publish_predictions(&feed, &layout(&["age_years", "gender"])).unwrap();
    publication.commit(None).unwrap();
    assert_eq!(after(), None);
}

#[test]
fn the_newest_are_found_from_the_ends_of_all_logs() {
    let dir = tempfile::tempdir().unwrap();
    // Two servers at a time, each with a log of its own; the second one stopped early.
    let (first, second) = (open_log(dir.path()), open_log(dir.path()));
    for n in 0..200_u64 {
        answer(&first, n * 20..n * 20 + 10);
        if n < 150 {
            answer(&second, n * 20 + 10..n * 20 + 20);
        }
    }
    drop((first, second));
    let reader = PredictionReader::open(dir.path());
    let time = |payload: &[u8]| Some(number(payload) as i64);
    let newest = |most: usize| -> Vec<u64> {
        let ids = reader.newest(most, time, 0).unwrap();
        ids.into_iter().map(|id| number(&reader.get(id).unwrap().unwrap())).collect()
    };
    let mut all = in_log_numbers(dir.path());
    all.sort_unstable();
    for most in [0, 1, 7, 150, 250, 10_000] {
        assert_eq!(newest(most), all[all.len().saturating_sub(most)..], "{most}");
    }
    // What is too old is not read: it need not even be readable.
    let mut segments: Vec<PathBuf> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some());
    segments.sort();
    let oldest = &segments[..segments.len() / 2];
    assert!(oldest.len() >= 4);
    for path in oldest {
        std::fs::remove_file(path).unwrap();
        std::fs::create_dir(path).unwrap();
    }
    assert_eq!(newest(150), all[all.len() - 150..]);
    assert!(reader.newest(10_000, time, 0).is_err());
}

#[test]
fn compaction_puts_refused_rows_together_too() {
    let site = Site::local();
    let lake = site.lake();
    for n in 0..4 {
        let mut ingest = begin(&lake, "ehr").unwrap();
        push_all(&mut ingest, n * 10..(n + 1) * 10);
        refuse(&mut ingest, "bad.csv", n, &format!("{{\"row\":{n}}}"));
        ingest.commit().unwrap();
    }
    let refused = |version| lake.quarantine(version, &Default::default(), 100).unwrap();
    let before: Vec<_> = (1..=4).map(refused).collect();
    let planned = lake.compact(false, &quietly(true)).unwrap();
    assert_eq!((planned.quarantine.files_before, planned.quarantine.files_after), (4, 1));
    assert_eq!(lake.compact(false, &quietly(false)).unwrap().quarantine, planned.quarantine);
    assert_eq!((1..=4).map(refused).collect::<Vec<_>>(), before);
    assert_eq!(lake.compact(false, &quietly(false)).unwrap().quarantine.files_rewritten, 0);
    assert_clean(&lake);
}

/// Not a test of its own: answers, publishes, corrects, compacts and erases until it is killed.
#[test]
#[ignore = "started by the tests below, in a process of its own"]
fn publishes_until_killed() {
    let Some(site) = Site::of_child() else { return };
    let (lake, dir) = (site.lake(), std::env::var_os("PUBLICATION_LOG").map(PathBuf::from).unwrap());
    let log = open_log(&dir);
    let mut dice = Dice(std::process::id().into());
    println!("\nBEGUN");
    loop {
        let next = in_log_numbers(&dir).last().map_or(0, |last| last + 1);
        for id in answer(&log, next..next + 1 + dice.below(8)) {
            println!("\nDONE answer {id}");
        }
        match dice.below(8) {
            0 => drop(lake.compact(dice.below(2) == 0, &quietly(false)).unwrap()),
            1 => {
                let ids: Vec<Uuid> =
                    in_log(&dir).iter().rev().take(5).map(|id| id.parse().unwrap()).collect();
                let first = lake.publish_outcomes(REGISTRY).unwrap().after().unwrap_or(0) + 1;
                publish_outcomes(&lake, first.unsigned_abs(), &ids, "mild");
                ids.iter().for_each(|id| println!("\nDONE outcome {id}"));
            }
            2 if next > 40 => {
                // Never the newest: their numbers would be given again.
                let person = dice.below(next / 2 - 10);
                predictions::erase(&dir, |payload| number(payload) / 2 == person).unwrap();
                erase(&lake, &[&format!("p-{person}")], false);
                println!("\nDONE erase {person}");
            }
            _ => {
                publish_some(&lake, &dir, 1 + dice.below(12));
            }
        }
    }
}

fn in_log_numbers(dir: &Path) -> Vec<u64> {
    PredictionReader::open(dir).scan().unwrap().map(|record| number(&record.unwrap().1)).collect()
}

/// Kills child after child, up to `most` times, until kills have hit changes in their course.
#[expect(clippy::print_stdout, reason = "what the long runs found, for who started them")]
fn kill_publications(site: &Site, rounds: u64, most: u64) {
    let place = Place::on(site);
    let (lake, dir) = (&place.lake, place.dir());
    let (mut dice, mut round, mut swept) = (Dice(5), 0, 0);
    let (mut told, mut erased, mut outcomes) = (0, BTreeSet::new(), BTreeSet::new());
    while round < rounds || (round < most && (told < 20 || swept == 0)) {
        round += 1;
        let mut child =
            site.spawn_child_with("publication::publishes_until_killed", &[("PUBLICATION_LOG", &dir)]);
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(out.any(|line| line == "BEGUN"), "round {round}: the child did not begin");
        // In a bucket, most of the time goes by with waiting for the lease.
        let longest = if site.lease.is_zero() { 200 } else { 2500 };
        std::thread::sleep(Duration::from_millis(dice.below(longest)));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in out {
            match line.strip_prefix("DONE ").and_then(|done| done.split_once(' ')) {
                Some(("answer", _)) => told += 1,
                Some(("outcome", id)) => drop(outcomes.insert(id.to_owned())),
                Some(("erase", person)) => drop(erased.insert(person.parse::<u64>().unwrap())),
                _ => {}
            }
        }
        let check = lake.check().unwrap();
        assert_eq!(check.problems, Vec::<String>::new(), "round {round}");
        swept += check.leftovers.len();
        // Each answer at most once, and only such as the log had.
        let published = texts(site, lake, Served::Predictions, columns::PREDICTION_ID);
        let distinct: HashSet<&String> = published.iter().collect();
        assert_eq!(distinct.len(), published.len(), "round {round}: an answer is there twice");
        let found = texts(site, lake, Served::Outcomes, columns::PREDICTION_ID);
        assert_eq!(found.iter().collect::<HashSet<_>>().len(), found.len(), "round {round}: two outcomes");
    }
    // An erasure that a kill cut short is repeated, as its user would.
    let logged: HashMap<u64, Uuid> = {
        let records = PredictionReader::open(&dir).scan().unwrap();
        records.map(Result::unwrap).map(|(id, payload)| (number(&payload), id)).collect()
    };
    let last = logged.keys().max().copied().unwrap_or(0);
    let touched = |n: &u64| !logged.contains_key(&(2 * n)) || !logged.contains_key(&(2 * n + 1));
    let persons: BTreeSet<u64> = (0..last / 2).filter(touched).collect();
    predictions::erase(&dir, |payload| persons.contains(&(number(payload) / 2))).unwrap();
    let names: Vec<String> = persons.iter().map(|n| format!("p-{n}")).collect();
    erase(lake, &names.iter().map(String::as_str).collect::<Vec<_>>(), false);
    publish(lake, &dir);
    assert_published(site, lake, &dir);
    let found: BTreeSet<String> =
        texts(site, lake, Served::Outcomes, columns::PREDICTION_ID).into_iter().collect();
    let alive: BTreeSet<String> = in_log(&dir).into_iter().collect();
    let lost: Vec<_> = outcomes.intersection(&alive).filter(|id| !found.contains(*id)).collect();
    assert_eq!(lost, Vec::<&String>::new(), "outcomes that were acknowledged are gone");
    for person in &erased {
        assert!(
            !on_disk(&site.dir.join("predictions"), &key_bytes(&format!("p-{person}"))),
            "p-{person} is back"
        );
    }
    assert_clean(lake);
    println!(
        "{round} kills: {told} answers and {} outcomes acknowledged, {} persons erased, {swept} leftovers met",
        outcomes.len(),
        erased.len()
    );
    assert!(told >= 20 && swept > 0, "{told} answers, {swept} leftovers: too few to say anything");
}

/// Kills of a test: more by hand, with this variable.
fn kills(default: u64) -> u64 {
    std::env::var("HOOFBEAT_KILLS").map_or(default, |kills| kills.parse().unwrap())
}

#[test]
fn a_killed_publication_is_repeated_without_doubling_or_loss_on_local_disk() {
    kill_publications(&Site::local(), kills(16), 200);
}

/// Each next writer first waits until the killed one's lease has run out.
#[test]
fn a_killed_publication_is_repeated_without_doubling_or_loss_on_s3() {
    kill_publications(&Site::s3().with_lease(1), kills(5), 60);
}

/// Two servers with a log each: neither hides what the other goes on writing, and retention leaves both where they are.
#[test]
fn each_log_is_published_from_its_own_place() {
    let (data, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (lake, dir) = (Lake::open(data.path()), logs.path());
    let [first, second] = [0, 1].map(|_| open_log(dir));
    let reader = PredictionReader::open(dir);
    let publish_all = || {
        let logs = reader.logs().unwrap();
        logs.into_iter().map(|log| publish_of(&lake, dir, log, u64::MAX).rows).collect::<Vec<_>>()
    };
    answer(&first, 0..100);
    answer(&second, 100..150);
    assert_eq!(publish_all(), [100, 50]);
    answer(&first, 150..300);
    assert_eq!(publish_all(), [150, 0]);
    assert_eq!(publish_all(), [0, 0]);
    assert_eq!(in_log(dir).len(), 300);

    // All that is old goes, but both logs go on from their own numbers.
    assert_eq!(predictions::retain(dir, |payload| number(payload) < 300).unwrap(), 300);
    let gone_on = [answer(&first, 300..301), answer(&second, 301..302)].concat();
    assert_eq!(publish_all(), [1, 1]);
    let left: Vec<String> = gone_on.iter().map(Uuid::to_string).collect();
    assert_eq!(in_log(dir), left);

    // A window of time is looked for in each log.
    let time = |payload: &[u8]| Some(number(payload));
    let found = reader.scan_between(time, 301, None, 0).unwrap();
    let found: Vec<u64> = found.map(|record| number(&record.unwrap().1)).filter(|n| *n >= 301).collect();
    assert_eq!(found, [301]);
}
