//! What the ORPHAcodes of rare diseases are called (Orphanet; source and licence in SOURCE.md).

const NAMES: &str = include_str!("names.tsv");
const PREFIX: &str = "ORPHA:";

/// The English name of a disease code such as `ORPHA:586`; none for other codings and unknown codes.
pub fn name(code: &str) -> Option<&'static str> {
    let wanted: u32 = code.strip_prefix(PREFIX)?.parse().ok()?;
    let (mut low, mut high) = (0, NAMES.len());
    // A binary search over bytes: every probe goes back to the start of its line.
    while low < high {
        let middle = low + (high - low) / 2;
        let start =
            NAMES.as_bytes().get(..middle)?.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (code, rest) = NAMES.get(start..)?.split_once('\t')?;
        let (name, _) = rest.split_once('\n')?;
        let code: u32 = code.parse().ok()?;
        match code.cmp(&wanted) {
            std::cmp::Ordering::Equal => return Some(name),
            std::cmp::Ordering::Less => low = start + (NAMES.get(start..)?.find('\n')? + 1),
            std::cmp::Ordering::Greater => high = start,
        }
    }
    None
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
