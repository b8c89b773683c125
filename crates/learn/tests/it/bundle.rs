//! Bundles are whole, and say which file was changed.

use std::collections::BTreeMap;
use std::fs;

use learn::Error;
use learn::bundle::{self, Bundle, Manifest, files};
use learn::learner::Learner;

fn manifest() -> Manifest {
    Manifest {
        format: 0,
        version: "v1".into(),
        created_at: "2026-01-01T00:00:00Z".into(),
        study: "abc".into(),
        dataset_version: 3,
        lineage: BTreeMap::from([("seed".into(), "7".into())]),
        files: BTreeMap::new(),
    }
}

fn contents() -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([
        (files::STUDY.to_owned(), b"name = 'x'".to_vec()),
        (files::model(0, Learner::Xgboost), vec![1, 2, 3]),
        (files::REPORT.to_owned(), b"{\"n\": 5}".to_vec()),
    ])
}

#[test]
fn a_bundle_comes_back_as_it_was_written() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("m1");
    let digest = bundle::write(&folder, manifest(), contents()).unwrap();
    let opened = Bundle::open_recorded(&folder, &digest).unwrap();
    assert_eq!(opened.file(&files::model(0, Learner::Xgboost)).unwrap(), [1, 2, 3]);
    assert_eq!(opened.json::<BTreeMap<String, u8>>(files::REPORT).unwrap()["n"], 5);
    assert_eq!((opened.manifest.dataset_version, opened.manifest.files.len()), (3, 3));
    assert!(opened.file(files::TABLE).unwrap_err().to_string().contains(files::TABLE));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing temporary is left");
    assert!(bundle::write(&folder, manifest(), contents()).unwrap_err().to_string().contains("exists"));
}

#[test]
fn a_changed_file_is_named() {
    for name in [files::model(0, Learner::Xgboost), files::STUDY.to_owned()] {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("m1");
        bundle::write(&folder, manifest(), contents()).unwrap();
        let mut bytes = fs::read(folder.join(&name)).unwrap();
        bytes[0] ^= 1;
        fs::write(folder.join(&name), bytes).unwrap();
        let error = Bundle::open(&folder).unwrap_err();
        assert!(matches!(&error, Error::Tampered { path } if path.ends_with(&name)), "{error}");
    }
}

#[test]
fn a_missing_file_and_a_changed_manifest_are_named() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("m1");
    let digest = bundle::write(&folder, manifest(), contents()).unwrap();
    let text = fs::read_to_string(folder.join("manifest.json")).unwrap();
    fs::write(folder.join("manifest.json"), text.replace("\"v1\"", "\"v2\"")).unwrap();
    assert!(Bundle::open(&folder).is_ok(), "the manifest itself is vouched for by the registry's record");
    let error = Bundle::open_recorded(&folder, &digest).unwrap_err();
    assert!(matches!(&error, Error::Tampered { path } if path.ends_with("manifest.json")), "{error}");
    fs::remove_file(folder.join(files::REPORT)).unwrap();
    assert!(Bundle::open(&folder).unwrap_err().to_string().contains(files::REPORT));
}

#[test]
fn names_do_not_leave_the_bundle() {
    let place = tempfile::tempdir().unwrap();
    for name in ["../evil", "/etc/passwd", "a//b", "models/../../x", ".hidden", "manifest.json", ""] {
        let contents = BTreeMap::from([(name.to_owned(), vec![0])]);
        assert!(bundle::write(&place.path().join("m"), manifest(), contents).is_err(), "{name}");
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);

    let folder = place.path().join("m");
    bundle::write(&folder, manifest(), contents()).unwrap();
    let text = fs::read_to_string(folder.join("manifest.json")).unwrap();
    fs::write(folder.join("manifest.json"), text.replace("study.toml", "../study.toml")).unwrap();
    assert!(Bundle::open(&folder).is_err());
}

#[test]
fn a_later_format_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("m");
    bundle::write(&folder, manifest(), contents()).unwrap();
    let text = fs::read_to_string(folder.join("manifest.json")).unwrap();
    fs::write(folder.join("manifest.json"), text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert!(Bundle::open(&folder).unwrap_err().to_string().contains("newer"));
}
