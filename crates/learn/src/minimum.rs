//! Search along a line by the golden section (Kiefer 1953).

/// The place of the minimum of a function with one valley, to `precision`; an end where the valley lies there.
pub(crate) fn minimum(loss: impl Fn(f64) -> f64, mut low: f64, mut high: f64, precision: f64) -> f64 {
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (first, last) = (low, high);
    let (mut a, mut b) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut loss_a, mut loss_b) = (loss(a), loss(b));
    while high - low > precision {
        if loss_a <= loss_b {
            (high, b, loss_b) = (b, a, loss_a);
            a = high - ratio * (high - low);
            loss_a = loss(a);
        } else {
            (low, a, loss_a) = (a, b, loss_b);
            b = low + ratio * (high - low);
            loss_b = loss(b);
        }
    }
    let middle = (low + high) / 2.0;
    let ends = [(first, loss(first)), (last, loss(last)), (middle, loss(middle))];
    ends.into_iter().min_by(|x, y| x.1.total_cmp(&y.1)).map_or(middle, |(place, _)| place)
}
