//! The measured side of `bench/imbalance.py`: reads rows, counts them, makes synthetic cases of the rare class.
//!
//! ```text
//! smote_nc ROWS.csv SEED OUT.csv      lines of five levels of the default study and 0 or 1 for the rare class
//! ```
//!
//! Writes one line per synthetic patient, its levels and the number of cases, as many cases as make both classes equal. Prints
//! the units of the numbers (the preprocessor's) as JSON.

use std::io::{BufRead, BufReader, BufWriter, Write};

use clinical::{Rarity, Severity, Study};
use prepare::resample::SmoteNc;
use prepare::{Cohort, Folds, Groups, Preprocessor, Stratum, TrainingCounts};

type Failure = Box<dyn std::error::Error>;

/// A training slot outside fold 0 of two.
const SLOT: u8 = 13;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rows, seed, out] = arguments.as_slice() else {
        return Err("usage: smote_nc ROWS.csv SEED OUT.csv".into());
    };
    let study = Study::default_study();
    let cohort = Cohort::new(read(study, rows)?);
    let preprocessor = Preprocessor::fit(study, &cohort);
    let (groups, folds) = (Groups::of(study, &cohort), Folds::new(&study.split, 2));
    let training = TrainingCounts::without_fold(study, &cohort, &groups, folds, 0)?;
    let totals = training.totals();
    let [common, rare] = totals.as_slice() else { return Err("the rows hold one class only".into()) };
    let smote = SmoteNc { neighbours: 5, seed: seed.parse()? };
    let synthetic = smote.resample(study, &preprocessor, &training, &[0, common.saturating_sub(*rare)])?;

    let mut file = BufWriter::new(std::fs::File::create(out)?);
    for (cell, cases) in synthetic.of_group(1) {
        for level in study.domain().levels(cell) {
            write!(file, "{level},")?;
        }
        writeln!(file, "{cases}")?;
    }
    file.flush()?;
    let unit = |feature| preprocessor.scale_of(feature).map_or(1.0, |scale| scale.factor);
    let units: Vec<f64> = (0..study.features().len()).map(unit).collect();
    let made: u64 = synthetic.totals().iter().sum();
    writeln!(
        std::io::stdout(),
        r#"{{"units": {units:?}, "made": {made}, "patients": {}}}"#,
        synthetic.cells().len()
    )?;
    Ok(())
}

/// (cell, slot, stratum, 1) of every row.
fn read(study: &Study, path: &str) -> Result<Vec<(usize, u8, Stratum, u64)>, Failure> {
    let common = Stratum { severity: study.healthy(), rarity: None, disease_code: None };
    let rare = Stratum { severity: Severity(3), rarity: Some(Rarity::Orphan), disease_code: None };
    let mut rows = Vec::new();
    let mut levels = vec![0; study.features().len()];
    for line in BufReader::new(std::fs::File::open(path)?).lines() {
        let line = line?;
        let mut fields = line.split(',');
        for level in &mut levels {
            *level = fields.next().ok_or("a line is too short")?.parse()?;
        }
        let stratum = if fields.next() == Some("1") { &rare } else { &common };
        rows.push((study.domain().cell(&levels), SLOT, stratum.clone(), 1));
    }
    Ok(rows)
}
