//! What the server needs from the rest of the house, as small traits. The binary implements them over
//! the lake and the models; the server knows neither.

use std::{future::Future, pin::Pin, sync::Arc};

use clinical::{Explained, ModelRef, Note, Patient, Prediction, Study};
use serde_json::Value;
use uuid::Uuid;

use crate::Phrases;

/// A future that is `Send` and boxed, so that ports stay object-safe.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One loaded model: everything that one answer is made from. A request takes one handle and keeps it
/// to its end, so no answer mixes two models.
pub trait Model: Send + Sync + std::fmt::Debug {
    fn study(&self) -> &Study;
    fn reference(&self) -> &ModelRef;
    /// What its answers say, put into words when it was opened.
    fn phrases(&self) -> &Phrases;
    /// The answer for an accepted patient, with a note where there is one; `explain` is the probability to
    /// explain, the displayed severity's when `None`.
    fn answer(
        &self,
        patient: &Patient,
        note: Option<&Note>,
        explain: Option<Explained>,
    ) -> Result<Prediction, ModelError>;
    /// When the model was made (RFC 3339), for the page's footer.
    fn created_at(&self) -> &str;
}

/// A model could not answer an accepted patient: its parts contradict each other.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the model cannot answer: {0}")]
pub struct ModelError(pub String);

/// The champion that is being served, swapped while requests run.
pub trait Champions: Send + Sync {
    /// `None` while no model has been promoted.
    fn current(&self) -> Option<Arc<dyn Model>>;

    /// The study of a model that answered before, so that its answers can be shown again; `None` where
    /// its bundle is gone. Called for models other than the current one only.
    fn study(&self, version: &str) -> Pending<Option<Arc<Study>>>;

    /// The registry has another champion: resolves once it is served, or could not be loaded (the old
    /// one then goes on).
    fn refresh(&self) -> Pending<()>;
}

/// The prediction log: nothing is answered that is not in it.
pub trait PredictionLog: Send + Sync {
    /// Resolves once the record is durable.
    fn append(&self, record: Vec<u8>) -> Pending<Result<Uuid, LogError>>;

    /// Several records, in order; resolves once all are durable.
    fn append_all(&self, records: Vec<Vec<u8>>) -> Pending<Result<Vec<Uuid>, LogError>> {
        let pending: Vec<_> = records.into_iter().map(|record| self.append(record)).collect();
        Box::pin(async move {
            let mut ids = Vec::with_capacity(pending.len());
            for id in pending {
                ids.push(id.await?);
            }
            Ok(ids)
        })
    }

    fn get(&self, id: Uuid) -> Pending<Result<Option<Vec<u8>>, LogError>>;
}

/// The prediction log could not keep or read a record; nothing was answered.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the prediction log is not available: {0}")]
pub struct LogError(pub String);

/// The dataset versions and their counts, as `hoofbeat dataset list --json` prints them.
pub trait Catalogue: Send + Sync {
    fn datasets(&self) -> Result<Value, CatalogueError>;
}

/// The circle from opinions to data, where it needs more than the registry.
pub trait Circle: Send + Sync {
    /// Brings the confirmed cases of resolved reviews into the data. Those that must wait are taken by the next call.
    fn collect(&self) -> Pending<Result<(), CircleError>>;

    /// Opens reviews of unanswered alarms and of at most `number` patients whose outcome would teach most; what was opened,
    /// as `hoofbeat review suggest --json` prints it.
    fn suggest(&self, number: usize, actor: String) -> Pending<Result<Value, CircleError>>;
}

/// The circle did not turn; nothing was lost.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the circle stands still: {0}")]
pub struct CircleError(pub String);

/// The data catalogue could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the data catalogue is not available: {0}")]
pub struct CatalogueError(pub String);
