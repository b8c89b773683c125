//! Several processes train the model that one trains, and end together.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use learn::Matrix;
use learn::learner::{Distributed, Job, Lightgbm, Parameters, Progress, Target, Xgboost};

use crate::cohort::difference;
use crate::worker::{process_script, shell, trainer};

/// Cells of three classes over a number with `levels` values, one with 20, and two indicators; every
/// fifth case is held out.
fn job(levels: usize, settings: Xgboost) -> Job {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let cells = levels * 40;
    let (mut x, mut parts) = (Matrix::zeros(cells, 4), [Matrix::zeros(cells, 3), Matrix::zeros(cells, 3)]);
    for cell in 0..cells {
        let (a, b, c) = (cell / 40, cell / 2 % 20, cell % 2);
        x.row_mut(cell).copy_from_slice(&[
            a as f32 / levels as f32,
            b as f32 / 19.0,
            c as f32,
            1.0 - c as f32,
        ]);
        for case in 0..draw(9) {
            let sick = 70 * a / levels + b * (1 + c);
            let class =
                if (draw(100) as usize) < sick.min(95) { 1 + usize::from(draw(20) < b as u64) } else { 0 };
            parts[usize::from(case == 4)].row_mut(cell)[class] += 1.0;
        }
    }
    let [train, held_out] = parts;
    let job = Job::new(x, Target::Counts { train, held_out: Some(held_out) }, Parameters::Xgboost(settings));
    Job { seed: 11, ..job }
}

fn settings() -> Xgboost {
    Xgboost { rounds: 40, early_stopping: Some(5), eta: 0.3, columns: 0.7, ..Xgboost::default() }
}

fn plan(workers: usize) -> Distributed {
    Distributed { workers, host: "127.0.0.1".into(), launch: Vec::new() }
}

fn silent(_: Progress) {}

/// Bar for the largest difference of a probability between one process and several. On the cohorts
/// here the files are the same bytes; sums of many processes may differ in the last place.
const TOLERANCE: f64 = 1e-6;

fn compare(job: &Job, workers: usize) {
    let alone = trainer(1).fit(job, &mut silent).unwrap();
    let mut steps = Vec::new();
    let together = trainer(1).distributed(plan(workers)).fit(job, &mut |step| steps.push(step)).unwrap();
    assert_eq!(together.rounds, alone.rounds);
    assert_eq!(steps.len(), together.held_out_loss.len() + 2, "one process's steps are told");
    for (a, b) in together.held_out_loss.iter().zip(&alone.held_out_loss) {
        assert!((a - b).abs() < 1e-7, "{a} {b}");
    }
    let difference = difference(&alone, &together);
    assert!(difference < TOLERANCE, "{workers} processes: {difference}");
}

#[test]
fn several_processes_train_the_model_of_one() {
    let job = job(120, settings());
    compare(&job, 2);
    compare(&job, 3);
    let weighted = Job { class_weights: Some(vec![1.0, 2.0, 7.0]), ..job.clone() };
    compare(&weighted, 2);
    // Continued, without early stopping, scoring other rows.
    let start = trainer(1).fit(&job, &mut silent).unwrap().model;
    let few = Parameters::Xgboost(Xgboost { rounds: 6, early_stopping: None, ..settings() });
    let score = Some(job.x.select(&[5, 17, 4000, 23, 1, 4799, 0]));
    compare(&Job { parameters: few, start: Some(start), score, ..job }, 2);
}

/// More values than bins, and far more: the candidate splits have to be the same all the same.
#[test]
fn so_they_do_where_values_are_many_and_bins_few() {
    for (levels, bins) in [(128, 16), (129, 16), (1500, 16)] {
        compare(&job(levels, Xgboost { bins, rounds: 12, ..settings() }), 3);
    }
}

#[test]
fn too_few_patients_for_the_processes_are_refused() {
    let error = trainer(1).distributed(plan(40)).fit(&job(20, settings()), &mut silent).unwrap_err();
    assert!(error.to_string().contains("40 processes need"), "{error}");
}

#[test]
fn other_learners_train_in_one_process() {
    let job = job(20, settings());
    let lightgbm = Lightgbm { rounds: 5, early_stopping: None, ..Lightgbm::default() };
    let job = Job { parameters: Parameters::Lightgbm(lightgbm), ..job };
    assert_eq!(
        trainer(1).distributed(plan(2)).fit(&job, &mut silent).unwrap(),
        trainer(1).fit(&job, &mut silent).unwrap()
    );
}

/// The processes of one run, each of which wrote its identifier before it began.
struct Pids(tempfile::TempDir);

impl Pids {
    /// A trainer whose processes note themselves here.
    fn trainer(&self, workers: usize) -> learn::learner::Trainer {
        let note = format!("echo $$ >{}/$1-$3; {}", self.0.path().display(), process_script());
        shell(&note, 1).distributed(plan(workers))
    }

    fn of(&self, name: &str) -> u32 {
        std::fs::read_to_string(self.0.path().join(name)).unwrap().trim().parse().unwrap()
    }

    fn kill(&self, name: &str) {
        assert!(Command::new("kill").args(["-9", &self.of(name).to_string()]).status().unwrap().success());
    }

    fn assert_ended(&self) {
        let files: Vec<PathBuf> =
            std::fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 4, "a tracker and three processes: {files:?}");
        for file in files {
            let pid = self.of(file.file_name().unwrap().to_str().unwrap());
            assert!(!Path::new("/proc").join(pid.to_string()).exists(), "{} is still there", file.display());
        }
    }
}

/// Runs until `round`, then does something to the processes.
fn disturbed(at: &Pids, round: usize, disturb: impl Fn(&Pids)) -> String {
    let long = job(120, Xgboost { rounds: 100_000, early_stopping: None, ..settings() });
    let trained = at.trainer(3).fit(&long, &mut |step| {
        if step.round == round {
            disturb(at);
        }
    });
    at.assert_ended();
    trained.unwrap_err().to_string()
}

#[test]
fn a_killed_process_ends_the_run_and_all_the_others() {
    for victim in [0, 1, 2] {
        let pids = Pids(tempfile::tempdir().unwrap());
        let error = disturbed(&pids, 4, |pids| pids.kill(&format!("member-{victim}")));
        assert!(error.contains(&format!("number {victim} of 3 was ended by signal 9")), "{error}");
        assert!(error.contains("nothing is kept"), "{error}");
    }
}

#[test]
fn a_killed_meeting_point_ends_the_run() {
    let pids = Pids(tempfile::tempdir().unwrap());
    let error = disturbed(&pids, 4, |pids| pids.kill("tracker-3"));
    assert!(error.contains("the meeting point was ended by signal 9"), "{error}");
}

#[test]
fn a_process_that_never_comes_is_named() {
    let script =
        format!("[ \"$1-$3\" != member-1 ] || {{ echo no memory >&2; exit 7; }}; {}", process_script());
    let error = shell(&script, 1).distributed(plan(3)).fit(&job(120, settings()), &mut silent).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("number 1 of 3 ended with status 7") && error.contains("no memory"), "{error}");
}

#[test]
fn a_run_that_is_called_off_leaves_no_process() {
    let pids = Pids(tempfile::tempdir().unwrap());
    let long = job(120, Xgboost { rounds: 100_000, early_stopping: None, ..settings() });
    let fits = pids.trainer(3).fit_until(&[long], &mut |step| {
        if step.round == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(fits.unwrap(), [None]);
    pids.assert_ended();
}

/// Processes on other machines are started by another command, which gets their number.
#[test]
fn a_command_of_ones_own_starts_the_processes() {
    let job = job(120, Xgboost { rounds: 4, early_stopping: None, ..settings() });
    let started = tempfile::tempdir().unwrap();
    let note = format!("touch {}/\"$0\"; exec \"$@\"", started.path().display());
    let launch: Vec<String> =
        ["sh", "-c", &note, "node-{rank}", "sh"].into_iter().map(str::to_owned).collect();
    let plan = Distributed { launch, ..plan(2) };
    let together = trainer(1).distributed(plan).fit(&job, &mut silent).unwrap();
    assert!(difference(&together, &trainer(1).fit(&job, &mut silent).unwrap()) < TOLERANCE);
    let mut names: Vec<_> =
        std::fs::read_dir(started.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["node-0", "node-1"]);
}
