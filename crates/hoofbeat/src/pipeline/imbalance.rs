//! Resample: the training part of every fold -> synthetic cases for the member that leaves that fold out, and a report on
//! how like real ones they are.

use anyhow::Result;
use clinical::Study;
use clinical::study::Resampling;
use evaluate::Bootstrap;
use evaluate::fidelity::{self, Compared, Fidelity};
use learn::augment::{Augmented, Inflation};
use learn::gan::{Gan, Verdict};
use prepare::resample::{SmoteNc, orphan_share};
use prepare::{Cohort, Folds, Groups, Preprocessor, Set, Synthetic, TrainingCounts};
use serde::Serialize;

/// Replicates of the fidelity report's intervals: there are many of them, and none decides anything.
const REPLICATES: usize = 100;

/// What was made, kept with the run.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    pub method: Resampling,
    /// Share of orphan cases, real and synthetic, that was aimed at.
    pub share: f64,
    /// The groups that got synthetic cases.
    pub groups: Vec<GroupRecord>,
    /// What they did to the orphan probability before their effect on the odds was taken back.
    pub inflation: Option<Inflation>,
    /// Whether the cases helped; the generative network's are used only then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<Verdict>,
    /// Whether the members of the model were trained on them.
    pub used: bool,
}

/// The synthetic cases of one group.
#[derive(Debug, Clone, Serialize)]
pub struct GroupRecord {
    pub group: String,
    /// Real training cases and synthetic cases of each member.
    pub real: Vec<u64>,
    pub synthetic: Vec<u64>,
    pub fidelity: Fidelity,
}

/// Synthetic cases of every member, in the folds' order, and what they are like.
#[derive(Debug)]
pub struct Resampled {
    pub members: Vec<Augmented>,
    pub record: Record,
}

/// Makes synthetic cases as the study's plan says; none where none are asked for. `progress` gets the steps done.
pub fn resample(
    study: &Study,
    method: Resampling,
    cohort: &Cohort,
    groups: &Groups,
    preprocessor: &Preprocessor,
    seed: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<Option<Resampled>> {
    if method == Resampling::None {
        return Ok(None);
    }
    let (plan, folds) = (&study.imbalance, Folds::new(&study.split, study.training.folds));
    let mut made: Vec<(TrainingCounts, Synthetic)> = Vec::with_capacity(folds.count());
    for fold in 0..folds.count() {
        let training = TrainingCounts::without_fold(study, cohort, groups, folds, fold)?;
        let wanted = orphan_share(&training, plan.share)?;
        // Members draw independently.
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(fold as u64);
        let synthetic = match method {
            Resampling::Gan => {
                let gan = gan(study, seed);
                gan.resample(study, &training, &wanted, &mut |step| {
                    progress((fold * gan.steps + step) as u64)
                })?
            }
            _ => SmoteNc { neighbours: plan.neighbours, seed }.resample(
                study,
                preprocessor,
                &training,
                &wanted,
            )?,
        };
        made.push((training, synthetic));
    }
    let encode = |cell: usize, row: &mut Vec<f32>| {
        preprocessor.encode_into(&study.domain().levels(cell), row);
    };
    let members = made.iter().map(|(_, synthetic)| Augmented::of(synthetic, preprocessor.width(), encode));
    let members = members.collect::<Result<Vec<_>, _>>()?;
    let record = Record {
        method,
        share: plan.share,
        groups: describe(study, cohort, groups, folds, &made)?,
        inflation: None,
        guard: None,
        used: true,
    };
    Ok(Some(Resampled { members, record }))
}

/// Steps that [`resample`] reports in all; 0 where it takes no time.
pub fn steps(study: &Study, method: Resampling) -> u64 {
    match method {
        Resampling::Gan => (study.imbalance.gan.steps * study.training.folds) as u64,
        _ => 0,
    }
}

fn gan(study: &Study, seed: u64) -> Gan {
    let plan = &study.imbalance.gan;
    Gan { steps: plan.steps, batch: plan.batch, hidden: plan.hidden, learning_rate: plan.learning_rate, seed }
}

fn describe(
    study: &Study,
    cohort: &Cohort,
    groups: &Groups,
    folds: Folds,
    made: &[(TrainingCounts, Synthetic)],
) -> Result<Vec<GroupRecord>> {
    let bootstrap = Bootstrap { replicates: REPLICATES, seed: study.split.seed };
    let mut records = Vec::new();
    for (group, name) in groups.names().iter().enumerate() {
        let synthetic: Vec<u64> = made.iter().map(|(_, synthetic)| synthetic.totals()[group]).collect();
        if synthetic.iter().all(|made| *made == 0) {
            continue;
        }
        let counted: Vec<[Vec<(usize, u64)>; 3]> = made
            .iter()
            .map(|(training, synthetic)| {
                let held_out = held_out(study, cohort, groups, folds, training.left_out(), group);
                [training.of_group(group).collect(), held_out, synthetic.of_group(group).collect()]
            })
            .collect();
        let compared: Vec<Compared<'_>> = counted
            .iter()
            .map(|[parents, held_out, synthetic]| Compared { parents, held_out, synthetic })
            .collect();
        records.push(GroupRecord {
            group: name.clone(),
            real: made.iter().map(|(training, _)| training.totals()[group]).collect(),
            synthetic,
            fidelity: fidelity::compare(study, &compared, &bootstrap)?,
        });
    }
    Ok(records)
}

/// The real cases of a group in one fold, by cell.
fn held_out(
    study: &Study,
    cohort: &Cohort,
    groups: &Groups,
    folds: Folds,
    fold: usize,
    group: usize,
) -> Vec<(usize, u64)> {
    let of_fold = cohort.of_set(study, Set::Train).filter(|count| folds.of_slot(count.slot) == Some(fold));
    let of_group = of_fold.filter(|count| groups.of_stratum(count.stratum) == Some(group));
    of_group.map(|count| (count.cell, count.count)).collect()
}
