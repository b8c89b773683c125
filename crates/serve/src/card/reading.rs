//! Stored reports, read as data and put into words: figures, verdicts, and why there is none.

use clinical::Study;
use serde_json::{Map, Value};

use crate::web::Words;

/// A figure as it is shown.
pub(crate) struct FigureView {
    pub(crate) label: String,
    pub(crate) value: String,
    pub(crate) interval: String,
    pub(crate) n: String,
    pub(crate) undefined: Option<String>,
}

/// A condition and whether it holds.
pub(crate) struct GateView {
    pub(crate) tone: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) outcome: String,
    pub(crate) because: String,
}

/// The innermost object that holds figures: a report may be wrapped with what it was made on.
pub(crate) fn find_report(value: &Value) -> Option<&Map<String, Value>> {
    let object = value.as_object()?;
    if object.values().any(|member| member.get("value").is_some() && member.get("low").is_some()) {
        return Some(object);
    }
    object.values().find_map(find_report)
}

/// The figures of a report among `names`, in their order; one a class where there is one a class.
pub(crate) fn figures(
    report: &Map<String, Value>,
    names: &[&'static str],
    study: &Study,
    w: Words,
) -> Vec<FigureView> {
    let mut views = Vec::new();
    for (name, value) in names.iter().filter_map(|name| Some((*name, report.get(*name)?))) {
        let key = format!("metric-{name}");
        match value {
            Value::Array(figures) => {
                for (class, figure) in study.severities().iter().zip(figures) {
                    let label = w.with(&key, "label", class.short.get(w.0));
                    views.extend(figure_view(label, name, figure, study, w));
                }
            }
            figure => views.extend(figure_view(w.t(&key), name, figure, study, w)),
        }
    }
    views
}

pub(crate) fn figure_view(
    label: String,
    name: &str,
    figure: &Value,
    study: &Study,
    w: Words,
) -> Option<FigureView> {
    if let Some(reason) = figure.get("undefined").and_then(Value::as_str) {
        let none = String::new;
        let undefined = Some(because(reason, study, w));
        return Some(FigureView { label, value: none(), interval: none(), n: none(), undefined });
    }
    let number = |member: &str| figure.get(member).and_then(Value::as_f64);
    let decimals = if name.contains("per_1000") || name.contains("number_needed") { 1 } else { 3 };
    let text = |value: f64| w.number(value, decimals);
    let (value, low, high) = (number("value")?, number("low")?, number("high")?);
    let n = figure.get("n").and_then(Value::as_u64).map(|n| n.to_string()).unwrap_or_default();
    Some(FigureView {
        label,
        value: text(value),
        interval: format!("{} – {}", text(low), text(high)),
        n,
        undefined: None,
    })
}

impl FigureView {
    /// As a table's row.
    pub(crate) fn row(self, w: Words) -> Vec<String> {
        match self.undefined {
            Some(reason) => {
                vec![self.label, w.with("card-undefined", "reason", &reason), String::new(), String::new()]
            }
            None => vec![self.label, self.value, self.interval, self.n],
        }
    }

    /// As one cell: the value with its interval.
    pub(crate) fn cell(self, w: Words) -> String {
        match self.undefined {
            Some(reason) => w.with("card-undefined", "reason", &reason),
            None => format!("{} ({})", self.value, self.interval),
        }
    }
}

/// The reasons that reports give for a figure that there is none of, as they are written, and the words for them.
const REASONS: [(&str, &str); 12] = [
    ("no patient", "undefined-patient"),
    ("no orphan patient", "undefined-orphan"),
    ("no patient without an orphan disease", "undefined-common"),
    ("no alarm", "undefined-alarm"),
    ("no alarm found an orphan patient", "undefined-found"),
    ("every patient is alarmed", "undefined-unalarmed"),
    ("what happened had been given probability 0", "undefined-loss"),
    ("no patient is shown its severity", "undefined-own-severity"),
    ("a severity never occurs", "undefined-severity"),
    ("no orphan disease occurs", "undefined-orphan"),
    ("the bin is empty", "undefined-patient"),
    ("not defined", "undefined-reason"),
];

/// Reasons that end with a class's code.
const REASONS_OF_CLASS: [(&str, &str); 3] = [
    ("no patient of class ", "undefined-class"),
    ("no patient without an orphan disease of class ", "undefined-common-class"),
    ("no patient is shown ", "undefined-shown"),
];

/// Why there is no figure, in the reader's language; as it was written where it is none of the known reasons.
pub(crate) fn because(reason: &str, study: &Study, w: Words) -> String {
    if let Some((_, key)) = REASONS.iter().find(|(text, _)| *text == reason) {
        return w.t(key);
    }
    let of_class = REASONS_OF_CLASS.iter().find_map(|(text, key)| {
        let severity = study.severity_from_code(reason.strip_prefix(text)?)?;
        Some(w.with(key, "label", study.severity(severity).short.get(w.0)))
    });
    let few = || {
        let (patients, needed) = reason.strip_suffix(" are needed")?.split_once(" patients, ")?;
        Some(w.with2("undefined-few", "n", patients, "needed", needed))
    };
    of_class.or_else(few).unwrap_or_else(|| reason.to_owned())
}

/// Every verdict inside stored gates, wherever it stands.
pub(crate) fn verdicts(gates: &Value, study: &Study, w: Words) -> Vec<GateView> {
    match gates {
        Value::Object(object) if object.contains_key("outcome") && object.contains_key("rule") => {
            vec![verdict(object, study, w)]
        }
        Value::Object(object) => object.values().flat_map(|value| verdicts(value, study, w)).collect(),
        Value::Array(items) => items.iter().flat_map(|item| verdicts(item, study, w)).collect(),
        _ => Vec::new(),
    }
}

fn verdict(object: &Map<String, Value>, study: &Study, w: Words) -> GateView {
    let (tone, icon, key) = match object.get("outcome").and_then(Value::as_str) {
        Some("holds") => ("ok", "i-check", "gate-holds"),
        Some("fails") => ("crit", "i-warn", "gate-fails"),
        _ => ("warn", "i-help", "gate-undetermined"),
    };
    let rule = object.get("rule");
    let member = |name: &str| rule.and_then(|rule| rule.get(name));
    let metric = member("metric").and_then(Value::as_str).unwrap_or_default();
    let metric_key = format!("metric-{metric}");
    let mut metric = if w.knows(&metric_key) { w.t(&metric_key) } else { metric.to_owned() };
    let group = |name: &str| object.get("group").and_then(|group| group.get(name)).and_then(Value::as_str);
    if let (Some(feature), Some(name)) =
        (group("feature").and_then(|name| study.feature(name)), group("name"))
    {
        let choices = feature.choices();
        let label = choices.iter().find(|choice| choice.code == name).map(|choice| choice.label.get(w.0));
        metric += &format!(" ({}: {})", feature.label.get(w.0), label.unwrap_or(name));
    }
    let bound = w.number(member("bound").and_then(Value::as_f64).unwrap_or_default(), 2);
    let condition = match member("comparison").and_then(Value::as_str) {
        Some("at_most") => w.with("gate-at-most", "bound", &bound),
        _ => w.with("gate-at-least", "bound", &bound),
    };
    GateView {
        tone,
        icon,
        outcome: w.t(key),
        because: w.with2("gate-measured", "metric", &metric, "value", &condition),
    }
}
