//! Whom a resource speaks of: references -> keys of patients.

use sha2::{Digest, Sha256};

/// A patient or encounter within one export: half a SHA-256, so that 10^12 of them do not collide.
pub(super) type Key = u128;

/// The key of a resource's logical id; `Patient/1`, `http://host/fhir/Patient/1`, `Patient/1/_history/2`
/// and `urn:uuid:...` all lead to it.
pub(super) fn key(kind: &str, id: &str) -> Key {
    digest(&[kind, id])
}

/// The key of a resource contained in another one, which nobody else can refer to.
pub(super) fn contained(file: usize, line: u64, index: u64, id: &str) -> Key {
    digest(&["#", &format!("{file} {line} {index}"), id.trim_start_matches('#')])
}

/// A 64-bit name of one resource.
pub(super) fn name(kind: &str, id: &str) -> u64 {
    // The upper half.
    (digest(&["name", kind, id]) >> 64) as u64
}

/// The logical id that a reference to a resource of this kind holds; `None` for others, for searches
/// (`Patient?identifier=...`) and for contained resources.
pub(super) fn id<'r>(kind: &str, reference: &'r str) -> Option<&'r str> {
    let reference = reference.trim();
    if let Some(id) = reference.strip_prefix("urn:uuid:").or_else(|| reference.strip_prefix("urn:oid:")) {
        return Some(id).filter(|id| !id.is_empty());
    }
    if reference.contains(['?', '#']) {
        return None;
    }
    let reference = reference.split("/_history/").next().unwrap_or(reference);
    let (path, id) = reference.rsplit_once('/')?;
    let named = path.rsplit('/').next().unwrap_or(path);
    (named == kind && !id.is_empty()).then_some(id)
}

fn digest(parts: &[&str]) -> u128 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).fold(0, |number, &byte| (number << 8) | u128::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_reference_leads_to_the_id() {
        for reference in [
            "Patient/p1",
            "Patient/p1/_history/3",
            "https://host/fhir/r4/Patient/p1",
            "urn:uuid:p1",
            " Patient/p1 ",
        ] {
            assert_eq!(id("Patient", reference), Some("p1"), "{reference}");
        }
        for reference in ["", "p1", "Group/p1", "#p1", "Patient?identifier=a|p1", "Patient/", "urn:uuid:"] {
            assert_eq!(id("Patient", reference), None, "{reference}");
        }
        assert_ne!(contained(0, 1, 0, "#p"), contained(0, 2, 0, "#p"));
        assert_eq!(contained(0, 1, 0, "#p"), contained(0, 1, 0, "p"));
    }
}
