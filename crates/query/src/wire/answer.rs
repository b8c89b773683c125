//! Answers to statements: by the client's role, within the time, with errors in our words.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion_postgres::DfSessionService;
use datafusion_postgres::pgwire::api::portal::{Format, Portal};
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::api::results::{FieldInfo, QueryResponse, Response};
use datafusion_postgres::pgwire::api::stmt::QueryParser;
use datafusion_postgres::pgwire::api::store::PortalStore;
use datafusion_postgres::pgwire::api::{ClientInfo, ClientPortalStore, Type};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use futures_util::{Sink, StreamExt, stream};
use tokio::time::Instant;

use super::cancel::{Cancel, Wish};
use super::login::Roles;
use super::snapshot::{Snapshot, Snapshots};
use crate::session::engine_error;
use crate::{Limits, QueryError};

/// A parsed statement, as the PostgreSQL service keeps it.
type Prepared = (String, Option<(Statement, LogicalPlan)>);

/// Answers the statements of one connection.
pub(super) struct Answers {
    snapshots: Arc<Snapshots>,
    roles: Arc<Roles>,
    parser: Arc<Parser>,
    cancel: Cancel,
}

impl Answers {
    pub(super) fn new(snapshots: Arc<Snapshots>, roles: Arc<Roles>, cancel: Cancel) -> Answers {
        let parser = Arc::new(Parser {
            snapshots: Arc::clone(&snapshots),
            roles: Arc::clone(&roles),
            any: DfSessionService::new(Arc::new(SessionContext::new())),
        });
        Answers { snapshots, roles, parser, cancel }
    }

    /// When a statement that begins now must have ended, and who may end it sooner.
    fn begin<C: ClientInfo>(&self, client: &C) -> Bounds {
        let limits = self.snapshots.limits().clone();
        let deadline = limits.time.map(|limit| Instant::now() + limit);
        Bounds { limits, deadline, wish: self.cancel.begin(client) }
    }
}

/// The bounds of one statement's answer, from its planning to its last row.
#[derive(Clone)]
struct Bounds {
    limits: Limits,
    deadline: Option<Instant>,
    wish: Wish,
}

impl Bounds {
    /// The result, unless time is up or the client has had enough: then the work is dropped.
    async fn hold<T>(&mut self, work: impl Future<Output = T>) -> PgWireResult<T> {
        let out_of_time = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = out_of_time => {
                let seconds = self.limits.time.map_or(0, |limit| limit.as_secs());
                Err(user_error(&QueryError::Time { seconds }))
            }
            () = self.wish.asked() => Err(PgWireError::QueryCanceled),
            result = work => Ok(result),
        }
    }

    /// What prepares an answer.
    async fn prepare<T>(&mut self, work: impl Future<Output = PgWireResult<T>>) -> PgWireResult<T> {
        let result = self.hold(work).await?;
        result.map_err(|error| in_words(error, &self.limits))
    }

    /// The rows, which are computed while they are sent.
    fn rows(&self, response: Response) -> Response {
        let Response::Query(answer) = response else { return response };
        let QueryResponse { command_tag, row_schema, data_rows, .. } = answer;
        let rows = stream::unfold(Some((data_rows, self.clone())), |rows| async move {
            let (mut rows, mut bounds) = rows?;
            match bounds.hold(rows.next()).await {
                Ok(None) => None,
                Ok(Some(row)) => {
                    let row = row.map_err(|error| in_words(error, &bounds.limits));
                    Some((row, Some((rows, bounds))))
                }
                // The rows that are still to come are dropped, and with them the query.
                Err(error) => Some((Err(error), None)),
            }
        });
        let mut bounded = QueryResponse::new(row_schema, rows);
        bounded.set_command_tag(&command_tag);
        Response::Query(bounded)
    }
}

fn snapshot(snapshots: &Snapshots) -> PgWireResult<Arc<Snapshot>> {
    snapshots.current().ok_or_else(|| {
        let text = "there is no dataset version yet: `hoofbeat ingest FILE --source NAME` makes the first";
        user_error(&QueryError::Failed(text.to_owned()))
    })
}

#[async_trait]
impl SimpleQueryHandler for Answers {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let (mut bounds, snapshot) = (self.begin(client), snapshot(&self.snapshots)?);
        let service = snapshot.service(self.roles.shows_identifiers(client));
        let responses = bounds.prepare(SimpleQueryHandler::do_query(service, client, query)).await?;
        Ok(responses.into_iter().map(|response| bounds.rows(response)).collect())
    }
}

#[async_trait]
impl ExtendedQueryHandler for Answers {
    type Statement = Prepared;
    type QueryParser = Parser;

    fn query_parser(&self) -> Arc<Parser> {
        Arc::clone(&self.parser)
    }

    async fn do_query<C>(
        &self,
        client: &mut C,
        portal: &Portal<Prepared>,
        max_rows: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let (bounds, snapshot) = (self.begin(client), snapshot(&self.snapshots)?);
        let service = snapshot.service(self.roles.shows_identifiers(client));
        let work = ExtendedQueryHandler::do_query(service, client, portal, max_rows);
        Ok(bounds.rows(bounds.clone().prepare(work).await?))
    }
}

/// Plans statements over the tables that the client's role sees.
pub(super) struct Parser {
    snapshots: Arc<Snapshots>,
    roles: Arc<Roles>,
    /// Describes plans, for which it needs no table.
    any: DfSessionService,
}

#[async_trait]
impl QueryParser for Parser {
    type Statement = Prepared;

    async fn parse_sql<C>(
        &self,
        client: &C,
        sql: &str,
        types: &[Option<Type>],
    ) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let snapshot = snapshot(&self.snapshots)?;
        let parser = snapshot.service(self.roles.shows_identifiers(client)).query_parser();
        let parsed = parser.parse_sql(client, sql, types).await;
        parsed.map_err(|error| in_words(error, self.snapshots.limits()))
    }

    fn get_parameter_types(&self, statement: &Prepared) -> PgWireResult<Vec<Type>> {
        self.any.query_parser().get_parameter_types(statement)
    }

    fn get_result_schema(
        &self,
        statement: &Prepared,
        format: Option<&Format>,
    ) -> PgWireResult<Vec<FieldInfo>> {
        self.any.query_parser().get_result_schema(statement, format)
    }
}

/// What a client is told.
pub(super) fn user_error(error: &QueryError) -> PgWireError {
    let info = ErrorInfo::new("ERROR".to_owned(), error.sqlstate().to_owned(), error.to_string());
    PgWireError::UserError(Box::new(info))
}

/// The engine's errors in our words; those of the protocol as they are.
fn in_words(error: PgWireError, limits: &Limits) -> PgWireError {
    let PgWireError::ApiError(inner) = &error else { return error };
    let engine = inner
        .downcast_ref::<DataFusionError>()
        .or_else(|| inner.downcast_ref::<Box<DataFusionError>>().map(Box::as_ref));
    match (engine, inner.downcast_ref::<ParserError>()) {
        (Some(engine), _) => user_error(&engine_error(engine, limits)),
        (None, Some(parser)) => user_error(&QueryError::Syntax(parser.to_string())),
        (None, None) => user_error(&QueryError::Failed(inner.to_string())),
    }
}
