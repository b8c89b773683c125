//! The generative network on a cohort with a known shape.

use clinical::{Rarity, Severity, Study};
use learn::Error;
use learn::gan::{FEWEST, Gan};
use prepare::resample::ResampleError;
use prepare::{Cohort, Folds, Groups, Stratum, Synthetic, TrainingCounts};

fn study() -> &'static Study {
    Study::default_study()
}

/// A fixed linear congruence, uniform in [0, 1).
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 * 2f64.powi(-53)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() * n as f64) as usize
    }
}

/// Healthy people: young, of both genders. Orphan patients: old where they are women, middle-aged where they are men,
/// with high pressure and little exercise.
fn cohort(orphans: usize) -> Cohort {
    let healthy = Stratum { severity: Severity(0), rarity: None, disease_code: None };
    let orphan = Stratum { severity: Severity(3), rarity: Some(Rarity::Orphan), disease_code: None };
    let mut stream = Stream(11);
    let mut rows = Vec::new();
    for _ in 0..3000 {
        let levels =
            [15 + stream.below(25), stream.below(2), stream.below(4), stream.below(3), 10 + stream.below(20)];
        rows.push((levels, healthy.clone()));
    }
    for _ in 0..orphans {
        let female = stream.next() < 0.6;
        let age = if female { 65 } else { 40 } + stream.below(10);
        let blood = if stream.next() < 0.8 { 3 } else { 1 };
        rows.push(([age, usize::from(!female), blood, 3 + stream.below(2), stream.below(6)], orphan.clone()));
    }
    let cell = |levels: [usize; 5]| study().domain().cell(&levels);
    Cohort::new(rows.into_iter().map(|(levels, stratum)| (cell(levels), 13, stratum, 1)))
}

fn training(orphans: usize) -> TrainingCounts {
    let cohort = cohort(orphans);
    let (groups, folds) = (Groups::of(study(), &cohort), Folds::new(&study().split, 2));
    TrainingCounts::without_fold(study(), &cohort, &groups, folds, 0).unwrap()
}

fn gan(steps: usize, seed: u64) -> Gan {
    Gan { steps, batch: 128, hidden: 48, learning_rate: 4e-3, seed }
}

/// Mean over the synthetic orphan cases.
fn mean(synthetic: &Synthetic, of: impl Fn(&[usize]) -> f64) -> f64 {
    let all: u64 = synthetic.of_group(1).map(|(_, cases)| cases).sum();
    let sum = synthetic.of_group(1).map(|(cell, cases)| of(&study().domain().levels(cell)) * cases as f64);
    sum.sum::<f64>() / all as f64
}

#[test]
fn synthetic_cases_have_the_shape_of_their_group() {
    let mut steps = Vec::new();
    let training = training(400);
    let synthetic =
        gan(600, 1).resample(study(), &training, &[0, 2000], &mut |step| steps.push(step)).unwrap();
    assert_eq!(steps, (1..=600).collect::<Vec<usize>>());
    assert_eq!(synthetic.totals(), [0, 2000]);
    assert_eq!(synthetic.left_out(), 0);
    let share = |of: fn(&[usize]) -> bool| mean(&synthetic, |levels| f64::from(u8::from(of(levels))));
    let female = share(|levels| levels[1] == 0);
    assert!((female - 0.6).abs() < 0.15, "female {female}");
    let blood = share(|levels| levels[2] == 3);
    assert!((blood - 0.8).abs() < 0.15, "blood {blood}");
    let pressure = share(|levels| levels[3] >= 3);
    assert!(pressure > 0.9, "pressure {pressure}");
    let days = mean(&synthetic, |levels| levels[4] as f64);
    assert!((days - 2.5).abs() < 1.5, "days {days}");
    // The dependence between age and gender is that of the cases, not of the marginals.
    let age = |gender: usize| {
        let of = |levels: &[usize]| f64::from(u8::from(levels[1] == gender));
        mean(&synthetic, |levels| of(levels) * levels[0] as f64) / mean(&synthetic, of)
    };
    assert!((age(0) - 69.5).abs() < 5.0 && (age(1) - 44.5).abs() < 6.0, "{} {}", age(0), age(1));
}

#[test]
fn the_seed_decides_every_case() {
    let training = training(250);
    let make = |gan: Gan, wanted: &[u64]| gan.resample(study(), &training, wanted, &mut |_| ()).unwrap();
    let one = make(gan(5, 1), &[0, 300]);
    assert_eq!(one, make(gan(5, 1), &[0, 300]));
    assert_ne!(one, make(gan(5, 2), &[0, 300]));
    // What another group wants changes nothing.
    assert!(make(gan(5, 1), &[50, 300]).of_group(1).eq(one.of_group(1)));
}

#[test]
fn a_group_with_too_few_cases_is_refused() {
    let training = training(FEWEST as usize - 1);
    let error = gan(5, 1).resample(study(), &training, &[0, 1], &mut |_| ()).unwrap_err();
    assert!(
        matches!(&error, Error::Resample(ResampleError::TooFew { cases: 199, needed: 200, .. })),
        "{error}"
    );
    // Of a group that is left as it is, any number is enough.
    assert!(gan(5, 1).resample(study(), &training, &[1], &mut |_| ()).is_ok());
    let error = Gan { batch: 1, ..gan(5, 1) }.resample(study(), &training, &[1], &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("out of its range"), "{error}");
}
