//! The explanation as steps from the starting point to the explained probability.

use clinical::{Patient, Prediction, Study};

use super::Words;

/// The picture's rows and axis. Positions are hundredths of the picture's width.
pub(crate) struct Waterfall {
    pub(crate) ticks: Vec<String>,
    pub(crate) grid: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) small: String,
    /// `base`, `up`, `down` or `tone`.
    pub(crate) class: &'static str,
    pub(crate) points: String,
    pub(crate) from_above: Option<String>,
    pub(crate) to_below: Option<String>,
    pub(crate) effect: String,
    pub(crate) total: bool,
}

/// The part of the probability scale that is drawn: 0 to 1, wider when a step leaves it. (The steps of an exact
/// explanation add up to a probability, but on the way their sum may lie outside.)
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn around(steps: &[f64]) -> Axis {
        let low = steps.iter().fold(0.0_f64, |low, step| low.min(*step));
        let high = steps.iter().fold(1.0_f64, |high, step| high.max(*step));
        Axis { low: (low * 10.0).floor() / 10.0, high: (high * 10.0).ceil() / 10.0 }
    }

    fn at(&self, probability: f64) -> f64 {
        (probability - self.low) / (self.high - self.low) * 100.0
    }

    fn x(&self, probability: f64) -> String {
        format!("{:.2}", self.at(probability))
    }

    /// A bar between two probabilities, with an arrow's head where it has a direction.
    fn bar(&self, from: f64, to: f64, arrow: bool) -> String {
        let (from, to) = (self.at(from), self.at(to));
        if !arrow {
            return format!("{from:.2},12 {to:.2},12 {to:.2},34 {from:.2},34");
        }
        let head = (to - from).abs().min(1.6) * (to - from).signum();
        let neck = to - head;
        format!("{from:.2},12 {neck:.2},12 {to:.2},23 {neck:.2},34 {from:.2},34")
    }
}

impl Waterfall {
    /// `explained` names the probability, `value` is it.
    pub(crate) fn new(
        study: &Study,
        patient: &Patient,
        prediction: &Prediction,
        (explained, value): (&str, f64),
        w: Words,
    ) -> Waterfall {
        let explanation = &prediction.explanation;
        let base = explanation.base_value;
        let mut steps = vec![base];
        for part in &explanation.contributions {
            steps.push(steps.last().copied().unwrap_or_default() + part.value);
        }
        let axis = Axis::around(&steps);
        let mut rows = vec![Row {
            label: w.t("starting-point"),
            small: w.t("starting-point-note"),
            class: "base",
            points: axis.bar(0.0, base, false),
            from_above: None,
            to_below: Some(axis.x(base)),
            effect: w.percent(base, 1),
            total: false,
        }];
        for (part, ends) in explanation.contributions.iter().zip(steps.windows(2)) {
            let said = study.contribution_words(*part, patient, prediction.note.as_deref(), w.0);
            let (Some(said), &[from, to]) = (said, ends) else { continue };
            rows.push(Row {
                label: said.words.to_owned(),
                small: said.value.to_string(),
                class: if part.value < 0.0 { "down" } else { "up" },
                points: axis.bar(from, to, true),
                from_above: Some(axis.x(from)),
                to_below: Some(axis.x(to)),
                effect: w.points(part.value),
                total: false,
            });
        }
        rows.push(Row {
            label: explained.to_owned(),
            small: String::new(),
            class: "tone",
            points: axis.bar(0.0, value, false),
            from_above: Some(axis.x(value)),
            to_below: None,
            effect: w.percent(value, 1),
            total: true,
        });
        let middle = (axis.low + axis.high) / 2.0;
        Waterfall {
            ticks: [axis.low, middle, axis.high].iter().map(|tick| w.percent(*tick, 0)).collect(),
            grid: ["0", "25", "50", "75", "100"].map(str::to_owned).into(),
            rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_is_nought_to_one_unless_a_step_leaves_it() {
        let plain = Axis::around(&[0.2, 0.5, 0.4]);
        assert_eq!(
            (plain.x(0.0), plain.x(0.5), plain.x(1.0)),
            ("0.00".into(), "50.00".into(), "100.00".into())
        );
        let wide = Axis::around(&[0.2, -0.13, 1.04]);
        assert!((wide.low + 0.2).abs() < 1e-12 && (wide.high - 1.1).abs() < 1e-12);
        assert!(wide.at(-0.13) > 0.0 && wide.at(1.04) < 100.0);
    }

    #[test]
    fn an_arrow_never_overshoots_its_end() {
        let axis = Axis::around(&[]);
        assert_eq!(axis.bar(0.2, 0.5, true), "20.00,12 48.40,12 50.00,23 48.40,34 20.00,34");
        assert_eq!(axis.bar(0.5, 0.49, true), "50.00,12 50.00,12 49.00,23 50.00,34 50.00,34");
    }
}
