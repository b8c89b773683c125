//! Early stopping: when held-out cases say that further rounds do not help.

/// Follows the held-out loss round by round.
#[derive(Debug, Clone, Default)]
pub(super) struct Stopping {
    patience: Option<usize>,
    /// Loss of the model that the training continues from.
    start: Option<f64>,
    losses: Vec<f64>,
}

impl Stopping {
    /// `patience`: rounds without a lower loss that end the training. `start`: loss before the first
    /// round of a continued training; where no round gets below it, no round is kept.
    pub(super) fn new(patience: Option<usize>, start: Option<f64>) -> Self {
        Stopping { patience, start, losses: Vec::new() }
    }

    /// Notes the loss after one more round; answers whether to stop.
    pub(super) fn after_round(&mut self, loss: f64) -> bool {
        self.losses.push(loss);
        let since = self.losses.len() - self.best().unwrap_or_default();
        self.patience.is_some_and(|patience| since >= patience)
    }

    /// Rounds up to the first lowest loss; none where nothing was held out.
    pub(super) fn best(&self) -> Option<usize> {
        let (round, loss) = self.losses.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1))?;
        Some(if self.start.is_some_and(|start| start <= *loss) { 0 } else { round + 1 })
    }

    pub(super) fn last(&self) -> Option<f64> {
        self.losses.last().copied()
    }

    pub(super) fn into_losses(self) -> Vec<f64> {
        self.losses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stops_after_its_patience_and_keeps_the_first_best_round() {
        let mut stopping = Stopping::new(Some(2), None);
        let stops: Vec<bool> = [0.9, 0.7, 0.7, 0.8].map(|loss| stopping.after_round(loss)).into();
        assert_eq!((stops, stopping.best()), (vec![false, false, false, true], Some(2)));
    }

    #[test]
    fn a_start_that_no_round_beats_is_kept() {
        let mut stopping = Stopping::new(Some(2), Some(0.5));
        assert!(!stopping.after_round(0.6) && stopping.after_round(0.6));
        assert_eq!(stopping.best(), Some(0));
        assert_eq!(Stopping::new(None, None).best(), None);
    }
}
