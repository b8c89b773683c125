//! Readers that are not ours: the Parquet crate's record interface, the table library, and the official Python packages of
//! Delta Lake and DuckDB (`scripts/python-peers` must have run).

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use lake::Lake;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde::Deserialize;
use time::macros::datetime;

use crate::support::{begin, erase, push_all, quietly, refuse};

#[test]
fn a_foreign_reader_finds_plain_columns_rows_and_history() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path());
    for numbers in [0..1000, 1000..1100] {
        let mut ingest = begin(&lake, "ehr").unwrap();
        push_all(&mut ingest, numbers);
        refuse(&mut ingest, "a.csv", 1, "{}");
        ingest.commit().unwrap();
    }
    let url = url::Url::from_directory_path(dir.path().join("lake/cases")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let table = runtime.block_on(deltalake_core::open_table(url)).unwrap();
    let files: Vec<String> = table.get_file_uris().unwrap().collect();
    assert_eq!(files.len(), 2);
    let mut rows = 0;
    for file in files {
        let path = file.strip_prefix("file://").unwrap_or(&file);
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        rows += reader.metadata().file_metadata().num_rows();
        let first = reader.get_row_iter(None).unwrap().next().unwrap().unwrap();
        let names: Vec<&String> = first.get_column_iter().map(|(name, _)| name).collect();
        assert_eq!(names[..3], ["case_id", "patient_id", "source"]);
        assert!(first.to_string().contains("source: \"ehr\""));
    }
    assert_eq!(rows, 1100);
}

/// What the Python readers counted.
#[derive(Debug, PartialEq, Deserialize)]
struct Counted {
    files: u64,
    /// Rows of the whole table, whatever version brought them.
    stored: u64,
    rows: u64,
    cases: u64,
    by_severity: BTreeMap<String, u64>,
    columns: Vec<String>,
}

fn engines() -> PathBuf {
    let named = std::env::var_os("HOOFBEAT_ENGINES").map(Into::into);
    named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.engines"))
}

/// Counts a dataset version in Python.
fn counted(dir: &Path, lake: &Lake, version: u64) -> Counted {
    let python = engines().join("python/bin/python");
    assert!(python.is_file(), "{} is missing: run scripts/python-peers (make test does)", python.display());
    let lineage = lake.rows(version).unwrap().versions().iter().map(|v| v.to_string()).collect::<Vec<_>>();
    let run = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/foreign.py"))
        .arg(dir.join("lake/cases"))
        .args(lineage)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).unwrap()
}

fn assert_counted(dir: &Path, lake: &Lake, version: u64, files: u64, stored: u64) {
    let found = counted(dir, lake, version);
    let totals = lake.version(version).unwrap().totals;
    let mut by_severity: BTreeMap<String, u64> = BTreeMap::new();
    for count in totals.outcomes {
        *by_severity.entry(count.outcome.severity.unwrap_or_default()).or_default() += count.rows;
    }
    assert_eq!((found.rows, found.cases, found.by_severity), (totals.rows, totals.rows, by_severity));
    assert_eq!((found.files, found.stored), (files, stored));
    assert_eq!(found.columns[11], "dataset_version");
}

#[test]
fn python_readers_count_what_we_count_also_after_compaction_going_back_and_erasure() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path());
    let add = |numbers: std::ops::Range<u64>| {
        let mut ingest = begin(&lake, "ehr").unwrap();
        push_all(&mut ingest, numbers);
        ingest.commit().unwrap();
    };
    add(0..500);
    add(500..900);
    assert_counted(dir.path(), &lake, 2, 2, 900);
    lake.restore(1, datetime!(2026-01-02 03:04:05 UTC)).unwrap();
    add(700..1000);
    assert_counted(dir.path(), &lake, 4, 3, 1200);
    lake.compact(true, &quietly(false)).unwrap();
    for version in 1..=4 {
        assert_counted(dir.path(), &lake, version, 1, 1200);
    }
    assert_eq!(erase(&lake, &["p-10", "p-400"], false).rows, 6);
    for version in [1, 2, 4] {
        assert_counted(dir.path(), &lake, version, 1, 1194);
    }
}
