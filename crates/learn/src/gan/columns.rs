//! Cases as the networks see them, and back.

use clinical::{Kind, Study};
use prepare::TrainingCounts;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

/// The columns of a case: standardised numbers, then one indicator per level of every category.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub(super) numbers: Vec<Number>,
    pub(super) categories: Vec<Category>,
    features: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Number {
    feature: usize,
    levels: usize,
    mean: f64,
    deviation: f64,
}

#[derive(Debug, Clone)]
pub(super) struct Category {
    feature: usize,
    pub(super) levels: usize,
}

impl Columns {
    /// Means and deviations of the numbers come from the training cases, every group weighing the same: else the rare
    /// groups would lie far out.
    pub(super) fn of(study: &Study, training: &TrainingCounts) -> Columns {
        let totals = training.totals();
        let weighted: Vec<(Vec<usize>, f64)> = training
            .cells()
            .iter()
            .enumerate()
            .map(|(i, &cell)| {
                let counts = training.counts(i).iter().zip(&totals);
                let weight = counts.map(|(&count, &total)| count as f64 / total.max(1) as f64).sum();
                (study.domain().levels(cell), weight)
            })
            .collect();
        let all = weighted.iter().map(|(_, weight)| weight).sum::<f64>().max(f64::MIN_POSITIVE);
        let mean = |of: &dyn Fn(&[usize]) -> f64| {
            weighted.iter().map(|(levels, weight)| of(levels) * weight).sum::<f64>() / all
        };
        let (mut numbers, mut categories) = (Vec::new(), Vec::new());
        for (feature, one) in study.features().iter().enumerate() {
            if let Kind::Number { .. } = one.kind {
                let level = |levels: &[usize]| levels.get(feature).copied().unwrap_or_default() as f64;
                let centre = mean(&level);
                let deviation = mean(&|levels| (level(levels) - centre).powi(2)).sqrt().max(0.5);
                numbers.push(Number { feature, levels: one.dim(), mean: centre, deviation });
            } else {
                categories.push(Category { feature, levels: one.dim() });
            }
        }
        Columns { numbers, categories, features: study.features().len() }
    }

    pub(super) fn width(&self) -> usize {
        self.numbers.len() + self.indicators()
    }

    pub(super) fn indicators(&self) -> usize {
        self.categories.iter().map(|category| category.levels).sum()
    }

    /// Appends a real case. A whole number becomes a point of its unit interval: else the critic would tell real cases
    /// by their being whole.
    pub(super) fn encode(&self, levels: &[usize], rng: &mut ChaCha8Rng, row: &mut Vec<f32>) {
        for number in &self.numbers {
            let level = levels.get(number.feature).copied().unwrap_or_default() as f64 + uniform(rng) - 0.5;
            row.push(((level - number.mean) / number.deviation) as f32);
        }
        for category in &self.categories {
            let level = levels.get(category.feature).copied().unwrap_or_default();
            row.extend((0..category.levels).map(|of| f32::from(u8::from(of == level))));
        }
    }

    /// The levels of a generated row: the nearest whole number in the range; one category, drawn by its logits.
    pub(super) fn decode(&self, row: &[f32], rng: &mut ChaCha8Rng) -> Vec<usize> {
        let mut levels = vec![0; self.features];
        for (number, &value) in self.numbers.iter().zip(row) {
            let level = (f64::from(value) * number.deviation + number.mean).round();
            levels[number.feature] = level.clamp(0.0, (number.levels - 1) as f64) as usize;
        }
        let mut start = self.numbers.len();
        for category in &self.categories {
            let logits = row.get(start..start + category.levels).unwrap_or_default();
            let mut best = (0, f64::NEG_INFINITY);
            for (level, &logit) in logits.iter().enumerate() {
                let value = f64::from(logit) + gumbel(rng);
                if value > best.1 {
                    best = (level, value);
                }
            }
            levels[category.feature] = best.0;
            start += category.levels;
        }
        levels
    }
}

/// In (0, 1).
pub(super) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) * 2f64.powi(-53)
}

/// Standard Gumbel: the maximum of logits with such noise is a draw from their softmax.
pub(super) fn gumbel(rng: &mut ChaCha8Rng) -> f64 {
    -(-uniform(rng).ln()).ln()
}

#[cfg(test)]
mod tests {
    use prepare::{Cohort, Folds, Groups, Stratum};
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn a_case_comes_back_as_it_was_and_logits_are_drawn_by_their_softmax() {
        let study = Study::default_study();
        let stratum = Stratum { severity: study.healthy(), rarity: None, disease_code: None };
        let cell = |levels: [usize; 5]| study.domain().cell(&levels);
        let rows = [[20, 0, 1, 2, 0], [60, 1, 3, 4, 31], [0, 0, 0, 0, 7], [120, 1, 2, 1, 15]];
        let cohort = Cohort::new(rows.iter().map(|&levels| (cell(levels), 13, stratum.clone(), 1)));
        let (groups, folds) = (Groups::of(study, &cohort), Folds::new(&study.split, 2));
        let training = TrainingCounts::without_fold(study, &cohort, &groups, folds, 0).unwrap();
        let columns = Columns::of(study, &training);
        assert_eq!(columns.width(), 13);
        assert!((columns.numbers[0].mean - 50.0).abs() < 1e-9);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for levels in rows {
            let mut row = Vec::new();
            columns.encode(&levels, &mut rng, &mut row);
            // Indicators as logits: 1 against 0 is not certain, 100 against 0 is.
            row.iter_mut().skip(2).for_each(|indicator| *indicator *= 100.0);
            assert_eq!(columns.decode(&row, &mut rng), levels);
        }
        let mut row = vec![0.0, -1e9];
        row.extend([0.0, 3f32.ln()]);
        row.extend([0.0; 9]);
        let decoded: Vec<Vec<usize>> = (0..20_000).map(|_| columns.decode(&row, &mut rng)).collect();
        assert!(decoded.iter().all(|levels| levels[0] == 50 && levels[4] == 0));
        let male = decoded.iter().filter(|levels| levels[1] == 1).count() as f64 / 20_000.0;
        assert!((male - 0.75).abs() < 0.015, "{male}");
    }
}
