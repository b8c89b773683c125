//! The newest dataset version as it is served, for those who see identifiers and for those who do not.

use std::sync::{Arc, PoisonError, RwLock};

use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::setup_pg_catalog;
use datafusion_postgres::hooks::cursor::CursorStatementHook;
use datafusion_postgres::hooks::set_show::SetShowHook;
use datafusion_postgres::hooks::transactions::TransactionStatementHook;
use datafusion_postgres::{DfSessionService, QueryHook};

use super::Endpoint;
use super::gate::Gate;
use crate::session::{CATALOG, Runtime};
use crate::{Dataset, Identifiers, Limits, QueryError, Session};

/// One dataset version.
pub(super) struct Snapshot {
    dataset: Dataset,
    masked: DfSessionService,
    shown: DfSessionService,
}

impl Snapshot {
    pub(super) fn service(&self, identifiers: bool) -> &DfSessionService {
        if identifiers { &self.shown } else { &self.masked }
    }
}

/// Follows the lake.
pub(super) struct Snapshots {
    endpoint: Endpoint,
    runtime: Runtime,
    current: RwLock<Option<Arc<Snapshot>>>,
}

impl Snapshots {
    pub(super) async fn open(endpoint: Endpoint) -> Result<Snapshots, QueryError> {
        let runtime = Runtime::new(&endpoint.limits)?;
        let snapshots = Snapshots { endpoint, runtime, current: RwLock::default() };
        snapshots.catch_up().await?;
        Ok(snapshots)
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.endpoint.limits
    }

    /// What is served now; none before the first ingest.
    pub(super) fn current(&self) -> Option<Arc<Snapshot>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves the newest dataset version.
    async fn catch_up(&self) -> Result<(), QueryError> {
        let (lake, inputs) = (self.endpoint.lake.clone(), self.endpoint.inputs.clone());
        let pin = move || {
            let newest = lake.newest()?;
            newest.map(|newest| Dataset::pin(&lake, newest.version, &inputs)).transpose()
        };
        let pinned = tokio::task::spawn_blocking(pin).await;
        let pinned = pinned.map_err(|_| QueryError::Failed("the look at the lake failed".to_owned()))??;
        let Some(dataset) = pinned else { return Ok(()) };
        if self.current().is_some_and(|snapshot| snapshot.dataset.is(&dataset)) {
            return Ok(());
        }
        let masked = Identifiers::Masked(self.endpoint.pseudonyms.clone());
        let snapshot = Snapshot {
            masked: self.service(&dataset, &masked).await?,
            shown: self.service(&dataset, &Identifiers::Shown).await?,
            dataset,
        };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(snapshot));
        Ok(())
    }

    pub(super) async fn catch_up_or_log(&self) {
        if let Err(error) = self.catch_up().await {
            tracing::error!(error = %error, "the newest dataset version cannot be served in SQL; the one before goes on");
        }
    }

    async fn service(
        &self,
        dataset: &Dataset,
        identifiers: &Identifiers,
    ) -> Result<DfSessionService, QueryError> {
        let session = Session::with(&self.runtime, dataset, identifiers, self.limits()).await?;
        let context = session.into_context();
        setup_pg_catalog(&context, CATALOG, EmptyContextProvider)
            .map_err(|error| QueryError::Failed(error.to_string()))?;
        let hooks: Vec<Arc<dyn QueryHook>> = vec![
            Arc::new(Gate),
            Arc::new(CursorStatementHook),
            Arc::new(SetShowHook),
            Arc::new(TransactionStatementHook),
        ];
        Ok(DfSessionService::new_with_hooks(Arc::new(context), hooks))
    }
}
