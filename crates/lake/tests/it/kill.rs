//! `kill -9` at random moments of an ingest.

use std::io::{BufRead, BufReader};
use std::sync::mpsc::channel;
use std::time::Duration;

use lake::{Lake, QuarantineFilter, columns};

use crate::support::{Dice, Site, begin, push_all, refuse};

const ROWS: u64 = 400;
const REFUSED: u64 = 5;

/// Not a test of its own: ingests file after file until it is killed.
#[test]
#[ignore = "started by the test below, in a process of its own"]
fn ingests_until_killed() {
    let Some(site) = Site::of_child() else { return };
    let lake = site.lake();
    loop {
        // The next file that a restarted feed would send: the one after the newest version.
        let next = lake.newest().unwrap().map_or(0, |newest| newest.version);
        let mut ingest = begin(&lake, "ehr").unwrap();
        println!("\nBEGUN");
        push_all(&mut ingest, next * ROWS..(next + 1) * ROWS);
        for row in 1..=REFUSED {
            refuse(&mut ingest, "bad.csv", row, &format!("{{\"file\":{next},\"row\":{row}}}"));
        }
        let report = ingest.commit().unwrap();
        println!("\nDONE {}", report.new_version.unwrap());
    }
}

#[test]
fn a_killed_ingest_leaves_the_version_before_or_after_on_local_disk() {
    kill_ingests(&Site::local(), 24, 300);
}

/// Each next writer first waits until the killed one's lease has run out.
#[test]
fn a_killed_ingest_leaves_the_version_before_or_after_on_s3() {
    kill_ingests(&Site::s3().with_lease(1), 6, 60);
}

#[test]
#[ignore = "minutes: cargo test -p lake --test it -- --ignored --exact kill::three_hundred_kills_on_local_disk"]
fn three_hundred_kills_on_local_disk() {
    kill_ingests(&Site::local(), 300, 300);
}

#[test]
#[ignore = "minutes: cargo test -p lake --test it -- --ignored --exact kill::a_hundred_kills_on_s3"]
fn a_hundred_kills_on_s3() {
    kill_ingests(&Site::s3().with_lease(1), 100, 100);
}

#[expect(clippy::print_stdout, reason = "what the long runs found, for who started them")]
/// Kills an ingesting process `rounds` times; on a slow machine, where the children get less done, up to `most`
/// times, until kills have hit what they are meant to hit.
fn kill_ingests(site: &Site, rounds: u64, most: u64) {
    let lake = site.lake();
    let mut dice = Dice(7);
    let (mut acknowledged, mut swept) = (0, 0);
    let mut round = 0;
    while round < rounds || (round < most && (acknowledged <= 3 || swept == 0)) {
        round += 1;
        let mut child = site.spawn_child("kill::ingests_until_killed");
        let (told, said) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            out.lines().map_while(Result::ok).for_each(|line| told.send(line).unwrap_or_default());
        });
        // A lease lasts before the next one can begin: most kills are to hit an ingest, not the waiting.
        let begun = !site.lease.is_zero() && dice.below(6) > 0;
        let mut lines =
            if begun { said.iter().take_while(|line| line != "BEGUN").collect() } else { Vec::new() };
        std::thread::sleep(Duration::from_millis(dice.below(100 + 10 * round.min(50))));
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();
        lines.extend(said);
        for version in lines.iter().filter_map(|line| line.strip_prefix("DONE ")) {
            acknowledged = acknowledged.max(version.parse().unwrap());
        }
        swept += assert_whole(&lake, acknowledged, round);
    }
    println!("{round} kills: {acknowledged} versions acknowledged, {swept} leftovers met");
    assert!(acknowledged > 3, "the children got {acknowledged} files done: too few to say anything");
    // A last, undisturbed ingest goes on from there and cleans up.
    let newest = lake.newest().unwrap().unwrap().version;
    let mut ingest = begin(&lake, "ehr").unwrap();
    assert_eq!(push_all(&mut ingest, 0..(newest + 1) * ROWS), ROWS);
    assert_eq!(ingest.commit().unwrap().new_version, Some(newest + 1));
    let check = lake.check().unwrap();
    assert_eq!((check.problems.len(), check.leftovers.len()), (0, 0), "{check:?}");
    assert!(swept > 0, "no kill hit an ingest in its course");
}

/// Returns how many leftovers there are.
fn assert_whole(lake: &Lake, acknowledged: u64, round: u64) -> usize {
    let check = lake.check().unwrap();
    assert_eq!(check.problems, Vec::<String>::new(), "round {round}");
    assert!(check.dataset_version >= acknowledged, "round {round}: an acknowledged version is gone");
    let Some(newest) = lake.newest().unwrap() else {
        return check.leftovers.len();
    };
    assert_eq!(newest.version, check.dataset_version);
    assert_eq!(newest.totals.rows, newest.version * ROWS, "round {round}: a version is not whole");
    assert_eq!(newest.totals.quarantined, newest.version * REFUSED);
    let scan = lake.scan_cases(newest.version, &[columns::CASE_ID]).unwrap();
    assert_eq!(scan.map(|chunk| chunk.unwrap().rows() as u64).sum::<u64>(), newest.version * ROWS);
    let refused = lake.quarantine(newest.version, &QuarantineFilter::default(), usize::MAX).unwrap();
    assert_eq!(refused.len() as u64, newest.version * REFUSED);
    check.leftovers.len()
}
