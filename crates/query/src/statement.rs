//! Which statements are answered: those that read, and read nothing but the tables.

use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::{SetExpr, Statement as Sql};

use crate::QueryError;

/// The one statement of a text, if it is one that reads.
pub(crate) fn reading(text: &str) -> Result<Statement, QueryError> {
    let mut statements = DFParser::parse_sql(text).map_err(|error| match error.find_root() {
        datafusion::error::DataFusionError::SQL(parser, _) => QueryError::Syntax(parser.to_string()),
        other => QueryError::Syntax(other.to_string()),
    })?;
    let found = statements.len();
    match (statements.pop_front(), found) {
        (None, _) => Err(QueryError::Empty),
        (Some(statement), 1) => check(&statement).map(|()| statement),
        _ => Err(QueryError::SeveralStatements { found }),
    }
}

fn check(statement: &Statement) -> Result<(), QueryError> {
    match statement {
        Statement::Statement(sql) => check_sql(sql),
        Statement::Explain(explain) => check(&explain.statement),
        Statement::CreateExternalTable(_) => refused("CREATE EXTERNAL TABLE"),
        Statement::CopyTo(_) => refused("COPY"),
        Statement::Reset(_) => refused("RESET"),
    }
}

/// Refuses what does not read. The plan is checked once more before it runs, subqueries included.
pub(crate) fn check_sql(statement: &Sql) -> Result<(), QueryError> {
    match statement {
        Sql::Query(query) => match &*query.body {
            SetExpr::Insert(_) => refused("INSERT"),
            SetExpr::Update(_) => refused("UPDATE"),
            SetExpr::Delete(_) => refused("DELETE"),
            SetExpr::Select(select) if select.into.is_some() => refused("SELECT INTO"),
            _ => Ok(()),
        },
        Sql::Explain { statement, .. } => check_sql(statement),
        Sql::ExplainTable { .. }
        | Sql::ShowTables { .. }
        | Sql::ShowColumns { .. }
        | Sql::ShowVariable { .. }
        | Sql::ShowFunctions { .. }
        | Sql::ShowSchemas { .. } => Ok(()),
        other => refused(&kind(other)),
    }
}

fn refused(what: &str) -> Result<(), QueryError> {
    Err(QueryError::ReadOnly { what: what.to_owned() })
}

/// The words with which a statement begins, never a value: `CREATE TABLE`, `SET`.
fn kind(statement: &Sql) -> String {
    let text = statement.to_string();
    let words = text.split_whitespace().take_while(|word| word.chars().all(|c| c.is_ascii_uppercase()));
    let words: Vec<&str> = words.take(3).collect();
    if words.is_empty() { "the statement".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_is_answered() {
        for text in [
            "SELECT 1",
            "select * from cases;",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "VALUES (1), (2)",
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE VERBOSE SELECT 1",
            "SHOW TABLES",
            "SHOW COLUMNS FROM cases",
            "DESCRIBE cases",
            "SELECT 1 UNION ALL SELECT 2",
        ] {
            assert!(reading(text).is_ok(), "{text}: {:?}", reading(text).err());
        }
    }

    #[test]
    fn what_writes_reads_files_or_changes_settings_is_refused() {
        for (text, what) in [
            ("CREATE TABLE x AS SELECT 1", "CREATE TABLE"),
            ("CREATE VIEW x AS SELECT 1", "CREATE VIEW"),
            ("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'", "CREATE EXTERNAL TABLE"),
            ("COPY cases TO '/tmp/x.csv'", "COPY"),
            ("COPY (SELECT 1) TO 'x.parquet'", "COPY"),
            ("INSERT INTO cases SELECT * FROM cases", "INSERT INTO"),
            ("DELETE FROM cases", "DELETE FROM"),
            ("UPDATE cases SET slot = 1", "UPDATE"),
            ("DROP TABLE cases", "DROP TABLE"),
            ("TRUNCATE TABLE cases", "TRUNCATE TABLE"),
            ("SET datafusion.explain.show_statistics = true", "SET"),
            ("RESET datafusion.execution.batch_size", "RESET"),
            ("EXPLAIN CREATE TABLE x AS SELECT 1", "CREATE TABLE"),
            ("EXPLAIN ANALYZE COPY cases TO 'x.csv'", "COPY"),
            ("PREPARE p AS SELECT 1", "PREPARE"),
            ("SELECT * INTO y FROM cases", "SELECT INTO"),
        ] {
            match reading(text) {
                Err(QueryError::ReadOnly { what: said }) => assert!(said.starts_with(what), "{text}: {said}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(matches!(reading("SELECT 1; SELECT 2"), Err(QueryError::SeveralStatements { found: 2 })));
        assert!(matches!(reading("  -- nothing\n"), Err(QueryError::Empty)));
        assert!(matches!(reading("SELEKT 1"), Err(QueryError::Syntax(_))));
    }
}
