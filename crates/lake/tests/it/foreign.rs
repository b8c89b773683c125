//! Readers that are not ours: the Parquet crate's record interface, and the table library.

use std::fs::File;

use lake::Lake;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::support::{begin, push_all, refuse};

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
