//! Training in a process of its own. The test program is its own training process: the test
//! `process` below, started with another standard output, is what the product's hidden command is.

use std::ops::ControlFlow;
use std::path::Path;

use learn::learner::{Job, Parameters, Progress, Role, Target, Trainer, Xgboost, worker_main};
use learn::{Error, Matrix};

const MARK: &str = "HOOFBEAT_TEST_TRAINING_PROCESS";
const ARGUMENTS: &str = "HOOFBEAT_TEST_TRAINING_ARGUMENTS";

/// Not a test by itself: does nothing unless a [`trainer`] started it.
#[test]
fn process() {
    if std::env::var_os(MARK).is_none() {
        return;
    }
    // The test harness writes to standard output; the answer goes where `trainer` moved the pipe.
    let output = std::fs::OpenOptions::new().write(true).open("/dev/fd/3").unwrap();
    let role = Role::parse(&arguments()).unwrap();
    let done = worker_main(&role, std::io::stdin(), output);
    std::process::exit(i32::from(done.is_err()));
}

/// What the process was started for, as [`trainer`] passes it on.
fn arguments() -> Vec<String> {
    let arguments = std::env::var(ARGUMENTS).unwrap_or_default();
    arguments.split_whitespace().map(str::to_owned).collect()
}

/// The libraries lie at the root of the repository, two folders above the crate.
pub(crate) fn engines() -> std::path::PathBuf {
    let named = std::env::var_os("HOOFBEAT_ENGINES").map(Into::into);
    named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.engines"))
}

pub(crate) fn shell(script: &str, parallel: usize) -> Trainer {
    // Every test sets the same value, before its first process.
    let engines = engines();
    assert!(engines.join("xgboost/lib/libxgboost.so").is_file(), "run scripts/fetch-engines first");
    // SAFETY: the tests read no other variable while this one is set, always to the same value.
    unsafe { std::env::set_var("HOOFBEAT_ENGINES", &engines) };
    let program = std::env::current_exe().unwrap().display().to_string();
    Trainer::new("sh", ["-c".to_owned(), script.to_owned(), program], parallel)
}

/// The shell's line that becomes a training process of this program.
pub(crate) fn process_script() -> String {
    let process = "exec \"$0\" worker::process --exact --quiet 3>&1 >/dev/null";
    format!("{MARK}=1 {ARGUMENTS}=\"$*\" {process}")
}

/// Trains in child processes of this program.
pub(crate) fn trainer(parallel: usize) -> Trainer {
    shell(&process_script(), parallel)
}

fn job() -> Job {
    let x = Matrix::from_vec(4, 1, vec![0.0, 1.0, 2.0, 3.0]).unwrap();
    let train = Matrix::from_vec(4, 2, vec![90.0, 10.0, 70.0, 30.0, 30.0, 70.0, 10.0, 90.0]).unwrap();
    let held_out = Some(Matrix::from_vec(4, 2, vec![9.0, 1.0, 7.0, 3.0, 3.0, 7.0, 1.0, 9.0]).unwrap());
    let settings = Xgboost { rounds: 200, eta: 0.3, columns: 1.0, ..Xgboost::default() };
    Job::new(x, Target::Counts { train, held_out }, Parameters::Xgboost(settings))
}

fn silent(_: Progress) {}

#[test]
fn learns_shares_stops_early_and_reports() {
    let mut steps = Vec::new();
    let fit = trainer(1).fit(&job(), &mut |step| steps.push(step)).unwrap();
    for (row, share) in fit.margins.iter_rows().zip([0.1, 0.3, 0.7, 0.9]) {
        let p = 1.0 / (1.0 + f64::from(row[0] - row[1]).exp());
        assert!((p - share).abs() < 0.02, "{p} for {share}");
    }
    assert!(
        fit.rounds < fit.held_out_loss.len() && fit.held_out_loss.len() < 200,
        "it stops early and keeps the best round"
    );
    assert_eq!(fit.held_out_loss.len(), fit.rounds + 30);
    let rounds: Vec<usize> = steps.iter().map(|step| step.round).collect();
    let expected: Vec<usize> = (0..=fit.held_out_loss.len()).chain([fit.rounds]).collect();
    assert_eq!(rounds, expected, "from before its process starts to the rounds that it kept");
    let last = steps.last().unwrap();
    assert!(last.done && last.held_out_loss == Some(fit.held_out_loss[fit.rounds - 1]));
    assert!(steps[1].held_out_loss > steps[20].held_out_loss);
}

#[test]
fn same_seed_same_bytes_other_seed_other_bytes() {
    let trainer = trainer(2);
    let seeded = |seed| Job { seed, ..job() };
    let fits = trainer.fit_all(&[seeded(1), seeded(1), seeded(2)], &mut silent).unwrap();
    assert_eq!(fits[0], fits[1]);
    assert_ne!(fits[0].model, fits[2].model);
}

#[test]
fn a_killed_process_is_named() {
    let error = shell("kill -9 $$", 1).fit(&job(), &mut silent).unwrap_err();
    assert!(error.to_string().contains("ended by signal 9"), "{error}");
}

#[test]
fn an_exit_and_its_last_words_are_named() {
    let error = shell("echo out of memory >&2; exit 7", 1).fit(&job(), &mut silent).unwrap_err();
    assert!(error.to_string().contains("status 7") && error.to_string().contains("out of memory"), "{error}");
}

#[test]
fn garbage_is_refused_and_the_process_ended() {
    let error = shell("echo hello; exec sleep 600", 1).fit(&job(), &mut silent).unwrap_err();
    assert!(matches!(error, Error::Protocol(_)), "{error}");
}

#[test]
fn one_failure_ends_the_others() {
    let start = std::time::Instant::now();
    let error =
        shell("test -n \"$0\" && exit 3", 2).fit_all(&[job(), job(), job()], &mut silent).unwrap_err();
    assert!(matches!(error, Error::Worker { .. }), "{error}");
    assert!(start.elapsed().as_secs() < 30);
}

#[test]
fn a_job_that_is_called_off_leaves_its_place_empty() {
    let mut steps = Vec::new();
    let fits = trainer(2).fit_until(&[job(), job(), job()], &mut |step| {
        steps.push((step.job, step.round));
        let stop = step.job == 0 && step.round == 5 || step.job == 1 && step.round == 0;
        if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let fits: Vec<bool> = fits.unwrap().iter().map(Option::is_some).collect();
    assert_eq!(fits, [false, false, true]);
    let of = |job| steps.iter().filter(|step| step.0 == job).map(|step| step.1).max();
    assert_eq!((of(0), of(1)), (Some(5), Some(0)), "no step follows the one that called it off");
}

#[test]
fn the_librarys_own_reason_is_passed_on() {
    let mut job = job();
    job.target = Target::Labels { labels: vec![0, 1, 0, 1], weights: vec![f32::MAX; 4], classes: 2 };
    job.parameters =
        Parameters::Xgboost(Xgboost { early_stopping: None, subsample: 1.0, ..Xgboost::default() });
    job.class_weights = Some(vec![1e10, 1.0]);
    let error = trainer(1).fit(&job, &mut silent).unwrap_err().to_string();
    assert!(error.contains("XGDMatrixSetInfoFromInterface"), "{error}");
}

#[test]
fn malformed_jobs_are_refused_before_a_process_starts() {
    let refused = |change: fn(&mut Job)| {
        let mut job = job();
        change(&mut job);
        job.check().unwrap_err().to_string()
    };
    assert!(refused(|job| job.x = Matrix::zeros(3, 1)).contains("4 x 2"));
    assert!(refused(|job| job.x = Matrix::from_vec(4, 1, vec![f32::NAN; 4]).unwrap()).contains("finite"));
    assert!(
        refused(|job| job.target = Target::Counts { train: Matrix::zeros(4, 2), held_out: None })
            .contains("zero")
    );
    assert!(refused(|job| job.class_weights = Some(vec![1.0])).contains("class weights"));
    assert!(refused(|job| job.class_weights = Some(vec![1.0, 0.0])).contains("class weight"));
    assert!(refused(|job| job.start = Some(b"x".to_vec())).contains("to continue from"));
    assert!(refused(|job| job.threads = 0).contains("threads"));
    let halves = Matrix::from_vec(4, 2, vec![0.5; 8]).unwrap();
    let job = Job { target: Target::Counts { train: halves, held_out: None }, ..job() };
    assert!(job.check().unwrap_err().to_string().contains("whole counts"));
}
