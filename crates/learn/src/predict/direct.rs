//! Answering from the learners' models, for studies with too many possible patients for a table.

use serde::{Deserialize, Serialize};

use super::check_levels;
use super::estimator::Estimator;
use super::shapley::{Explanation, shapley};
use crate::combine::Combination;
use crate::crossfit::pool_margins;
use crate::fewshot::Half;
use crate::nearest::NearestTable;
use crate::{Error, Matrix, Result};

/// Background patients at most: an explanation evaluates 2^n patients for each.
const MOST_BACKGROUND: usize = 100;
const MOST_FEATURES: usize = 12;

/// The encoded columns as the models see them, one number per level.
///
/// Every column depends on one clinical feature, so encoding a patient is one lookup per column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Columns {
    /// Levels per clinical feature.
    pub dims: Vec<usize>,
    /// Per column: the feature that it depends on and its value at each of that feature's levels.
    pub columns: Vec<(usize, Vec<f32>)>,
}

impl Columns {
    /// Learns the columns from the encoder itself, `encode(levels) -> row`, by walking through each
    /// feature's levels while the others stand still.
    ///
    /// # Errors
    /// When a column depends on two features or its length varies.
    pub fn of(dims: &[usize], encode: impl Fn(&[usize]) -> Vec<f32>) -> Result<Self> {
        let mut levels = vec![0; dims.len()];
        let origin = encode(&levels);
        let mut columns: Vec<(usize, Vec<f32>)> = origin.iter().map(|&value| (0, vec![value; 1])).collect();
        let mut owned = vec![false; origin.len()];
        for (feature, &dim) in dims.iter().enumerate() {
            let rows: Vec<Vec<f32>> = (0..dim)
                .map(|level| {
                    levels[feature] = level;
                    encode(&levels)
                })
                .collect();
            levels[feature] = 0;
            if rows.iter().any(|row| row.len() != origin.len()) {
                return Err(Error::Invalid("the encoder's rows differ in length".into()));
            }
            for (column, owned) in owned.iter_mut().enumerate() {
                let values: Vec<f32> = rows.iter().map(|row| row[column]).collect();
                if values.iter().all(|value| value.to_bits() == origin[column].to_bits()) {
                    continue;
                }
                if *owned {
                    return Err(Error::Invalid("an encoded column depends on two clinical features".into()));
                }
                *owned = true;
                columns[column] = (feature, values);
            }
        }
        for (feature, values) in columns.iter_mut() {
            // A column that never changes belongs to anybody.
            values.resize(
                dims.get(*feature).copied().unwrap_or_default(),
                values.first().copied().unwrap_or_default(),
            );
        }
        Ok(Columns { dims: dims.to_vec(), columns })
    }

    fn check(&self) -> Result<()> {
        let fits = |(feature, values): &(usize, Vec<f32>)| self.dims.get(*feature) == Some(&values.len());
        if self.dims.contains(&0) || !self.columns.iter().all(fits) {
            return Err(Error::Invalid("the encoded columns do not fit the clinical features".into()));
        }
        Ok(())
    }

    /// The encoded row of a patient.
    fn encode_into(&self, levels: &[usize], row: &mut Vec<f32>) {
        row.clear();
        row.extend(self.columns.iter().map(|(feature, values)| {
            levels.get(*feature).and_then(|&level| values.get(level)).copied().unwrap_or(f32::NAN)
        }));
    }
}

/// The models with everything that turns their margins into an answer.
#[derive(Debug, Clone)]
pub struct Direct {
    columns: Columns,
    members: Vec<Estimator>,
    half: Half,
    combination: Combination,
    /// Levels and share of each background patient; the shares sum to 1.
    background: Vec<(Vec<usize>, f64)>,
}

impl Direct {
    /// `background` are patients of the training cohort with their weights, at most 100
    /// ([`sample_background`]).
    ///
    /// # Errors
    /// When the parts do not fit each other.
    pub fn new(
        columns: Columns,
        members: Vec<Estimator>,
        half: Half,
        combination: Combination,
        background: Vec<(Vec<usize>, f64)>,
    ) -> Result<Self> {
        columns.check()?;
        combination.classes.check()?;
        if columns.dims.len() > MOST_FEATURES {
            return Err(Error::shape(
                "features of an explained model",
                format!("at most {MOST_FEATURES}"),
                columns.dims.len(),
            ));
        }
        let groups = combination.classes.groups.len();
        if members.is_empty()
            || members.iter().any(|m| m.columns() != columns.columns.len() || m.outputs() != groups)
        {
            return Err(Error::Invalid("the model's members do not fit its columns and classes".into()));
        }
        let shifts = &combination.shifts;
        if !(shifts.is_empty() || shifts.len() == members.len()) || shifts.iter().any(|s| s.len() != groups) {
            return Err(Error::shape("shifts of the members", members.len(), shifts.len()));
        }
        let total = background.iter().map(|(_, weight)| weight).sum::<f64>();
        let weighted =
            background.iter().all(|(_, weight)| weight.is_finite() && *weight >= 0.0) && total > 0.0;
        if background.len() > MOST_BACKGROUND || !weighted {
            return Err(Error::shape(
                "background patients",
                format!("1 to {MOST_BACKGROUND} with weights"),
                background.len(),
            ));
        }
        background.iter().try_for_each(|(levels, _)| check_levels(&columns.dims, levels))?;
        let background = background.into_iter().map(|(levels, weight)| (levels, weight / total)).collect();
        Ok(Direct { columns, members, half, combination, background })
    }

    /// Levels per clinical feature.
    pub fn dims(&self) -> &[usize] {
        &self.columns.dims
    }

    /// As [`super::Predictor::predict`].
    ///
    /// # Errors
    /// When a level is out of its feature's range.
    pub fn predict(&self, levels: &[usize]) -> Result<Vec<f64>> {
        check_levels(&self.columns.dims, levels)?;
        let mut answer = vec![0.0; self.combination.classes.outputs()];
        self.answer(levels, &mut Vec::new(), &mut answer)?;
        Ok(answer)
    }

    /// As [`Direct::predict`], without the alarm's effect on the severities.
    ///
    /// # Errors
    /// When a level is out of its feature's range.
    pub fn predict_without_alarm(&self, levels: &[usize]) -> Result<Vec<f64>> {
        check_levels(&self.columns.dims, levels)?;
        let mut answer = vec![0.0; self.combination.classes.outputs()];
        let (opinions, raised) = self.opinions(levels, &mut Vec::new())?;
        self.combination.answer_without_alarm(&opinions, raised, &mut answer);
        Ok(answer)
    }

    /// Share of each severity that orphan diseases have, before the alarm.
    ///
    /// # Errors
    /// When a level is out of its feature's range.
    pub fn orphan_shares(&self, levels: &[usize]) -> Result<Vec<f64>> {
        check_levels(&self.columns.dims, levels)?;
        let (opinions, raised) = self.opinions(levels, &mut Vec::new())?;
        let mut shares = vec![0.0; self.combination.classes.severities];
        self.combination.orphan_shares(&opinions, raised, &mut shares);
        Ok(shares)
    }

    fn answer(&self, levels: &[usize], row: &mut Vec<f32>, answer: &mut [f64]) -> Result<()> {
        let (opinions, raised) = self.opinions(levels, row)?;
        self.combination.answer(&opinions, raised, answer);
        Ok(())
    }

    /// The opinions of the members together and of the few-shot half on one patient, and whether a watched disease
    /// alarms it.
    fn opinions(&self, levels: &[usize], row: &mut Vec<f32>) -> Result<(Vec<f64>, bool)> {
        self.columns.encode_into(levels, row);
        let groups = self.combination.classes.groups.len();
        let mut margins = vec![0f32; groups * self.members.len()];
        let mut opinions = vec![0.0; groups];
        for (member, margins) in self.members.iter().zip(margins.chunks_exact_mut(groups)) {
            member.margins(row, margins);
        }
        pool_margins(margins.chunks_exact(groups), &self.combination.shifts, &mut opinions);
        let (x, one) = self.as_read(levels, row)?;
        let said = self.half.margins(&x)?;
        let mut raised = false;
        self.half.say(groups, self.combination.heard(), &one, said.as_ref(), |_, opinion, novelty| {
            opinions.extend_from_slice(opinion);
            raised = self.half.raised(novelty);
        });
        Ok((opinions, raised))
    }

    /// Code and probability, given that it is an orphan disease, of the diseases that a patient resembles most.
    ///
    /// # Errors
    /// When a level is out of its feature's range.
    pub fn nearest(&self, levels: &[usize]) -> Result<Vec<(String, f64)>> {
        check_levels(&self.columns.dims, levels)?;
        let mut row = Vec::new();
        self.columns.encode_into(levels, &mut row);
        let (x, one) = self.as_read(levels, &row)?;
        let table = NearestTable::of(&self.half, &one, self.half.margins(&x)?.as_ref());
        Ok(table.of_cell(0).map(|(code, p)| (code.to_owned(), p)).collect())
    }

    /// One patient as the few-shot half reads it.
    fn as_read(&self, levels: &[usize], row: &[f32]) -> Result<(Matrix<f32>, Matrix<u32>)> {
        let levels: Vec<u32> = levels.iter().map(|&level| level as u32).collect();
        Ok((Matrix::from_vec(1, row.len(), row.to_vec())?, Matrix::from_vec(1, levels.len(), levels)?))
    }

    /// Exact Shapley values of one output over all coalitions, with the background sample standing
    /// for the cohort.
    ///
    /// # Errors
    /// When a level or the output is out of range.
    pub fn explain(&self, levels: &[usize], output: usize) -> Result<Explanation> {
        check_levels(&self.columns.dims, levels)?;
        let outputs = self.combination.classes.outputs();
        if output >= outputs {
            return Err(Error::shape("output to explain", format!("below {outputs}"), output));
        }
        let features = levels.len();
        let (mut row, mut answer, mut mixed) = (Vec::new(), vec![0.0; outputs], vec![0; features]);
        let mut worth = vec![0.0; 1 << features];
        for (coalition, worth) in worth.iter_mut().enumerate() {
            for (background, weight) in &self.background {
                for (i, place) in mixed.iter_mut().enumerate() {
                    *place = if coalition >> i & 1 == 1 { levels[i] } else { background[i] };
                }
                self.answer(&mixed, &mut row, &mut answer)?;
                *worth += weight * answer[output];
                if coalition + 1 == 1 << features {
                    // All features known: the patient alone, whatever the background.
                    *worth = answer[output];
                    break;
                }
            }
        }
        Ok(shapley(features, &worth))
    }
}

/// At most `size` cohort cells, drawn without replacement with probability proportional to their
/// weight (Efraimidis and Spirakis 2006), seeded; each keeps the same share, because its weight has
/// acted in the drawing. All cells with their own weights where there are no more than `size`.
pub fn sample_background(cells: &[(usize, f64)], size: usize, seed: u64) -> Vec<(usize, f64)> {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};

    let cells: Vec<(usize, f64)> = cells.iter().copied().filter(|(_, weight)| *weight > 0.0).collect();
    if cells.len() <= size {
        return cells;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut keyed: Vec<(f64, usize)> = cells
        .into_iter()
        .map(|(cell, weight)| {
            let uniform = ((rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            (uniform.ln() / weight, cell)
        })
        .collect();
    keyed.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut kept: Vec<(usize, f64)> = keyed.into_iter().take(size).map(|(_, cell)| (cell, 1.0)).collect();
    kept.sort_unstable_by_key(|(cell, _)| *cell);
    kept
}
