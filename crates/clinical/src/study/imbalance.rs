//! Whether and how training adds synthetic cases of orphan diseases.

use serde::{Deserialize, Serialize};

/// Synthetic cases, made inside each fold's training part and never counted in a figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Imbalance {
    pub method: Resampling,
    /// Share of orphan cases, real and synthetic, that the training cases are brought to, 0.001 to 0.9.
    pub share: f64,
    /// Nearest neighbours that SMOTE-NC looks at, 1 to 100.
    pub neighbours: usize,
    pub gan: GanPlan,
}

/// Where synthetic cases come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resampling {
    /// Nowhere: the cases as they are.
    #[default]
    None,
    /// Between a case and its nearest neighbours (Chawla et al. 2002).
    SmoteNc,
    /// A conditional generative network, used only where it is shown to help.
    Gan,
}

impl Resampling {
    pub const ALL: [Resampling; 3] = [Resampling::None, Resampling::SmoteNc, Resampling::Gan];

    pub fn code(self) -> &'static str {
        match self {
            Resampling::None => "none",
            Resampling::SmoteNc => "smote_nc",
            Resampling::Gan => "gan",
        }
    }
}

/// How the generative network is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GanPlan {
    /// Steps of the generator, 1 to 100,000; the critic makes several for each.
    pub steps: usize,
    /// Cases in a step, 16 to 10,000.
    pub batch: usize,
    /// Units in each of the two hidden layers, 4 to 1,024.
    pub hidden: usize,
    /// Above 0, up to 0.1.
    pub learning_rate: f64,
}

impl Default for Imbalance {
    fn default() -> Self {
        Imbalance { method: Resampling::None, share: 0.2, neighbours: 5, gan: GanPlan::default() }
    }
}

impl Default for GanPlan {
    fn default() -> Self {
        GanPlan { steps: 1500, batch: 256, hidden: 64, learning_rate: 3e-3 }
    }
}

impl Imbalance {
    /// What is out of its range, if anything.
    pub(super) fn refused(&self) -> Option<&'static str> {
        let GanPlan { steps, batch, hidden, learning_rate } = self.gan;
        let held = [
            ((0.001..=0.9).contains(&self.share), "`share` lies between 0.001 and 0.9"),
            ((1..=100).contains(&self.neighbours), "`neighbours` lies between 1 and 100"),
            ((1..=100_000).contains(&steps), "`gan.steps` lies between 1 and 100000"),
            ((16..=10_000).contains(&batch), "`gan.batch` lies between 16 and 10000"),
            ((4..=1024).contains(&hidden), "`gan.hidden` lies between 4 and 1024"),
            (learning_rate > 0.0 && learning_rate <= 0.1, "`gan.learning_rate` is above 0, up to 0.1"),
        ];
        held.into_iter().find(|(held, _)| !held).map(|(_, why)| why)
    }
}
