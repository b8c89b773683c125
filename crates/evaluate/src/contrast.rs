//! Two models on the same patients: each figure's difference with a paired interval.
//!
//! The patients are resampled once for both models (Efron and Tibshirani 1993, chapter 8), so what both find hard cancels
//! out, and the interval is much narrower than those of the two figures suggest.

use serde::{Deserialize, Serialize};

use crate::{
    bootstrap::{Bootstrap, percentile_interval},
    cells::Cells,
    error::{Error, Result},
    figure::{Estimate, Figure},
    figures::Metric,
    statistics::{Measures, Statistics},
};

/// One figure of both models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    pub metric: Metric,
    /// None where the model has no such figure on these patients.
    pub first: Option<f64>,
    pub second: Option<f64>,
    /// Second less first, with its paired interval.
    pub difference: Figure,
}

/// What is compared, and the range of its differences.
const COMPARED: [(Metric, f64); 6] = [
    (Metric::F1Common, 1.0),
    (Metric::MacroF1, 1.0),
    (Metric::OrphanRecall, 1.0),
    (Metric::OrphanAveragePrecision, 1.0),
    (Metric::LogLoss, f64::MAX),
    (Metric::CalibrationError, 1.0),
];

/// Compares two models' answers to the same patients, pushed in the same order.
///
/// # Errors
/// [`Error::OtherPatients`] when they are not the same.
pub fn contrast(first: &Cells, second: &Cells, bootstrap: &Bootstrap) -> Result<Vec<Contrast>> {
    if first.counts != second.counts || first.classes() != second.classes() {
        return Err(Error::OtherPatients);
    }
    let places: Vec<usize> = (0..first.counts.len()).filter(|&place| first.counts[place] > 0).collect();
    let counts: Vec<u64> = places.iter().map(|&place| first.counts[place]).collect();
    let sides = [Side::new(first, &places), Side::new(second, &places)];
    let exact: Vec<f64> = counts.iter().map(|&count| count as f64).collect();
    let point = sides.each_ref().map(|side| side.figures(&exact));
    let replicates = match counts.is_empty() {
        true => Vec::new(),
        false => {
            bootstrap.replicate(&counts, |weights| sides.each_ref().map(|side| side.figures(weights)))?
        }
    };
    let one = |(at, &(metric, range)): (usize, &(Metric, f64))| {
        let apart = |[first, second]: &[Compared; 2]| Some(second[at]? - first[at]?);
        let difference = match apart(&point) {
            None => Figure::undefined("one of the models has no such figure on these patients"),
            Some(value) => {
                let replicates: Vec<Option<f64>> = replicates.iter().map(apart).collect();
                let (low, high) = percentile_interval(value, &replicates, (-range, range));
                Figure::Measured(Estimate { value, low, high, n: first.patients() })
            }
        };
        Contrast { metric, first: point[0][at], second: point[1][at], difference }
    };
    Ok(COMPARED.iter().enumerate().map(one).collect())
}

type Compared = [Option<f64>; COMPARED.len()];

/// One model: its statistics, which order patients by its own scores, and where each of them stands among the counts.
struct Side {
    statistics: Statistics,
    places: Vec<usize>,
}

impl Side {
    fn new(cells: &Cells, places: &[usize]) -> Self {
        let statistics = Statistics::new(cells);
        let place = |origin: &usize| places.binary_search(origin).unwrap_or_default();
        let places = statistics.origins.iter().map(place).collect();
        Self { statistics, places }
    }

    fn figures(&self, weights: &[f64]) -> Compared {
        let own: Vec<f64> = self.places.iter().map(|&place| weights[place]).collect();
        let Measures { f1_common, macro_f1, average_precision, log_loss, calibration_error, .. } =
            self.statistics.measure(&own);
        let recall = self.statistics.orphan_recall(&own);
        [f1_common, macro_f1, recall, average_precision, log_loss, calibration_error]
    }
}

#[cfg(test)]
mod tests {
    use clinical::Severity;

    use super::*;
    use crate::{Answer, evaluate};

    /// A model that is right about the first `sure` of a hundred cells and undecided about the rest.
    fn model(sure: usize, alarm_from: usize) -> Cells {
        let mut cells = Cells::new(&["healthy", "ill"]).unwrap();
        for i in 0..100 {
            let ill = i % 3 == 0;
            let p = if i < sure { if ill { 0.1 } else { 0.9 } } else { 0.55 };
            let answer = Answer {
                probabilities: &[p, 1.0 - p],
                orphan: (i % 10) as f64 / 10.0,
                decided: Severity(u8::from(p < 0.5)),
                alarm: i % 10 >= alarm_from,
            };
            let counts = if ill { [0, 0, 5, u64::from(i % 9 == 0)] } else { [7, 0, 0, 0] };
            cells.push(&answer, &counts).unwrap();
        }
        cells
    }

    fn of(contrasts: &[Contrast], metric: Metric) -> &Contrast {
        contrasts.iter().find(|one| one.metric == metric).unwrap()
    }

    #[test]
    fn figures_are_those_of_the_models_and_intervals_hold_the_difference() {
        let bootstrap = Bootstrap::default();
        let models = [model(60, 5), model(90, 5)];
        let found = contrast(&models[0], &models[1], &bootstrap).unwrap();
        let reports = models.each_ref().map(|cells| evaluate(cells, &bootstrap).unwrap().figures);
        for one in &found {
            for (side, figures) in [one.first, one.second].into_iter().zip(&reports) {
                let reported = figures.figure(one.metric).value().unwrap();
                assert!((side.unwrap() - reported).abs() < 1e-12, "{:?}", one.metric);
            }
        }
        let better = of(&found, Metric::F1Common).difference.estimate().unwrap();
        assert!(better.low > 0.0 && better.low <= better.value && better.value <= better.high, "{better:?}");
        let loss = of(&found, Metric::LogLoss).difference.estimate().unwrap();
        assert!(loss.high < 0.0, "{loss:?}");
        // Turned round the signs turn.
        let back = contrast(&models[1], &models[0], &bootstrap).unwrap();
        let worse = of(&back, Metric::F1Common).difference.estimate().unwrap();
        assert!((worse.value + better.value).abs() < 1e-12 && worse.high < 0.0);
    }

    #[test]
    fn a_model_is_as_good_as_itself_exactly() {
        let same = contrast(&model(70, 5), &model(70, 5), &Bootstrap::default()).unwrap();
        for one in same {
            let difference = one.difference.estimate().unwrap();
            assert_eq!(
                (difference.value, difference.low, difference.high),
                (0.0, 0.0, 0.0),
                "{:?}",
                one.metric
            );
        }
    }

    #[test]
    fn a_paired_interval_is_narrower_than_the_figures_own() {
        let models = [model(80, 5), model(82, 5)];
        let found = contrast(&models[0], &models[1], &Bootstrap::default()).unwrap();
        let width = |estimate: &Estimate| estimate.high - estimate.low;
        let paired = width(of(&found, Metric::F1Common).difference.estimate().unwrap());
        let report = evaluate(&models[0], &Bootstrap::default()).unwrap();
        assert!(paired < 0.7 * width(report.figures.f1_common.estimate().unwrap()), "{paired}");
    }

    #[test]
    fn other_patients_cannot_be_compared() {
        let mut more = model(70, 5);
        let answer = Answer { probabilities: &[1.0, 0.0], orphan: 0.0, decided: Severity(0), alarm: false };
        more.push(&answer, &[1, 0, 0, 0]).unwrap();
        let refused = contrast(&model(70, 5), &more, &Bootstrap::default());
        assert!(matches!(refused, Err(Error::OtherPatients)));
    }
}
