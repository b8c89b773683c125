//! Compression and damage.

use std::io::Write;

use flate2::write::GzEncoder;
use interop::{CaseFile, FileError};

use crate::{HEADER, cases, read, reading};

fn text(rows: usize) -> String {
    let mut text = format!("{HEADER}\n");
    for row in 0..rows {
        text.push_str(&format!("c-{row},p-{row},s,2025-01-01,{},female,O,138,86,6,,,,\n", row % 120));
    }
    text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_and_zstd_are_recognised_by_content_whatever_the_name() {
    let text = text(5_000);
    for packed in [gzip(text.as_bytes()), zstd::encode_all(text.as_bytes(), 3).unwrap()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("export.txt");
        std::fs::write(&path, &packed).unwrap();
        let file = CaseFile::open(&path, reading(clinical::Study::default_study(), None)).unwrap();
        assert_eq!(file.map(Result::unwrap).count(), 5_000);
    }
}

/// With the checksum that only some writers add.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn several_gzip_members_are_one_file() {
    let (first, second) = (text(10), text(10).lines().skip(1).collect::<Vec<_>>().join("\n"));
    let packed = [gzip(first.as_bytes()), gzip(second.as_bytes())].concat();
    assert_eq!(cases(read(packed, None, None).unwrap()).len(), 20);
}

#[test]
fn truncated_and_damaged_compression_is_an_error_that_says_so() {
    let text = text(20_000);
    for (packed, name) in [(gzip(text.as_bytes()), "gzip"), (zstd(text.as_bytes()), "zstd")] {
        let error = read(&packed[..packed.len() / 2], None, None).map(|rows| rows.len()).unwrap_err();
        assert!(matches!(error, FileError::Truncated(found) if found == name), "{error}");
        let mut damaged = packed.clone();
        let middle = damaged.len() / 2;
        damaged[middle..middle + 64].fill(0xaa);
        let error = read(damaged, None, None).map(|rows| rows.len()).unwrap_err();
        assert!(matches!(error, FileError::Damaged { .. } | FileError::Truncated(_)), "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_one_line() {
    let path = std::path::Path::new("no-such-file.csv");
    let error = CaseFile::open(path, reading(clinical::Study::default_study(), None)).unwrap_err();
    assert!(matches!(error, FileError::Io(_)));
    assert!(!error.to_string().contains('\n'));
}
