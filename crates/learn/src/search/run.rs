//! The search itself: trials side by side, in an order that no timing changes.
//!
//! Trial n is chosen, and judged, from the results of the trials up to n - `in_flight`, and from nothing
//! else. So `in_flight` trials can run at once, on however many processes, finish in any order, be lost to
//! a kill and be run again: the trials and the winner are the same.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use clinical::study::Search;

use super::prune::Judge;
use super::score::FoldScore;
use super::space::{Point, Space};
use super::tpe::{Known, Sampler};
use super::trial::{State, Trial};
use crate::{Error, Result};

/// What is tried: the models of each fold at one point of the space.
pub trait Objective: Sync {
    /// Folds of a trial, at least 1.
    fn folds(&self) -> usize;

    /// How far one round takes at a point, above 0; comparable within a learner (its learning rate).
    fn pace(&self, point: &Point) -> f64;

    /// Trains the model of one fold and scores its held-out cases. `watch` is given the rounds done
    /// and the held-out loss; when it answers `false` the training ends and the score is none. The
    /// curve of the score is left to the caller.
    ///
    /// # Errors
    /// [`Error::Worker`] when this training failed, which ends the trial; any other error ends the search.
    fn fold(
        &self,
        point: &Point,
        fold: usize,
        watch: &mut dyn FnMut(usize, f64) -> bool,
    ) -> Result<Option<FoldScore>>;
}

/// What is searched, and how.
#[derive(Debug)]
pub struct Plan<'a> {
    pub space: &'a Space,
    pub search: &'a Search,
    /// Tried before anything else: the study's own settings of each learner.
    pub first: Vec<Point>,
    /// Trials in all.
    pub trials: usize,
    pub seed: u64,
    /// Trials trained at once; changes no result.
    pub workers: usize,
}

/// What happens during a search.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    Started {
        number: usize,
        point: &'a Point,
    },
    Round {
        number: usize,
        fold: usize,
        round: usize,
        loss: f64,
    },
    /// Its result must be kept before this is answered: later trials build on it.
    Ended(&'a Trial),
}

/// Makes the trials that `past` (of an interrupted search, in any order) lacks; answers all of them in
/// order. No trial starts once `go_on` answers `false`.
///
/// # Errors
/// An error of `follow` or of the objective, or when `past` is of another search.
pub fn run<E: From<Error>>(
    plan: &Plan<'_>,
    objective: &dyn Objective,
    past: Vec<Trial>,
    go_on: &(dyn Fn() -> bool + Sync),
    follow: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
) -> Result<Vec<Trial>, E> {
    let ended = past.into_iter().map(|trial| (trial.number, Arc::new(trial))).collect();
    let desk = Desk {
        plan,
        objective,
        go_on,
        state: Mutex::new(Open { ended, points: Vec::new(), closed: false }),
        changed: Condvar::new(),
        stopped: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..plan.workers.clamp(1, plan.search.in_flight) {
            let (sender, desk) = (sender.clone(), &desk);
            scope.spawn(move || {
                if let Err(error) = desk.work(&sender) {
                    // Nobody listens any more when another worker failed before.
                    let _ = sender.send(Message::Broken(error));
                }
            });
        }
        drop(sender);
        let mut done = Ok(());
        for message in receiver {
            if done.is_ok() {
                done = desk.hear(message, follow);
            }
            if done.is_err() {
                desk.stop();
            }
        }
        done
    })?;
    let ended = desk.state.into_inner().unwrap_or_else(PoisonError::into_inner).ended;
    Ok(ended.into_values().map(Arc::unwrap_or_clone).filter(|trial| trial.number < plan.trials).collect())
}

/// Where workers get trials and results are kept.
struct Desk<'a> {
    plan: &'a Plan<'a>,
    objective: &'a dyn Objective,
    go_on: &'a (dyn Fn() -> bool + Sync),
    state: Mutex<Open>,
    changed: Condvar,
    /// Something failed: running trials end, too.
    stopped: AtomicBool,
}

struct Open {
    ended: BTreeMap<usize, Arc<Trial>>,
    /// Points of the trials chosen so far.
    points: Vec<Point>,
    /// No further trial starts.
    closed: bool,
}

enum Message {
    Started { number: usize, point: Point },
    Round { number: usize, fold: usize, round: usize, loss: f64 },
    Ended(Trial),
    Broken(Error),
}

/// A trial to make.
struct Task {
    number: usize,
    point: Point,
    /// Complete trials that it may be compared with.
    others: Vec<Arc<Trial>>,
}

impl Desk<'_> {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn hear<E: From<Error>>(
        &self,
        message: Message,
        follow: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match message {
            Message::Started { number, point } => follow(Event::Started { number, point: &point }),
            Message::Round { number, fold, round, loss } => {
                follow(Event::Round { number, fold, round, loss })
            }
            Message::Ended(trial) => {
                follow(Event::Ended(&trial))?;
                let read_back = trial.read_back()?;
                self.lock().ended.insert(trial.number, Arc::new(read_back));
                self.changed.notify_all();
                Ok(())
            }
            Message::Broken(error) => Err(error.into()),
        }
    }

    fn work(&self, sender: &mpsc::Sender<Message>) -> Result<()> {
        while let Some(task) = self.next()? {
            let tell = |message| sender.send(message).is_ok() && !self.stopped.load(Ordering::Relaxed);
            tell(Message::Started { number: task.number, point: task.point.clone() });
            match self.make(task, &tell)? {
                Some(trial) => tell(Message::Ended(trial)),
                None => return Ok(()),
            };
        }
        Ok(())
    }

    /// The next trial to make, once everything that it is chosen from is known; none when there is no
    /// other.
    fn next(&self) -> Result<Option<Task>> {
        let mut open = self.lock();
        loop {
            let number = open.points.len();
            if open.closed || number >= self.plan.trials {
                return Ok(None);
            }
            let known = (number + 1).saturating_sub(self.plan.search.in_flight);
            if open.ended.range(..known).count() < known {
                open = self.changed.wait(open).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let point = self.choose(&open, number, known)?;
            let past = open.ended.get(&number);
            if past.is_some_and(|past| past.point != point) {
                return Err(Error::Invalid(format!(
                    "trial {number} of the interrupted search has other parameters than this search would try: \
                     it was made by another version of the program"
                )));
            }
            if past.is_none() && !(self.go_on)() {
                open.closed = true;
                self.changed.notify_all();
                return Ok(None);
            }
            let again = past.is_some();
            open.points.push(point.clone());
            self.changed.notify_all();
            if again {
                continue;
            }
            let others =
                open.ended.range(..known).map(|(_, trial)| trial).filter(|trial| trial.is_complete());
            return Ok(Some(Task { number, point, others: others.cloned().collect() }));
        }
    }

    /// The point of a trial from the results of the first `known` trials.
    fn choose(&self, open: &Open, number: usize, known: usize) -> Result<Point> {
        let plan = self.plan;
        if let Some(point) = plan.first.get(number) {
            return Ok(point.clone());
        }
        let sampler = Sampler { space: plan.space, seed: plan.seed, startup: plan.search.startup };
        let told: Vec<(&Point, Known)> = open
            .points
            .iter()
            .enumerate()
            .map(|(i, point)| {
                let trial = open.ended.get(&i).filter(|_| i < known);
                (point, trial.map_or(Known::Nothing, |trial| trial.known(plan.search)))
            })
            .collect();
        sampler
            .point(number - plan.first.len(), &told)
            .ok_or_else(|| Error::Invalid("the search space gives no point".into()))
    }

    /// Makes a trial; none when the search was stopped under way.
    fn make(&self, task: Task, tell: &dyn Fn(Message) -> bool) -> Result<Option<Trial>> {
        let Task { number, point, others } = task;
        let judge = Judge {
            pruner: &self.plan.search.pruner,
            others: others
                .into_iter()
                .map(|trial| (trial.clone(), self.objective.pace(&trial.point)))
                .collect(),
            learner: point.learner,
            pace: self.objective.pace(&point),
        };
        let mut folds = Vec::new();
        let mut state = State::Complete;
        for fold in 0..self.objective.folds() {
            match self.fold(number, &point, fold, &judge, tell)? {
                Fold::Scored(score) => folds.push(score),
                Fold::Ended(ended) => {
                    state = ended;
                    break;
                }
                Fold::Stopped => return Ok(None),
            }
            let unfinished = fold + 1 < self.objective.folds();
            let pruned = judge.between(folds.len(), super::score::log_loss(folds.iter()));
            if let Some(pruned) = pruned.filter(|_| unfinished) {
                state = State::Pruned(pruned);
                break;
            }
        }
        Ok(Some(Trial { number, point: point.clone(), state, folds }))
    }

    fn fold(
        &self,
        number: usize,
        point: &Point,
        fold: usize,
        judge: &Judge<'_>,
        tell: &dyn Fn(Message) -> bool,
    ) -> Result<Fold> {
        let (mut lowest, mut curve, mut ended) = (f64::INFINITY, Vec::new(), None);
        let mut watch = |round: usize, loss: f64| {
            if !loss.is_finite() {
                let reason = format!("fold {}, round {round}: the loss is no finite number", fold + 1);
                ended = Some(State::Failed { reason });
                return false;
            }
            lowest = lowest.min(loss);
            if Judge::judged(judge.pruner, round) {
                curve.push(lowest);
            }
            ended = judge.within(fold, round, lowest).map(State::Pruned);
            tell(Message::Round { number, fold, round, loss }) && ended.is_none()
        };
        let scored = self.objective.fold(point, fold, &mut watch);
        if let Some(state) = ended {
            return Ok(Fold::Ended(state));
        }
        match scored {
            Ok(Some(score)) => Ok(Fold::Scored(FoldScore { curve, ..score })),
            Ok(None) => Ok(Fold::Stopped),
            // A process that was ended because the search stopped has not failed by itself.
            Err(Error::Worker { .. }) if self.stopped.load(Ordering::Relaxed) => Ok(Fold::Stopped),
            Err(error @ Error::Worker { .. }) => Ok(Fold::Ended(State::Failed { reason: error.to_string() })),
            Err(error) => Err(error),
        }
    }
}

/// How a fold of a trial ended.
enum Fold {
    Scored(FoldScore),
    /// The trial ends here.
    Ended(State),
    /// The search was stopped.
    Stopped,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use clinical::study::Learner;
    use clinical::study::search::{Guide, Pruner};

    use super::super::choose::winner;
    use super::super::score::tests::fold;
    use super::super::space::{Axis, Branch, Scale};
    use super::*;

    /// Losses that fall with every round towards a valley of the parameters; each round takes a
    /// while that nobody can foresee.
    struct Valley {
        trained: AtomicUsize,
        jitter: u64,
        fails: Option<f64>,
    }

    fn valley(jitter: u64) -> Valley {
        Valley { trained: AtomicUsize::new(0), jitter, fails: None }
    }

    impl Objective for Valley {
        fn folds(&self) -> usize {
            3
        }

        fn pace(&self, point: &Point) -> f64 {
            point.settings["eta"].number().unwrap()
        }

        fn fold(
            &self,
            point: &Point,
            fold: usize,
            watch: &mut dyn FnMut(usize, f64) -> bool,
        ) -> Result<Option<FoldScore>> {
            self.trained.fetch_add(1, Ordering::Relaxed);
            let (eta, depth) = (self.pace(point), point.settings["depth"].number().unwrap());
            if self.fails == Some(depth) {
                return Err(Error::Worker { program: "p".into(), how: "died".into(), stderr: String::new() });
            }
            let floor =
                0.3 + (eta.ln() + 2.5).powi(2) / 50.0 + (depth - 4.0).powi(2) / 100.0 + fold as f64 / 100.0;
            for round in 1..=60 {
                if self.jitter > 0 {
                    let mixed = (round as u64 * 7 + depth as u64 * 13 + fold as u64 * 3) % self.jitter;
                    thread::sleep(Duration::from_micros(mixed));
                }
                if !watch(round, floor + (-(round as f64) * eta).exp()) {
                    return Ok(None);
                }
            }
            let hits = (100.0 * (1.0 - floor / 2.0)).round();
            Ok(Some(super::super::score::tests::fold(floor, [[hits, 100.0 - hits], [100.0 - hits, hits]])))
        }
    }

    fn space() -> Space {
        let eta = Axis { name: "eta".into(), scale: Scale::Real { low: 0.01, high: 0.5, log: true } };
        let depth = Axis { name: "depth".into(), scale: Scale::Whole { low: 1, high: 9, log: false } };
        Space::new(Vec::new(), vec![Branch { learner: Learner::Xgboost, axes: vec![depth, eta] }]).unwrap()
    }

    fn settings() -> Search {
        let pruner = Pruner { quantile: 0.25, warmup_rounds: 10, every: 5, ..Pruner::default() };
        Search { startup: 6, pruner, ..Search::default() }
    }

    fn plan<'a>(space: &'a Space, search: &'a Search, workers: usize) -> Plan<'a> {
        let first = vec![super::super::tpe::tests::along(&space.learners()[0], 0.1)];
        Plan { space, search, first, trials: 40, seed: 5, workers }
    }

    fn all(plan: &Plan<'_>, objective: &Valley, past: Vec<Trial>) -> Result<Vec<Trial>> {
        run(plan, objective, past, &|| true, &mut |_| Ok(()))
    }

    #[test]
    fn trials_do_not_depend_on_workers_or_timing() {
        let (space, search) = (space(), settings());
        let one = all(&plan(&space, &search, 1), &valley(0), Vec::new()).unwrap();
        assert_eq!(one.iter().map(|trial| trial.number).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
        for (workers, jitter) in [(2, 40), (4, 90), (9, 30)] {
            assert_eq!(all(&plan(&space, &search, workers), &valley(jitter), Vec::new()).unwrap(), one);
        }
        let pruned = one.iter().filter(|trial| matches!(trial.state, State::Pruned(_))).count();
        assert!((5..38).contains(&pruned), "{pruned} were given up");
        let won = winner(&one, &search).unwrap();
        let point = &one[won.number].point;
        let (eta, depth) =
            (point.settings["eta"].number().unwrap(), point.settings["depth"].number().unwrap());
        assert!((0.05..0.14).contains(&eta) && (3.0..=5.0).contains(&depth), "{point:?}");
    }

    #[test]
    fn an_interrupted_search_goes_on_where_it_stopped() {
        let (space, search) = (space(), settings());
        let plan = plan(&space, &search, 3);
        let whole = all(&plan, &valley(0), Vec::new()).unwrap();
        // What was kept at the interruption: without the two that were running, out of order.
        let mut past: Vec<Trial> = whole
            .iter()
            .filter(|trial| trial.number < 23 && ![18, 21].contains(&trial.number))
            .cloned()
            .collect();
        past.reverse();
        let (kept, objective) = (past.len(), valley(20));
        let mut started = Vec::new();
        let resumed = run::<Error>(&plan, &objective, past, &|| true, &mut |event| {
            if let Event::Started { number, .. } = event {
                started.push(number);
            }
            Ok(())
        });
        assert_eq!(resumed.unwrap(), whole);
        started.sort_unstable();
        assert_eq!(started.len(), 40 - kept);
        assert_eq!(started[..3], [18, 21, 23]);
        assert!(objective.trained.load(Ordering::Relaxed) <= 3 * started.len());
    }

    #[test]
    fn trials_of_another_search_are_refused() {
        let (space, search) = (space(), settings());
        let of_another_seed =
            all(&Plan { seed: 6, ..plan(&space, &search, 1) }, &valley(0), Vec::new()).unwrap();
        let error = all(&plan(&space, &search, 2), &valley(0), of_another_seed).unwrap_err();
        assert!(error.to_string().contains("other parameters"), "{error}");
    }

    #[test]
    fn a_failed_training_ends_its_trial_and_a_failed_keeper_the_search() {
        let (space, search) = (space(), settings());
        let plan = plan(&space, &search, 2);
        let fails = Valley { fails: Some(4.0), ..valley(0) };
        let trials = all(&plan, &fails, Vec::new()).unwrap();
        let failed = trials
            .iter()
            .filter(|trial| matches!(&trial.state, State::Failed { reason } if reason.contains("died")));
        assert!(failed.count() > 0);
        assert!(winner(&trials, &search).is_some());

        let objective = valley(0);
        let broken = run(&plan, &objective, Vec::new(), &|| true, &mut |event| match event {
            Event::Ended(trial) if trial.number == 5 => Err(Error::Invalid("the disk is full".into())),
            _ => Ok(()),
        });
        assert!(broken.unwrap_err().to_string().contains("disk is full"));
        assert!(objective.trained.load(Ordering::Relaxed) < 3 * 12, "the others end, too");
    }

    #[test]
    fn a_loss_that_is_no_number_fails_its_trial() {
        struct Diverges;
        impl Objective for Diverges {
            fn folds(&self) -> usize {
                2
            }
            fn pace(&self, _: &Point) -> f64 {
                1.0
            }
            fn fold(
                &self,
                _: &Point,
                _: usize,
                watch: &mut dyn FnMut(usize, f64) -> bool,
            ) -> Result<Option<FoldScore>> {
                Ok((watch(1, 0.5) && watch(2, f64::NAN)).then(|| fold(0.5, [[1.0, 0.0], [0.0, 1.0]])))
            }
        }
        let (space, search) = (space(), settings());
        let trials =
            run::<Error>(&plan(&space, &search, 2), &Diverges, Vec::new(), &|| true, &mut |_| Ok(()));
        for trial in trials.unwrap() {
            assert!(matches!(&trial.state, State::Failed { reason } if reason.contains("fold 1, round 2")));
        }
    }

    #[test]
    fn nothing_starts_once_the_time_is_over() {
        let (space, search) = (space(), Search { guide: Guide::Metric, ..settings() });
        let left = AtomicUsize::new(9);
        let go_on =
            || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        let trials = run::<Error>(&plan(&space, &search, 2), &valley(0), Vec::new(), &go_on, &mut |_| Ok(()));
        assert_eq!(trials.unwrap().len(), 9);
    }
}
