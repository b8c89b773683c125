//! Sources of data: registered once, replaced on purpose, every change in the audit.

use registry::{Error, NewSource, SourceKind};

use crate::{act, open};

#[test]
fn a_source_is_registered_replaced_on_purpose_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path());
    let columns = ["age".to_owned(), "sex".to_owned()];
    let new = NewSource {
        name: "ehr",
        kind: SourceKind::Ehr,
        mapping: Some(("[columns]\n", "d1")),
        columns: &columns,
        study_hash: "s1",
        replace: false,
    };
    let first = registry.add_source(&new, &act("k1")).unwrap();
    assert_eq!((first.mapping_hash.as_deref(), first.columns.as_slice()), (Some("d1"), &columns[..]));
    // The same again changes nothing, whatever the key.
    assert_eq!(registry.add_source(&new, &act("k2")).unwrap(), first);
    assert_eq!(registry.audit(0, 10).unwrap().len(), 1);
    let other = NewSource { mapping: Some(("[columns]\n# more\n", "d2")), ..new };
    assert!(matches!(registry.add_source(&other, &act("k3")), Err(Error::Conflict { .. })));
    let other = NewSource { replace: true, ..other };
    assert_eq!(registry.add_source(&other, &act("k3")).unwrap().mapping_hash.as_deref(), Some("d2"));
    let bare = NewSource { name: "centre", kind: SourceKind::Centre, mapping: None, columns: &[], ..new };
    registry.add_source(&bare, &act("k4")).unwrap();
    let names: Vec<_> = registry.sources().unwrap().into_iter().map(|source| source.name).collect();
    assert_eq!(names, ["centre", "ehr"]);
    registry.remove_source("ehr", &act("k5")).unwrap();
    assert!(matches!(registry.remove_source("ehr", &act("k6")), Err(Error::UnknownSource(_))));
    assert_eq!(registry.source("ehr").unwrap(), None);
    let actions: Vec<_> = registry.audit(0, 10).unwrap().into_iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["source.add", "source.add", "source.add", "source.remove"]);
}
