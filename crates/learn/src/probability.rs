//! Small sums over probabilities.

/// The softmax of `margins` into `p`, without overflow; both have the same length.
pub(crate) fn softmax_into(margins: impl Iterator<Item = f64>, p: &mut [f64]) {
    let mut highest = f64::NEG_INFINITY;
    for (p, margin) in p.iter_mut().zip(margins) {
        *p = margin;
        highest = highest.max(margin);
    }
    let mut sum = 0.0;
    for p in p.iter_mut() {
        *p = (*p - highest).exp();
        sum += *p;
    }
    for p in p.iter_mut() {
        *p /= sum;
    }
}

/// The position of the highest probability, the first on a tie; 0 of none.
pub(crate) fn highest(p: &[f64]) -> usize {
    let better = |best: (usize, f64), (at, &p): (usize, &f64)| if p > best.1 { (at, p) } else { best };
    p.iter().enumerate().fold((0, f64::NEG_INFINITY), better).0
}

/// The inverse of [`logit`].
pub(crate) fn sigmoid(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
}

/// ln(p / (1 - p)), finite for every p in [0, 1].
pub(crate) fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-15, 1.0 - 1e-15);
    (p / (1.0 - p)).ln()
}
