//! What changes the lake as a whole: going back, compaction, retention.

use anyhow::{Context, Result, bail};
use lake::{Compacted, Removal, Retention, Rewriting};
use serde_json::json;
use time::format_description::FormatItem;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime};

use crate::cli::{Global, Retain};
use crate::deployment::Deployment;
use crate::output;
use crate::pipeline::promote::act;

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
    let (would, were) = if done.dry_run { ("would be ", "") } else { ("", "were ") };
    let mut lines = Vec::new();
    lines.push(match done.files_rewritten {
        0 => format!("nothing to put together in {} files", done.files_before),
        files => format!(
            "{} files {would}{}{}: {files} with {} rows {were}put together",
            done.files_before,
            if done.dry_run { "about " } else { "are now " },
            done.files_after,
            done.rows_rewritten
        ),
    });
    if done.deleted > 0 {
        lines.push(format!(
            "{} replaced files {would}{were}deleted: {} bytes",
            done.deleted, done.deleted_bytes
        ));
    }
    lines.join("\n")
}

pub(super) fn retain(global: &Global, deployment: &Deployment, retain: &Retain) -> Result<()> {
    let now = deployment.now();
    let limit = limit(&retain.older_than, now)?;
    let retention = Retention {
        recorded_before: (limit.unix_timestamp_nanos() / 1000) as i64,
        source: retain.source.clone(),
    };
    let task = deployment.progress.task("deleting old cases", None);
    let progress = |rows: u64, _: u64| task.at(rows);
    let how = Rewriting { now, dry_run: retain.dry_run, progress: &progress };
    let removal = deployment.lake.retain(&retention, &how)?;
    if !retain.dry_run {
        deployment.cohorts().forget()?;
    }
    drop(task);
    if let Some(change) = removal.id {
        let detail = json!({
            "before": limit.date().to_string(), "source": retain.source, "cases": removal.rows,
            "dataset_versions": removal.versions, "quarantined": removal.quarantined,
        });
        act(deployment, &retain.reason, |act| {
            Ok(deployment.registry.record_removal("dataset.retain", &change.to_string(), &detail, act)?)
        })?;
    }
    output::print(global.json, &removal, || {
        let about = format!("recorded before {}", limit.date());
        removed(&removal, &about)
    })
}

/// What was taken out of the lake, in words.
pub(super) fn removed(removal: &Removal, about: &str) -> String {
    let would = if removal.dry_run { "would be " } else { "" };
    if removal.rows + removal.quarantined == 0 {
        return format!("the lake has no case and no refused row {about}");
    }
    let versions: Vec<String> = removal.versions.iter().map(u64::to_string).collect();
    let mut lines =
        vec![format!("{} cases {about} {would}gone, from {} files", removal.rows, removal.files_rewritten)];
    if !versions.is_empty() {
        lines.push(format!("dataset versions that had some of them: {}", versions.join(", ")));
    }
    lines.push(format!("{} refused rows {would}gone", removal.quarantined));
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
