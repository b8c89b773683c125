//! What a training run is asked for.

use clinical::study::Learner;

/// A request to train one candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub dataset_version: u64,
    /// None: the study's learner, or in a search whichever of the study's is best.
    pub learner: Option<Learner>,
    /// Trials of a search before it; 0 trains the study's settings as they stand.
    pub trials: usize,
    pub seed: u64,
    /// Processes that share the rows of one model; none leaves it to the configuration.
    pub workers: Option<usize>,
}
