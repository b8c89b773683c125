//! What those see who may not see identifiers.
//!
//! `patient_id`, `case_id` and `prediction_id` become keyed pseudonyms (HMAC-SHA256): the same patient has the same pseudonym in every
//! query, so that counting, grouping and joining go on working, and without the deployment's key nobody finds the
//! patient by trying identifiers, which a plain hash would allow. Columns that only repeat an identifier without a key
//! (the stored 64-bit hashes), free text and refused rows as they came are null.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, col, lit,
};
use hmac::{Hmac, Mac};
use lake::columns;
use sha2::Sha256;

/// Bytes of a pseudonym: with 10 billion patients two share one with probability below 2^-61.
const PSEUDONYM_BYTES: usize = 16;

/// The key of a deployment's pseudonyms.
#[derive(Clone)]
pub struct Pseudonyms(Arc<[u8; 32]>);

impl Pseudonyms {
    /// The key must be random, and be kept as secret as the identifiers.
    pub fn new(key: [u8; 32]) -> Pseudonyms {
        Pseudonyms(Arc::new(key))
    }

    /// Bytes that belong to a name, known to nobody without the key: the salt of its password.
    pub(crate) fn salt(&self, name: &str) -> Vec<u8> {
        // A key of 32 bytes is always one.
        let pseudonym = self.of("salt", name).unwrap_or_default();
        pseudonym.into_bytes().split_off("salt-".len())
    }

    /// What stands for a person who judges cases, in tables that are to hold no name of theirs.
    pub fn reviewer(&self, name: &str) -> String {
        // A key of 32 bytes is always one.
        self.of("reviewer", name).unwrap_or_default()
    }

    /// The pseudonym of a name. Different `kind`s have nothing in common.
    fn of(&self, kind: &str, name: &str) -> Result<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice())
            .map_err(|_| DataFusionError::Internal("the key of the pseudonyms has no length".into()))?;
        mac.update(kind.as_bytes());
        mac.update(&[0]);
        mac.update(name.as_bytes());
        let code = mac.finalize().into_bytes();
        let digits = code.iter().take(PSEUDONYM_BYTES).map(|byte| format!("{byte:02x}"));
        Ok(format!("{kind}-{}", digits.collect::<String>()))
    }
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms")
    }
}

/// Whether identifiers are shown.
#[derive(Debug, Clone)]
pub enum Identifiers {
    /// As they are stored.
    Shown,
    /// Pseudonyms and nulls.
    Masked(Pseudonyms),
}

impl Identifiers {
    /// What stands in for a column; `None` where it is shown as it is. `notes` are the columns of free text.
    pub(crate) fn stand_in(&self, name: &str, kind: &DataType, notes: &[String]) -> Result<Option<Expr>> {
        let Identifiers::Masked(pseudonyms) = self else { return Ok(None) };
        let pseudonym = |kind: &'static str| {
            let function = Pseudonym { kind, key: pseudonyms.clone(), signature: signature() };
            Some(ScalarUDF::from(function).call(vec![col(format!("\"{name}\""))]))
        };
        Ok(match name {
            columns::PATIENT_ID => pseudonym("patient"),
            columns::CASE_ID => pseudonym("case"),
            columns::PREDICTION_ID => pseudonym("prediction"),
            columns::PATIENT_KEY | columns::CASE_KEY | columns::RAW | columns::ROW_KEY => {
                Some(lit(ScalarValue::try_from(kind)?))
            }
            other if notes.iter().any(|note| note == other) => Some(lit(ScalarValue::try_from(kind)?)),
            _ => None,
        })
    }
}

fn signature() -> Signature {
    Signature::any(1, Volatility::Immutable)
}

/// The pseudonyms of a text column.
#[derive(Debug, Clone)]
struct Pseudonym {
    kind: &'static str,
    key: Pseudonyms,
    signature: Signature,
}

impl PartialEq for Pseudonym {
    fn eq(&self, other: &Pseudonym) -> bool {
        self.kind == other.kind && self.key.0 == other.key.0
    }
}

impl Eq for Pseudonym {}

impl Hash for Pseudonym {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
    }
}

impl ScalarUDFImpl for Pseudonym {
    fn name(&self) -> &str {
        "pseudonym"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let names = match arrays.first() {
            Some(array) => cast(array, &DataType::Utf8)?,
            None => return Err(DataFusionError::Internal("a pseudonym needs a column".into())),
        };
        let names = names.as_string::<i32>();
        let mut out = StringBuilder::with_capacity(names.len(), names.len() * 40);
        for name in names {
            match name {
                Some(name) => out.append_value(self.key.of(self.kind, name)?),
                None => out.append_null(),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_stable_keyed_and_of_its_kind() {
        let (one, two) = (Pseudonyms::new([1; 32]), Pseudonyms::new([2; 32]));
        let name = one.of("patient", "p-1").unwrap();
        assert_eq!(name, one.of("patient", "p-1").unwrap());
        assert_ne!(name, two.of("patient", "p-1").unwrap());
        assert_ne!(name, one.of("patient", "p-2").unwrap());
        assert_ne!(name["patient-".len()..], one.of("case", "p-1").unwrap()["case-".len()..]);
        assert_eq!(name.len(), "patient-".len() + 2 * PSEUDONYM_BYTES);
        assert_eq!(format!("{one:?}"), "Pseudonyms");
    }
}
