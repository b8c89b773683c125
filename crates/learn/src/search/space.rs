//! What may be chosen: parameters shared by all learners, and each learner's own.
//!
//! The learner is itself a choice, and the others depend on it: a point has the values of the shared
//! axes and of its learner's axes, and no others. The sampler works on positions in `[0, 1]`.

use std::collections::BTreeMap;

use clinical::Study;
use clinical::study::search::{Dimension, Value};
use clinical::study::{Learner, Parameters, Resampling};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Significant digits of a sampled number: more than matters, few enough to be read and typed.
const DIGITS: i32 = 4;

/// One set of choices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub learner: Learner,
    /// The learner's settings that are searched, by name; it has the study's for the others.
    pub settings: BTreeMap<String, Value>,
    /// What is chosen whatever the learner, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shared: BTreeMap<String, Value>,
}

/// Everything that may be chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    shared: Vec<Axis>,
    learners: Vec<Branch>,
}

/// What depends on one learner.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    pub learner: Learner,
    pub axes: Vec<Axis>,
}

/// One parameter and its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    pub name: String,
    pub scale: Scale,
}

/// How a parameter's values lie on `[0, 1]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Scale {
    /// Any number from `low` to `high`.
    Real { low: f64, high: f64, log: bool },
    /// Any whole number from `low` to `high`; each has an interval of `[0, 1]`.
    Whole { low: i64, high: i64, log: bool },
    /// One of these numbers, which rise; each has an equal interval.
    Ordered(Vec<Value>),
    /// One of these values, which have no order; a position is their index.
    Named(Vec<Value>),
}

/// The name of the shared choice between synthetic cases and none.
const RESAMPLING: &str = "resampling";

impl Point {
    /// How synthetic cases are made for this point.
    pub fn resampling(&self, study: &Study) -> Resampling {
        let chosen = match self.shared.get(RESAMPLING) {
            Some(Value::Name(name)) => Resampling::ALL.into_iter().find(|method| method.code() == name),
            _ => None,
        };
        chosen.unwrap_or(study.imbalance.method)
    }
}

impl Space {
    /// A space of `learners`, with axes that all of them share.
    ///
    /// # Errors
    /// When there is no learner, or an axis is empty.
    pub fn new(shared: Vec<Axis>, learners: Vec<Branch>) -> Result<Space> {
        if learners.is_empty() {
            return Err(Error::Invalid("the search has no learner to choose".into()));
        }
        let mut axes = shared.iter().chain(learners.iter().flat_map(|branch| &branch.axes));
        if let Some(axis) = axes.find(|axis| axis.scale.is_empty()) {
            return Err(Error::Invalid(format!("`{}` of the search has no value to choose", axis.name)));
        }
        Ok(Space { shared, learners })
    }

    /// The space that a study declares: of one learner, or of all that it lets the search choose from.
    ///
    /// # Errors
    /// As [`Space::new`].
    pub fn of_study(study: &Study, learner: Option<Learner>) -> Result<Space> {
        let learners = learner.map_or_else(|| study.search.learners.clone(), |learner| vec![learner]);
        let branches = learners.into_iter().map(|learner| {
            let plan = study.parameters(learner);
            let space = study.search.space(learner);
            let axes = space.iter().map(|(name, dimension)| axis(name, dimension, &plan)).collect();
            Branch { learner, axes }
        });
        Space::new(resampling(study).into_iter().collect(), branches.collect())
    }

    /// The point that a study's own settings are, for each learner of the space; of what is shared,
    /// the first value is the study's.
    pub fn plans(&self, study: &Study) -> Vec<Point> {
        let shared: BTreeMap<String, Value> =
            self.shared.iter().map(|axis| (axis.name.clone(), axis.scale.value(0.0))).collect();
        let point = |branch: &Branch| {
            let plan = study.parameters(branch.learner);
            let settings =
                branch.axes.iter().filter_map(|axis| Some((axis.name.clone(), plan.value(&axis.name)?)));
            Point { learner: branch.learner, settings: settings.collect(), shared: shared.clone() }
        };
        self.learners.iter().map(point).collect()
    }

    pub fn learners(&self) -> &[Branch] {
        &self.learners
    }

    /// The position of a learner among the learners.
    pub(super) fn branch(&self, learner: Learner) -> Option<usize> {
        self.learners.iter().position(|branch| branch.learner == learner)
    }

    /// The axes that every point has: the shared ones and, last, the learner itself.
    pub(super) fn root(&self) -> Vec<Axis> {
        let names = self.learners.iter().map(|branch| Value::Name(branch.learner.name().to_owned()));
        let learner = Axis { name: "learner".to_owned(), scale: Scale::Named(names.collect()) };
        self.shared.iter().cloned().chain([learner]).collect()
    }

    /// Positions of a point on the root axes; `None` for a point of another space.
    pub(super) fn root_positions(&self, point: &Point) -> Option<Vec<f64>> {
        let mut at = positions(&self.shared, &point.shared)?;
        at.push(self.branch(point.learner)? as f64);
        Some(at)
    }

    /// The point at positions on the root axes and on the learner's own.
    pub(super) fn point(&self, root: &[f64], own: &[f64]) -> Option<Point> {
        let (learner, shared) = root.split_last()?;
        let branch = self.learners.get(*learner as usize)?;
        Some(Point {
            learner: branch.learner,
            settings: values(&branch.axes, own),
            shared: values(&self.shared, shared),
        })
    }
}

/// Positions of values; `None` when one is missing.
pub(super) fn positions(axes: &[Axis], values: &BTreeMap<String, Value>) -> Option<Vec<f64>> {
    axes.iter().map(|axis| axis.scale.position(values.get(&axis.name)?)).collect()
}

fn values(axes: &[Axis], positions: &[f64]) -> BTreeMap<String, Value> {
    axes.iter().zip(positions).map(|(axis, &at)| (axis.name.clone(), axis.scale.value(at))).collect()
}

/// What synthetic cases a trial's members train on, where the study lets the search choose; its own choice first.
fn resampling(study: &Study) -> Option<Axis> {
    let mut methods = study.search.resampling.clone();
    methods.sort_by_key(|method| *method != study.imbalance.method);
    let values = methods.into_iter().map(|method| Value::Name(method.code().to_owned())).collect();
    (!study.search.resampling.is_empty())
        .then(|| Axis { name: RESAMPLING.to_owned(), scale: Scale::Named(values) })
}

/// The study has checked that the learner has the setting and takes the values.
fn axis(name: &str, dimension: &Dimension, plan: &Parameters) -> Axis {
    let whole = matches!(plan.value(name), Some(Value::Whole(_)));
    let scale = match dimension {
        Dimension::Range(range) if whole => {
            Scale::Whole { low: range.low as i64, high: range.high as i64, log: range.log }
        }
        Dimension::Range(range) => Scale::Real { low: range.low, high: range.high, log: range.log },
        Dimension::Choice(values) if values.iter().all(|value| value.number().is_some()) => {
            Scale::Ordered(values.clone())
        }
        Dimension::Choice(values) => Scale::Named(values.clone()),
    };
    Axis { name: name.to_owned(), scale }
}

impl Scale {
    fn is_empty(&self) -> bool {
        match self {
            Scale::Real { low, high, log } => low >= high || (*log && *low <= 0.0),
            Scale::Whole { low, high, log } => low > high || (*log && *low < 1),
            Scale::Ordered(values) | Scale::Named(values) => values.is_empty(),
        }
    }

    /// The value at a position.
    pub fn value(&self, position: f64) -> Value {
        match self {
            Scale::Real { low, high, log } => {
                let at = unwarp(warp(*low, *log) + position * (warp(*high, *log) - warp(*low, *log)), *log);
                Value::Real(rounded(at).clamp(*low, *high))
            }
            Scale::Whole { low, high, log } => {
                let (from, to) = whole_ends(*low, *high, *log);
                let at = unwarp(from + position * (to - from), *log).round();
                Value::Whole((at as i64).clamp(*low, *high))
            }
            Scale::Ordered(values) => at_index(values, (position * values.len() as f64) as usize),
            Scale::Named(values) => at_index(values, position as usize),
        }
    }

    /// The position of a value: the middle of its interval, the nearest one for a value that the
    /// scale does not have (a study's plan may lie outside its own space).
    pub fn position(&self, value: &Value) -> Option<f64> {
        match self {
            Scale::Named(values) => values.iter().position(|known| known == value).map(|index| index as f64),
            Scale::Real { low, high, log } => {
                let (from, to) = (warp(*low, *log), warp(*high, *log));
                Some((warp(value.number()?.clamp(*low, *high), *log) - from) / (to - from))
            }
            _ => self.interval_of(value.number()?).map(|(from, to)| f64::midpoint(from, to)),
        }
    }

    /// The interval of positions that give the same value as `position`; `None` where every position
    /// gives another one, or positions have no order.
    pub(super) fn interval(&self, position: f64) -> Option<(f64, f64)> {
        match self {
            Scale::Real { .. } | Scale::Named(_) => None,
            _ => self.interval_of(self.value(position).number()?),
        }
    }

    fn interval_of(&self, number: f64) -> Option<(f64, f64)> {
        match self {
            Scale::Whole { low, high, log } => {
                let (from, to) = whole_ends(*low, *high, *log);
                let number = number.round().clamp(*low as f64, *high as f64);
                let place = |edge: f64| ((warp(edge, *log) - from) / (to - from)).clamp(0.0, 1.0);
                Some((place(number - 0.5), place(number + 0.5)))
            }
            Scale::Ordered(values) => {
                let distance = |index: &usize| {
                    values
                        .get(*index)
                        .and_then(Value::number)
                        .map_or(f64::INFINITY, |value| (value - number).abs())
                };
                let nearest = (0..values.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)))? as f64;
                Some((nearest / values.len() as f64, (nearest + 1.0) / values.len() as f64))
            }
            Scale::Real { .. } | Scale::Named(_) => None,
        }
    }
}

/// The value with an index, the last one beyond the end.
fn at_index(values: &[Value], index: usize) -> Value {
    values.get(index).or(values.last()).cloned().unwrap_or(Value::Whole(0))
}

/// Half a step beyond the ends, so that the first and the last number get their share.
fn whole_ends(low: i64, high: i64, log: bool) -> (f64, f64) {
    (warp(low as f64 - 0.5, log), warp(high as f64 + 0.5, log))
}

fn warp(value: f64, log: bool) -> f64 {
    if log { value.ln() } else { value }
}

fn unwarp(value: f64, log: bool) -> f64 {
    if log { value.exp() } else { value }
}

/// To [`DIGITS`] significant digits, exactly as the decimal is read back.
fn rounded(value: f64) -> f64 {
    let digits = usize::try_from(DIGITS - 1).unwrap_or_default();
    format!("{value:.digits$e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: Value) -> f64 {
        value.number().unwrap()
    }

    #[test]
    fn ends_and_middles_of_the_scales() {
        let real = Scale::Real { low: 0.01, high: 1.0, log: true };
        assert_eq!([0.0, 0.5, 1.0].map(|at| number(real.value(at))), [0.01, 0.1, 1.0]);
        let whole = Scale::Whole { low: 2, high: 5, log: false };
        assert_eq!([0.0, 0.24, 0.26, 0.99, 1.0].map(|at| number(whole.value(at))), [2.0, 2.0, 3.0, 5.0, 5.0]);
        let ordered = Scale::Ordered([16, 32, 64, 128].map(Value::Whole).into());
        assert_eq!([0.0, 0.3, 0.99, 1.0].map(|at| number(ordered.value(at))), [16.0, 32.0, 128.0, 128.0]);
    }

    #[test]
    fn a_value_lies_where_it_comes_from() {
        for scale in [
            Scale::Real { low: 0.03, high: 0.3, log: true },
            Scale::Real { low: -1.0, high: 2.0, log: false },
            Scale::Whole { low: 1, high: 300, log: true },
            Scale::Whole { low: 2, high: 8, log: false },
            Scale::Ordered(vec![Value::Real(0.5), Value::Real(0.7), Value::Whole(4)]),
        ] {
            for step in 0..=100 {
                let value = scale.value(f64::from(step) / 100.0);
                let back = scale.position(&value).unwrap();
                assert_eq!(scale.value(back), value, "{scale:?}");
                if let Some((from, to)) = scale.interval(back) {
                    assert!(from <= back && back <= to && (0.0..=1.0).contains(&from), "{scale:?} {value}");
                    let inside = from + 0.999 * (to - from);
                    assert_eq!(scale.value(inside), value, "{scale:?}");
                }
            }
        }
        assert_eq!(Scale::Ordered([1, 4].map(Value::Whole).into()).position(&Value::Real(3.0)), Some(0.75));
    }

    #[test]
    fn sampled_numbers_are_short_and_read_back_the_same() {
        let scale = Scale::Real { low: 0.03, high: 0.3, log: true };
        let value = scale.value(1.0 / 3.0);
        assert_eq!(value, Value::Real(0.06463));
        let text = serde_json::to_string(&value).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn the_default_study_gives_a_space_that_holds_its_plans() {
        let study = Study::default_study();
        let space = Space::of_study(study, Some(Learner::Xgboost)).unwrap();
        let axes = &space.learners()[0].axes;
        assert_eq!(axes.len(), 7);
        let scale = |name: &str| &axes.iter().find(|axis| axis.name == name).unwrap().scale;
        assert_eq!(*scale("depth"), Scale::Whole { low: 2, high: 8, log: false });
        assert_eq!(*scale("bins"), Scale::Ordered([16, 32, 64, 128].map(Value::Whole).into()));
        let all = Space::of_study(study, None).unwrap();
        let plans = all.plans(study);
        assert_eq!(plans.iter().map(|plan| plan.learner).collect::<Vec<_>>(), Learner::ALL);
        for plan in plans {
            let own = study.parameters(plan.learner);
            assert_eq!(own.with(&plan.settings).unwrap(), own);
            assert!(all.root_positions(&plan).is_some());
        }
    }

    #[test]
    fn shared_axes_belong_to_every_point() {
        let axis = |name: &str| Axis {
            name: name.to_owned(),
            scale: Scale::Ordered([1, 2].map(Value::Whole).into()),
        };
        let branch = |learner, own: &str| Branch { learner, axes: vec![axis(own)] };
        let branches = vec![branch(Learner::Xgboost, "x"), branch(Learner::Mlp, "y")];
        let space = Space::new(vec![axis("both")], branches).unwrap();
        let point = space.point(&[0.9, 1.0], &[0.1]).unwrap();
        let value = |name: &str, value| BTreeMap::from([(name.to_owned(), Value::Whole(value))]);
        assert_eq!(point, Point { learner: Learner::Mlp, settings: value("y", 1), shared: value("both", 2) });
        assert_eq!(space.root_positions(&point).unwrap(), [0.75, 1.0]);
        let empty = Axis { name: "none".into(), scale: Scale::Named(Vec::new()) };
        let refused = Space::new(vec![empty], vec![branch(Learner::Xgboost, "x")]);
        assert!(refused.unwrap_err().to_string().contains("`none`"));
        assert!(Space::new(Vec::new(), Vec::new()).is_err());
    }
}
