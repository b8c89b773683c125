//! Results on standard output: a text for people or one JSON document, never both.

use std::io::{Write, stdout};

use anyhow::Result;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How a command ended, when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// Exit status 0.
    Well,
    /// Exit status 3: done, but a gate or check that the command exists to make did not hold.
    NotHeld,
}

impl Done {
    pub(crate) fn held(held: bool) -> Done {
        if held { Done::Well } else { Done::NotHeld }
    }
}

/// Prints a result: `text` for people, or the value as JSON.
pub(crate) fn print<T: Serialize>(json: bool, value: &T, text: impl FnOnce() -> String) -> Result<()> {
    let out = if json { serde_json::to_string_pretty(value)? } else { text() };
    let mut stdout = stdout().lock();
    writeln!(stdout, "{}", out.trim_end())?;
    Ok(stdout.flush()?)
}

/// Columns aligned for a terminal; the first row is the header.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            format!("{cell}{padding}")
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A time for people: RFC 3339, to the second.
pub(crate) fn instant(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0).ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_count_characters_not_bytes() {
        let rows = vec![vec!["año".into(), "n".into()], vec!["1".into(), "22".into()]];
        assert_eq!(table(&rows), "año  n\n1    22");
    }
}
