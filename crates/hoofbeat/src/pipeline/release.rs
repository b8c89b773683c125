//! Release: refused rows are read again by a corrected mapping; the accepted ones become a new dataset version.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use interop::{Format, Mapping, Reading, Row, read_again};
use lake::{Ingest, Pushed, QuarantineFilter, QuarantinedRow};
use serde::Serialize;
use uuid::Uuid;

use super::erase::{Headers, headers};
use super::ingest;
use super::sources::Origin;
use crate::deployment::Deployment;

/// Which refused rows, and how they are read now.
#[derive(Debug)]
pub struct Request<'a> {
    pub filter: QuarantineFilter,
    pub mapping: Option<&'a Mapping>,
    /// For CSV files whose ingest did not keep the header.
    pub header: Option<Vec<String>>,
    pub dry_run: bool,
}

/// What became of the rows.
#[derive(Debug, Default, Serialize)]
pub struct Released {
    /// Rows read again.
    pub read: u64,
    /// Accepted now, in a new dataset version.
    pub accepted: u64,
    /// Accepted now, but their cases are stored already; they leave the quarantine too.
    pub duplicates: u64,
    /// Still refused, by reason; a row counts once for each of its reasons.
    pub refused: u64,
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Left out by the mapping; they stay.
    pub skipped: u64,
    /// Rows whose text is no longer a row (cut off, or broken), by the reason that they have.
    pub unreadable: u64,
    /// Rows of CSV files whose header is not known, by file.
    pub without_header: BTreeMap<String, u64>,
    /// The ingests that hold the accepted rows, and the newest dataset version.
    pub ingests: Vec<Uuid>,
    pub dataset_version: u64,
    pub dry_run: bool,
}

/// Reads the refused rows of the newest dataset version's lineage again, source by source.
pub fn release(deployment: &Deployment, request: &Request<'_>) -> Result<Released> {
    let newest = deployment.lake.newest()?.map_or(0, |newest| newest.version);
    let mut sources: Vec<String> = Vec::new();
    deployment.lake.each_quarantined(newest, &request.filter, |row| {
        if !sources.contains(&row.source) {
            sources.push(row.source);
        }
        true
    })?;
    let headers = headers(deployment)?;
    let mut released = Released { dry_run: request.dry_run, dataset_version: newest, ..Released::default() };
    for source in &sources {
        one_source(deployment, request, source, newest, &headers, &mut released)?;
    }
    Ok(released)
}

fn one_source(
    deployment: &Deployment,
    request: &Request<'_>,
    source: &str,
    newest: u64,
    headers: &Headers,
    released: &mut Released,
) -> Result<()> {
    let filter = QuarantineFilter { source: Some(source.to_owned()), ..request.filter.clone() };
    let now = deployment.now();
    let registered = Origin::of(deployment, source, None)?.mapping;
    let reading = Reading {
        study: &deployment.study,
        mapping: request.mapping.or(registered.as_ref()),
        source,
        ingested_at: (now.unix_timestamp_nanos() / 1000) as i64,
    };
    let mut again =
        Again { request, headers, reading, ingest: ingest::begin(deployment, source, now)?, released };
    // One file's rows at a time.
    let (mut rows, mut failure) = (Vec::<QuarantinedRow>::new(), None);
    deployment.lake.each_quarantined(newest, &filter, |row| {
        let other =
            rows.last().is_some_and(|last| (last.ingest_id, &last.file) != (row.ingest_id, &row.file));
        if other {
            failure = again.file(&std::mem::take(&mut rows)).err();
        }
        rows.push(row);
        failure.is_none()
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    again.file(&rows)?;
    if !request.dry_run {
        let report = again.ingest.commit()?;
        released.dataset_version = report.dataset_version;
        released.ingests.extend((report.accepted + report.released > 0).then_some(report.ingest_id));
    }
    Ok(())
}

/// Reads rows again into one ingest.
struct Again<'a> {
    request: &'a Request<'a>,
    headers: &'a Headers,
    reading: Reading<'a>,
    ingest: Ingest,
    released: &'a mut Released,
}

impl Again<'_> {
    /// Refused rows of one file.
    fn file(&mut self, rows: &[QuarantinedRow]) -> Result<()> {
        let Some(first) = rows.first() else { return Ok(()) };
        self.released.read += rows.len() as u64;
        let known = self.headers.get(&(first.ingest_id, first.file.clone()));
        let header = known.or(self.request.header.as_ref()).filter(|_| is_csv(first)).map(Vec::as_slice);
        if header.is_none() && is_csv(first) {
            *self.released.without_header.entry(first.file.clone()).or_default() += rows.len() as u64;
            return Ok(());
        }
        let texts: Vec<&str> = rows.iter().map(|row| row.raw.as_str()).collect();
        for (row, read) in rows.iter().zip(read_again(&texts, header, self.reading)?) {
            match read {
                Some(Row::Accepted(case)) => {
                    match ingest::push(&mut self.ingest, self.reading.study, &case)? {
                        Pushed::Added => self.released.accepted += 1,
                        Pushed::Duplicate => self.released.duplicates += 1,
                    }
                    self.ingest.release(row);
                }
                Some(Row::Refused { issues, .. }) => {
                    self.released.refused += 1;
                    let reasons =
                        issues.iter().map(|issue| format!("{}:{}", issue.field, issue.code.as_str()));
                    for reason in reasons.collect::<std::collections::BTreeSet<_>>() {
                        *self.released.refused_by_reason.entry(reason).or_default() += 1;
                    }
                }
                Some(Row::Skipped { .. }) => self.released.skipped += 1,
                None => self.released.unreadable += 1,
            }
        }
        Ok(())
    }
}

/// Whether a refused row is CSV text: its file's name says so, or else its first character.
fn is_csv(row: &QuarantinedRow) -> bool {
    match Format::from_name(&row.file) {
        Some(format) => format == Format::Csv,
        None => !row.raw.trim_start().starts_with('{'),
    }
}

/// The header of a CSV file.
pub fn header_of(path: &Path, mapping: Option<&Mapping>, deployment: &Deployment) -> Result<Vec<String>> {
    let reading = Reading { study: &deployment.study, mapping, source: "", ingested_at: 0 };
    match interop::CaseFile::open(path, reading)?.header() {
        Some(header) => Ok(header.to_vec()),
        None => bail!("{} is no CSV file", path.display()),
    }
}
