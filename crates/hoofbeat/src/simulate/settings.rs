//! Settings: the simulated hospital's folder, with its configuration and its study.

use std::path::Path;

use anyhow::{Context, Result, bail};
use clinical::Study;
use time::{Duration, OffsetDateTime};

use super::plan::Plan;
use super::reviewer::Choosing;
use crate::cli::Global;
use crate::clock::{Clock, ManualClock};
use crate::config::Config;
use crate::deployment::Deployment;

const CONFIG: &str = "hoofbeat.toml";
const STUDY: &str = "study.toml";
/// What the simulated hospital's study has otherwise than the built-in one, so that a year's twenty trainings take seconds:
/// larger steps and fewer of them.
const FASTER: [(&str, &str); 3] =
    [("rounds = 1000", "rounds = 300"), ("eta = 0.08", "eta = 0.2"), ("episodes = 1000", "episodes = 300")];
/// The same so weak that no gate may let it through: what somebody tries out by hand.
const WEAK: [(&str, &str); 3] = [
    ("rounds = 300", "rounds = 6"),
    ("\nrecall = 0.70", "\nrecall = 0.20"),
    ("\naim = 0.75", "\naim = 0.25"),
];
/// Days of served patients from which reviews are chosen.
const POOL_DAYS: u32 = 30;

/// What one simulated hospital's configuration says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hospital {
    pub choosing: Choosing,
    pub patients_per_day: u32,
    /// Whether it monitors and trains by itself; new orphan cases are learned from in any case.
    pub trains: bool,
}

/// When the simulation begins: the first day's early morning, after the hours at which schedules owe something.
pub(super) fn opening(plan: &Plan) -> OffsetDateTime {
    plan.begin.midnight().assume_utc() + Duration::hours(5)
}

/// Writes configuration and study, so that `hoofbeat --config` reads the folder afterwards.
pub(super) fn write(folder: &Path, hospital: &Hospital) -> Result<()> {
    let mut text =
        format!("data_dir = \"hoofbeat-data\"\nstudy = \"{STUDY}\"\n\n[alerts]\nlog = false\n\n[schedule]\n");
    if hospital.trains {
        text += "monitor = \"weekly monday 05:00\"\nincremental = \"monthly 1 03:00\"\nfull = \"quarterly 2 03:00\"\n";
    }
    text += "orphan = \"at once\"\n\n[review]\n";
    text += &format!("pool = {}\n", POOL_DAYS * hospital.patients_per_day);
    if hospital.choosing == Choosing::Random {
        text += "random_share = 1.0\nsuspicions = 0\n";
    }
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    };
    put(CONFIG, &text)?;
    put(STUDY, &changed(clinical::study::DEFAULT_TOML, &FASTER)?)
}

/// The study that somebody tries out.
pub(super) fn weak_study() -> Result<Study> {
    let text = changed(&changed(clinical::study::DEFAULT_TOML, &FASTER)?, &WEAK)?;
    Ok(Study::parse(&text)?)
}

fn changed(text: &str, changes: &[(&str, &str)]) -> Result<String> {
    changes.iter().try_fold(text.to_owned(), |text, (from, to)| {
        if !text.contains(from) {
            bail!("the built-in study no longer says `{from}`");
        }
        Ok(text.replace(from, to))
    })
}

/// Opens the folder's deployment, which is of files alone, whatever the environment says.
pub(super) fn open(folder: &Path, clock: &ManualClock) -> Result<Deployment> {
    let global = Global {
        config: Some(folder.join(CONFIG)),
        data_dir: None,
        storage: None,
        study: None,
        json: false,
        quiet: true,
    };
    let config = Config::load(&global)?;
    let study = crate::deployment::study(&global, &config)?;
    let data_dir = config.data_dir(&global);
    Deployment::of_files(config, data_dir, study, Clock::Manual(clock.clone()))
}

/// Copies a closed deployment into a folder inside its own.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("{} cannot be made", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("{} cannot be read", from.display()))? {
        let (path, target) = {
            let entry = entry?;
            (entry.path(), to.join(entry.file_name()))
        };
        if path == to {
            continue;
        }
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            std::fs::copy(&path, &target).with_context(|| format!("{} cannot be copied", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_hospital_is_configured_by_files_that_the_program_reads() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(OffsetDateTime::UNIX_EPOCH);
        for (choosing, trains, entries) in [(Choosing::Active, true, 4), (Choosing::Random, false, 1)] {
            write(folder.path(), &Hospital { choosing, patients_per_day: 60, trains }).unwrap();
            let deployment = open(folder.path(), &clock).unwrap();
            assert_eq!(deployment.config.schedule.entries().len(), entries);
            assert_eq!(deployment.config.review.pool, 1800);
            assert_eq!(deployment.config.review.suspicions == 0, choosing == Choosing::Random);
            assert_eq!(deployment.now(), OffsetDateTime::UNIX_EPOCH);
            assert!(deployment.data_dir.starts_with(folder.path()));
        }
        assert_ne!(weak_study().unwrap().digest(), Study::default_study().digest());
    }
}
