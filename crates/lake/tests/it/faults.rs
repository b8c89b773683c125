//! Two writers, a writer that stalls, a server that goes away, a disk that is full, files that are torn.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use lake::{Lake, LakeError, QuarantineFilter, Storage, StorageOptions, columns};

use crate::s3_server::{ACCESS_KEY, Manner, S3Server};
use crate::support::{Dice, Site, begin, on_each_storage, push_all, refuse};

on_each_storage! {
    of_two_writing_processes_one_is_told_that_the_other_is_busy
    torn_data_files_and_commits_are_named
}

fn rows_of(lake: &Lake, version: u64) -> u64 {
    let chunks = lake.scan_cases(version, &[columns::CASE_ID]).into_iter().flatten();
    chunks.map(|chunk| chunk.unwrap().rows() as u64).sum()
}

/// Rows of each version; each has as many as its history counts.
fn rows(lake: &Lake) -> Vec<u64> {
    let versions = lake.versions().unwrap();
    for version in &versions {
        assert_eq!(rows_of(lake, version.version), version.totals.rows);
    }
    versions.iter().map(|version| version.totals.rows).collect()
}

/// Not a test of its own: begins an ingest, says so, and commits when told to.
#[test]
#[ignore = "started by tests below, in a process of its own"]
fn ingests_when_told() {
    let Some(site) = Site::of_child() else { return };
    let mut ingest = match begin(&site.lake(), "ehr") {
        Ok(ingest) => ingest,
        Err(error) => return println!("\nREFUSED {error}"),
    };
    push_all(&mut ingest, 0..100);
    refuse(&mut ingest, "a.csv", 1, "{}");
    println!("\nBEGUN");
    std::io::stdin().lines().next();
    match ingest.commit() {
        Ok(report) => println!("\nDONE {}", report.dataset_version),
        Err(error) => println!("\nFAILED {error}"),
    }
}

struct Writer {
    process: Child,
    said: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Writer {
    fn start(site: &Site) -> Writer {
        let mut process = site.spawn_child("faults::ingests_when_told");
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        Writer { process, said }
    }

    /// Its next word that is meant for us.
    fn says(&mut self) -> String {
        let meant = ["BEGUN", "DONE", "FAILED", "REFUSED"];
        let mut lines = self.said.by_ref().map(|line| line.unwrap());
        lines.find(|line| meant.iter().any(|word| line.starts_with(word))).unwrap_or_default()
    }

    fn tell(&mut self) {
        self.process.stdin.as_mut().unwrap().write_all(b"go on\n").unwrap();
    }

    fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        assert!(kill.arg(name).arg(self.process.id().to_string()).status().unwrap().success());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn of_two_writing_processes_one_is_told_that_the_other_is_busy(site: &Site) {
    let mut first = Writer::start(site);
    assert_eq!(first.says(), "BEGUN");
    let second = Writer::start(site).says();
    assert!(second.starts_with("REFUSED another ingest") && second.contains("is running (lock "), "{second}");
    assert!(matches!(begin(&site.lake(), "ehr"), Err(LakeError::Busy { .. })));
    first.tell();
    assert_eq!(first.says(), "DONE 1");
    drop(first);
    let mut third = Writer::start(site);
    assert_eq!(third.says(), "BEGUN");
    third.tell();
    assert_eq!(third.says(), "DONE 1", "the same rows: nothing new");
    assert_eq!(rows(&site.lake()), [100]);
}

/// The holder of a lease sleeps longer than the lease lasts, while another one takes it over.
fn stall(site: &Site, before: u64) {
    let lake = site.lake();
    if before > 0 {
        let mut ingest = begin(&lake, "ehr").unwrap();
        push_all(&mut ingest, 1_000..1_000 + before);
        ingest.commit().unwrap();
    }
    let mut stalled = Writer::start(site);
    assert_eq!(stalled.says(), "BEGUN");
    stalled.signal("-STOP");
    let mut ingest = begin(&lake, "ehr").unwrap();
    push_all(&mut ingest, 2_000..2_010);
    stalled.signal("-CONT");
    // It wakes up while the other one is still at work, and believes to hold the lease.
    stalled.tell();
    let said = stalled.says();
    assert!(said.starts_with("FAILED"), "{said}");
    assert!(said.contains("nothing was stored; run the command again"), "{said}");
    ingest.commit().unwrap();
    let expected = if before > 0 { vec![before, before + 10] } else { vec![10] };
    assert_eq!(rows(&lake), expected);
    drop(stalled);
    let mut again = Writer::start(site);
    assert_eq!(again.says(), "BEGUN");
    again.tell();
    assert_eq!(again.says(), format!("DONE {}", expected.len() + 1));
    let check = lake.check().unwrap();
    assert_eq!((check.problems.len(), check.leftovers.len()), (0, 0), "{check:?}");
}

#[test]
fn a_writer_that_stalls_beyond_its_lease_changes_nothing() {
    stall(&Site::s3().with_lease(2), 5);
}

#[test]
fn nor_does_one_that_was_about_to_make_the_first_version() {
    stall(&Site::s3().with_lease(2), 0);
}

#[test]
fn a_lease_whose_holder_is_gone_is_free_after_its_length_and_not_sooner() {
    let site = Site::s3().with_lease(2);
    let mut gone = Writer::start(&site);
    assert_eq!(gone.says(), "BEGUN");
    drop(gone);
    let since = Instant::now();
    let mut ingest = begin(&site.lake(), "ehr").unwrap();
    assert!(since.elapsed() >= site.lease, "a clock decided that is not the taker's own");
    push_all(&mut ingest, 0..10);
    ingest.commit().unwrap();
    assert_eq!(rows(&site.lake()), [10]);
    // Given back properly, it is free at once.
    let since = Instant::now();
    drop(begin(&site.lake(), "ehr").unwrap());
    assert!(since.elapsed() < site.lease, "the lease was not set free");
}

#[test]
fn a_server_killed_in_mid_write_loses_nothing_acknowledged_and_shows_nothing_half() {
    let root = tempfile::tempdir().unwrap();
    let mut server = S3Server::start(root.path(), Manner::Careful);
    let site = Site::on(&server, root.path()).with_lease(1);
    let lake = site.lake();
    let mut dice = Dice(11);
    let (mut failed, mut done, mut round) = (0, 0, 0);
    while round < 6 || (round < 30 && (failed == 0 || done == 0)) {
        round += 1;
        let before = lake.newest().unwrap().map_or(0, |newest| newest.version);
        let numbers = before * 500..(before + 1) * 500;
        // On a busy machine an ingest takes longer: the server lives longer from round to round.
        let kill_after = Duration::from_millis(dice.below(300 * round));
        let written = std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let mut ingest = begin(&lake, "ehr")?;
                push_all(&mut ingest, numbers.clone());
                refuse(&mut ingest, "a.csv", before, &format!("{{\"n\":{before}}}"));
                ingest.commit()
            });
            std::thread::sleep(kill_after);
            server.kill();
            writing.join().unwrap()
        });
        match &written {
            Ok(_) => done += 1,
            Err(error) => {
                failed += 1;
                let text = error.to_string();
                assert!(text.contains("run the command again"), "no remedy in: {text}");
                assert!(!text.contains("a secret of nobody"), "a secret in: {text}");
            }
        }
        let unreachable = lake.versions().unwrap_err().to_string();
        assert!(unreachable.contains("127.0.0.1"), "{unreachable}");
        server.restart();
        let newest = lake.newest().unwrap().map_or(0, |newest| newest.version);
        assert!(newest == before || newest == before + 1, "round {round}: version {newest} after {before}");
        assert!(written.is_err() || newest == before + 1, "round {round}: an acknowledged version is gone");
        assert_eq!(rows_of(&lake, newest), newest * 500, "round {round}");
        assert_eq!(lake.check().unwrap().problems, Vec::<String>::new(), "round {round}");
        // A repeat works, whether or not the first attempt arrived.
        let mut ingest = begin(&lake, "ehr").unwrap();
        push_all(&mut ingest, numbers);
        refuse(&mut ingest, "a.csv", before, &format!("{{\"n\":{before}}}"));
        assert_eq!(ingest.commit().unwrap().dataset_version, before + 1, "round {round}");
        let refused = lake.quarantine(before + 1, &QuarantineFilter::default(), usize::MAX).unwrap();
        assert_eq!(refused.len() as u64, before + 1, "round {round}");
    }
    let check = lake.check().unwrap();
    assert_eq!((check.problems.len(), check.leftovers.len()), (0, 0), "{check:?}");
    assert!(failed > 0 && done > 0, "{failed} failed and {done} done: the kills hit nothing");
}

/// Rows with notes that no compression makes small: several parts of an upload, several row groups' chunks to read.
#[test]
fn a_file_of_many_parts_goes_up_and_comes_down_and_a_server_killed_between_parts_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut server = S3Server::start(root.path(), Manner::Careful);
    let site = Site::on(&server, root.path());
    let lake = site.lake();
    let noted = || lake::Schema { note: Some("note".into()), ..crate::support::schema() };
    let note = |n: u64| {
        let mut dice = Dice(n);
        (0..2_000).map(|_| char::from(b'!' + dice.below(90) as u8)).collect::<String>()
    };
    let begin = || {
        let meta = lake::IngestMeta { schema: noted(), ..crate::support::meta("ehr") };
        lake.begin_ingest(meta, crate::support::rule)
    };
    let push = |ingest: &mut lake::Ingest, numbers: std::ops::Range<u64>| {
        numbers.into_iter().try_for_each(|n| {
            let text = note(n);
            let case = crate::support::made(n);
            ingest.push(&lake::CaseRow { note: Some(&text), ..case.row() }).map(drop)
        })
    };
    let mut ingest = begin().unwrap();
    push(&mut ingest, 0..20_000).unwrap();
    ingest.commit().unwrap();
    let mut seen = 0;
    for chunk in lake.scan_cases(1, &["note", columns::CASE_ID]).unwrap() {
        for text in chunk.unwrap().texts("note").unwrap() {
            assert_eq!(text.as_deref(), Some(note(seen).as_str()));
            seen += 1;
        }
    }
    assert_eq!(seen, 20_000);

    let mut ingest = begin().unwrap();
    push(&mut ingest, 20_000..30_000).unwrap();
    server.kill();
    let failed = push(&mut ingest, 30_000..40_000).and_then(|()| ingest.commit().map(drop)).unwrap_err();
    assert!(failed.to_string().contains("run the command again"), "{failed}");
    server.restart();
    assert_eq!(rows(&lake), [20_000]);
    let mut ingest = begin().unwrap();
    push(&mut ingest, 20_000..20_010).unwrap();
    ingest.commit().unwrap();
    assert_eq!(rows(&lake), [20_000, 20_010]);
    let check = lake.check().unwrap();
    assert_eq!((check.problems.len(), check.leftovers.len()), (0, 0), "{check:?}");
}

#[test]
fn a_probe_finds_conditional_puts_that_hold_and_says_where_they_do_not() {
    for site in [Site::local(), Site::s3()] {
        assert_eq!(site.storage().probe().unwrap().problems, Vec::<String>::new());
        let left = std::fs::read_dir(&site.dir).into_iter().flatten().count();
        assert_eq!(left, 0, "the probe's objects stayed");
    }
    let root = tempfile::tempdir().unwrap();
    let server = S3Server::start(root.path(), Manner::Careless);
    let problems =
        Site::on(&server, root.path()).storage_by(&[("skip_signature", "true")]).probe().unwrap().problems;
    assert!(problems.iter().any(|problem| problem.starts_with("8 of 8 writers created")), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.contains("did not know its newest state")), "{problems:?}");
}

#[test]
fn wrong_credentials_and_a_wrong_bucket_are_said_with_the_remedy_and_without_the_secret() {
    let wrong = [("access_key_id", ACCESS_KEY), ("secret_access_key", "hush, hush")];
    let lake = Lake::at(Site::s3().storage_by(&wrong));
    let said = lake.versions().unwrap_err().to_string();
    assert!(said.contains("check the credentials"), "{said}");
    assert!(!said.contains("hush") && !format!("{lake:?}").contains("hush"), "{said} {lake:?}");
    let unknown = Storage::open("ftp://host/lake", &StorageOptions::default()).unwrap_err().to_string();
    assert!(unknown.contains("s3://, az://"), "{unknown}");
    let more = [("bucket_color".to_owned(), "red".to_owned())].into();
    let options = StorageOptions { more, ..StorageOptions::default() };
    let unknown = Storage::open("s3://bucket", &options).unwrap_err().to_string();
    assert!(unknown.contains("`bucket_color`"), "{unknown}");
    let secret = Storage::open("s3://key:hush@bucket", &StorageOptions::default()).unwrap_err().to_string();
    assert!(secret.contains("environment") && !secret.contains("hush"), "{secret}");
}

#[test]
fn azure_and_google_urls_are_understood() {
    let options = |pairs: &[(&str, &str)]| StorageOptions {
        endpoint: Some("http://127.0.0.1:1".into()),
        more: pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        ..StorageOptions::default()
    };
    let azure = options(&[("account_name", "hospital"), ("account_key", "aHVzaA==")]);
    assert_eq!(Storage::open("az://cases/lake", &azure).unwrap().place(), "az://cases/lake/");
    let google = options(&[("skip_signature", "true")]);
    assert_eq!(Storage::open("gs://cases/lake", &google).unwrap().place(), "gs://cases/lake/");
}

fn torn_data_files_and_commits_are_named(site: &Site) {
    let lake = site.lake();
    for numbers in [0..100, 100..200] {
        let mut ingest = begin(&lake, "ehr").unwrap();
        push_all(&mut ingest, numbers);
        refuse(&mut ingest, "a.csv", 1, "{}");
        ingest.commit().unwrap();
    }
    let files = std::fs::read_dir(site.dir.join("cases")).unwrap().map(|entry| entry.unwrap().path());
    let data = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "parquet")).unwrap();
    let commit = site.dir.join("cases/_delta_log/00000000000000000001.json");
    let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let first_line = |whole: &[u8]| whole.iter().position(|&byte| byte == b'\n').unwrap() / 2;
    type Cut = Box<dyn Fn(&[u8]) -> Vec<u8>>;
    let tears: [(&std::path::Path, Cut); 5] = [
        (&data, Box::new(|whole| whole[..whole.len() / 2].to_vec())),
        (&data, Box::new(|_| Vec::new())),
        (&data, Box::new(|whole| vec![0; whole.len()])),
        (&commit, Box::new(move |whole| whole[..first_line(whole)].to_vec())),
        (&commit, Box::new(|_| Vec::new())),
    ];
    for (number, (path, cut)) in tears.iter().enumerate() {
        let whole = std::fs::read(path).unwrap();
        std::fs::write(path, cut(&whole)).unwrap();
        let scanned =
            lake.scan_cases(2, &[columns::CASE_ID]).and_then(|mut scan| scan.try_for_each(|c| c.map(drop)));
        for said in [scanned.unwrap_err().to_string(), lake.check().unwrap().problems.join("; ")] {
            assert!(said.contains(&name(path)), "tear {number} is not named: {said}");
            assert!(said.contains("restore this file from a backup"), "tear {number} has no remedy: {said}");
        }
        std::fs::write(path, whole).unwrap();
        assert_eq!(lake.check().unwrap().problems, Vec::<String>::new());
    }
    let gone = std::fs::read(&commit).unwrap();
    std::fs::remove_file(&commit).unwrap();
    let said = lake.versions().unwrap_err().to_string();
    assert!(said.contains(&name(&commit)) && said.contains("missing"), "{said}");
    std::fs::write(&commit, gone).unwrap();
    assert_eq!(rows(&lake), [100, 200]);
}

/// Not a test of its own: ingests what does not fit.
#[test]
#[ignore = "started by the test below, in a process of its own"]
fn ingests_under_a_limit() {
    let Some(site) = Site::of_child() else { return };
    let mut ingest = begin(&site.lake(), "ehr").unwrap();
    // Half of the file limit each: it is hit in the middle of a data file.
    let pushed = (0..400_000).try_for_each(|n| ingest.push(&crate::support::made(n).row()).map(drop));
    let failed = pushed.and_then(|()| ingest.commit().map(drop)).unwrap_err();
    println!("\nFAILED {failed}");
}

#[test]
fn a_full_disk_is_said_leaves_nothing_and_a_repeat_with_room_works() {
    let site = Site::local();
    let lake = site.lake();
    let mut ingest = begin(&lake, "ehr").unwrap();
    push_all(&mut ingest, 1_000_000..1_000_100);
    ingest.commit().unwrap();
    let child = site.spawn_limited_child("faults::ingests_under_a_limit", 512);
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let said = said.lines().find(|line| line.starts_with("FAILED")).unwrap();
    assert!(said.contains("the disk is full") && said.contains(".parquet"), "{said}");
    assert!(said.contains("nothing of this was stored"), "{said}");
    assert_eq!(rows(&lake), [100]);
    // Its files are gone at once: the disk has room again.
    let check = lake.check().unwrap();
    assert_eq!((check.problems.len(), check.leftovers.len()), (0, 0), "{check:?}");
    let mut ingest = begin(&lake, "ehr").unwrap();
    push_all(&mut ingest, 0..1_000);
    ingest.commit().unwrap();
    assert_eq!(rows(&lake), [100, 1_100]);
}
