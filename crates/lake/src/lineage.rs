//! Dataset versions as the nodes of a tree: which one came from which, and which rows each has.
//!
//! A version has the rows that it brought and those of the version it came from. An ingest comes from the newest version, a
//! restore from the one that it goes back to; so what was left by going back stays readable, and later ingests do not build on it.
//! Data files may be rewritten for all versions at once: a row says itself which version brought it.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::record::{
    Act, CommitRecord, DatasetVersion, FileVersions, Finished, IngestRecord, OutcomeCount, Removed,
    Rewritten, Totals,
};
use crate::schema::{Column, Kind, Schema, case_columns};
use crate::table::ingest_of;
use crate::versions::VersionSet;
use crate::{LakeError, Outcome};

/// Everything that the commits of `cases` say, oldest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    finished: Vec<Finished>,
    /// Of each dataset version its parent; 0 for none.
    parents: BTreeMap<u64, u64>,
    /// Identifiers of all commits, and the dataset version of those that are ingests.
    ids: HashMap<String, Option<u64>>,
    /// Files of rewritings.
    files: HashMap<String, FileVersions>,
}

impl History {
    pub(crate) fn new(finished: Vec<Finished>) -> History {
        let mut history = History::default();
        for Finished { record, .. } in &finished {
            let version = match &record.act {
                Act::Ingest(ingest) => Some(ingest.dataset_version),
                Act::Restore(_) | Act::Rewrite(_) => None,
            };
            history.ids.insert(record.id().to_string(), version);
            match &record.act {
                Act::Ingest(ingest) if ingest.accepted > 0 => {
                    let parent = ingest.parent.unwrap_or(ingest.dataset_version.saturating_sub(1));
                    history.parents.insert(ingest.dataset_version, parent);
                }
                Act::Ingest(_) => {}
                Act::Restore(restored) => {
                    history.parents.insert(restored.dataset_version, restored.parent);
                }
                Act::Rewrite(rewritten) => {
                    let files = rewritten.files.iter().map(|file| (file.name.clone(), file.versions));
                    history.files.extend(files);
                }
            }
        }
        history.finished = finished;
        history
    }

    pub(crate) fn finished(&self) -> &[Finished] {
        &self.finished
    }

    /// The newest dataset version, on which the next ingest builds; 0 where there is none.
    pub(crate) fn head(&self) -> u64 {
        self.parents.last_key_value().map_or(0, |(&version, _)| version)
    }

    /// Whether a commit of `cases` has this identifier.
    pub(crate) fn is_finished(&self, id: &str) -> bool {
        self.ids.contains_key(id)
    }

    /// A version and all that it came from.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`].
    pub(crate) fn ancestry(&self, version: u64) -> Result<VersionSet, LakeError> {
        if !self.parents.contains_key(&version) {
            return Err(LakeError::NoSuchVersion { version, newest: self.head() });
        }
        let parent = |version: &u64| self.parents.get(version).copied().filter(|parent| parent < version);
        Ok(std::iter::successors(Some(version), parent).filter(|&version| version > 0).collect())
    }

    /// [`History::ancestry`] of the newest version; empty where there is none.
    pub(crate) fn head_ancestry(&self) -> VersionSet {
        self.ancestry(self.head()).unwrap_or_default()
    }

    /// All versions.
    pub(crate) fn all(&self) -> VersionSet {
        self.parents.keys().copied().collect()
    }

    /// The versions of a data file's rows; `None` for another writer's file.
    pub(crate) fn versions_of_file(&self, name: &str) -> Option<FileVersions> {
        if let Some(&versions) = self.files.get(name) {
            return Some(versions);
        }
        let version = self.ids.get(ingest_of(name)?).copied().flatten()?;
        Some(FileVersions { first: version, last: version })
    }

    pub(crate) fn ingests(&self) -> impl Iterator<Item = &IngestRecord> {
        self.finished.iter().filter_map(|finished| match &finished.record.act {
            Act::Ingest(ingest) => Some(ingest),
            Act::Restore(_) | Act::Rewrite(_) => None,
        })
    }

    pub(crate) fn rewritings(&self) -> impl Iterator<Item = &Rewritten> {
        self.finished.iter().filter_map(|finished| match &finished.record.act {
            Act::Rewrite(rewritten) => Some(rewritten),
            Act::Ingest(_) | Act::Restore(_) => None,
        })
    }

    /// How often rows were taken out of versions that exist.
    pub(crate) fn removals(&self) -> u64 {
        self.rewritings().filter(|rewritten| !rewritten.removed.is_empty()).count() as u64
    }

    /// Files of `quarantine` that are no longer in force.
    pub(crate) fn replaced_quarantine(&self) -> HashSet<&str> {
        let changes = self.finished.iter().filter_map(|finished| finished.record.quarantine.as_ref());
        changes.flat_map(|change| &change.replaced).map(String::as_str).collect()
    }

    /// Files of `cases` that are no longer part of it, whether or not they are still on the disk.
    pub(crate) fn replaced_cases(&self) -> Vec<String> {
        self.rewritings().flat_map(|rewritten| rewritten.replaced.clone()).collect()
    }

    /// Tells of a file's name whether the file is older than the column of the dataset version.
    pub(crate) fn files_without_version(&self) -> impl Fn(&str) -> bool {
        let old = self.ingests().filter(|ingest| ingest.parent.is_none());
        let old: HashSet<String> = old.map(|ingest| ingest.ingest_id.to_string()).collect();
        move |name| ingest_of(name).is_some_and(|id| old.contains(id))
    }

    /// Files of `cases` that must be gone from the disk.
    pub(crate) fn purged_cases(&self) -> HashSet<&str> {
        let rewritings: Vec<_> = self.rewritings().collect();
        let last = rewritings.iter().rposition(|rewritten| rewritten.purge).map_or(0, |last| last + 1);
        rewritings[..last].iter().flat_map(|rewritten| &rewritten.replaced).map(String::as_str).collect()
    }

    /// The counters of slotted patients that the next ingest goes on with.
    pub(crate) fn strata(&self) -> BTreeMap<String, u64> {
        self.finished.last().map(|last| last.record.strata.clone()).unwrap_or_default()
    }

    /// The same for an ingest that would build on `version`.
    pub(crate) fn strata_of(&self, version: u64) -> BTreeMap<String, u64> {
        let of_version = self.finished.iter().find(|finished| match &finished.record.act {
            Act::Ingest(ingest) => ingest.accepted > 0 && ingest.dataset_version == version,
            Act::Restore(restored) => restored.dataset_version == version,
            Act::Rewrite(_) => false,
        });
        of_version.map(|found| found.record.strata.clone()).unwrap_or_default()
    }

    /// The columns that the ingests of `versions` asked for.
    pub(crate) fn columns(&self, versions: &VersionSet) -> Result<Vec<Column>, LakeError> {
        let mut columns = case_columns(&Schema { inputs: Vec::new(), note: None })?;
        let asked =
            |ingest: &&IngestRecord| ingest.dataset_version == 0 || versions.contains(ingest.dataset_version);
        for ingest in self.ingests().filter(asked) {
            let inputs = ingest.inputs.iter().map(|name| (name, Kind::Int));
            for (name, kind) in inputs.chain(ingest.note.iter().map(|note| (note, Kind::Text))) {
                if !columns.iter().any(|known| known.name == *name) {
                    columns.push(Column { name: name.clone(), kind });
                }
            }
        }
        Ok(columns)
    }

    /// Rows by outcome and source that each version brought and still has; refused rows that belong to it.
    fn own(&self) -> BTreeMap<u64, Sums> {
        let mut own: BTreeMap<u64, Sums> = BTreeMap::new();
        let mut refused: HashMap<uuid::Uuid, (u64, String)> = HashMap::new();
        for Finished { record, .. } in &self.finished {
            match &record.act {
                Act::Ingest(ingest) => {
                    own.entry(ingest.dataset_version).or_default().add_ingest(ingest);
                    refused.insert(ingest.ingest_id, (ingest.dataset_version, ingest.source.clone()));
                }
                Act::Restore(_) => {}
                Act::Rewrite(rewritten) => {
                    for removed in &rewritten.removed {
                        own.entry(removed.version).or_default().remove(removed);
                    }
                }
            }
            for removed in record.quarantine.iter().flat_map(|change| &change.removed) {
                let Some((version, source)) = refused.get(&removed.ingest_id) else { continue };
                own.entry(*version).or_default().remove_refused(source, removed.rows, &removed.reasons);
            }
        }
        own
    }

    /// Rows of `versions` as the records count them, and the number of their outcomes.
    pub(crate) fn counted(&self, versions: &VersionSet) -> (u64, u64) {
        let mut sums = Sums::default();
        for (_, own) in self.own().iter().filter(|(version, _)| versions.contains(**version)) {
            sums.add(own);
        }
        (sums.rows, sums.outcomes.len() as u64)
    }

    /// All dataset versions, oldest first.
    pub(crate) fn versions(&self) -> Vec<DatasetVersion> {
        let own = self.own();
        let mut sums: BTreeMap<u64, Sums> = BTreeMap::new();
        sums.insert(0, own.get(&0).cloned().unwrap_or_default());
        for (&version, parent) in &self.parents {
            let mut sum = sums.get(parent).cloned().unwrap_or_default();
            sum.add(own.get(&version).unwrap_or(&Sums::default()));
            sums.insert(version, sum);
        }
        let mut versions: Vec<DatasetVersion> = Vec::new();
        for Finished { table_version, record: CommitRecord { act, .. } } in &self.finished {
            let (version, restored, created_at, ingest) = match act {
                Act::Ingest(ingest) if ingest.accepted > 0 => {
                    (ingest.dataset_version, None, ingest.created_at, ingest.clone())
                }
                Act::Restore(restored) => {
                    let of = versions.iter().find(|known| known.version == restored.parent);
                    let Some(of) = of else { continue };
                    let ingest = of.ingest.clone();
                    (restored.dataset_version, Some(restored.parent), restored.created_at, ingest)
                }
                Act::Ingest(_) | Act::Rewrite(_) => continue,
            };
            versions.push(DatasetVersion {
                version,
                parent: self.parents.get(&version).copied().filter(|&parent| parent > 0),
                restored,
                created_at,
                table_version: *table_version,
                ingest,
                totals: sums.get(&version).map(Sums::totals).unwrap_or_default(),
            });
        }
        versions
    }
}

/// Counts that add up along a lineage.
#[derive(Debug, Clone, Default)]
struct Sums {
    rows: u64,
    quarantined: u64,
    outcomes: BTreeMap<Outcome, u64>,
    sources: BTreeMap<String, u64>,
    quarantined_by: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Sums {
    fn add_ingest(&mut self, ingest: &IngestRecord) {
        self.rows += ingest.accepted;
        self.quarantined += ingest.quarantined;
        for counted in &ingest.outcomes {
            *self.outcomes.entry(counted.outcome.clone()).or_default() += counted.rows;
        }
        add_counts(&mut self.sources, &ingest.sources);
        if !ingest.reasons.is_empty() {
            add_counts(self.quarantined_by.entry(ingest.source.clone()).or_default(), &ingest.reasons);
        }
    }

    fn add(&mut self, other: &Sums) {
        self.rows += other.rows;
        self.quarantined += other.quarantined;
        add_counts(&mut self.outcomes, &other.outcomes);
        add_counts(&mut self.sources, &other.sources);
        for (source, reasons) in &other.quarantined_by {
            add_counts(self.quarantined_by.entry(source.clone()).or_default(), reasons);
        }
    }

    fn remove(&mut self, removed: &Removed) {
        self.rows = self.rows.saturating_sub(removed.rows);
        let outcomes = removed.outcomes.iter().map(|count| (&count.outcome, count.rows));
        subtract_counts(&mut self.outcomes, outcomes);
        subtract_counts(&mut self.sources, removed.sources.iter().map(|(source, &rows)| (source, rows)));
    }

    fn remove_refused(&mut self, source: &str, rows: u64, reasons: &BTreeMap<String, u64>) {
        self.quarantined = self.quarantined.saturating_sub(rows);
        if let Some(known) = self.quarantined_by.get_mut(source) {
            subtract_counts(known, reasons.iter().map(|(reason, &rows)| (reason, rows)));
            if known.is_empty() {
                self.quarantined_by.remove(source);
            }
        }
    }

    fn totals(&self) -> Totals {
        let outcomes = self.outcomes.iter();
        Totals {
            rows: self.rows,
            quarantined: self.quarantined,
            outcomes: outcomes
                .map(|(outcome, &rows)| OutcomeCount { outcome: outcome.clone(), rows })
                .collect(),
            sources: self.sources.clone(),
            quarantined_by: self.quarantined_by.clone(),
        }
    }
}

fn add_counts<K: Ord + Clone>(sums: &mut BTreeMap<K, u64>, counts: &BTreeMap<K, u64>) {
    for (key, rows) in counts {
        *sums.entry(key.clone()).or_default() += rows;
    }
}

/// Takes counts away; what comes to nothing is named no longer.
fn subtract_counts<'a, K: Ord + 'a>(sums: &mut BTreeMap<K, u64>, counts: impl Iterator<Item = (&'a K, u64)>) {
    for (key, rows) in counts {
        if let Some(sum) = sums.get_mut(key) {
            *sum = sum.saturating_sub(rows);
            if *sum == 0 {
                sums.remove(key);
            }
        }
    }
}
