//! Confusion matrices and the F1 scores that follow from them.

/// Weights by `[true class][decided class]`.
#[derive(Debug, Clone)]
pub(crate) struct Confusion {
    classes: usize,
    weight: Vec<f64>,
}

impl Confusion {
    pub(crate) fn new(classes: usize) -> Self {
        Self { classes, weight: vec![0.0; classes * classes] }
    }

    #[inline]
    pub(crate) fn add(&mut self, truth: usize, decided: usize, weight: f64) {
        self.weight[truth * self.classes + decided] += weight;
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        for (sum, &w) in self.weight.iter_mut().zip(&other.weight) {
            *sum += w;
        }
    }

    /// Weight of the patients who truly are of a class.
    pub(crate) fn truly(&self, class: usize) -> f64 {
        self.weight[class * self.classes..(class + 1) * self.classes].iter().sum()
    }

    /// Weight of the patients who are truly of a class and are shown it.
    pub(crate) fn hit(&self, class: usize) -> f64 {
        self.weight[class * self.classes + class]
    }

    /// Weight of the patients who are shown a class.
    pub(crate) fn decided(&self, class: usize) -> f64 {
        self.weight.iter().skip(class).step_by(self.classes).sum()
    }

    /// 2 TP / (2 TP + FP + FN); `None` for a class that no patient truly has.
    pub(crate) fn f1(&self, class: usize) -> Option<f64> {
        let truly = self.truly(class);
        (truly > 0.0).then(|| 2.0 * self.hit(class) / (truly + self.decided(class)))
    }

    /// Unweighted mean of the classes' F1; `None` when one of them has none.
    pub(crate) fn macro_f1(&self) -> Option<f64> {
        let sum: Option<f64> = (0..self.classes).map(|k| self.f1(k)).sum();
        sum.map(|s| s / self.classes as f64)
    }

    /// The first class that no patient truly has.
    pub(crate) fn missing(&self) -> Option<usize> {
        (0..self.classes).find(|&k| self.truly(k) <= 0.0)
    }

    /// Rows of counts, rows are true classes.
    pub(crate) fn rows(&self) -> Vec<Vec<u64>> {
        self.weight.chunks(self.classes).map(|row| row.iter().map(|&w| w as u64).collect()).collect()
    }
}
