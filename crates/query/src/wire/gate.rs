//! Nothing but reading passes: every statement of every client comes through here first.

use async_trait::async_trait;
use datafusion::common::ParamValues;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{Set, Statement};
use datafusion_postgres::QueryHook;
use datafusion_postgres::hooks::HookClient;
use datafusion_postgres::pgwire::api::ClientInfo;
use datafusion_postgres::pgwire::api::results::Response;
use datafusion_postgres::pgwire::error::PgWireResult;

use super::answer::user_error;
use crate::statement::check_sql;
use crate::{QueryError, statement};

/// Settings of a connection that clients are used to make; they change how values are written, or nothing.
const SETTINGS: [&str; 14] = [
    "application_name",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "default_transaction_read_only",
    "extra_float_digits",
    "geqo",
    "intervalstyle",
    "lock_timeout",
    "search_path",
    "session_replication_role",
    "standard_conforming_strings",
    "statement_timeout",
];

/// Refuses what does not read.
#[derive(Debug)]
pub(super) struct Gate;

impl Gate {
    fn check(statement: &Statement) -> Result<(), QueryError> {
        match statement {
            Statement::StartTransaction { .. }
            | Statement::Commit { .. }
            | Statement::Rollback { .. }
            | Statement::Savepoint { .. }
            | Statement::ReleaseSavepoint { .. }
            | Statement::Fetch { .. }
            | Statement::Close { .. }
            | Statement::Deallocate { .. }
            | Statement::Discard { .. }
            | Statement::ShowCatalogs { .. }
            | Statement::ShowStatus { .. } => Ok(()),
            Statement::Declare { stmts } => stmts
                .iter()
                .filter_map(|declared| declared.for_query.as_ref())
                .try_for_each(|query| check_sql(&Statement::Query(query.clone()))),
            Statement::Set(set) => Gate::check_setting(set),
            other => statement::check_sql(other),
        }
    }

    fn check_setting(set: &Set) -> Result<(), QueryError> {
        let known = match set {
            Set::SingleAssignment { variable, .. } => {
                SETTINGS.contains(&variable.to_string().to_lowercase().as_str())
            }
            Set::SetTimeZone { .. } | Set::SetTransaction { .. } | Set::SetNames { .. } => true,
            _ => false,
        };
        if known { Ok(()) } else { Err(QueryError::ReadOnly { what: "this setting".to_owned() }) }
    }
}

#[async_trait]
impl QueryHook for Gate {
    async fn handle_simple_query(
        &self,
        statement: &Statement,
        _: &SessionContext,
        _: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        Gate::check(statement).err().map(|error| Err(user_error(&error)))
    }

    async fn handle_extended_parse_query(
        &self,
        statement: &Statement,
        _: &SessionContext,
        _: &(dyn ClientInfo + Send + Sync),
    ) -> Option<PgWireResult<LogicalPlan>> {
        Gate::check(statement).err().map(|error| Err(user_error(&error)))
    }

    async fn handle_extended_query(
        &self,
        statement: &Statement,
        _: &LogicalPlan,
        _: &ParamValues,
        _: &SessionContext,
        _: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        Gate::check(statement).err().map(|error| Err(user_error(&error)))
    }
}
