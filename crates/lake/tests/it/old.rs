//! A lake that was made before dataset versions were a tree: `tests/data/before-lineages`, written by the program of that
//! time. Two versions of 400 made-up cases each, and what a killed ingest left.

use std::path::Path;

use lake::{Lake, Leftover};
use time::macros::datetime;

use crate::support::{assert_clean, begin, case_ids, erase, key_bytes, made, on_disk, push_all, quietly};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn old_lake() -> (tempfile::TempDir, Lake) {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/before-lineages"), dir.path());
    let lake = Lake::open(dir.path());
    (dir, lake)
}

fn ids(numbers: std::ops::Range<u64>) -> Vec<String> {
    let mut ids: Vec<String> = numbers.map(|n| made(n).case_id).collect();
    ids.sort();
    ids
}

#[test]
fn an_old_lake_is_read_added_to_and_gone_back_in() {
    let (_dir, lake) = old_lake();
    let check = lake.check().unwrap();
    assert_eq!((check.problems, check.dataset_version, check.rows), (Vec::<String>::new(), 2, 800));
    assert!(
        check
            .leftovers
            .iter()
            .all(|leftover| matches!(leftover, Leftover::File(_) | Leftover::Quarantine(_)))
    );
    assert_eq!((case_ids(&lake, 1), case_ids(&lake, 2)), (ids(0..400), ids(0..800)));
    lake.restore(1, datetime!(2026-01-02 03:04:05 UTC)).unwrap();
    assert_eq!(case_ids(&lake, 3), ids(0..400));
    let mut ingest = begin(&lake, "ehr").unwrap();
    assert_eq!(push_all(&mut ingest, 300..500), 100);
    ingest.commit().unwrap();
    assert_eq!((case_ids(&lake, 4), case_ids(&lake, 2)), (ids(0..500), ids(0..800)));
    assert_eq!(lake.rows_between(2, 4).unwrap().rows(), 100);
    assert_clean(&lake);
}

#[test]
fn compaction_writes_the_version_into_old_rows() {
    let (_dir, lake) = old_lake();
    let done = lake.compact(true, &quietly(false)).unwrap();
    assert_eq!((done.cases.files_rewritten, done.cases.files_after), (2, 1));
    assert_eq!((case_ids(&lake, 1), case_ids(&lake, 2)), (ids(0..400), ids(0..800)));
    assert_eq!(lake.compact(true, &quietly(false)).unwrap().cases.files_rewritten, 0);
    assert_clean(&lake);
}

#[test]
fn a_person_is_erased_from_an_old_lake() {
    let (dir, lake) = old_lake();
    assert_eq!(erase(&lake, &["p-7", "p-300"], false).rows, 4);
    assert_eq!((case_ids(&lake, 1).len(), case_ids(&lake, 2).len()), (398, 796));
    assert!(!on_disk(&dir.path().join("lake"), &key_bytes("p-300")));
    assert_clean(&lake);
}
