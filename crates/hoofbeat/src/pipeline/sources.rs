//! Sources of data: registered with their mapping and columns, and every file held to them before anything is stored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clinical::QualityByFile;
use clinical::quality::Tally;
use interop::{Columns, Mapping, Reading, Row};
use registry::{NewSource, Source, SourceKind};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::deployment::Deployment;
use crate::pipeline::promote::act;
use crate::pipeline::reading;

/// Rows of a sample file that tell its columns, where no header does.
const SAMPLE_ROWS: usize = 10_000;
/// The reason in the audit.
const BY: &str = "from the command line";

/// Where files come from, and how they are read.
#[derive(Debug)]
pub struct Origin {
    pub source: String,
    pub mapping: Option<Mapping>,
    /// Of the sample that the source was registered with; empty where there was none.
    columns: Vec<String>,
}

/// What is other in a file's columns than in the registered sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnChange {
    pub gone: Vec<String>,
    pub new: Vec<String>,
}

/// What a file of a source looks like; nothing of it was stored.
#[derive(Debug, Serialize)]
pub struct Checked {
    pub source: String,
    pub rows: u64,
    pub accepted: u64,
    pub refused: u64,
    pub skipped: BTreeMap<String, u64>,
    pub refused_by_reason: BTreeMap<String, u64>,
    pub changed_columns: Option<ColumnChange>,
    pub ignored_columns: Vec<String>,
    pub derived_fields: Vec<&'static str>,
    pub quality: QualityByFile,
}

impl Origin {
    /// Files with the study's own columns.
    pub fn plain(source: &str) -> Origin {
        Origin { source: source.to_owned(), mapping: None, columns: Vec::new() }
    }

    /// By the mapping that is given, or the one that the source is registered with.
    pub fn of(deployment: &Deployment, source: &str, map: Option<&Path>) -> Result<Origin> {
        let given = map.map(text_of).transpose()?;
        let Some(registered) = deployment.registry.source(source)? else {
            let mapping = given.map(|text| parse(&text, map)).transpose()?;
            return Ok(Origin { mapping, ..Origin::plain(source) });
        };
        if given.is_some() && given != registered.mapping {
            bail!(
                "source `{source}` is registered with another mapping: leave --map out, or register this one with \
                 `hoofbeat source add {source} --map FILE --replace`"
            );
        }
        Origin::registered(registered)
    }

    fn registered(source: Source) -> Result<Origin> {
        let mapping = source.mapping.map(|text| parse(&text, None)).transpose()?;
        Ok(Origin { source: source.name, mapping, columns: source.columns })
    }

    /// What is other in a file's columns; `None` where nothing is, or nothing is known.
    pub fn change(&self, columns: &Columns) -> Option<ColumnChange> {
        if self.columns.is_empty() || columns.found.is_empty() {
            return None;
        }
        let lacking = |list: &[String], other: &[String]| -> Vec<String> {
            list.iter().filter(|name| !other.contains(name)).cloned().collect()
        };
        let change = ColumnChange {
            gone: lacking(&self.columns, &columns.found),
            new: lacking(&columns.found, &self.columns),
        };
        (!change.gone.is_empty() || !change.new.is_empty()).then_some(change)
    }
}

fn text_of(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("the mapping {} cannot be read", path.display()))
}

fn parse(text: &str, path: Option<&Path>) -> Result<Mapping> {
    Mapping::parse(text).with_context(|| match path {
        Some(path) => format!("the mapping {} is not valid", path.display()),
        None => "the registered mapping is not valid any more".to_owned(),
    })
}

/// Registers a source, if its mapping and the sample file give everything that the study requires.
pub fn add(
    deployment: &Deployment,
    name: &str,
    kind: SourceKind,
    map: Option<&Path>,
    sample: Option<&Path>,
    replace: bool,
) -> Result<Source> {
    if name.trim() != name || name.is_empty() || name.chars().count() > 128 || name.contains(char::is_control)
    {
        bail!("a source's name has 1 to 128 characters, no control characters and no spaces around it");
    }
    let text = map.map(text_of).transpose()?;
    let mapping = text.as_deref().map(|text| parse(text, map)).transpose()?;
    if let Some(mapping) = &mapping {
        mapping.check(&deployment.study).with_context(|| format!("source `{name}` is refused"))?;
    }
    let columns = match sample {
        Some(path) => columns_of(deployment, name, mapping.as_ref(), path)
            .with_context(|| format!("source `{name}` is refused"))?,
        None => Vec::new(),
    };
    let hash = text.as_deref().map(hash);
    let new = NewSource {
        name,
        kind,
        mapping: text.as_deref().zip(hash.as_deref()),
        columns: &columns,
        study_hash: &deployment.study.digest(),
        replace,
    };
    act(deployment, BY, |act| match deployment.registry.add_source(&new, act) {
        Err(registry::Error::Conflict { .. }) => {
            bail!("source `{name}` is registered with other content: --replace puts this in its place")
        }
        added => Ok(added?),
    })
}

/// The columns of a sample, which must have what the study requires.
fn columns_of(
    deployment: &Deployment,
    source: &str,
    mapping: Option<&Mapping>,
    path: &Path,
) -> Result<Vec<String>> {
    let place = || path.display().to_string();
    let reading = Reading { study: &deployment.study, mapping, source, ingested_at: 0 };
    let sets = reading::sets(&[path.to_owned()], mapping)?;
    let set = sets.first().context("no file")?;
    let mut cases = set.open(reading).with_context(place)?;
    for row in cases.by_ref().take(SAMPLE_ROWS) {
        row.with_context(place)?;
    }
    cases.check_seen().with_context(place)?;
    Ok(cases.columns().found)
}

/// Reads files of a source as an ingest would, and stores nothing.
pub fn check(deployment: &Deployment, name: &str, files: &[PathBuf]) -> Result<Checked> {
    let Some(source) = deployment.registry.source(name)? else {
        bail!("no source `{name}` is registered; `hoofbeat source list` names all");
    };
    let origin = Origin::registered(source)?;
    let study = &deployment.study;
    let reading = Reading { study, mapping: origin.mapping.as_ref(), source: name, ingested_at: 0 };
    let mut checked = Checked {
        source: name.to_owned(),
        rows: 0,
        accepted: 0,
        refused: 0,
        skipped: BTreeMap::new(),
        refused_by_reason: BTreeMap::new(),
        changed_columns: None,
        ignored_columns: Vec::new(),
        derived_fields: Vec::new(),
        quality: QualityByFile::default(),
    };
    for set in reading::sets(files, origin.mapping.as_ref())? {
        let names = set.names();
        let mut tallies: Vec<Tally<'_>> = names.iter().map(|_| Tally::new(study)).collect();
        let (columns, _) = set.read(reading, &deployment.progress, |rows| {
            for (file, row) in rows {
                let tally = &mut tallies[*file];
                match row {
                    Row::Accepted(case) => tally.accept(case),
                    Row::Refused { issues, .. } => {
                        tally.refuse(issues);
                        for issue in issues {
                            *checked.refused_by_reason.entry(issue.reason()).or_default() += 1;
                        }
                    }
                    Row::Skipped { reason, .. } => {
                        tally.skip();
                        *checked.skipped.entry(reason.to_string()).or_default() += 1;
                    }
                }
            }
            Ok(())
        })?;
        for (name, tally) in names.iter().zip(tallies) {
            checked.quality.add(name, &tally.finish());
        }
        checked.changed_columns = checked.changed_columns.or_else(|| origin.change(&columns));
        checked.ignored_columns.extend(columns.ignored);
        checked.derived_fields.extend(columns.derived);
    }
    let total = checked.quality.total();
    (checked.rows, checked.accepted, checked.refused) = (total.rows, total.accepted, total.refused);
    Ok(checked)
}

/// Forgets a source; its cases stay.
pub fn remove(deployment: &Deployment, name: &str) -> Result<()> {
    act(deployment, BY, |act| Ok(deployment.registry.remove_source(name, act)?))
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
