//! The recipe: one model per fold, each stopped and scored on the cases that it has not seen, and beside
//! them a few-shot half (disease profiles, prototypes), fitted on the same cases.
//!
//! The boosters' expert opinion is the mean of the members' distributions. The pool's weights, calibration and the alarm's threshold come
//! from out-of-fold scores, so no case ever judges a score that it helped to fit; the answers kept
//! for evaluation go one step further and take them from the other folds alone.

use serde::{Deserialize, Serialize};

use crate::abstain::{Coverage, Seen};
use crate::alarm::{Operating, Rule, curve};
use crate::augment::{Augmented, Extended, Inflation, Odds};
use crate::calibrate::{Scored, Temperature, class_calibration_error};
use crate::combine::{Classes, Combination, Disease};
use crate::fewshot::{FewShotPlan, Half, Heard, Margins, Patients};
use crate::gate::{Gate, Rarity};
use crate::learner::{Fit, Job, Learner, Parameters, Progress, Target, Trainer};
use crate::nearest::NearestTable;
use crate::pool::Pool;
use crate::probability::softmax_into;
use crate::profile::Axis;
use crate::watch::{self, Watch};
use crate::{Error, Matrix, Result};

/// Points of the kept trade-off curve.
const CURVE_POINTS: usize = 200;

/// Counted cases in folds.
#[derive(Debug, Clone)]
pub struct Training {
    /// Encoded features of the distinct patients, `n x columns`.
    pub x: Matrix<f32>,
    /// Levels of the same patients, `n x clinical features`.
    pub levels: Matrix<u32>,
    /// How the levels of each clinical feature are to be described.
    pub axes: Vec<Axis>,
    /// Cases of each disease per patient, `n x diseases`, one matrix per fold, at least two. All cases
    /// of one person belong to one fold.
    pub folds: Vec<Matrix<f64>>,
    pub diseases: Vec<Disease>,
    pub classes: Classes,
    /// Encoded features and levels of the patients to answer: every possible one where there is a table.
    pub score: Matrix<f32>,
    pub score_levels: Matrix<u32>,
}

/// How to fit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    pub parameters: Parameters,
    #[serde(default)]
    pub few_shot: FewShotPlan,
    pub coverage: Coverage,
    /// Codes of the orphan diseases that keep an alarm of their own until the gate finds them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<String>,
    /// Seed of every draw.
    pub seed: u64,
    pub alarm: Rule,
}

/// One fold's model.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The model file in its learner's own form.
    pub model: Vec<u8>,
    /// Learner and version that fitted it, e.g. `xgboost 3.4.1`.
    pub engine: String,
    pub rounds: usize,
    /// Mean log loss of the fold after each round.
    pub held_out_loss: Vec<f64>,
}

/// What calibration found and did, on out-of-fold scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Expected calibration error of the orphan probability before and after.
    pub orphan_before: f64,
    pub orphan_after: f64,
    /// Mean class-wise expected calibration error of the groups before and after.
    pub groups_before: f64,
    pub groups_after: f64,
}

/// A fitted model.
#[derive(Debug, Clone)]
pub struct Fitted {
    pub learner: Learner,
    pub members: Vec<Member>,
    pub half: Half,
    /// The boosters' margins of the scored patients, `m x groups`: with them the few-shot half can change
    /// and the table be made anew without a booster.
    pub boosted: Matrix<f32>,
    /// The orphan diseases that each scored patient resembles most.
    pub nearest: NearestTable,
    pub combination: Combination,
    pub calibration: Calibration,
    /// Displayed probabilities of the scored patients, `m x (severities + 1)`.
    pub answers: Matrix<f64>,
    /// The same without the alarm's effect on the severities.
    pub answers_without_alarm: Matrix<f64>,
    /// Share of each severity that orphan diseases have, before the alarm, `m x severities`.
    pub orphan_shares: Matrix<f64>,
    /// Per fold, displayed probabilities of `x` by what that fold's cases had no part in (member,
    /// calibration and threshold), `n x (severities + 1)`: compare them with that fold's counts.
    pub unseen: Vec<Matrix<f64>>,
    /// The same without the alarm's effect on the severities.
    pub unseen_without_alarm: Vec<Matrix<f64>>,
    /// As `orphan_shares`, of `x` by what each fold's cases had no part in, `n x severities`.
    pub unseen_orphan_shares: Vec<Matrix<f64>>,
    /// Whether those answers raise the alarm, per fold and row.
    pub unseen_alarm: Vec<Vec<bool>>,
    /// The orphan probability's trade-off on out-of-fold scores.
    pub curve: Vec<Operating>,
    /// None without synthetic cases.
    pub inflation: Option<Inflation>,
}

/// Fits, calibrates and combines.
///
/// # Errors
/// When the data are malformed or a training process fails.
pub fn fit(
    training: &Training,
    recipe: &Recipe,
    trainer: &Trainer,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fitted> {
    fit_augmented(training, &[], recipe, trainer, progress)
}

/// The same with synthetic cases in the members' training: one entry per fold, or none. Each member sees those of its
/// own fold alone, the few-shot half sees none. Their effect on the odds is taken back before anything is fitted to
/// out-of-fold scores, which stay scores of real cases.
///
/// # Errors
/// As [`fit`], and when the synthetic cases are not those of the folds.
pub fn fit_augmented(
    training: &Training,
    augmented: &[Augmented],
    recipe: &Recipe,
    trainer: &Trainer,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fitted> {
    training.check()?;
    recipe.alarm.check()?;
    let counts = training.group_counts();
    let planned = training.jobs(&counts, augmented, recipe)?;
    finish(training, &counts, planned, recipe, trainer, progress)
}

/// Members to go on from.
#[derive(Debug, Clone, Copy)]
pub struct Continuation<'a> {
    /// Their model files, one per fold; the member of a fold has not seen its cases.
    pub members: &'a [Vec<u8>],
    /// The cases that they have learned from, as [`Training::folds`] counts them.
    pub known: &'a [Matrix<f64>],
    /// What such a case counts now, 0 to 1; every other one counts 1.
    pub replay: f64,
}

/// The same as [`fit`], but each member goes on from one that was fitted to a part of the cases. The few-shot half,
/// calibration, threshold and answers are made anew from all of them.
///
/// # Errors
/// As [`fit`], and when the members are not those of the folds.
pub fn fit_continued(
    training: &Training,
    continuation: &Continuation<'_>,
    recipe: &Recipe,
    trainer: &Trainer,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fitted> {
    training.check()?;
    recipe.alarm.check()?;
    let counts = training.group_counts();
    let (mut jobs, shifts) = training.jobs(&counts, &[], recipe)?;
    continuation.apply(training, &mut jobs)?;
    finish(training, &counts, (jobs, shifts), recipe, trainer, progress)
}

impl Continuation<'_> {
    fn apply(&self, training: &Training, jobs: &mut [Job]) -> Result<()> {
        if self.members.len() != jobs.len() || self.known.len() != jobs.len() {
            return Err(Error::shape("folds of the members to go on from", jobs.len(), self.members.len()));
        }
        let known = training.by_group(self.known);
        for (fold, (job, member)) in jobs.iter_mut().zip(self.members).enumerate() {
            job.start = Some(member.clone());
            let Target::Counts { train, .. } = &mut job.target else { continue };
            let others = known.iter().enumerate().filter(|(other, _)| *other != fold && self.replay < 1.0);
            for (_, known) in others {
                if (known.rows(), known.columns()) != (train.rows(), train.columns()) {
                    return Err(Error::shape("rows of the known cases", train.rows(), known.rows()));
                }
                for row in 0..train.rows() {
                    for (count, known) in train.row_mut(row).iter_mut().zip(known.row(row)) {
                        *count = (*count - (1.0 - self.replay) * known).max(0.0);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Trains the members and makes the model of them. `planned`: one job per fold, and what their margins fall by.
fn finish(
    training: &Training,
    counts: &[Matrix<f64>],
    (jobs, shifts): (Vec<Job>, Vec<Vec<f64>>),
    recipe: &Recipe,
    trainer: &Trainer,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fitted> {
    let augmented = !shifts.is_empty();
    let fits = trainer.fit_all(&jobs, progress)?;
    let n = training.x.rows();
    let every: Vec<usize> = (0..fits.len()).collect();
    let mut halves = training.halves(recipe, trainer.parallel())?;
    let mut half = halves.pop().ok_or_else(|| Error::Invalid("the few-shot half is missing".into()))?;
    half.adopt_sharpness(&halves);
    // Each fold's opinions of `x`, by experts that have not seen the fold.
    let (mut unseen, mut boosted_unseen, mut odds) = (Vec::new(), Vec::new(), Odds::default());
    for (fold, (fit, half)) in fits.iter().zip(&halves).enumerate() {
        let (fit, shift) = (std::slice::from_ref(fit), shifts.get(fold..=fold).unwrap_or_default());
        let boosted = pooled(fit, shift, 0..n);
        if !shift.is_empty() {
            odds.add(&pooled(fit, &[], 0..n), &boosted, &counts[fold], &training.classes.groups);
        }
        let margins = half.margins(&training.x)?;
        unseen.push(say(&boosted, half, Heard::default(), &training.levels, margins.as_ref()).opinions);
        boosted_unseen.push(boosted);
    }
    let scores = OutOfFold { opinions: &unseen, counts, classes: &training.classes };
    let combination = Combination { shifts, ..scores.combination(recipe.alarm, &every) };
    let watched = watch::not_found(training, &unseen, &combination, &recipe.watched);
    let boosted =
        if watched.is_empty() { Matrix::default() } else { pooled(&fits, &combination.shifts, 0..n) };
    let watch = Watch { codes: &watched, budget: &recipe.few_shot.budget, combination: &combination };
    watch.set_alarms(training, &mut half, &boosted, |_| true)?;
    let unseen_raised = halves.iter_mut().zip(&boosted_unseen).enumerate();
    let unseen_raised = unseen_raised
        .map(|(held, (half, boosted))| watch.set_alarms(training, half, boosted, |fold| fold != held))
        .collect::<Result<Vec<_>>>()?;
    let boosted = pooled(&fits, &combination.shifts, n..n + training.score.rows());
    let margins = half.margins(&training.score)?;
    let said = say(&boosted, &half, combination.heard(), &training.score_levels, margins.as_ref());
    let raised = |row| half.raised(said.novelty.row(row));
    let (answers, answers_without_alarm) = answer_all(&combination, &said.opinions, raised);
    let mut fitted = Fitted {
        learner: recipe.parameters.learner(),
        calibration: scores.calibration(&combination),
        curve: curve(&scores.orphan(&combination, &every), CURVE_POINTS),
        answers,
        answers_without_alarm,
        orphan_shares: orphan_shares(&combination, &said.opinions, raised),
        unseen: Vec::new(),
        unseen_without_alarm: Vec::new(),
        unseen_orphan_shares: Vec::new(),
        unseen_alarm: Vec::new(),
        members: Vec::new(),
        nearest: NearestTable::of(&half, &training.score_levels, margins.as_ref()),
        half,
        boosted,
        inflation: augmented.then(|| odds.inflation()),
        combination,
    };
    fitted.answer_unseen(&scores, &unseen_raised, recipe, &every);
    fitted.members = fits
        .into_iter()
        .map(|fit| Member {
            model: fit.model,
            engine: fit.engine,
            rounds: fit.rounds,
            held_out_loss: fit.held_out_loss,
        })
        .collect();
    Ok(fitted)
}

impl Fitted {
    /// Answers each fold by what its cases had no part in, and chooses from these answers whom to leave unanswered. `raised`: by
    /// fold and row, whether a watched disease alarms the patient.
    fn answer_unseen(
        &mut self,
        scores: &OutOfFold<'_>,
        raised: &[Vec<bool>],
        recipe: &Recipe,
        every: &[usize],
    ) {
        for (fold, (opinions, raised)) in scores.opinions.iter().zip(raised).enumerate() {
            let raised = |row: usize| raised.get(row).copied().unwrap_or_default();
            let others: Vec<usize> = every.iter().copied().filter(|&other| other != fold).collect();
            let combination = scores.combination(recipe.alarm, &others);
            let (with, without) = answer_all(&combination, opinions, raised);
            let alarm =
                with.iter_rows().map(|row| combination.alarmed(row.last().copied().unwrap_or_default()));
            self.unseen_alarm.push(alarm.collect());
            self.unseen.push(with);
            self.unseen_without_alarm.push(without);
            self.unseen_orphan_shares.push(orphan_shares(&combination, opinions, raised));
        }
        if recipe.coverage.share < 1.0 {
            let mut seen = Seen::default();
            for ((answers, alarm), counts) in self.unseen.iter().zip(&self.unseen_alarm).zip(scores.counts) {
                seen.add(answers, alarm, &by_severity(scores.classes, counts));
            }
            self.combination.abstention = Some(seen.choose(recipe.coverage));
        }
    }

    /// Average precision of the orphan probability on each fold's cases, answered by what had no part in them; none for
    /// a fold without an orphan case.
    pub fn unseen_precision(&self, training: &Training) -> Vec<Option<f64>> {
        let counts = training.group_counts();
        let folds = self.unseen.iter().zip(&counts);
        folds
            .map(|(answers, counts)| {
                let entries = answers.iter_rows().zip(counts.iter_rows()).map(|(answer, counts)| {
                    let orphans = orphans(&training.classes, counts);
                    (
                        answer.last().copied().unwrap_or_default(),
                        orphans,
                        counts.iter().sum::<f64>() - orphans,
                    )
                });
                Scored { entries: entries.collect() }.average_precision()
            })
            .collect()
    }
}

impl Training {
    /// # Errors
    /// Names what has the wrong shape.
    pub fn check(&self) -> Result<()> {
        self.classes.check()?;
        if self.folds.len() < 2 {
            return Err(Error::shape("folds", "at least 2", self.folds.len()));
        }
        let shape = (self.x.rows(), self.diseases.len());
        let known = |disease: &Disease| {
            self.classes.groups.get(disease.group).is_some_and(|group| group.orphan == disease.orphan)
        };
        if !self.diseases.iter().all(known) {
            return Err(Error::Invalid("a disease's group is not among the model's classes".into()));
        }
        if self.levels.rows() != self.x.rows() || self.score_levels.rows() != self.score.rows() {
            return Err(Error::shape(
                "levels of the patients",
                format!("{} and {}", self.x.rows(), self.score.rows()),
                format!("{} and {}", self.levels.rows(), self.score_levels.rows()),
            ));
        }
        for fold in &self.folds {
            if (fold.rows(), fold.columns()) != shape {
                return Err(Error::shape(
                    "counts of a fold",
                    format!("{shape:?}"),
                    format!("{:?}", (fold.rows(), fold.columns())),
                ));
            }
        }
        if self.score.columns() != self.x.columns() {
            return Err(Error::shape("columns of the rows to score", self.x.columns(), self.score.columns()));
        }
        Ok(())
    }

    /// Cases of each group per patient, one matrix per fold.
    pub(crate) fn group_counts(&self) -> Vec<Matrix<f64>> {
        self.by_group(&self.folds)
    }

    /// Cases of the diseases as cases of the groups.
    fn by_group(&self, folds: &[Matrix<f64>]) -> Vec<Matrix<f64>> {
        let groups = self.classes.groups.len();
        let of_fold = |fold: &Matrix<f64>| {
            let mut counts = Matrix::zeros(fold.rows(), groups);
            for (i, row) in fold.iter_rows().enumerate() {
                let counts = counts.row_mut(i);
                for (disease, cases) in self.diseases.iter().zip(row) {
                    if let Some(count) = counts.get_mut(disease.group) {
                        *count += cases;
                    }
                }
            }
            counts
        };
        folds.iter().map(of_fold).collect()
    }

    /// The few-shot half of the cases of some folds.
    fn half(&self, recipe: &Recipe, folds: impl Fn(usize) -> bool) -> Result<Half> {
        let mut counts = Matrix::zeros(self.x.rows(), self.diseases.len());
        for (_, fold) in self.folds.iter().enumerate().filter(|(fold, _)| folds(*fold)) {
            for (i, row) in fold.iter_rows().enumerate() {
                counts.row_mut(i).iter_mut().zip(row).for_each(|(sum, cases)| *sum += cases);
            }
        }
        let patients = Patients { x: &self.x, levels: &self.levels };
        Half::fit(&recipe.few_shot, recipe.seed, &self.axes, patients, &counts, &self.diseases)
    }

    /// Per fold the half that has not seen it, calibrated by it; then the half of all cases. At most `parallel` at a
    /// time; that changes no result.
    fn halves(&self, recipe: &Recipe, parallel: usize) -> Result<Vec<Half>> {
        let one = |held: usize| {
            let mut half = self.half(recipe, |fold| fold != held)?;
            if let Some(counts) = self.folds.get(held) {
                half.calibrate(&self.x, counts, &self.diseases)?;
            }
            Ok(half)
        };
        let all: Vec<usize> = (0..=self.folds.len()).collect();
        let mut halves = Vec::with_capacity(all.len());
        for chunk in all.chunks(parallel.max(1)) {
            let fitted: Vec<Result<Half>> = std::thread::scope(|scope| {
                let threads: Vec<_> = chunk.iter().map(|held| scope.spawn(|| one(*held))).collect();
                let ended = |thread: std::thread::ScopedJoinHandle<'_, Result<Half>>| {
                    thread.join().unwrap_or_else(|_| Err(Error::Invalid("a training thread failed".into())))
                };
                threads.into_iter().map(ended).collect()
            });
            halves.extend(fitted.into_iter().collect::<Result<Vec<_>>>()?);
        }
        Ok(halves)
    }

    /// One job per fold: train on the others, stop on it, score `x` and then the rows to answer. Beside them what each
    /// member's margins have to fall by, where synthetic cases join in.
    fn jobs(
        &self,
        counts: &[Matrix<f64>],
        augmented: &[Augmented],
        recipe: &Recipe,
    ) -> Result<(Vec<Job>, Vec<Vec<f64>>)> {
        if !augmented.is_empty() && augmented.len() != counts.len() {
            return Err(Error::shape("folds with synthetic cases", counts.len(), augmented.len()));
        }
        let mut shifts = Vec::with_capacity(augmented.len());
        let (n, columns) = (self.x.rows(), self.x.columns());
        let rows = [self.x.as_slice(), self.score.as_slice()].concat();
        let score = Matrix::from_vec(n + self.score.rows(), columns, rows)?;
        let jobs = (0..counts.len()).map(|fold| {
            let augmented = augmented.get(fold);
            let (job, shift) = self.job(counts, augmented, &recipe.parameters, recipe.seed, fold)?;
            shifts.extend(augmented.map(|_| shift));
            Ok(Job { score: Some(score.clone()), ..job })
        });
        let jobs = jobs.collect::<Result<_>>()?;
        Ok((jobs, shifts))
    }

    /// One fold's job, which scores its own rows: train on the other folds' counts and the member's synthetic cases,
    /// stop on its own. Beside it what those cases add to the margins.
    pub(crate) fn job(
        &self,
        counts: &[Matrix<f64>],
        augmented: Option<&Augmented>,
        parameters: &Parameters,
        seed: u64,
        fold: usize,
    ) -> Result<(Job, Vec<f64>)> {
        let (n, groups) = (self.x.rows(), self.classes.groups.len());
        let mut train = vec![0.0; n * groups];
        for (_, other) in counts.iter().enumerate().filter(|(other, _)| *other != fold) {
            train.iter_mut().zip(other.as_slice()).for_each(|(sum, count)| *sum += count);
        }
        let train = Matrix::from_vec(n, groups, train)?;
        let held_out = counts.get(fold).ok_or_else(|| Error::shape("folds", counts.len(), fold))?;
        let Extended { x, train, held_out, shift } = match augmented {
            Some(augmented) => augmented.extend(fold, &self.x, &train, held_out)?,
            None => {
                Extended { x: self.x.clone(), train, held_out: held_out.clone(), shift: vec![0.0; groups] }
            }
        };
        // Members draw their cases and columns independently.
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(fold as u64);
        let target = Target::Counts { train, held_out: Some(held_out) };
        // One thread a process, folds side by side: the same result whatever the machine.
        Ok((Job { seed, ..Job::new(x, target, parameters.clone()) }, shift))
    }
}

/// Log of the members' mean probabilities of some scored rows; in single precision, as they are kept. `shifts`: what
/// each member's margins fall by, none without synthetic cases.
fn pooled(fits: &[Fit], shifts: &[Vec<f64>], rows: std::ops::Range<usize>) -> Matrix<f32> {
    let groups = fits.first().map_or(0, |fit| fit.margins.columns());
    let mut pooled = Matrix::zeros(rows.len(), groups);
    let mut margins = vec![0.0; groups];
    for (i, row) in rows.enumerate() {
        pool_margins(fits.iter().map(|fit| fit.margins.row(row)), shifts, &mut margins);
        pooled.row_mut(i).iter_mut().zip(&margins).for_each(|(kept, margin)| *kept = *margin as f32);
    }
    pooled
}

/// What is said of patients before anything is combined, one row each.
pub(crate) struct Said {
    /// The boosters' margins, then the few-shot half's opinion: see [`Combination`].
    pub(crate) opinions: Matrix<f64>,
    /// Margins of the watched diseases.
    pub(crate) novelty: Matrix<f64>,
}

/// `margins`: what the half's prototypes say of the patients.
pub(crate) fn say(
    boosted: &Matrix<f32>,
    half: &Half,
    heard: Heard,
    levels: &Matrix<u32>,
    margins: Option<&Margins>,
) -> Said {
    let groups = boosted.columns();
    let mut opinions = Matrix::zeros(boosted.rows(), groups + Half::width(groups));
    let mut novelty = Matrix::zeros(boosted.rows(), half.watched().len());
    half.say(groups, heard, levels, margins, |row, opinion, of_watched| {
        let (first, rest) = opinions.row_mut(row).split_at_mut(groups);
        first.iter_mut().zip(boosted.row(row)).for_each(|(margin, boosted)| *margin = f64::from(*boosted));
        rest.copy_from_slice(opinion);
        novelty.row_mut(row).copy_from_slice(of_watched);
    });
    Said { opinions, novelty }
}

/// Cases of the groups as cases of the severities.
fn by_severity(classes: &Classes, counts: &Matrix<f64>) -> Matrix<f64> {
    let mut severities = Matrix::zeros(counts.rows(), classes.severities);
    for (row, counts) in counts.iter_rows().enumerate() {
        for (group, cases) in classes.groups.iter().zip(counts) {
            severities.row_mut(row)[group.severity] += cases;
        }
    }
    severities
}

/// What a combination answers, with the alarm's effect on the severities and without it. `raised`: whether a new
/// disease alarms the patient of a row.
pub(crate) fn answer_all(
    combination: &Combination,
    opinions: &Matrix<f64>,
    raised: impl Fn(usize) -> bool,
) -> (Matrix<f64>, Matrix<f64>) {
    let mut with = Matrix::zeros(opinions.rows(), combination.classes.outputs());
    let mut without = with.clone();
    for (i, row) in opinions.iter_rows().enumerate() {
        combination.answer_both(row, raised(i), with.row_mut(i), without.row_mut(i));
    }
    (with, without)
}

/// Share of each severity that orphan diseases have, before the alarm; `raised` as above.
pub(crate) fn orphan_shares(
    combination: &Combination,
    opinions: &Matrix<f64>,
    raised: impl Fn(usize) -> bool,
) -> Matrix<f64> {
    let mut shares = Matrix::zeros(opinions.rows(), combination.classes.severities);
    for (i, row) in opinions.iter_rows().enumerate() {
        combination.orphan_shares(row, raised(i), shares.row_mut(i));
    }
    shares
}

/// Log of the mean of the distributions that the members' margins, less their shifts, stand for.
pub(crate) fn pool_margins<'a>(
    members: impl ExactSizeIterator<Item = &'a [f32]>,
    shifts: &[Vec<f64>],
    pooled: &mut [f64],
) {
    let count = members.len() as f64;
    let mut p = vec![0.0; pooled.len()];
    let none = vec![0.0; pooled.len()];
    pooled.fill(0.0);
    for (member, margins) in members.enumerate() {
        let shift = shifts.get(member).unwrap_or(&none);
        softmax_into(margins.iter().zip(shift).map(|(&margin, shift)| f64::from(margin) - shift), &mut p);
        pooled.iter_mut().zip(&p).for_each(|(sum, p)| *sum += p);
    }
    pooled.iter_mut().for_each(|sum| *sum = (*sum / count).max(f64::MIN_POSITIVE).ln());
}

/// Opinions on cases by experts that have not seen them.
struct OutOfFold<'a> {
    opinions: &'a [Matrix<f64>],
    counts: &'a [Matrix<f64>],
    classes: &'a Classes,
}

impl OutOfFold<'_> {
    /// Opinions and counts of the cells of `folds` that have cases, one below the other.
    fn stack(&self, folds: &[usize]) -> (Matrix<f64>, Matrix<f64>) {
        let groups = self.classes.groups.len();
        let (mut opinions, mut counts) = (Vec::new(), Vec::new());
        for (scores, cases) in
            folds.iter().filter_map(|&fold| Some((self.opinions.get(fold)?, self.counts.get(fold)?)))
        {
            for (score, case) in scores.iter_rows().zip(cases.iter_rows()) {
                if case.iter().any(|&count| count > 0.0) {
                    opinions.extend_from_slice(score);
                    counts.extend_from_slice(case);
                }
            }
        }
        let rows = counts.len() / groups;
        let matrix = |columns, data| Matrix::from_vec(rows, columns, data).unwrap_or_default();
        (matrix(groups + Half::width(groups), opinions), matrix(groups, counts))
    }

    /// Orphan probabilities as `combination` has them, with the cases.
    fn orphan(&self, combination: &Combination, folds: &[usize]) -> Scored {
        let (opinions, counts) = self.stack(folds);
        rarity(combination, &opinions, &counts).scored(&combination.gate)
    }

    /// The pool, the maps and the threshold that the cases of `folds` give.
    fn combination(&self, rule: Rule, folds: &[usize]) -> Combination {
        let (opinions, counts) = self.stack(folds);
        let pool = Pool::fit(&opinions, &counts);
        let temperature = Temperature::fit(&pool.apply_all(&opinions, counts.columns()), &counts);
        let mut combination = Combination {
            classes: self.classes.clone(),
            pool,
            temperature,
            gate: Gate::IDENTITY,
            alarm: rule.choose(&Scored::default()),
            abstention: None,
            shifts: Vec::new(),
        };
        let rarity = rarity(&combination, &opinions, &counts);
        combination.gate = Gate::fit(&rarity);
        combination.alarm = rule.choose(&rarity.scored(&combination.gate));
        combination
    }

    fn calibration(&self, combination: &Combination) -> Calibration {
        let folds: Vec<usize> = (0..self.counts.len()).collect();
        let (opinions, counts) = self.stack(&folds);
        let pooled = combination.pool.apply_all(&opinions, counts.columns());
        let raw = Combination { temperature: Temperature::IDENTITY, ..combination.clone() };
        let error = |combination: &Combination, gate: &Gate| {
            rarity(combination, &opinions, &counts).scored(gate).calibration_error()
        };
        Calibration {
            orphan_before: error(&raw, &Gate::IDENTITY),
            orphan_after: error(combination, &combination.gate),
            groups_before: class_calibration_error(Temperature::IDENTITY, &pooled, &counts),
            groups_after: class_calibration_error(combination.temperature, &pooled, &counts),
        }
    }
}

/// The gate's scores with the cases; without an orphan group all scores are 0.
fn rarity(combination: &Combination, opinions: &Matrix<f64>, counts: &Matrix<f64>) -> Rarity {
    let entries = opinions
        .iter_rows()
        .zip(counts.iter_rows())
        .map(|(opinions, counts)| {
            let orphans = orphans(&combination.classes, counts);
            let (g, r) = combination.rarity(opinions);
            (g, r, orphans, counts.iter().sum::<f64>() - orphans)
        })
        .collect();
    Rarity { entries }
}

/// Orphan cases among those of every group.
fn orphans(classes: &Classes, counts: &[f64]) -> f64 {
    counts.iter().zip(&classes.groups).filter(|(_, group)| group.orphan).map(|(count, _)| count).sum()
}
