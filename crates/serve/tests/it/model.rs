//! A small predictor in closed form: a logistic model over levels with one interaction, explained by
//! Shapley's definition over every coalition and a fixed background.

use clinical::{
    Contribution, Explained, Explanation, ModelRef, Nearest, Note, Patient, Prediction, Rarity, Severity,
    Study, Warning,
};
use serve::Phrases;
use serve::ports::{Model, ModelError};

#[derive(Debug)]
pub(crate) struct ClosedForm {
    study: Study,
    phrases: Phrases,
    reference: ModelRef,
    /// Moves every score, so that two models give different answers.
    tilt: f64,
    background: Vec<Vec<usize>>,
}

pub(crate) const THRESHOLD: f64 = 0.3;

impl ClosedForm {
    pub(crate) fn new(study: Study, version: &str, tilt: f64) -> ClosedForm {
        let mut background = vec![Vec::new()];
        for &dim in study.domain().dims() {
            let levels = [0, dim - 1];
            background = background
                .into_iter()
                .flat_map(|row| levels.map(|level| [row.clone(), vec![level]].concat()))
                .collect();
        }
        let dataset_version = if tilt == 0.0 { 3 } else { 4 };
        let phrases = Phrases::of(&study, []);
        ClosedForm {
            study,
            phrases,
            reference: ModelRef { version: version.to_owned(), dataset_version },
            tilt,
            background,
        }
    }

    /// Probabilities of the severities, then of an orphan disease.
    fn evaluate(&self, levels: &[usize]) -> Vec<f64> {
        let dims = self.study.domain().dims();
        let shares: Vec<f64> =
            levels.iter().zip(dims).map(|(&level, &dim)| level as f64 / (dim.max(2) - 1) as f64).collect();
        let interaction = shares.first().unwrap_or(&0.0) * shares.last().unwrap_or(&0.0);
        let scores: Vec<f64> = (0..self.study.severities().len())
            .map(|class| {
                let weight = |feature: usize| ((class * 7 + feature * 3) % 5) as f64 - 2.0;
                let linear: f64 = shares.iter().enumerate().map(|(f, share)| weight(f) * share).sum();
                (linear + interaction * class as f64 + self.tilt * class as f64).exp()
            })
            .collect();
        let total: f64 = scores.iter().sum();
        let mut out: Vec<f64> = scores.iter().map(|score| score / total).collect();
        let healthy = out[0];
        out.push((1.0 - healthy) * (0.05 + 0.5 * shares.iter().sum::<f64>() / shares.len() as f64));
        out
    }

    fn explain(&self, levels: &[usize], output: usize) -> (f64, Vec<Contribution>) {
        let count = levels.len();
        let value = |coalition: usize| {
            let rows = self.background.iter().map(|row| {
                let mixed: Vec<usize> =
                    (0..count).map(|f| if coalition >> f & 1 == 1 { levels[f] } else { row[f] }).collect();
                self.evaluate(&mixed)[output]
            });
            rows.sum::<f64>() / self.background.len() as f64
        };
        let values: Vec<f64> = (0..1 << count).map(value).collect();
        let factorial = |n: usize| (1..=n).map(|k| k as f64).product::<f64>();
        let mut contributions: Vec<Contribution> = (0..count)
            .map(|feature| {
                let without = (0..1usize << count).filter(|coalition| coalition >> feature & 1 == 0);
                let value = without
                    .map(|coalition| {
                        let size = coalition.count_ones() as usize;
                        let weight = factorial(size) * factorial(count - size - 1) / factorial(count);
                        weight * (values[coalition | 1 << feature] - values[coalition])
                    })
                    .sum();
                Contribution { feature, value }
            })
            .collect();
        contributions.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()));
        (values[0], contributions)
    }
}

impl Model for ClosedForm {
    fn study(&self) -> &Study {
        &self.study
    }

    fn reference(&self) -> &ModelRef {
        &self.reference
    }

    fn phrases(&self) -> &Phrases {
        &self.phrases
    }

    fn answer(
        &self,
        patient: &Patient,
        _: Option<&Note>,
        explain: Option<Explained>,
    ) -> Result<Prediction, ModelError> {
        let levels = self.study.levels(patient);
        let mut probabilities = self.evaluate(&levels);
        let probability_orphan = probabilities.pop().unwrap();
        let best =
            (0..probabilities.len()).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap();
        let severity = Severity(best as u8);
        let of = explain.unwrap_or(Explained::Severity(severity));
        let output = match of {
            Explained::Severity(severity) => severity.index(),
            Explained::Orphan => probabilities.len(),
        };
        let (base_value, contributions) = self.explain(&levels, output);
        let orphan = probability_orphan >= THRESHOLD;
        let rarity = (best != 0).then_some(if orphan { Rarity::Orphan } else { Rarity::Common });
        let name = "Marfan".to_owned();
        let mut sorted = probabilities.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        Ok(Prediction {
            severity,
            rarity,
            probability_orphan,
            threshold: THRESHOLD,
            nearest: vec![Nearest {
                disease_code: "ORPHA:558".to_owned(),
                name,
                probability: probability_orphan / 2.0,
            }],
            explanation: Explanation { of, base_value, contributions },
            warnings: (sorted[0] - sorted[1] < 0.1).then_some(Warning::CloseClasses).into_iter().collect(),
            probabilities,
            note: None,
        })
    }

    fn created_at(&self) -> &str {
        "2026-01-01T00:00:00Z"
    }
}

/// The default study's features of these names only.
pub(crate) fn study_of(names: &[&str]) -> Study {
    let text = clinical::study::DEFAULT_TOML;
    let (features, rest) = text.split_once("# ── Outcome").unwrap();
    let mut stanzas = features.split("[[feature]]");
    let mut out = stanzas.next().unwrap().to_owned();
    for stanza in
        stanzas.filter(|stanza| names.iter().any(|name| stanza.contains(&format!("name = \"{name}\"\n"))))
    {
        out += &format!("[[feature]]{stanza}");
    }
    // Limits and gates by group name features that may be gone.
    let by_group =
        |line: &str| ["by = [", "reading = ", "features = ["].iter().any(|start| line.starts_with(start));
    let rest: String = rest.lines().filter(|line| !by_group(line)).flat_map(|line| [line, "\n"]).collect();
    Study::parse(&format!("{out}# ── Outcome{rest}")).unwrap()
}

/// The default study with one laboratory value more.
pub(crate) fn study_with_glucose() -> Study {
    let stanza = r#"
[[feature]]
name = "glucose"
kind = "number"
input = "glucose_mg_dl"
label = { es = "Glucosa en ayunas", en = "Fasting glucose" }
unit = { es = "mg/dL", en = "mg/dL" }
min = 40
max = 600
loinc = "1558-6"

"#;
    Study::parse(&clinical::study::DEFAULT_TOML.replacen("# ── Outcome", &format!("{stanza}# ── Outcome"), 1))
        .unwrap()
}

/// A model whose parts contradict each other: it fails or panics on every patient.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) sound: ClosedForm,
    pub(crate) panics: bool,
}

impl Model for Broken {
    fn study(&self) -> &Study {
        self.sound.study()
    }

    fn reference(&self) -> &ModelRef {
        self.sound.reference()
    }

    fn phrases(&self) -> &Phrases {
        self.sound.phrases()
    }

    fn answer(&self, _: &Patient, _: Option<&Note>, _: Option<Explained>) -> Result<Prediction, ModelError> {
        assert!(!self.panics, "a panic that this test asks for");
        Err(ModelError("the table is shorter than the domain".to_owned()))
    }

    fn created_at(&self) -> &str {
        self.sound.created_at()
    }
}
