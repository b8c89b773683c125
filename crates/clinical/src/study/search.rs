//! What a study lets the search choose: the space of each learner, and how trials are judged.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Learner, Parameters, Resampling};

/// The search of `train --trials N`. What is not stated keeps its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    /// Trials of a run that does not say how many; 0 trains the study's settings as they stand.
    pub trials: usize,
    /// What `--learner auto` chooses from.
    pub learners: Vec<Learner>,
    /// Ways to add synthetic cases that the search chooses from; empty: the study's `[imbalance] method`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resampling: Vec<Resampling>,
    /// Trials spread over the space before the sampler learns from them.
    pub startup: usize,
    /// A trial is chosen from the results of all but this many trials before it, so this many can
    /// run side by side. Part of the study because it decides which trials are made; the number
    /// of processors does not.
    pub in_flight: usize,
    /// What the winner is best in, out of fold.
    pub metric: SearchMetric,
    /// What the sampler learns from.
    pub guide: Guide,
    pub ties: Ties,
    /// No trial starts later than this many seconds after the search. The clock then decides how
    /// many trials there are, and with them possibly the winner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_budget_s: Option<u64>,
    pub pruner: Pruner,
    /// Which settings of a learner may change; the others keep the study's value. A stanza replaces
    /// the built-in space of its learner.
    pub xgboost: Space,
    pub lightgbm: Space,
    pub mlp: Space,
}

/// By setting, in the order of their names.
pub type Space = BTreeMap<String, Dimension>;

/// A figure that trials are judged by, from predictions of cases that the model has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchMetric {
    /// Macro F1 of the severities over patients whose disease is not orphan.
    F1Common,
    /// Macro F1 of the severities over everybody.
    MacroF1,
    /// Mean log loss of severity and rarity together.
    LogLoss,
}

impl SearchMetric {
    /// As the study writes it.
    pub fn name(self) -> &'static str {
        match self {
            SearchMetric::F1Common => "f1_common",
            SearchMetric::MacroF1 => "macro_f1",
            SearchMetric::LogLoss => "log_loss",
        }
    }
}

/// What the sampler ranks trials by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guide {
    LogLoss,
    Metric,
}

/// Which trials count as equally good, and which of them wins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ties {
    /// Trials whose metric is at most this many standard errors of the difference below the best;
    /// 0: the best alone.
    pub standard_errors: f64,
    pub by: TieBreak,
}

/// Which of equally good trials wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TieBreak {
    /// The one with the lowest log loss.
    LogLoss,
    /// The one whose saved models are smallest.
    Size,
}

/// When a trial is given up: its held-out loss is above this quantile of what complete trials had
/// at the same point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pruner {
    /// 0.5 is the median; 1 gives up no trial that is not the worst so far.
    pub quantile: f64,
    /// Complete trials needed before one is given up.
    pub warmup_trials: usize,
    /// Rounds of a fold before it is judged.
    pub warmup_rounds: usize,
    /// Rounds between two judgements.
    pub every: usize,
    pub enabled: bool,
}

/// The values that one setting may take.
#[derive(Debug, Clone, PartialEq)]
pub enum Dimension {
    Range(Range),
    /// One of these: numbers in rising order, or names or lists in any.
    Choice(Vec<Value>),
}

/// From `low` to `high`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    pub low: f64,
    pub high: f64,
    /// Ratios count, not differences.
    #[serde(default)]
    pub log: bool,
}

/// A setting's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Whole(i64),
    Real(f64),
    Name(String),
    List(Vec<i64>),
}

impl Search {
    pub fn space(&self, learner: Learner) -> &Space {
        match learner {
            Learner::Xgboost => &self.xgboost,
            Learner::Lightgbm => &self.lightgbm,
            Learner::Mlp => &self.mlp,
        }
    }

    /// The first thing that is wrong: where, what, and what would do. `plans` are the study's
    /// settings of every learner.
    pub(super) fn check(&self, plans: &[Parameters]) -> Result<(), (String, String)> {
        let wrong = |what: &str| Err(("[search]".to_owned(), what.to_owned()));
        if self.trials > 100_000 || self.startup > 100_000 || !(1..=256).contains(&self.in_flight) {
            return wrong("trials and startup are at most 100000, in_flight 1-256");
        }
        let mut learners = self.learners.clone();
        learners.sort_unstable();
        learners.dedup();
        if learners.is_empty() || learners.len() != self.learners.len() {
            return wrong("learners names at least one learner, and each once");
        }
        let mut resampling = self.resampling.clone();
        resampling.sort_unstable();
        resampling.dedup();
        if resampling.len() != self.resampling.len() || resampling.contains(&Resampling::Gan) {
            return wrong(
                "resampling names `none` and `smote_nc`, each once; `gan` proves itself by its own test",
            );
        }
        if !self.ties.standard_errors.is_finite() || self.ties.standard_errors < 0.0 {
            return wrong("ties.standard_errors is not negative");
        }
        if self.time_budget_s == Some(0) {
            return wrong("time_budget_s is at least 1; leave it out for no limit");
        }
        self.pruner.check().map_err(|problem| ("[search.pruner]".to_owned(), problem))?;
        for plan in plans {
            for (name, dimension) in self.space(plan.learner()) {
                dimension
                    .check(name, plan)
                    .map_err(|problem| (format!("[search.{}], `{name}`", plan.learner().name()), problem))?;
            }
        }
        Ok(())
    }
}

impl Pruner {
    fn check(&self) -> Result<(), String> {
        let counts = [self.warmup_trials, self.warmup_rounds, self.every];
        if self.quantile > 0.0 && self.quantile <= 1.0 && !counts.contains(&0) {
            return Ok(());
        }
        Err("quantile is above 0 up to 1, warmup_trials, warmup_rounds and every are at least 1".to_owned())
    }
}

impl Dimension {
    /// The learner itself says which values it takes: the ends of a range, or every choice.
    fn check(&self, name: &str, plan: &Parameters) -> Result<(), String> {
        let allowed = |value: Value| plan.with(&BTreeMap::from([(name.to_owned(), value)])).map(|_| ());
        match self {
            Dimension::Range(range) => {
                if !range.low.is_finite() || !range.high.is_finite() || range.low >= range.high {
                    return Err("`low` must be less than `high`".to_owned());
                }
                if range.log && range.low <= 0.0 {
                    return Err("`log` needs a `low` above 0".to_owned());
                }
                allowed(Value::of(range.low))?;
                allowed(Value::of(range.high))
            }
            Dimension::Choice(values) => {
                let numbers: Vec<f64> = values.iter().filter_map(Value::number).collect();
                let rising = numbers.windows(2).all(|pair| pair[0] < pair[1]);
                if values.is_empty() || (numbers.len() == values.len() && !rising) {
                    return Err("a list has at least one value, and numbers rise".to_owned());
                }
                values.iter().cloned().try_for_each(allowed)
            }
        }
    }
}

impl Parameters {
    /// These settings with some of them changed.
    ///
    /// # Errors
    /// Names a setting that the learner does not have, or that cannot have that value.
    pub fn with(&self, values: &BTreeMap<String, Value>) -> Result<Parameters, String> {
        let mut table = toml::Table::try_from(self).map_err(|error| error.to_string())?;
        for (name, value) in values {
            let value = toml::Value::try_from(value).map_err(|error| error.to_string())?;
            table.insert(name.clone(), value);
        }
        let mut changed: Parameters =
            table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
        // TOML has no word for the absence that means never.
        if self.early_stopping().is_none() && !values.contains_key("early_stopping") {
            changed.never_stop_early();
        }
        changed.check()?;
        Ok(changed)
    }

    fn never_stop_early(&mut self) {
        match self {
            Parameters::Xgboost(settings) => settings.early_stopping = None,
            Parameters::Lightgbm(settings) => settings.early_stopping = None,
            Parameters::Mlp(settings) => settings.early_stopping = None,
        }
    }

    /// The value of one setting; none where the learner has no such setting.
    pub fn value(&self, name: &str) -> Option<Value> {
        toml::Table::try_from(self).ok()?.remove(name)?.try_into().ok()
    }
}

impl Value {
    /// A number, whole where it is.
    pub fn of(number: f64) -> Value {
        // Whole numbers beyond 2^53 are no settings.
        if number.fract() == 0.0 && number.abs() < 9e15 {
            Value::Whole(number as i64)
        } else {
            Value::Real(number)
        }
    }

    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Whole(number) => Some(*number as f64),
            Value::Real(number) => Some(*number),
            Value::Name(_) | Value::List(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Whole(number) => write!(f, "{number}"),
            Value::Real(number) => write!(f, "{number}"),
            Value::Name(name) => f.write_str(name),
            Value::List(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
                f.write_str(&numbers.join("x"))
            }
        }
    }
}

impl Serialize for Dimension {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Dimension::Range(range) => range.serialize(serializer),
            Dimension::Choice(values) => values.serialize(serializer),
        }
    }
}

/// By hand, so that a wrong key in a range is named: an untagged enum would only say that nothing fits.
impl<'de> Deserialize<'de> for Dimension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Dimension;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a range such as { low = 0.03, high = 0.3, log = true } or a list of values")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Dimension, A::Error> {
                Range::deserialize(MapAccessDeserializer::new(map)).map(Dimension::Range)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Dimension, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Dimension::Choice)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Default for Search {
    fn default() -> Self {
        let range = |low, high| Dimension::Range(Range { low, high, log: false });
        let ratio = |low, high| Dimension::Range(Range { low, high, log: true });
        let list = |values: &[i64]| Dimension::Choice(values.iter().copied().map(Value::Whole).collect());
        let lists = |values: &[&[i64]]| {
            Dimension::Choice(values.iter().map(|list| Value::List(list.to_vec())).collect())
        };
        let space = |dimensions: Vec<(&str, Dimension)>| {
            dimensions.into_iter().map(|(name, dimension)| (name.to_owned(), dimension)).collect()
        };
        let trees = || {
            vec![
                ("eta", ratio(0.03, 0.3)),
                ("depth", range(2.0, 8.0)),
                ("subsample", range(0.5, 1.0)),
                ("columns", range(0.2, 1.0)),
                ("bins", list(&[16, 32, 64, 128])),
                ("min_child_weight", ratio(0.3, 30.0)),
                ("lambda", ratio(0.1, 30.0)),
            ]
        };
        Search {
            trials: 0,
            learners: Learner::ALL.to_vec(),
            resampling: Vec::new(),
            startup: 10,
            in_flight: 4,
            metric: SearchMetric::F1Common,
            guide: Guide::LogLoss,
            ties: Ties::default(),
            time_budget_s: None,
            pruner: Pruner::default(),
            xgboost: space(trees()),
            lightgbm: space([trees(), vec![("leaves", ratio(4.0, 64.0))]].concat()),
            mlp: space(vec![
                ("hidden", lists(&[&[32], &[64], &[64, 64], &[128, 64]])),
                ("batch", list(&[128, 256, 512])),
                ("learning_rate", ratio(0.0005, 0.02)),
                ("weight_decay", ratio(0.0001, 0.1)),
                ("dropout", range(0.0, 0.3)),
            ]),
        }
    }
}

impl Default for Ties {
    fn default() -> Self {
        Ties { standard_errors: 1.0, by: TieBreak::LogLoss }
    }
}

impl Default for Pruner {
    fn default() -> Self {
        Pruner { quantile: 0.5, warmup_trials: 5, warmup_rounds: 20, every: 10, enabled: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Study;
    use crate::study::{DEFAULT_TOML, Mlp, Xgboost};

    #[test]
    fn the_default_study_states_the_defaults() {
        assert_eq!(Study::default_study().search, Search::default());
        let without = DEFAULT_TOML.split("[search]").next().unwrap();
        let rest = DEFAULT_TOML.split_once("\n[alarm]").unwrap().1;
        let study = Study::parse(&format!("{without}[alarm]{rest}")).unwrap();
        assert_eq!(study.search, Search::default());
    }

    #[test]
    fn a_space_reads_what_it_writes() {
        let text = toml::to_string(&Search::default()).unwrap();
        assert_eq!(toml::from_str::<Search>(&text).unwrap(), Search::default());
    }

    #[test]
    fn a_stanza_replaces_the_space_of_its_learner() {
        let search: Search = toml::from_str("trials = 9\n[xgboost]\ndepth = [2, 4]").unwrap();
        assert_eq!((search.trials, search.pruner), (9, Pruner::default()));
        let two_and_four = Dimension::Choice(vec![Value::Whole(2), Value::Whole(4)]);
        assert_eq!(search.xgboost, Space::from([("depth".to_owned(), two_and_four)]));
        assert_eq!(search.mlp, Search::default().mlp);
    }

    #[test]
    fn settings_change_by_name_and_keep_the_rest() {
        let value = |name: &str, value| BTreeMap::from([(name.to_owned(), value)]);
        let plan = Parameters::Xgboost(Xgboost { early_stopping: None, bins: 77, ..Xgboost::default() });
        let changed = plan.with(&value("eta", Value::Whole(1))).unwrap();
        let expected = Xgboost { eta: 1.0, early_stopping: None, bins: 77, ..Xgboost::default() };
        assert_eq!(changed, Parameters::Xgboost(expected));
        assert_eq!(
            (plan.value("bins"), plan.value("eta")),
            (Some(Value::Whole(77)), Some(Value::Real(0.08)))
        );
        assert_eq!(plan.value("leaves"), None);
        let mlp = Parameters::Mlp(Mlp::default()).with(&value("hidden", Value::List(vec![9, 8]))).unwrap();
        assert_eq!(mlp, Parameters::Mlp(Mlp { hidden: vec![9, 8], ..Mlp::default() }));
    }

    #[test]
    fn what_cannot_be_searched_is_refused_with_its_place_and_the_remedy() {
        let plans = Learner::ALL.map(|learner| Study::default_study().parameters(learner));
        for (text, said) in [
            ("in_flight = 0", "in_flight 1-256"),
            ("time_budget_s = 0", "at least 1"),
            ("trial = 3", "unknown field `trial`"),
            ("metric = \"f2\"", "unknown variant `f2`"),
            ("learners = []", "at least one learner"),
            ("learners = [\"mlp\", \"mlp\"]", "each once"),
            ("ties = { standard_errors = -1.0 }", "not negative"),
            ("[pruner]\nquantile = 0.0", "quantile"),
            ("[pruner]\nevery = 0", "every"),
            ("[xgboost]\netaa = [0.1]", "[search.xgboost], `etaa`: unknown field `etaa`, expected one of"),
            ("[xgboost]\neta = { low = 0.3, high = 0.1 }", "`low` must be less"),
            ("[xgboost]\neta = { low = 0.1, hihg = 0.3 }", "unknown field `hihg`"),
            ("[xgboost]\neta = 0.1", "a range such as"),
            ("[xgboost]\neta = { low = 0.1, high = 3.0 }", "`eta`: eta is above 0 and at most 1"),
            (
                "[lightgbm]\ndepth = { low = 2.5, high = 4.0 }",
                "[search.lightgbm], `depth`: invalid type: floating point `2.5`",
            ),
            ("[xgboost]\ndepth = [4, 2]", "numbers rise"),
            ("[xgboost]\ndepth = []", "at least one value"),
            ("[xgboost]\ndepth = [\"deep\"]", "invalid type: string \"deep\""),
            ("[xgboost]\nlambda = { low = 0.0, high = 1.0, log = true }", "`log` needs"),
            ("[mlp]\nhidden = [[8], [0]]", "one to eight layers"),
        ] {
            let error = match toml::from_str::<Search>(text) {
                Err(error) => error.to_string(),
                Ok(search) => {
                    let (place, problem) = search.check(&plans).unwrap_err();
                    format!("{place}: {problem}")
                }
            };
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
