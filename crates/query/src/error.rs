//! What can go wrong with a query, in words that say how to mend it.

use std::collections::BTreeMap;

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

/// Why a query gave no rows.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Lake(#[from] lake::LakeError),
    /// The statement would change something, read files, or is none that reads.
    #[error(
        "{what} is refused: only statements that read are answered (SELECT, WITH, VALUES, EXPLAIN, SHOW, DESCRIBE)"
    )]
    ReadOnly { what: String },
    #[error("one statement at a time, please: there are {found}")]
    SeveralStatements { found: usize },
    #[error("there is no statement")]
    Empty,
    #[error("the statement cannot be read as SQL: {0}")]
    Syntax(String),
    #[error("there is no column `{column}`{}; there are {}", nearest(.near), .all.join(", "))]
    NoColumn { column: String, near: Vec<String>, all: Vec<String> },
    #[error("there is no table `{table}`{}; there are {}", nearest(.near), .all.join(", "))]
    NoTable { table: String, near: Vec<String>, all: Vec<String> },
    #[error(
        "the query needs more than its {megabytes} MiB of memory, also when it writes to disk what it can: give it more, \
         or group by fewer columns"
    )]
    Memory { megabytes: usize },
    #[error("the query was stopped after {seconds} seconds: narrow it, or give it more time")]
    Time { seconds: u64 },
    /// The statement is not valid for another reason, or failed while it ran.
    #[error("{0}")]
    Failed(String),
    #[error("the cluster did not answer: {0}; the same command may be repeated")]
    Cluster(String),
    #[error("the result cannot be written: {0}")]
    Write(String),
}

fn nearest(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean `{}`?", near.join("` or `")) }
}

impl QueryError {
    /// What the engine says, in our words. `tables` are the tables that there are.
    pub(crate) fn from_engine(error: &DataFusionError, tables: &[String], megabytes: usize) -> QueryError {
        match error.find_root() {
            DataFusionError::SchemaError(schema, _) => match &**schema {
                SchemaError::FieldNotFound { field, valid_fields } => {
                    let mut names: Vec<String> =
                        valid_fields.iter().map(|field| field.name().to_owned()).collect();
                    names.sort();
                    names.dedup();
                    let near = nearest_names(field.name(), &names);
                    QueryError::NoColumn { column: field.name().to_owned(), near, all: names }
                }
                other => QueryError::Failed(other.to_string()),
            },
            DataFusionError::SQL(parser, _) => QueryError::Syntax(parser.to_string()),
            DataFusionError::ResourcesExhausted(_) => QueryError::Memory { megabytes },
            // A join whose first rows do not fit says it so.
            DataFusionError::Internal(text) if text.contains("no data to spill") => {
                QueryError::Memory { megabytes }
            }
            DataFusionError::Plan(text) => match missing_table(text) {
                Some(table) => {
                    QueryError::NoTable { near: nearest_names(&table, tables), table, all: tables.to_vec() }
                }
                None => QueryError::Failed(first_line(text)),
            },
            other => QueryError::Failed(first_line(&other.strip_backtrace())),
        }
    }

    /// The PostgreSQL code of the error (PostgreSQL manual, appendix A).
    pub(crate) fn sqlstate(&self) -> &'static str {
        match self {
            QueryError::ReadOnly { .. } => "25006",
            QueryError::SeveralStatements { .. } | QueryError::Empty | QueryError::Syntax(_) => "42601",
            QueryError::NoColumn { .. } => "42703",
            QueryError::NoTable { .. } => "42P01",
            QueryError::Memory { .. } => "53200",
            QueryError::Time { .. } => "57014",
            QueryError::Failed(_) => "22000",
            QueryError::Lake(_) | QueryError::Cluster(_) | QueryError::Write(_) => "58000",
        }
    }
}

/// The table that the planner did not find; it says so in a text only.
fn missing_table(text: &str) -> Option<String> {
    let name = text.strip_prefix("table '")?.strip_suffix("' not found")?;
    Some(name.rsplit('.').next().unwrap_or(name).to_owned())
}

fn first_line(text: &str) -> String {
    let text = text.split("\n\nbacktrace:").next().unwrap_or(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Up to three names at most a third of whose letters would have to change.
fn nearest_names(name: &str, known: &[String]) -> Vec<String> {
    let wanted = name.to_lowercase();
    let mut ranked: BTreeMap<(usize, &String), ()> = BTreeMap::new();
    for candidate in known {
        let distance = edit_distance(&wanted, &candidate.to_lowercase());
        let contained = wanted.len() > 2 && candidate.to_lowercase().contains(&wanted);
        if contained || distance * 3 <= candidate.chars().count().max(wanted.chars().count()) {
            ranked.insert((distance, candidate), ());
        }
    }
    ranked.into_keys().take(3).map(|(_, candidate)| candidate.clone()).collect()
}

/// Letters to insert, delete or replace (Levenshtein 1966).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_near() {
        let known = ["age_years", "systolic_mmhg", "diastolic_mmhg", "gender"].map(str::to_owned);
        assert_eq!(nearest_names("age_year", &known), ["age_years"]);
        assert_eq!(nearest_names("systolic_mmgh", &known), ["systolic_mmhg"]);
        assert_eq!(nearest_names("AGE", &known), ["age_years"]);
        assert!(nearest_names("zebra", &known).is_empty());
    }

    #[test]
    fn distances_are_levenshtein_s() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", "abc"), 0);
    }
}
