//! A study's model of its notes: evidence per outcome, beside what the structured model knows.

use std::collections::HashMap;

use clinical::note::{NoteField, Stance};
use serde::{Deserialize, Serialize};

use super::features::{Features, NoteReader};
use super::ngrams::{BUCKETS, Weighting};
use super::ratios::{Counting, TermRatios};
use super::shrinkage::{self, CHANNELS, Judged};
use crate::{Error, Result};

/// Fewer notes than this teach nothing.
pub const FEWEST_NOTES: usize = 50;
/// Expected cases added to an outcome's direction of n-grams: draws rare outcomes to "nothing".
const PSEUDO: f64 = 5.0;

/// A training case with a note.
#[derive(Debug, Clone)]
pub struct Labelled<'a> {
    pub note: &'a str,
    /// All cases of one patient lie in one fold.
    pub fold: usize,
    /// Position among the outcomes.
    pub outcome: usize,
    /// Probability of every outcome by a structured model that has not seen the case.
    pub prior: &'a [f64],
    pub weight: f64,
}

/// What fitting found, kept with the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoteReport {
    /// Training cases with a note.
    pub notes: usize,
    /// Terms with a ratio of their own (a term counts once per stance).
    pub terms: usize,
    /// Factors of the term and the n-gram channel; 0 is off.
    pub term_factor: f64,
    pub ngram_factor: f64,
    /// Mean log loss of the cases with a note, each judged by what its fold had no part in.
    pub log_loss_without: f64,
    pub log_loss_with: f64,
    /// Standard error of their difference.
    pub standard_error: f64,
}

/// The fitted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoteModel {
    outcomes: usize,
    ratios: TermRatios,
    factors: [f64; CHANNELS],
    /// Where the n-gram channel is on.
    grams: Option<Grams>,
    pub report: NoteReport,
}

/// The n-gram channel: a direction per outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Grams {
    weighting: Weighting,
    /// Per outcome, over the buckets.
    #[serde(with = "stored_sparsely")]
    directions: Vec<Vec<f32>>,
}

/// Most buckets are empty: only the others are written.
mod stored_sparsely {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::BUCKETS;

    pub(super) fn serialize<S: Serializer>(rows: &[Vec<f32>], serializer: S) -> Result<S::Ok, S::Error> {
        let filled = |row: &Vec<f32>| -> Vec<(u32, f32)> {
            let entries = row.iter().enumerate().filter(|(_, value)| **value != 0.0);
            entries.map(|(place, &value)| (place as u32, value)).collect()
        };
        rows.iter().map(filled).collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<f32>>, D::Error> {
        let stored: Vec<Vec<(u32, f32)>> = Vec::deserialize(deserializer)?;
        let mut rows = vec![vec![0.0; BUCKETS]; stored.len()];
        for (row, entries) in rows.iter_mut().zip(stored) {
            for (place, value) in entries {
                if let Some(bucket) = row.get_mut(place as usize) {
                    *bucket = value;
                }
            }
        }
        Ok(rows)
    }
}

/// What a note says, ready to be added to the outcomes' log probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// One per outcome, weighed and capped.
    pub log_ratios: Vec<f64>,
    /// What it is made of.
    pub parts: Vec<EvidencePart>,
}

/// One term of a note, or the rest of its wording (`None`).
#[derive(Debug, Clone, PartialEq)]
pub struct EvidencePart {
    pub term: Option<String>,
    pub stance: Stance,
    /// One per outcome, weighed.
    pub log_ratios: Vec<f64>,
}

impl NoteModel {
    /// Fits on cases with notes. With too few of them, or where they do not help, the model says nothing.
    ///
    /// # Errors
    /// When a case does not fit the outcomes, or the dictionary cannot be made.
    pub fn fit(field: &NoteField, outcomes: usize, cases: &[Labelled<'_>]) -> Result<NoteModel> {
        if cases.iter().any(|case| case.outcome >= outcomes || case.prior.len() != outcomes) {
            return Err(Error::Invalid("a case with a note does not fit the outcomes".into()));
        }
        let reader = NoteReader::of(field)?;
        let features: Vec<Features> = cases.iter().map(|case| reader.read(case.note)).collect();
        let training = Training { reader: &reader, outcomes, cases, features: &features };
        let judged = training.judged();
        let usable = cases.len() >= FEWEST_NOTES;
        let (factors, _) = if usable { shrinkage::choose(&judged) } else { ([0.0; CHANNELS], Vec::new()) };
        let all: Vec<usize> = (0..cases.len()).collect();
        let ratios = if factors[0] > 0.0 { training.ratios(&all) } else { TermRatios::default() };
        let grams = (factors[1] > 0.0).then(|| training.grams(&all));
        let report = report(&judged, factors, ratios.terms.len());
        Ok(NoteModel { outcomes, ratios, factors, grams, report })
    }

    /// Whether a note can change an answer at all.
    pub fn speaks(&self) -> bool {
        self.factors.iter().any(|factor| *factor > 0.0)
    }

    /// Outcomes that it speaks of.
    pub fn outcomes(&self) -> usize {
        self.outcomes
    }

    /// The terms' ratios.
    pub fn ratios(&self) -> &TermRatios {
        &self.ratios
    }

    /// What a read note says. `reader` is the study's own.
    pub fn evidence(&self, reader: &NoteReader, features: &Features) -> Evidence {
        let mut parts = Vec::new();
        let place = by_code(&self.ratios);
        for &(term, stance) in &features.terms {
            let code = reader.dictionary().codes().get(term as usize);
            let known = code.and_then(|code| place.get(&(code.as_str(), stance)));
            if let Some(ratio) = known.and_then(|&at| self.ratios.terms.get(at)) {
                let log_ratios = ratio.log_ratios.iter().map(|ratio| self.factors[0] * ratio).collect();
                parts.push(EvidencePart { term: Some(ratio.code.clone()), stance, log_ratios });
            }
        }
        if let Some(grams) = &self.grams {
            let log_ratios = grams.scores(features).iter().map(|score| self.factors[1] * score).collect();
            parts.push(EvidencePart { term: None, stance: Stance::Affirmed, log_ratios });
        }
        Evidence::of(self.outcomes, parts)
    }
}

impl Evidence {
    fn of(outcomes: usize, parts: Vec<EvidencePart>) -> Evidence {
        let mut log_ratios = vec![0.0; outcomes];
        for part in &parts {
            log_ratios.iter_mut().zip(&part.log_ratios).for_each(|(sum, ratio)| *sum += ratio);
        }
        let cap = shrinkage::TOTAL_CAP;
        log_ratios.iter_mut().for_each(|sum| *sum = sum.clamp(-cap, cap));
        Evidence { log_ratios, parts }
    }

    /// The same without one part.
    pub fn without(&self, part: usize) -> Evidence {
        let mut parts = self.parts.clone();
        if part < parts.len() {
            parts.remove(part);
        }
        Evidence::of(self.log_ratios.len(), parts)
    }

    /// Multiplies the outcomes' probabilities by the ratios, and makes them sum to what they did.
    pub fn apply(&self, outcomes: &mut [f64]) {
        let before: f64 = outcomes.iter().sum();
        outcomes.iter_mut().zip(&self.log_ratios).for_each(|(p, ratio)| *p *= ratio.exp());
        let after: f64 = outcomes.iter().sum();
        if after > 0.0 {
            outcomes.iter_mut().for_each(|p| *p *= before / after);
        }
    }
}

impl Grams {
    fn scores(&self, features: &Features) -> Vec<f64> {
        let vector = self.weighting.apply(&features.grams);
        self.directions.iter().map(|direction| vector.dot_dense(direction)).collect()
    }
}

fn by_code(ratios: &TermRatios) -> HashMap<(&str, Stance), usize> {
    ratios.terms.iter().enumerate().map(|(at, term)| ((term.code.as_str(), term.stance), at)).collect()
}

fn report(judged: &[Judged], factors: [f64; CHANNELS], terms: usize) -> NoteReport {
    let open = factors.map(|factor| factor > 0.0);
    let without = shrinkage::held_out(judged, [false; CHANNELS]);
    let with = shrinkage::held_out(judged, open);
    let (_, standard_error) = shrinkage::paired(judged, &without, &with);
    let total: f64 = judged.iter().map(|case| case.weight).sum();
    let mean = |losses: &[f64]| {
        let sum: f64 = judged.iter().zip(losses).map(|(case, loss)| case.weight * loss).sum();
        if total > 0.0 { sum / total } else { 0.0 }
    };
    NoteReport {
        notes: judged.len(),
        terms,
        term_factor: factors[0],
        ngram_factor: factors[1],
        log_loss_without: mean(&without),
        log_loss_with: mean(&with),
        standard_error: if standard_error.is_finite() { standard_error } else { 0.0 },
    }
}

/// Cases with what was read in their notes.
struct Training<'a> {
    reader: &'a NoteReader,
    outcomes: usize,
    cases: &'a [Labelled<'a>],
    features: &'a [Features],
}

impl Training<'_> {
    fn of(&self, chosen: &[usize]) -> impl Iterator<Item = (&Labelled<'_>, &Features)> {
        chosen.iter().filter_map(|&at| Some((self.cases.get(at)?, self.features.get(at)?)))
    }

    fn ratios(&self, chosen: &[usize]) -> TermRatios {
        let mut counting = Counting::default();
        for (case, features) in self.of(chosen) {
            counting.add(&features.terms, case.outcome, case.prior, case.weight);
        }
        counting.ratios(self.reader.dictionary().codes())
    }

    /// Per outcome the mean vector of its notes less the one that was expected: a step of logistic regression from the
    /// structured model on.
    fn grams(&self, chosen: &[usize]) -> Grams {
        let weighting = Weighting::fit(BUCKETS, self.of(chosen).map(|(_, features)| &features.grams));
        let mut directions = vec![vec![0.0f64; BUCKETS]; self.outcomes];
        let mut expected = vec![PSEUDO; self.outcomes];
        for (case, features) in self.of(chosen) {
            let vector = weighting.apply(&features.grams);
            for (outcome, (direction, p)) in directions.iter_mut().zip(case.prior).enumerate() {
                let residual = case.weight * (f64::from(u8::from(outcome == case.outcome)) - p);
                for &(place, value) in vector.entries() {
                    if let Some(sum) = direction.get_mut(place as usize) {
                        *sum += residual * value;
                    }
                }
            }
            expected.iter_mut().zip(case.prior).for_each(|(sum, p)| *sum += case.weight * p);
        }
        let mean = |(sum, expected): (Vec<f64>, f64)| sum.iter().map(|sum| (sum / expected) as f32).collect();
        Grams { weighting, directions: directions.into_iter().zip(expected).map(mean).collect() }
    }

    /// Every case with evidence that its fold had no part in.
    fn judged(&self) -> Vec<Judged> {
        let mut folds: Vec<usize> = self.cases.iter().map(|case| case.fold).collect();
        folds.sort_unstable();
        folds.dedup();
        let mut all = Vec::with_capacity(self.cases.len());
        for fold in folds {
            let places = |inside: bool| -> Vec<usize> {
                let cases = self.cases.iter().enumerate();
                cases.filter(|(_, case)| (case.fold == fold) == inside).map(|(at, _)| at).collect()
            };
            let others = places(false);
            let (ratios, grams) = (self.ratios(&others), self.grams(&others));
            let codes = self.reader.dictionary().codes();
            let place = by_code(&ratios);
            for (case, features) in self.of(&places(true)) {
                let mut terms = vec![0.0; self.outcomes];
                for &(term, stance) in &features.terms {
                    let code = codes.get(term as usize).map(String::as_str);
                    let known = code.and_then(|code| ratios.terms.get(*place.get(&(code, stance))?));
                    if let Some(ratio) = known {
                        terms.iter_mut().zip(&ratio.log_ratios).for_each(|(sum, ratio)| *sum += ratio);
                    }
                }
                all.push(Judged {
                    fold,
                    outcome: case.outcome,
                    weight: case.weight,
                    log_prior: case.prior.iter().map(|p| p.max(f64::MIN_POSITIVE).ln()).collect(),
                    channels: [terms, grams.scores(features)],
                });
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use clinical::Text;
    use clinical::note::NoteTerm;

    use super::*;

    fn field() -> NoteField {
        let term = |code: &str| NoteTerm { code: code.to_owned(), es: vec![code.to_owned()], en: vec![] };
        NoteField {
            name: "note".to_owned(),
            label: Text::new("Nota", "Note"),
            hint: None,
            languages: vec![],
            max_chars: 1_000,
            vocabularies: vec![],
            terms: ["soplo", "edema", "fiebre"].map(term).into(),
        }
    }

    /// Deterministic draws in [0, 1).
    struct Dice(u64);

    impl Dice {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    /// Notes of two outcomes: `soplo` tells, `edema` follows only what the prior knows, `fiebre` is denied at random.
    fn cohort(n: usize, telling: bool) -> Vec<(String, usize, [f64; 2])> {
        let mut dice = Dice(3);
        (0..n)
            .map(|_| {
                let prior = 0.1 + 0.6 * dice.uniform();
                let outcome = usize::from(dice.uniform() < prior);
                let murmur = dice.uniform() < if outcome == 1 && telling { 0.6 } else { 0.1 };
                let oedema = dice.uniform() < prior;
                let mut note = if dice.uniform() < 0.5 { "Niega fiebre. ".to_owned() } else { String::new() };
                note.push_str(if murmur { "Soplo. " } else { "" });
                note.push_str(if oedema { "Edema." } else { "Visita." });
                (note, outcome, [1.0 - prior, prior])
            })
            .collect()
    }

    fn fit(cohort: &[(String, usize, [f64; 2])]) -> NoteModel {
        let cases: Vec<Labelled<'_>> = cohort
            .iter()
            .enumerate()
            .map(|(at, (note, outcome, prior))| Labelled {
                note,
                fold: at % 5,
                outcome: *outcome,
                prior,
                weight: 1.0,
            })
            .collect();
        NoteModel::fit(&field(), 2, &cases).unwrap()
    }

    fn evidence(model: &NoteModel, note: &str) -> Evidence {
        let reader = NoteReader::of(&field()).unwrap();
        model.evidence(&reader, &reader.read(note))
    }

    #[test]
    fn a_telling_term_moves_the_answer_and_one_that_repeats_the_prior_does_not() {
        let model = fit(&cohort(3_000, true));
        assert!(model.speaks());
        let report = &model.report;
        assert!(report.log_loss_with < report.log_loss_without - 5.0 * report.standard_error, "{report:?}");
        let of = |note: &str| {
            let ratios = evidence(&model, note).log_ratios;
            ratios[1] - ratios[0]
        };
        // In truth the odds of a murmur are 6 to 1.
        assert!((of("Soplo. Visita.") - 6f64.ln()).abs() < 0.45, "{}", of("Soplo. Visita."));
        let oedema = of("Edema.") - of("Visita.");
        assert!(oedema.abs() < 0.3, "{oedema}");
        assert_eq!(of("xyz"), 0.0, "what no note had says nothing");
        let part = &evidence(&model, "Niega fiebre, soplo").parts[0];
        assert_eq!((part.term.as_deref(), part.stance), (Some("fiebre"), Stance::Negated));
    }

    #[test]
    fn useless_or_few_notes_say_nothing() {
        for cohort in [cohort(1_500, false), cohort(49, true), Vec::new()] {
            let model = fit(&cohort);
            assert!(!model.speaks(), "{:?}", model.report);
            assert_eq!(evidence(&model, "Soplo. Edema.").log_ratios, [0.0, 0.0]);
            assert_eq!(model.report.log_loss_with, model.report.log_loss_without);
        }
    }

    #[test]
    fn evidence_multiplies_probabilities_and_parts_can_be_left_out() {
        let model = fit(&cohort(3_000, true));
        let evidence = evidence(&model, "Soplo. Edema.");
        let mut p = [0.7, 0.3];
        evidence.apply(&mut p);
        assert!((p[0] + p[1] - 1.0).abs() < 1e-12 && p[1] > 0.5);
        let soplo = evidence.parts.iter().position(|part| part.term.as_deref() == Some("soplo")).unwrap();
        let mut q = [0.7, 0.3];
        evidence.without(soplo).apply(&mut q);
        assert!(q[1] < p[1]);
    }

    #[test]
    fn the_same_notes_give_the_same_bytes_and_survive_storage() {
        let cohort = cohort(800, true);
        let bytes = serde_json::to_vec(&fit(&cohort)).unwrap();
        assert_eq!(bytes, serde_json::to_vec(&fit(&cohort)).unwrap());
        let (stored, fitted) = (serde_json::from_slice::<NoteModel>(&bytes).unwrap(), fit(&cohort));
        for note in ["Soplo. Edema.", "Niega fiebre. Visita.", ""] {
            let (a, b) = (evidence(&stored, note).log_ratios, evidence(&fitted, note).log_ratios);
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_case_that_does_not_fit_is_refused() {
        let bad = Labelled { note: "", fold: 0, outcome: 2, prior: &[0.5, 0.5], weight: 1.0 };
        assert!(NoteModel::fit(&field(), 2, &[bad]).is_err());
    }
}
