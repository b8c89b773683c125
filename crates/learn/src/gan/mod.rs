//! Synthetic cases from a conditional generative network over the features of the study.
//!
//! A generator makes cases of a wanted group from noise; a critic learns to score real cases above made ones, and the
//! generator to please it (conditional Wasserstein GAN with gradient penalty: Arjovsky et al. 2017, Gulrajani et al.
//! 2017; for tables: Xu et al. 2019). Numbers leave a continuous head, categories a Gumbel-softmax head (Jang et al.
//! 2017). All groups are learnt together, so that a rare one borrows the shape of the others.
//!
//! A network needs hundreds of cases of a group where interpolation needs six, and even then it may help nobody:
//! [`judge`] says whether it did, on real cases that nothing was trained on.

mod columns;
mod guard;
mod network;
mod training;

use clinical::Study;
use prepare::resample::ResampleError;
use prepare::{Synthetic, TrainingCounts};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

pub use guard::{Trial, Verdict, judge, trials};

use crate::{Error, Result};
use columns::Columns;
use training::{Cases, train};

/// Fewer training cases of a group than this teach the network nothing that lasts.
pub const FEWEST: u64 = 200;

/// The network and its training. Same cases, settings and seed give the same synthetic cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gan {
    /// Steps of the generator, >= 1; the critic makes several for each.
    pub steps: usize,
    /// Cases in a step, >= 2.
    pub batch: usize,
    /// Units in each of the two hidden layers of both networks, >= 1.
    pub hidden: usize,
    pub learning_rate: f64,
    pub seed: u64,
}

impl Gan {
    /// Makes `wanted[g]` synthetic cases of every group g (none beyond the list's end). `progress` gets the steps done.
    ///
    /// # Errors
    /// A group of which cases are wanted has fewer than [`FEWEST`]; a setting is out of its range; the training
    /// diverged.
    pub fn resample(
        &self,
        study: &Study,
        training: &TrainingCounts,
        wanted: &[u64],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Synthetic> {
        self.check(training, wanted)?;
        let columns = Columns::of(study, training);
        let cases = Cases::of(study, training);
        let generator = train(self, &columns, &cases, progress)?;
        let mut made = Vec::new();
        for (group, &wanted) in wanted.iter().enumerate() {
            // A stream of its own: a group's cases do not depend on how many the others want.
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(2 + group as u64);
            let levels = generator.make(group, wanted, &columns, &mut rng)?;
            made.extend(levels.into_iter().map(|levels| (group, study.domain().cell(&levels), 1)));
        }
        Ok(Synthetic::of(training, made))
    }

    fn check(&self, training: &TrainingCounts, wanted: &[u64]) -> Result<()> {
        let names = training.group_names();
        if wanted.len() > names.len() {
            return Err(ResampleError::Groups { wanted: wanted.len(), groups: names.len() }.into());
        }
        let totals = training.totals();
        for ((group, &cases), _) in names.iter().zip(&totals).zip(wanted).filter(|(_, wanted)| **wanted > 0) {
            if cases < FEWEST {
                let group = group.clone();
                return Err(ResampleError::TooFew { method: "the GAN", group, cases, needed: FEWEST }.into());
            }
        }
        let held = self.steps > 0
            && self.batch > 1
            && self.hidden > 0
            && self.learning_rate.is_normal()
            && self.learning_rate > 0.0;
        if held { Ok(()) } else { Err(Error::Invalid("a setting of the GAN is out of its range".into())) }
    }
}
