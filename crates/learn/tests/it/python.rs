//! Saved models open in the official Python packages and answer there as here.

use std::path::{Path, PathBuf};
use std::process::Command;

use learn::Matrix;
use learn::bundle::files;
use learn::learner::{Job, Learner, Lightgbm, Mlp, Parameters, Target, Xgboost};

use crate::cohort::{CLASSES, every, softmax, with_held_out};
use crate::worker::{engines, trainer};

/// Bar for the largest difference of a probability.
const TOLERANCE: f64 = 1e-6;

fn python() -> PathBuf {
    let python = engines().join("python/bin/python");
    assert!(
        python.is_file(),
        "the Python packages to compare with are not in {}: run scripts/python-peers (make test does)",
        engines().join("python").display()
    );
    python
}

fn bytes<const N: usize>(numbers: impl Iterator<Item = [u8; N]>) -> Vec<u8> {
    numbers.flatten().collect()
}

/// Every learner, and continued ones, whose files are merged from two trainings.
fn jobs() -> Vec<Job> {
    let (x, train, held_out) = with_held_out();
    let boosted = |subsample| (40, Some(10), subsample);
    let (rounds, early_stopping, subsample) = boosted(0.8);
    let learners = [
        Parameters::Xgboost(Xgboost { rounds, early_stopping, subsample, ..Xgboost::default() }),
        Parameters::Lightgbm(Lightgbm { rounds, early_stopping, subsample, ..Lightgbm::default() }),
        Parameters::Mlp(Mlp { epochs: 5, early_stopping: None, hidden: vec![16, 8], ..Mlp::default() }),
    ];
    learners
        .into_iter()
        .flat_map(|parameters| {
            let target = Target::Counts { train: train.clone(), held_out: Some(held_out.clone()) };
            let job = Job { score: Some(every()), ..Job::new(x.clone(), target, parameters) };
            let start = trainer(1).fit(&job, &mut |_| {}).unwrap().model;
            [job.clone(), Job { start: Some(start), seed: 1, ..job }]
        })
        .collect()
}

/// Largest difference between our probabilities and those of a Python package.
fn difference(folder: &Path, learner: Learner, model: &[u8], p: &Matrix<f64>) -> f64 {
    let file = files::model(0, learner).rsplit('/').next().unwrap().to_owned();
    std::fs::write(folder.join(&file), model).unwrap();
    std::fs::write(folder.join("p"), bytes(p.as_slice().iter().map(|p| p.to_le_bytes()))).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/python.py");
    let (columns, classes) = (every().columns().to_string(), CLASSES.to_string());
    let run = Command::new(python())
        .arg(script)
        .args([learner.name(), &file, &columns, &classes])
        .current_dir(folder)
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn saved_models_answer_the_same_in_their_python_packages() {
    let folder = tempfile::tempdir().unwrap();
    let x = every();
    std::fs::write(folder.path().join("x"), bytes(x.as_slice().iter().map(|x| x.to_le_bytes()))).unwrap();
    for job in jobs() {
        let learner = job.parameters.learner();
        let fit = trainer(1).fit(&job, &mut |_| {}).unwrap();
        let p = fit.margins.iter_rows().flat_map(softmax).collect();
        let mut p = Matrix::from_vec(x.rows(), CLASSES, p).unwrap();
        let found = difference(folder.path(), learner, &fit.model, &p);
        assert!(found < TOLERANCE, "{} after {} rounds: {found}", fit.engine, fit.rounds);
        // The comparison can fail.
        p.row_mut(3)[1] += 1e-3;
        assert!(difference(folder.path(), learner, &fit.model, &p) > 9e-4);
    }
}
