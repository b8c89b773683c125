//! Simulate: a hospital's year in a minute, by the real pipeline at a clock that is put forward.
//!
//! The patients are made up and their truth is known, so every decision can be held against it. Everything else is the
//! program itself: its log, lake, registry, schedules, trainings and gates, in a folder of its own.

mod exact;
mod hospital;
mod life;
mod plan;
mod reviewer;
mod settings;
mod timeline;
mod verdict;
mod world;

use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;

pub use self::exact::Exact;
use self::life::Life;
use self::plan::Plan;
pub use self::plan::{Event, Scenario, What};
pub use self::reviewer::{Choosing, Reviewed};
pub use self::timeline::{Entry, Mark, Timeline};
pub use self::verdict::{Carelessness, Promise, Recall, Search};
use crate::clock::ManualClock;
use crate::progress::Progress;

/// How the hospital's reviews are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Reviews {
    /// Alarms that nobody has answered, then those whose outcome would teach most
    Active,
    /// Patients drawn at random
    Random,
    /// By active learning, and in a second hospital with the same patients at random until the recall target is reached
    Both,
}

/// What is simulated.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Asked {
    pub seed: u64,
    pub months: u32,
    pub scenario: Scenario,
    pub patients_per_day: u32,
    /// Confirmed cases of the year before, from which the first model learns.
    pub history: u64,
    pub reviews: Reviews,
    /// Reviews that the reviewers resolve in a week.
    pub reviews_per_week: u32,
}

/// What happened, and what it shows.
#[derive(Debug, Serialize)]
pub struct Simulated {
    #[serde(flatten)]
    pub asked: Asked,
    #[serde(flatten)]
    pub plan: Plan,
    /// Code of the disease that is new where one appears.
    pub new_disease: String,
    pub served: u64,
    /// Patients whose values were refused.
    pub refused: u64,
    pub reviewed: Reviewed,
    pub recalls: Vec<Recall>,
    pub search: Search,
    /// The same with reviews chosen at random, in the second hospital.
    pub at_random: Option<Search>,
    pub carelessness: Carelessness,
    pub timeline: Timeline,
    pub verdict: Vec<Promise>,
}

impl Simulated {
    /// Whether no promise is broken.
    pub fn holds(&self) -> bool {
        self.verdict.iter().all(|promise| promise.holds != Some(false))
    }
}

/// Lives through a simulation in `folder`, which must be empty: nothing that is there may be lost.
pub fn simulate(asked: &Asked, folder: &Path, progress: &Progress) -> Result<Simulated> {
    let plan = Plan::of(asked.scenario, asked.months);
    let clock = ManualClock::at(settings::opening(&plan));
    make_folder(folder)?;
    let choosing = if asked.reviews == Reviews::Random { Choosing::Random } else { Choosing::Active };
    let own = settings::Hospital { choosing, patients_per_day: asked.patients_per_day, trains: true };
    settings::write(folder, &own)?;
    progress.say(&format!("a hospital with {} confirmed cases trains its first model", asked.history));
    Life::begin(asked, &plan, &settings::open(folder, &clock)?)?;
    let second = folder.join("at-random");
    let compares = asked.reviews == Reviews::Both && plan.event(What::Orphan).is_some();
    if compares {
        settings::copy(folder, &second)?;
        settings::write(&second, &settings::Hospital { choosing: Choosing::Random, trains: false, ..own })?;
    }
    let deployment = settings::open(folder, &clock)?;
    let mut life = Life::new(asked, &plan, &deployment, &clock)?;
    life.live(progress, true)?;
    let mut at_random = None;
    if compares {
        progress.say("the same patients again, with reviews chosen at random");
        clock.set(settings::opening(&plan));
        let deployment = settings::open(&second, &clock)?;
        let mut other = Life::new(asked, &plan, &deployment, &clock)?;
        other.live(progress, false)?;
        at_random = Some(other.search());
    }
    life.conclude(at_random)
}

fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let mut there =
        std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    if there.next().is_some() {
        bail!("{} is not empty: a simulation has a folder of its own", folder.display());
    }
    Ok(())
}
