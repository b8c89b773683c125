//! What changes the lake as a whole: going back, compaction, retention.

use anyhow::{Context, Result, bail};
use lake::{Compacted, PutTogether, Removal, Rewriting};
use time::format_description::FormatItem;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime};

use crate::cli::{Global, Retain};
use crate::deployment::Deployment;
use crate::output;
use crate::pipeline::retain::{self, Request, Retained};

const DATE: &[FormatItem<'_>] = format_description!("[year]-[month]-[day]");

pub(super) fn restore(global: &Global, deployment: &Deployment, version: u64) -> Result<()> {
    let newest = deployment.lake.restore(version, deployment.now())?;
    output::print(global.json, &newest, || {
        let rows = newest.totals.rows;
        match newest.version == version {
            true => format!("version {version} is the newest already: {rows} cases"),
            false => {
                format!("dataset version {} is version {version} once more: {rows} cases", newest.version)
            }
        }
    })
}

pub(super) fn compact(global: &Global, deployment: &Deployment, vacuum: bool, dry_run: bool) -> Result<()> {
    let task = deployment.progress.task("putting files together", None);
    let progress = |rows: u64, _: u64| task.at(rows);
    let how = Rewriting { now: deployment.now(), dry_run, progress: &progress };
    let done = deployment.lake.compact(vacuum, &how)?;
    drop(task);
    output::print(global.json, &done, || compacted(&done))
}

fn compacted(done: &Compacted) -> String {
    let would = if done.dry_run { "would be " } else { "" };
    let tables = [
        ("cases", &done.cases),
        ("quarantine", &done.quarantine),
        ("predictions", &done.predictions),
        ("outcomes", &done.outcomes),
    ];
    let there = tables.iter().filter(|(_, table)| table.files_before > 0);
    let mut lines: Vec<String> = there.map(|(name, table)| put_together(name, table, done.dry_run)).collect();
    if done.deleted > 0 {
        let were = if done.dry_run { "" } else { "were " };
        lines.push(format!(
            "{} replaced files {would}{were}deleted: {} bytes",
            done.deleted, done.deleted_bytes
        ));
    }
    if lines.is_empty() { "the lake has no files yet".to_owned() } else { lines.join("\n") }
}

fn put_together(name: &str, table: &PutTogether, dry_run: bool) -> String {
    let PutTogether { files_before, files_after, files_rewritten, rows_rewritten } = table;
    let (are, were) = if dry_run { ("would be about", "") } else { ("are now", "were ") };
    match files_rewritten {
        0 => format!("{name}: nothing to put together in {files_before} files"),
        files => format!(
            "{name}: {files_before} files {are} {files_after}: {files} with {rows_rewritten} rows {were}put together"
        ),
    }
}

pub(super) fn retain(global: &Global, deployment: &Deployment, command: &Retain) -> Result<()> {
    let limit = limit(&command.older_than, deployment.now())?;
    let (source, reason, dry_run) = (command.source.as_deref(), &command.reason, command.dry_run);
    let retained = retain::retain(deployment, &Request { limit, source, reason, dry_run })?;
    output::print(global.json, &retained, || {
        let about = format!("recorded before {}", limit.date());
        let would = if dry_run { "would be " } else { "" };
        let Retained { lake, predictions, opinions } = &retained;
        format!(
            "{}\n{predictions} predictions of the log, {} feedbacks, {} reviews and {} outcomes of the registry {would}gone",
            removed(lake, &about),
            opinions.feedback,
            opinions.reviews,
            opinions.outcomes
        )
    })
}

/// What was taken out of the lake, in words.
pub(super) fn removed(removal: &Removal, about: &str) -> String {
    let would = if removal.dry_run { "would be " } else { "" };
    let served = &removal.served;
    if removal.rows + removal.quarantined + served.predictions + served.outcomes == 0 {
        return format!("the lake has no case, no refused row and no prediction {about}");
    }
    let versions: Vec<String> = removal.versions.iter().map(u64::to_string).collect();
    let mut lines =
        vec![format!("{} cases {about} {would}gone, from {} files", removal.rows, removal.files_rewritten)];
    if !versions.is_empty() {
        lines.push(format!("dataset versions that had some of them: {}", versions.join(", ")));
    }
    lines.push(format!("{} refused rows {would}gone", removal.quarantined));
    lines.push(format!(
        "{} published predictions and {} outcomes {would}gone",
        served.predictions, served.outcomes
    ));
    lines.join("\n")
}

/// Start of the day `2015-12-31`, or that many days or years ago.
fn limit(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime> {
    if let Ok(date) = Date::parse(text, DATE) {
        return Ok(date.midnight().assume_utc());
    }
    let wanted =
        || format!("`{text}` is neither a date (2015-12-31) nor an age in days or years (3650d, 10y)");
    let unit = text.chars().next_back().filter(char::is_ascii).with_context(wanted)?;
    let count: i64 = text[..text.len() - 1].parse().ok().filter(|count| *count >= 0).with_context(wanted)?;
    let limit = match unit {
        'd' => now.checked_sub(Duration::days(count.min(4_000_000))),
        'y' => years_before(now.date(), count).map(|date| date.midnight().assume_utc()),
        _ => bail!(wanted()),
    };
    limit.with_context(|| format!("`{text}` goes back further than the calendar"))
}

/// The same day so many years before; of a 29th of February, the 28th.
fn years_before(date: Date, years: i64) -> Option<Date> {
    let year = i32::try_from(i64::from(date.year()).checked_sub(years)?).ok()?;
    date.replace_year(year).or_else(|_| date.replace_day(28)?.replace_year(year)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn limits_are_dates_or_ages() {
        let now = datetime!(2024-02-29 13:00 UTC);
        for (text, expected) in [
            ("2015-12-31", Some(datetime!(2015-12-31 00:00 UTC))),
            ("30d", Some(datetime!(2024-01-30 13:00 UTC))),
            ("1y", Some(datetime!(2023-02-28 00:00 UTC))),
            ("4y", Some(datetime!(2020-02-29 00:00 UTC))),
            ("10", None),
            ("", None),
            ("-3d", None),
            ("2015-13-01", None),
            ("999999y", None),
            ("ñ", None),
        ] {
            assert_eq!(limit(text, now).ok(), expected, "{text}");
        }
    }
}
