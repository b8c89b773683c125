//! Sets of dataset versions, kept as ranges: a lineage is mostly one.

use serde::{Deserialize, Serialize};

/// Some dataset versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionSet {
    /// First and last of each range: ascending, with a gap between two.
    ranges: Vec<(u64, u64)>,
}

impl VersionSet {
    pub fn contains(&self, version: u64) -> bool {
        self.covers(version, version)
    }

    /// Are all versions from `first` to `last` in it?
    pub fn covers(&self, first: u64, last: u64) -> bool {
        let at = self.ranges.partition_point(|range| range.1 < first);
        self.ranges.get(at).is_some_and(|range| range.0 <= first && last <= range.1)
    }

    /// Is any version from `first` to `last` in it?
    pub fn meets(&self, first: u64, last: u64) -> bool {
        let at = self.ranges.partition_point(|range| range.1 < first);
        self.ranges.get(at).is_some_and(|range| range.0 <= last)
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// First and last version of each range, ascending.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }

    /// Its versions, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| first..=last)
    }

    /// What is in it and not in `other`.
    #[must_use]
    pub fn without(&self, other: &VersionSet) -> VersionSet {
        self.iter().filter(|&version| !other.contains(version)).collect()
    }

    /// Is all of it in `other`?
    pub fn is_within(&self, other: &VersionSet) -> bool {
        self.ranges.iter().all(|&(first, last)| other.covers(first, last))
    }
}

impl FromIterator<u64> for VersionSet {
    fn from_iter<I: IntoIterator<Item = u64>>(versions: I) -> VersionSet {
        let mut all: Vec<u64> = versions.into_iter().collect();
        all.sort_unstable();
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for version in all {
            match ranges.last_mut() {
                Some(last) if version <= last.1 + 1 => last.1 = last.1.max(version),
                _ => ranges.push((version, version)),
            }
        }
        VersionSet { ranges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_answer_like_the_numbers_in_them() {
        let set: VersionSet = [9, 1, 2, 3, 7, 2].into_iter().collect();
        assert_eq!(set.ranges(), [(1, 3), (7, 7), (9, 9)]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 2, 3, 7, 9]);
        for first in 0..11 {
            for last in first..11 {
                let inside = (first..=last).filter(|version| [1, 2, 3, 7, 9].contains(version)).count();
                assert_eq!(set.covers(first, last), inside as u64 == last - first + 1, "{first} {last}");
                assert_eq!(set.meets(first, last), inside > 0, "{first} {last}");
            }
        }
        let fewer: VersionSet = [1, 2, 9].into_iter().collect();
        assert_eq!(set.without(&fewer).iter().collect::<Vec<_>>(), [3, 7]);
        assert!(fewer.is_within(&set) && !set.is_within(&fewer) && VersionSet::default().is_within(&set));
    }
}
