//! Causes: what has one cause is one alert.
//!
//! A rise of blood pressure moves both pressures, their category and the model's answers, of those served, of those who
//! arrived and of every source: many comparisons, one thing to look after. So an alert is about a clinical feature: of everybody,
//! or of a source where everybody else is as before. It names what moved. Answers have an alert of their own only where no
//! feature explains them.

use std::collections::BTreeMap;

use clinical::Study;
use evaluate::Light;
use evaluate::drift::Drift;
use serde_json::json;

use super::drift::{About, Comparison};
use super::rules::{self, Checked, DRIFT_ANSWER, DRIFT_FEATURE};

/// Whom an alert is about where it is about no single source.
const EVERYBODY: &str = "everybody";
/// What an alert is about where it is about the model's answers.
const ANSWERS: &str = "answers";

/// Comparisons of one cause.
#[derive(Debug)]
struct Cause<'a> {
    group: &'a str,
    /// A feature's name, or [`ANSWERS`].
    name: &'a str,
    comparisons: Vec<&'a Comparison>,
}

/// The rules that raise and end alerts: drift by its cause, everything else as it is.
pub(super) fn of(study: &Study, comparisons: &[Comparison], rules: &[Checked]) -> Vec<Checked> {
    let causes = causes(study, comparisons);
    let moved: Vec<&str> = (causes.iter())
        .filter(|cause| cause.group == EVERYBODY && cause.name != ANSWERS && cause.light() == Light::Red)
        .map(|cause| cause.name)
        .collect();
    let follows = |cause: &Cause<'_>| match cause.group {
        EVERYBODY => cause.name == ANSWERS && !moved.is_empty(),
        _ => moved.contains(&cause.name),
    };
    let checked = causes.iter().map(|cause| {
        let consequences: Vec<&Comparison> = (causes.iter())
            .filter(|other| follows(other) && (other.name == cause.name || other.name == ANSWERS))
            .flat_map(Cause::broken)
            .collect();
        // What follows from another alert says nothing by itself: it raises none and ends none.
        let light = if follows(cause) { Light::Grey } else { cause.light() };
        cause.checked(light, &consequences)
    });
    let others = rules.iter().filter(|rule| rule.rule != DRIFT_FEATURE && rule.rule != DRIFT_ANSWER);
    checked.chain(others.cloned()).collect()
}

/// The comparisons by what moved and of whom.
fn causes<'a>(study: &'a Study, comparisons: &'a [Comparison]) -> Vec<Cause<'a>> {
    let mut causes: BTreeMap<(&str, &str), Vec<&Comparison>> = BTreeMap::new();
    for one in comparisons {
        let group = if one.group == "served" || one.group == "arrived" { EVERYBODY } else { &one.group };
        let feature = study.input(&one.name).and_then(|input| study.features().get(input.feature));
        let name = match one.about {
            About::Answer => ANSWERS,
            _ => feature.map_or(one.name.as_str(), |feature| &feature.name),
        };
        causes.entry((group, name)).or_default().push(one);
    }
    let cause = |((group, name), comparisons)| Cause { group, name, comparisons };
    causes.into_iter().map(cause).collect()
}

impl<'a> Cause<'a> {
    /// The gravest light of the comparisons with enough patients.
    fn light(&self) -> Light {
        let lights = self.comparisons.iter().map(|one| rules::drift_light(one));
        let grave = |light: Light| {
            [Light::Grey, Light::Green, Light::Amber, Light::Red].iter().position(|l| *l == light)
        };
        lights.max_by_key(|&light| grave(light)).unwrap_or(Light::Grey)
    }

    /// The comparisons that found a notable change.
    fn broken(&self) -> impl Iterator<Item = &'a Comparison> {
        self.comparisons.iter().copied().filter(|one| one.change.drift >= Drift::Notable)
    }

    fn checked(&self, light: Light, consequences: &[&Comparison]) -> Checked {
        let effect = |one: &&Comparison| one.change.distance.max(one.change.psi);
        let by_effect = |a: &&Comparison, b: &&Comparison| effect(a).total_cmp(&effect(b));
        let shown: Vec<&Comparison> = match light {
            Light::Red => self.broken().collect(),
            _ => self.comparisons.clone(),
        };
        let features = distinct(shown.iter().map(|one| one.name.as_str()));
        let groups = distinct(shown.iter().map(|one| one.group.as_str()));
        let mut message = format!(
            "{}: {} of {} differ from the training cohort",
            self.name,
            features.join(", "),
            groups.join(", ")
        );
        let strongest = shown.iter().copied().max_by(by_effect);
        if let Some(one) = strongest {
            let change = &one.change;
            message += &format!(
                "; most of all {} of {}: distance {:.3}, PSI {:.3}, adjusted p {:.4}, {} patients",
                one.name, one.group, change.distance, change.psi, change.p_adjusted, change.window
            );
        }
        let follow: Vec<String> = consequences.iter().map(|one| one.subject()).collect();
        if light == Light::Red && !follow.is_empty() {
            message += &format!("; with it {}", follow.join(", "));
        }
        let change = strongest.map(|one| &one.change);
        Checked {
            rule: if self.name == ANSWERS { DRIFT_ANSWER } else { DRIFT_FEATURE },
            subject: format!("{}:{}", self.group, self.name),
            light,
            message,
            detail: json!({
                "group": self.group, "name": self.name, "features": features, "groups": groups,
                "comparisons": shown.iter().map(|one| one.subject()).collect::<Vec<_>>(), "with_it": follow,
                "distance": change.map(|change| change.distance), "psi": change.map(|change| change.psi),
                "p_adjusted": change.map(|change| change.p_adjusted), "drift": change.map(|change| change.drift),
                "patients": change.map(|change| change.window),
            }),
        }
    }
}

/// Names without repetition, in the order in which they come.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    names.fold(Vec::new(), |mut all, name| {
        if !all.contains(&name) {
            all.push(name);
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use evaluate::drift::{Change, Test};

    use super::super::drift::Bars;
    use super::*;

    fn comparison(group: &str, about: About, name: &str, drift: Drift, distance: f64) -> Comparison {
        Comparison {
            group: group.to_owned(),
            about,
            name: name.to_owned(),
            against: "everybody",
            change: Change {
                test: Test::KolmogorovSmirnov,
                statistic: distance,
                p: 0.001,
                p_classic: 0.001,
                p_adjusted: 0.002,
                distance,
                psi: 0.0,
                reference: 1000,
                window: 500,
                drift,
            },
            bars: Bars { labels: Vec::new(), reference: Vec::new(), window: Vec::new() },
        }
    }

    fn lit(all: &[Checked], light: Light) -> Vec<(&str, &str)> {
        all.iter().filter(|one| one.light == light).map(|one| (one.rule, one.subject.as_str())).collect()
    }

    #[test]
    fn a_rise_of_everybodys_pressure_is_one_alert_that_names_what_moved() {
        let study = Study::default_study();
        let mut all = vec![
            comparison("served", About::Input, "age_years", Drift::Stable, 0.01),
            comparison("served", About::Input, "systolic_mmhg", Drift::Notable, 0.2),
            comparison("served", About::Input, "diastolic_mmhg", Drift::Notable, 0.15),
            comparison("served", About::Category, "blood_pressure", Drift::Major, 0.3),
            comparison("arrived", About::Input, "systolic_mmhg", Drift::Slight, 0.05),
            comparison("ward", About::Input, "systolic_mmhg", Drift::Notable, 0.2),
            comparison("ward", About::Input, "gender", Drift::Few, 0.5),
            comparison("served", About::Answer, "severity", Drift::Notable, 0.12),
        ];
        let found = of(study, &all, &[]);
        assert_eq!(lit(&found, Light::Red), [("drift.feature", "everybody:blood_pressure")]);
        let alert = found.iter().find(|one| one.light == Light::Red).unwrap();
        assert_eq!(alert.detail["features"], json!(["systolic_mmhg", "diastolic_mmhg", "blood_pressure"]));
        assert_eq!(alert.detail["groups"], json!(["served"]));
        assert_eq!(alert.detail["with_it"], json!(["served:severity", "ward:systolic_mmhg"]));
        assert_eq!(alert.detail["distance"], 0.3);
        // What follows from it, and what had too few patients, neither raises nor ends an alert.
        let quiet = [
            ("drift.answer", "everybody:answers"),
            ("drift.feature", "ward:blood_pressure"),
            ("drift.feature", "ward:gender"),
        ];
        assert_eq!(lit(&found, Light::Grey), quiet);
        assert_eq!(lit(&found, Light::Green), [("drift.feature", "everybody:age")]);

        // One source alone is named; answers that nothing explains are an alert of their own.
        all.retain(|one| one.group != "served" || one.about != About::Input);
        all.retain(|one| one.about != About::Category);
        let found = of(study, &all, &[]);
        let expected = [("drift.answer", "everybody:answers"), ("drift.feature", "ward:blood_pressure")];
        assert_eq!(lit(&found, Light::Red), expected);
        assert_eq!(lit(&found, Light::Amber), [("drift.feature", "everybody:blood_pressure")]);
    }

    #[test]
    fn other_rules_stay_as_they_are() {
        let rule = Checked {
            rule: "quality.swapped",
            subject: "ward".to_owned(),
            light: Light::Red,
            message: String::new(),
            detail: json!({}),
        };
        assert_eq!(of(Study::default_study(), &[], std::slice::from_ref(&rule)), [rule]);
    }
}
