//! What the ORPHAcodes of rare diseases are called (Orphanet; source and licence in SOURCE.md).

use std::sync::LazyLock;

const NAMES: &str = include_str!("names.tsv");
const PREFIX: &str = "ORPHA:";

/// Number and name, by ascending number, as the file has them.
static INDEX: LazyLock<Vec<(u32, &str)>> = LazyLock::new(|| {
    let entry = |line: &'static str| {
        let (code, name) = line.split_once('\t')?;
        Some((code.parse().ok()?, name))
    };
    NAMES.lines().filter_map(entry).collect()
});

/// The English name of a disease code such as `ORPHA:586`; none for other codings and unknown codes.
pub fn name(code: &str) -> Option<&'static str> {
    let wanted: u32 = code.strip_prefix(PREFIX)?.parse().ok()?;
    let place = INDEX.binary_search_by_key(&wanted, |(code, _)| *code).ok()?;
    INDEX.get(place).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found_and_what_is_not_there_is_not() {
        let mut before = 0;
        for line in NAMES.lines() {
            let (code, expected) = line.split_once('\t').unwrap();
            assert_eq!(name(&format!("ORPHA:{code}")), Some(expected));
            let code: u32 = code.parse().unwrap();
            assert!(code > before && !expected.is_empty());
            before = code;
        }
        assert_eq!(name("ORPHA:586"), Some("Cystic fibrosis"));
        for unknown in ["ORPHA:0", "ORPHA:99999999", "ORPHA:", "ICD-10:I10", "586", ""] {
            assert_eq!(name(unknown), None, "{unknown}");
        }
    }
}
