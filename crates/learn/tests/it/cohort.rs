//! A small cohort that several tests share.

use std::collections::BTreeMap;

use learn::Matrix;
use learn::learner::Fit;

/// Features of a case (below 25, 8 and 2) and its label.
pub(crate) type Row = ([u8; 3], u32);

pub(crate) const CLASSES: usize = 3;

/// 4,000 cases of 3 classes over two numbers and a pair of complementary columns, with odds that depend
/// on all of them. The stream is a fixed linear congruence.
pub(crate) fn rows() -> Vec<Row> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    (0..4000)
        .map(|_| {
            let (a, b, c) = (draw(25) as u8, draw(8) as u8, draw(2) as u8);
            let sick = u64::from(a) * 3 + u64::from(b) * u64::from(c) * 2;
            let label = if draw(100) < sick.min(95) { 1 + u32::from(draw(10) < u64::from(b)) } else { 0 };
            ([a, b, c], label)
        })
        .collect()
}

pub(crate) fn encode(features: impl Iterator<Item = [u8; 3]>) -> Matrix<f32> {
    let data: Vec<f32> = features
        .flat_map(|[a, b, c]| [f32::from(a) / 24.0, f32::from(b) / 7.0, f32::from(c), f32::from(1 - c)])
        .collect();
    Matrix::from_vec(data.len() / 4, 4, data).unwrap()
}

/// Every combination of the features.
pub(crate) fn every() -> Matrix<f32> {
    encode((0..400u16).map(|i| [(i / 16) as u8, (i / 2 % 8) as u8, (i % 2) as u8]))
}

/// The distinct combinations that occur, encoded, with their cases of each class.
pub(crate) fn cells(rows: &[Row]) -> (Matrix<f32>, Matrix<f64>) {
    let mut cells = BTreeMap::<[u8; 3], [f64; CLASSES]>::new();
    rows.iter().for_each(|(features, label)| cells.entry(*features).or_default()[*label as usize] += 1.0);
    let counts = Matrix::from_vec(cells.len(), CLASSES, cells.values().flatten().copied().collect()).unwrap();
    (encode(cells.keys().copied()), counts)
}

/// The cells of all rows with the cases of every fifth row held out: features, training and held-out counts.
pub(crate) fn with_held_out() -> (Matrix<f32>, Matrix<f64>, Matrix<f64>) {
    let mut cells = BTreeMap::<[u8; 3], [[f64; CLASSES]; 2]>::new();
    for (i, (features, label)) in rows().into_iter().enumerate() {
        cells.entry(features).or_default()[usize::from(i % 5 == 0)][label as usize] += 1.0;
    }
    let counts = |part: usize| {
        let counts = cells.values().flat_map(|counts| counts[part]).collect();
        Matrix::from_vec(cells.len(), CLASSES, counts).unwrap()
    };
    (encode(cells.keys().copied()), counts(0), counts(1))
}

pub(crate) fn softmax(margins: &[f32]) -> Vec<f64> {
    let highest = margins.iter().copied().fold(f32::MIN, f32::max);
    let e: Vec<f64> = margins.iter().map(|margin| f64::from(margin - highest).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|e| e / sum).collect()
}

pub(crate) fn probabilities(fit: &Fit) -> Vec<f64> {
    fit.margins.iter_rows().flat_map(softmax).collect()
}

/// The largest difference of two fits' probabilities.
pub(crate) fn difference(a: &Fit, b: &Fit) -> f64 {
    let (a, b) = (probabilities(a), probabilities(b));
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Mean log loss of counted cases under margins of the same rows.
pub(crate) fn log_loss(margins: &Matrix<f32>, counts: &Matrix<f64>) -> f64 {
    let (mut loss, mut cases) = (0.0, 0.0);
    for (margins, counts) in margins.iter_rows().zip(counts.iter_rows()) {
        for (p, count) in softmax(margins).iter().zip(counts).filter(|(_, count)| **count > 0.0) {
            loss -= count * p.ln();
            cases += count;
        }
    }
    loss / cases
}
