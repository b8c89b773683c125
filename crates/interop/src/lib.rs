//! Bytes of case files <-> `clinical`: readers that turn every row into a case or into the list of
//! what is wrong with it, mapping files for foreign exports, and writers of cases, predictions and
//! predictor tables.
//!
//! Invariant: bad data is a value. Whatever bytes come in, a reader neither panics nor loses a row in
//! silence; an error means that the file as a whole cannot be read, and no error text holds a
//! patient's value. No sockets, no async, no storage.

mod built;
mod case_file;
mod cell;
mod error;
mod fhir;
mod formula;
mod instant;
pub mod mapping;
pub mod orphanet;
mod outcome_file;
mod phenopacket;
mod split;
mod table;

pub use case_file::{CaseFile, Columns, Format, Meter, Reading, Row, patient_id_of, read_again};
pub use error::{FileError, MappingError, TableError};
pub use mapping::Mapping;
pub use outcome_file::{OutcomeRow, read_outcomes};
pub use table::{
    CaseWriter, ColumnType, Compression, PossiblePatientWriter, PredictionWriter, PredictorTableWriter,
    TableFormat, TableWriter, Value, answer_columns, answer_values,
};
