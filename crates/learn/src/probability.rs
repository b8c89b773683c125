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

/// The highest number of at most fifteen digits that is not above `x`: every JSON reader gives it back as it was.
///
/// For limits that something else is held against: a reader that is not exact to the last bit gave back a threshold just
/// above the very probability that had been raised to it.
pub(crate) fn limit(x: f64) -> f64 {
    // The largest power of ten that a binary number holds exactly.
    let mut scale = 1e22;
    while x.abs() * scale >= 1e15 && scale > 1.0 {
        scale /= 10.0;
    }
    let (limit, next) = ((x * scale).floor() / scale, ((x * scale).floor() - 1.0) / scale);
    if limit > x { next } else { limit }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::limit;

    proptest! {
        #[test]
        fn a_limit_is_hardly_below_and_comes_back_from_json_as_it_was(x in prop_oneof![0.0..1.0, -40.0..40.0, 0.0..1e-9]) {
            let limit = limit(x);
            prop_assert!(limit <= x && x - limit <= 1e-13 * x.abs() + 1e-22);
            let text = serde_json::to_string(&limit).unwrap();
            prop_assert_eq!(serde_json::from_str::<f64>(&text).unwrap().to_bits(), (limit + 0.0).to_bits());
        }
    }

    /// A threshold as it was chosen once, which the reader gave back larger.
    #[test]
    fn what_is_raised_to_a_limit_reaches_it_after_reading() {
        let chosen = 0.41909606060700805_f64;
        let read: f64 = serde_json::from_str(&serde_json::to_string(&chosen).unwrap()).unwrap();
        assert!(chosen < read, "the reader is exact by now");
        let (limit, text) = (limit(chosen), serde_json::to_string(&limit(chosen)).unwrap());
        assert_eq!(serde_json::from_str::<f64>(&text).unwrap(), limit);
    }
}
