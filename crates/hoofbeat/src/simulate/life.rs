//! Life: a hospital's days, one after the other.
//!
//! The keeper's rule (queue what is owed, work it off) is asked every morning and after every session of the reviewers; looks,
//! trainings and decisions are the schedules' own.

use std::collections::HashMap;

use anyhow::{Context, Result};
use registry::ModelVersion;
use serde_json::Value;
use time::{Date, Duration, OffsetDateTime, Time, Weekday};

use super::exact::{Exact, Oracle};
use super::hospital::Hospital;
use super::plan::{Plan, What};
use super::reviewer::{self, Reviewed};
use super::timeline::{Challenge, Mark, Timeline};
use super::verdict::{self, Carelessness, Evidence, Recall, Search};
use super::world::{Era, World};
use super::{Asked, Simulated, settings};
use crate::clock::ManualClock;
use crate::deployment::Deployment;
use crate::pipeline::retrain::{self, Mode, Request};
use crate::pipeline::schedule;
use crate::pipeline::score::Scorer;
use crate::progress::Progress;

const MORNING: Time = time::macros::time!(06:00);
const NOON: Time = time::macros::time!(12:00);
const EVENING: Time = time::macros::time!(18:00);
const NIGHT: Time = time::macros::time!(22:00);
/// When the sources' data come, and when reviewers sit.
const EXPORTS_ON: Weekday = Weekday::Friday;
const SITS_ON: Weekday = Weekday::Wednesday;
/// Days after the beginning on which somebody tries a weak study by hand.
const TRIES_AFTER: Duration = Duration::days(20);

/// A hospital and what it goes through.
pub(super) struct Life<'a> {
    asked: &'a Asked,
    plan: &'a Plan,
    deployment: &'a Deployment,
    clock: ManualClock,
    world: World,
    oracle: Oracle,
    hospital: Hospital<'a>,
    timeline: Timeline,
    reviewed: Reviewed,
    recalls: Vec<Recall>,
    /// Exact figures that were computed already.
    known: HashMap<(String, Era), Exact>,
}

impl<'a> Life<'a> {
    /// The years before: the cases and the first model.
    pub(super) fn begin(asked: &Asked, plan: &Plan, deployment: &Deployment) -> Result<()> {
        let hospital = Hospital::open(deployment)?;
        hospital.begin(World::new(plan, asked.seed)?.history(asked.history)?)?;
        hospital.first_model(asked.seed)
    }

    /// A hospital whose first day is to come.
    pub(super) fn new(
        asked: &'a Asked,
        plan: &'a Plan,
        deployment: &'a Deployment,
        clock: &ManualClock,
    ) -> Result<Life<'a>> {
        let mut world = World::new(plan, asked.seed)?;
        // The stream goes on where the history ended.
        world.history(asked.history)?;
        // Schedules hold from now on.
        schedule::queue_due(deployment, deployment.now())?;
        Ok(Life {
            oracle: Oracle::new(&world.diseases),
            hospital: Hospital::open(deployment)?,
            clock: clock.clone(),
            timeline: Timeline::default(),
            reviewed: Reviewed::default(),
            recalls: Vec::new(),
            known: HashMap::new(),
            asked,
            plan,
            deployment,
            world,
        })
    }

    /// Lives every day, or until the new disease is found often enough.
    pub(super) fn live(&mut self, progress: &Progress, to_the_end: bool) -> Result<()> {
        let days = self.plan.days();
        let task = progress.task("living", Some(self.plan.days().count() as u64));
        for (number, day) in days.enumerate() {
            self.day(day, to_the_end).with_context(|| format!("on {day}"))?;
            task.at(number as u64 + 1);
            if !to_the_end && self.search().reached_after.is_some() {
                break;
            }
        }
        Ok(())
    }

    fn day(&mut self, day: Date, tries: bool) -> Result<()> {
        self.wake(day, MORNING);
        let (plan, at) = (self.plan, self.deployment.now());
        for event in &plan.events {
            let [begins, ends] = event.what.about();
            if event.from == day {
                self.timeline.note(at, Mark::Event, begins.to_owned());
            }
            if event.until == day {
                self.timeline.note(at, Mark::Event, ends.to_owned());
            }
        }
        if self.plan.event(What::Orphan).is_some_and(|event| event.from == day) {
            self.measure_recall(day)?;
        }
        self.work(day)?;
        self.wake(day, NOON);
        let arrivals = self.world.arrivals(day, self.asked.patients_per_day)?;
        let answered = self.hospital.receive(arrivals)?;
        if self.plan.is_on(What::Careless, day) {
            self.hospital.report_carelessly(day, &answered)?;
        }
        if tries && day == self.plan.begin + TRIES_AFTER {
            self.try_a_weak_study(day)?;
        }
        if day.weekday() == EXPORTS_ON {
            self.wake(day, EVENING);
            self.hospital.export(day)?;
        }
        if day.weekday() == SITS_ON {
            self.wake(day, EVENING);
            self.review(day)?;
            self.wake(day, NIGHT);
            self.work(day)?;
        }
        Ok(())
    }

    fn wake(&self, day: Date, time: Time) {
        self.clock.set(OffsetDateTime::new_utc(day, time));
    }

    /// Queues what is owed and works it off.
    fn work(&mut self, day: Date) -> Result<()> {
        let before = self.deployment.registry.champion_epoch()?;
        schedule::queue_due(self.deployment, self.deployment.now())?;
        for job in schedule::run_queued(self.deployment)? {
            if let Some(outcome) = self.timeline.job(self.deployment, &job)? {
                self.weigh(day, &job.slot, outcome)?;
            }
        }
        let has_changed = self.deployment.registry.champion_epoch()? != before;
        if has_changed && self.plan.is_on(What::Orphan, day) {
            self.measure_recall(day)?;
        }
        Ok(())
    }

    /// Holds a challenger and its champion against the truth.
    fn weigh(&mut self, day: Date, what: &str, summary: &Value) -> Result<()> {
        let version = |value: &Value| value.as_str().and_then(|text| text.parse::<ModelVersion>().ok());
        let (Some(champion), Some(challenger)) =
            (version(&summary["champion"]), version(&summary["challenger"]["model"]))
        else {
            return Ok(());
        };
        let exact = [self.exact(champion, day)?, self.exact(challenger, day)?];
        let at = self.deployment.now();
        let because = summary["because"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let challenge = Challenge {
            at,
            mode: summary["mode"].as_str().unwrap_or_default().to_owned(),
            champion,
            challenger,
            promoted: summary["decision"] == "promoted",
            because: because.map(str::to_owned).collect(),
            exact,
        };
        self.timeline.challenge(what, challenge);
        Ok(())
    }

    fn exact(&mut self, version: ModelVersion, day: Date) -> Result<Exact> {
        let era = Era::of(self.plan, day);
        let key = (version.to_string(), era);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let scorer = Scorer::open(self.deployment, &self.deployment.registry.model(version)?)?;
        let exact = self.oracle.exact(&scorer, era)?;
        self.known.insert(key, exact);
        Ok(exact)
    }

    fn measure_recall(&mut self, day: Date) -> Result<()> {
        let champion = self.deployment.champion()?.version;
        let recall = self.exact(champion, day)?.new_disease_recall;
        let target = self.deployment.study.targets.orphan_recall;
        let validated = self.reviewed.found_new.len() as u64;
        let is_first = recall >= target && self.recalls.iter().all(|at| at.recall < target);
        if is_first && !self.recalls.is_empty() {
            let text = format!(
                "the new disease is found in {recall:.2} of its patients, after {validated} confirmed cases and {} reviews",
                self.reviewed.since_new
            );
            self.timeline.note(self.deployment.now(), Mark::Reached, text);
        }
        self.recalls.push(Recall { day, validated, reviews: self.reviewed.since_new, recall });
        Ok(())
    }

    fn review(&mut self, day: Date) -> Result<()> {
        let seed = self.asked.seed.wrapping_add((day - self.plan.begin).whole_days() as u64);
        let found = self.reviewed.found_new.len();
        reviewer::sit(
            self.deployment,
            &self.hospital.truths,
            self.asked.reviews_per_week,
            seed,
            self.plan.is_on(What::Orphan, day),
            &mut self.reviewed,
        )?;
        if found == 0 && !self.reviewed.found_new.is_empty() {
            let text = format!("first cases of {} confirmed by review", self.new_disease()?);
            self.timeline.note(self.deployment.now(), Mark::Reached, text);
        }
        Ok(())
    }

    /// Somebody has a study of their own and asks for a training by it: only the gates stand between.
    fn try_a_weak_study(&mut self, day: Date) -> Result<()> {
        let weak = self.deployment.with_study(settings::weak_study()?);
        let turn =
            retrain::turn(&weak, Mode::Full, &Request { by: "cli:trying".to_owned(), attempt: None }, false)?;
        self.weigh(day, "a weak study by hand", &turn.summary())
    }

    fn new_disease(&self) -> Result<String> {
        Ok(self.world.diseases.new_disease()?.code.clone().unwrap_or_default())
    }

    /// What choosing reviews took.
    pub(super) fn search(&self) -> Search {
        Search::of(&self.recalls, self.deployment.study.targets.orphan_recall, &self.reviewed)
    }

    fn carelessness(&self) -> Result<Carelessness> {
        let registry = &self.deployment.registry;
        let (mut marked, mut wrong_cases, mut after) = (0, 0, 0);
        loop {
            let reviews = registry.reviews(None, after, 1000)?;
            let Some(last) = reviews.last() else { break };
            after = last.place;
            for review in &reviews {
                let careless = review.feedback.is_some() && review.marks.flood.is_some();
                marked += u64::from(careless);
                let confirmed = review.resolution.as_ref().filter(|_| review.dataset_version.is_some());
                let Some(registry::Outcome::Case { severity, rarity, disease_code }) =
                    confirmed.map(|resolution| &resolution.outcome)
                else {
                    continue;
                };
                let truth = self.hospital.truths.get(&review.prediction_id).context("a review of nobody")?;
                let right = severity == truth.severity_code()
                    && rarity.as_deref().unwrap_or_default() == truth.rarity_code()
                    && *disease_code == truth.code;
                wrong_cases += u64::from(!right);
            }
        }
        Ok(Carelessness { reports: self.hospital.reports, marked, wrong_cases })
    }

    /// What it all shows.
    pub(super) fn conclude(self, at_random: Option<Search>) -> Result<Simulated> {
        let (search, carelessness) = (self.search(), self.carelessness()?);
        let verdict = verdict::judge(&Evidence {
            plan: self.plan,
            study: &self.deployment.study,
            timeline: &self.timeline,
            recalls: &self.recalls,
            search: &search,
            at_random: at_random.as_ref(),
            carelessness,
            window_days: self.deployment.config.monitoring.window_days,
        });
        Ok(Simulated {
            asked: *self.asked,
            plan: self.plan.clone(),
            new_disease: self.new_disease()?,
            served: self.hospital.served,
            refused: self.hospital.refused,
            reviewed: self.reviewed,
            recalls: self.recalls,
            search,
            at_random,
            carelessness,
            timeline: self.timeline,
            verdict,
        })
    }
}
