//! What the caller gave that cannot be evaluated; never a patient's values.

/// Result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why nothing was computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("an evaluation needs 2 to 100 severity classes, not {found}")]
    Classes { found: usize },
    #[error("{what} has {found} entries, {needed} are needed")]
    Length { what: &'static str, found: usize, needed: usize },
    #[error("cell {cell}: {what} is not a probability")]
    NotAProbability { cell: usize, what: &'static str },
    #[error("cell {cell}: the severity probabilities do not add up to 1")]
    Sum { cell: usize },
    #[error("cell {cell}: there is no severity class {class}")]
    NoSuchClass { cell: usize, class: usize },
    #[error("cell {cell}: there is no group {group}")]
    NoSuchGroup { cell: usize, group: usize },
    #[error("the models were not asked about the same patients, or answer with other classes")]
    OtherPatients,
    #[error("there is no cell {cell}")]
    NoSuchCell { cell: usize },
    #[error("the counts add up to more than 2^53 patients")]
    TooMany,
    #[error("the weights are not finite, not negative and positive in sum")]
    Weights,
    #[error("the parameters of the reference cohort are damaged: {0}")]
    Parameters(String),
    #[error("'{0}' is no preset of the reference cohort (epidemiology, hard, reference, easy)")]
    NoSuchPreset(String),
}
