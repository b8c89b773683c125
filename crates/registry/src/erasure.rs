//! A person's erasure, and retention: what was said of predictions and what became of them goes, and the audit says that it went.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    act::{Act, remember, replayed},
    audit,
    error::Result,
    sql::params,
    store::Registry,
};

/// Entries that a removal took out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedOpinions {
    pub feedback: u64,
    pub reviews: u64,
    #[serde(default)]
    pub outcomes: u64,
}

impl Registry {
    /// Deletes all feedback, reviews and outcomes of some predictions, overwriting them in the file, and notes in the audit that the removal
    /// `subject` began: `action` is `patient.erase.begin` or `dataset.retain.begin`. Repeating the call with the same key changes
    /// nothing.
    ///
    /// # Errors
    /// [`crate::Error::KeyReused`]; storage fails.
    pub fn begin_removal(
        &self,
        action: &str,
        subject: &str,
        predictions: &[String],
        detail: &Value,
        act: &Act<'_>,
    ) -> Result<ErasedOpinions> {
        let erased = self.write(|tx| {
            if let Some(before) = replayed(tx, act, action, subject)? {
                return Ok(before);
            }
            let mut erased = ErasedOpinions::default();
            for id in predictions {
                tx.prepare_cached(
                    "DELETE FROM findings WHERE review IN (SELECT id FROM reviews WHERE prediction_id = ?1)",
                )?
                .execute(params![id])?;
                erased.outcomes += tx
                    .prepare_cached("DELETE FROM outcomes WHERE prediction_id = ?1")?
                    .execute(params![id])?;
                erased.reviews += tx
                    .prepare_cached(
                        "DELETE FROM reviews WHERE prediction_id = ?1
                         OR feedback IN (SELECT id FROM feedback WHERE prediction_id = ?1)",
                    )?
                    .execute(params![id])?;
                erased.feedback += tx
                    .prepare_cached("DELETE FROM feedback WHERE prediction_id = ?1")?
                    .execute(params![id])?;
            }
            audit::append(tx, act, action, subject, detail)?;
            remember(tx, act, action, subject, &erased)?;
            Ok(erased)
        })?;
        if erased != ErasedOpinions::default() {
            self.database().forget()?;
        }
        Ok(erased)
    }

    /// How many entries [`Registry::begin_removal`] would delete.
    ///
    /// # Errors
    /// Storage fails.
    pub fn opinions_on(&self, predictions: &[String]) -> Result<ErasedOpinions> {
        self.read(|db| {
            let mut found = ErasedOpinions::default();
            for id in predictions {
                let count = |sql: &str| db.prepare_cached(sql)?.query_row([id], |r| r.get::<u64>(0));
                found.reviews += count("SELECT count(*) FROM reviews WHERE prediction_id = ?1")?;
                found.feedback += count("SELECT count(*) FROM feedback WHERE prediction_id = ?1")?;
                found.outcomes += count("SELECT count(*) FROM outcomes WHERE prediction_id = ?1")?;
            }
            Ok(found)
        })
    }

    /// Notes in the audit how a deletion of data ended: `action` is `patient.erase` or `dataset.retain`.
    ///
    /// # Errors
    /// [`crate::Error::KeyReused`]; storage fails.
    pub fn record_removal(&self, action: &str, subject: &str, detail: &Value, act: &Act<'_>) -> Result<()> {
        self.write(|tx| {
            if replayed::<()>(tx, act, action, subject)?.is_some() {
                return Ok(());
            }
            audit::append(tx, act, action, subject, detail)?;
            remember(tx, act, action, subject, &())
        })
    }
}
