//! The few-shot half through its public face: against its formulas in numpy, and on a small made-up cohort.

use learn::fewshot::{
    DIM, Disease, DiseaseCounts, Embedded, Embedding, Episodes, Margins, NoveltyBudget, Population,
    Prototypes,
};
use learn::prior::Prior;
use learn::{Error, Matrix};
use serde_json::Value;

const WEIGHTS: &[u8] = include_bytes!("../reference/fewshot/embedding.safetensors");

struct Reference {
    json: Value,
    embedding: Embedding,
    x: Matrix<f32>,
    counts: DiseaseCounts,
}

impl Reference {
    fn new() -> Reference {
        let json: Value = serde_json::from_str(include_str!("../reference/fewshot/fewshot.json")).unwrap();
        let x: Vec<Vec<f32>> = serde_json::from_value(json["x"].clone()).unwrap();
        let codes: Vec<String> = serde_json::from_value(json["codes"].clone()).unwrap();
        let orphan: Vec<bool> = serde_json::from_value(json["orphan"].clone()).unwrap();
        let diseases =
            codes.into_iter().zip(orphan).map(|(code, orphan)| Disease { code, orphan }).collect::<Vec<_>>();
        let counts: Vec<Vec<f64>> = serde_json::from_value(json["counts"].clone()).unwrap();
        let counts = Matrix::from_vec(counts.len(), diseases.len(), counts.concat()).unwrap();
        Reference {
            embedding: Embedding::from_bytes(WEIGHTS).unwrap(),
            x: Matrix::from_vec(x.len(), x[0].len(), x.concat()).unwrap(),
            counts: DiseaseCounts::from_matrix(diseases, &counts).unwrap(),
            json,
        }
    }

    fn embedded(&self) -> Embedded {
        self.embedding.embed(&self.x).unwrap()
    }

    fn point(&self, row: usize) -> Embedded {
        self.embedding.embed(&self.x.select(&[row])).unwrap()
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        serde_json::from_value(self.json[name].clone()).unwrap()
    }

    fn matrix(&self, name: &str) -> Vec<Vec<f64>> {
        serde_json::from_value(self.json[name].clone()).unwrap()
    }

    /// The prototypes with the added cases, and how far each case moved its own.
    fn grown(&self) -> (Prototypes, Vec<(String, Vec<f64>)>) {
        let mut prototypes = Prototypes::fit(&self.embedded(), &self.counts).unwrap();
        let mut moves = Vec::new();
        for (code, rows) in self.json["added"].as_object().unwrap() {
            let rows: Vec<usize> = serde_json::from_value(rows.clone()).unwrap();
            let mut by = Vec::new();
            for row in rows {
                let id = format!("case-{row}");
                let moved = prototypes.add(&orphan(code), &id, &self.point(row)).unwrap().unwrap();
                by.push(moved.by);
                assert!(moved.bound.is_none_or(|bound| moved.by <= bound + 1e-12));
            }
            moves.push((code.clone(), by));
        }
        (prototypes, moves)
    }
}

fn orphan(code: &str) -> Disease {
    Disease { code: code.to_owned(), orphan: true }
}

fn near(got: f64, expected: f64, tolerance: f64) -> bool {
    (got - expected).abs() <= tolerance * expected.abs().max(1.0)
}

#[test]
fn the_network_file_of_other_software_is_read_and_gives_its_points() {
    let reference = Reference::new();
    let expected = reference.matrix("embedded");
    let embedded = reference.embedded();
    assert_eq!(embedded.rows(), expected.len());
    for (point, expected) in embedded.points().iter().zip(&expected) {
        assert_eq!(point.map(f64::from).as_slice(), expected, "every sum is exact");
    }
}

#[test]
fn sharpness_and_open_set_are_scipys() {
    let reference = Reference::new();
    let prototypes = Prototypes::fit(&reference.embedded(), &reference.counts).unwrap();
    let expected = reference.json["sharpness"].as_f64().unwrap();
    assert!(near(prototypes.sharpness(), expected, 1e-6), "{} {expected}", prototypes.sharpness());
    for (distance, expected) in reference.numbers("probes").into_iter().zip(reference.numbers("p_values")) {
        let p = prototypes.p_value(distance);
        assert!(p >= expected - 1e-12 && p <= expected * 1.011, "{distance}: {p} for {expected}");
    }
}

#[test]
fn single_cases_move_prototypes_as_numpy_moves_them() {
    let reference = Reference::new();
    for (code, by) in reference.grown().1 {
        let path = reference.json["paths"][&code].clone();
        let path: Vec<Vec<f64>> = serde_json::from_value(path).unwrap();
        assert_eq!(path.len(), by.len());
        for (step, by) in path.windows(2).zip(&by[1..]) {
            let expected = step[0].iter().zip(&step[1]).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
            assert!(near(*by, expected, 1e-6), "{code}: {by} for {expected}");
        }
    }
}

#[test]
fn margins_and_posteriors_are_numpys() {
    let reference = Reference::new();
    let (prototypes, _) = reference.grown();
    let margins = prototypes.margins(&reference.embedded()).unwrap();
    let codes: Vec<&str> = prototypes.orphans().map(|disease| disease.code.as_str()).collect();
    assert_eq!(codes, ["ORPHA:10", "ORPHA:11", "ORPHA:20", "ORPHA:30"]);
    let close = |name: &str, got: f64, expected: f64| {
        assert!(near(got, expected, 1e-6), "{name}: {got} for {expected}");
    };
    let (rarity, distance) = (reference.numbers("rarity"), reference.numbers("distance"));
    let (novelty, posterior) = (reference.matrix("novelty"), reference.matrix("posterior"));
    for i in 0..reference.x.rows() {
        close("rarity", margins.rarity[i], rarity[i]);
        close("distance", margins.distance[i], distance[i]);
        novelty[i].iter().zip(margins.novelty.row(i)).for_each(|(e, got)| close("novelty", *got, *e));
        posterior[i].iter().zip(margins.posterior.row(i)).for_each(|(e, got)| {
            close("posterior", f64::from(*got), *e);
        });
        let nearest = prototypes.nearest(margins.posterior.row(i), 3);
        assert_eq!(nearest.len(), 3);
        assert!(nearest.is_sorted_by(|a, b| a.probability >= b.probability));
        let best = posterior[i][..4].iter().copied().fold(0.0, f64::max);
        close("nearest", nearest[0].probability, best);
    }
}

#[test]
fn a_prevalence_weighs_orphan_diseases_beside_each_other_and_comes_back() {
    let reference = Reference::new();
    let (counted, _) = reference.grown();
    let known = [("ORPHA:10".to_owned(), 30.0), ("ORPHA:11".to_owned(), 0.3)].into();
    let weighed = counted.clone().weighed(Prior::Prevalence(known));
    let embedded = reference.embedded();
    let [before, after] = [&counted, &weighed].map(|prototypes| prototypes.margins(&embedded).unwrap());
    let of = |margins: &Margins, row: usize| {
        let [first, second] = [0, 1].map(|code| f64::from(margins.posterior.row(row)[code]));
        (first.min(second) > 1e-3).then_some(first / second)
    };
    let expected = 100.0 * counted.cases("ORPHA:11") / counted.cases("ORPHA:10");
    let mut seen = 0;
    for row in 0..reference.x.rows() {
        if let (Some(before), Some(after)) = (of(&before, row), of(&after, row)) {
            assert!(near(after / before, expected, 1e-3), "{after} after {before}, times {expected}");
            seen += 1;
        }
    }
    assert!(seen > 0, "no row leaves both diseases possible");
    assert_eq!(before.distance, after.distance);
    let bytes = weighed.to_bytes().unwrap();
    assert_eq!(Prototypes::from_bytes(&bytes).unwrap(), weighed);
}

#[test]
fn bytes_come_back_and_give_the_same() {
    let reference = Reference::new();
    let bytes = reference.embedding.to_bytes().unwrap();
    let again = Embedding::from_bytes(&bytes).unwrap();
    assert_eq!(again, reference.embedding);
    assert_eq!(bytes, again.to_bytes().unwrap());
    let (mut prototypes, _) = reference.grown();
    assert!(prototypes.withdraw_trained("ORPHA:10", "case-21", &reference.point(21)).unwrap());
    let bytes = prototypes.to_bytes().unwrap();
    let again = Prototypes::from_bytes(&bytes).unwrap();
    assert_eq!(again, prototypes);
    assert_eq!(bytes, again.to_bytes().unwrap());
    let embedded = reference.embedded();
    assert_eq!(again.margins(&embedded).unwrap(), prototypes.margins(&embedded).unwrap());
}

#[test]
fn damaged_bytes_are_refused() {
    let reference = Reference::new();
    let (weights, prototypes) = (WEIGHTS.to_vec(), reference.grown().0.to_bytes().unwrap());
    for cut in [0, 7, 20, 100, weights.len() / 2, weights.len() - 1] {
        assert!(
            matches!(Embedding::from_bytes(&weights[..cut]), Err(Error::Malformed { .. })),
            "cut at {cut}"
        );
    }
    for cut in [0, 7, 20, 100, prototypes.len() / 2, prototypes.len() - 1] {
        assert!(
            matches!(Prototypes::from_bytes(&prototypes[..cut]), Err(Error::Malformed { .. })),
            "cut at {cut}"
        );
    }
    assert!(Embedding::from_bytes(&prototypes).is_err() && Prototypes::from_bytes(&weights).is_err());
    let mut nan = weights.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(Embedding::from_bytes(&nan).unwrap_err().to_string().contains("not finite"));
}

#[test]
fn points_of_another_embedding_are_refused_everywhere() {
    let reference = Reference::new();
    let mut other = WEIGHTS.to_vec();
    let last = other.len() - 1;
    other[last] ^= 1;
    let other = Embedding::from_bytes(&other).unwrap();
    assert_ne!(other.digest(), reference.embedding.digest());
    let (mut prototypes, _) = reference.grown();
    let foreign = other.embed(&reference.x).unwrap();
    let point = other.embed(&reference.x.select(&[3])).unwrap();
    let refused = |error: Error| assert!(error.to_string().contains("embed the patients again"), "{error}");
    refused(prototypes.margins(&foreign).unwrap_err());
    refused(prototypes.calibrate(&foreign, &reference.counts).unwrap_err());
    refused(prototypes.add(&orphan("ORPHA:20"), "case-x", &point).unwrap_err());
    refused(prototypes.correct(&orphan("ORPHA:20"), "case-35", &point).unwrap_err());
    refused(prototypes.withdraw_trained("ORPHA:10", "case-y", &point).unwrap_err());
}

/// Four diseases in two dimensions and an indicator, a block of levels each; two hundred rows.
fn cohort() -> (Matrix<f32>, DiseaseCounts) {
    let (mut x, mut entries) = (Vec::new(), Vec::new());
    for row in 0..200usize {
        let (a, b) = (row / 20, row % 20);
        x.extend([a as f32 / 10.0, b as f32 / 20.0, f32::from(u8::from(a < 5))]);
        let disease = 2 * usize::from(a >= 5) + usize::from(b >= 10);
        entries.push((disease, row, if disease == 3 { f64::from(u8::from(row % 7 == 0)) } else { 3.0 }));
    }
    let disease = |(i, code): (usize, &str)| Disease { code: code.into(), orphan: i == 3 };
    let diseases = ["healthy", "I10", "E11", "ORPHA:1"].into_iter().enumerate().map(disease).collect();
    (Matrix::from_vec(200, 3, x).unwrap(), DiseaseCounts::new(diseases, 200, entries).unwrap())
}

fn short() -> Episodes {
    Episodes { episodes: 150, seed: 5, ..Episodes::default() }
}

#[test]
fn training_learns_and_the_same_seed_gives_the_same_bytes() {
    let (x, counts) = cohort();
    let (embedding, losses) = Embedding::train(&x, &counts, &short()).unwrap();
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    assert_eq!(losses.len(), 150);
    assert!(
        mean(&losses[130..]) < 0.5 * mean(&losses[..10]),
        "{} {}",
        mean(&losses[..10]),
        mean(&losses[130..])
    );
    let (again, _) = Embedding::train(&x, &counts, &short()).unwrap();
    assert_eq!(again.to_bytes().unwrap(), embedding.to_bytes().unwrap());
    let (other, _) = Embedding::train(&x, &counts, &Episodes { seed: 6, ..short() }).unwrap();
    assert_ne!(other.digest(), embedding.digest());
    assert_eq!(embedding.columns(), 3);
    assert!(embedding.embed(&Matrix::zeros(1, 4)).is_err());
    let embedded = embedding.embed(&x).unwrap();
    assert_eq!((embedded.rows(), embedded.points()[0].len()), (200, DIM));
    // The orphan disease is recognised by its margin.
    let margins = Prototypes::fit(&embedded, &counts).unwrap().margins(&embedded).unwrap();
    let orphan = counts.by_row(|disease| disease.orphan);
    let of = |keep: bool| {
        (0..200)
            .filter(|&row| (row / 20 >= 5 && row % 20 >= 10) == keep)
            .map(|row| margins.rarity[row])
            .collect::<Vec<_>>()
    };
    assert!(orphan.iter().sum::<f64>() < 10.0);
    let (own, others) = (of(true), of(false));
    let higher: usize = own.iter().map(|own| others.iter().filter(|other| own > other).count()).sum();
    assert!(higher as f64 > 0.97 * (own.len() * others.len()) as f64);
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let (x, counts) = cohort();
    let refused = |x: &Matrix<f32>, counts: &DiseaseCounts, episodes: Episodes| {
        Embedding::train(x, counts, &episodes).unwrap_err().to_string()
    };
    let one = DiseaseCounts::new(counts.diseases().to_vec(), 200, [(0, 3, 50.0), (3, 9, 1.0)]).unwrap();
    assert!(refused(&x, &one, short()).contains("two diseases"));
    assert!(refused(&x.select(&[0, 1]), &counts, short()).contains("rows"));
    assert!(refused(&x, &counts, Episodes { ways: 1, ..short() }).contains("episodes"));
    assert!(refused(&x, &counts, Episodes { learning_rate: f64::NAN, ..short() }).contains("rate"));
    let mut infinite = x.clone();
    infinite.row_mut(0)[0] = f32::INFINITY;
    assert!(refused(&infinite, &counts, short()).contains("finite"));
    let orphans = DiseaseCounts::new(counts.diseases().to_vec(), 200, [(3, 9, 5.0)]).unwrap();
    let (embedding, _) = Embedding::train(&x, &counts, &short()).unwrap();
    let error = Prototypes::fit(&embedding.embed(&x).unwrap(), &orphans).unwrap_err();
    assert!(error.to_string().contains("common"), "{error}");
}

#[test]
fn cases_are_added_once_corrected_and_withdrawn_without_a_trace() {
    let reference = Reference::new();
    let mut prototypes = Prototypes::fit(&reference.embedded(), &reference.counts).unwrap();
    let before = prototypes.clone();
    let (known, new) = (orphan("ORPHA:10"), orphan("ORPHA:77"));
    assert!(prototypes.add(&new, "a", &reference.point(1)).unwrap().is_some());
    assert!(prototypes.add(&known, "b", &reference.point(2)).unwrap().is_some());
    let two = prototypes.clone();
    assert_eq!(prototypes.add(&new, "a", &reference.point(1)).unwrap(), None, "held already");
    let error = prototypes.add(&known, "a", &reference.point(1)).unwrap_err();
    assert!(error.to_string().contains("correct"), "{error}");
    assert_eq!(prototypes, two);
    assert_eq!(
        [prototypes.cases("ORPHA:77"), prototypes.cases("ORPHA:10"), prototypes.cases("?")],
        [1.0, 23.0, 0.0]
    );
    // To another disease, and to another point.
    assert!(prototypes.correct(&known, "a", &reference.point(1)).unwrap().is_some());
    assert_eq!(prototypes.watched().count(), 0);
    assert!(prototypes.correct(&known, "a", &reference.point(4)).unwrap().is_some());
    assert_eq!(prototypes.correct(&known, "a", &reference.point(4)).unwrap(), None);
    let mut straight = before.clone();
    straight.add(&known, "b", &reference.point(2)).unwrap();
    straight.add(&known, "a", &reference.point(4)).unwrap();
    assert_eq!(prototypes, straight);
    assert!(prototypes.withdraw("a") && !prototypes.withdraw("a") && prototypes.withdraw("b"));
    assert_eq!(prototypes, before, "as if they had never come");
    let common = Disease { code: "ICD-10:I10".into(), orphan: false };
    assert!(prototypes.add(&common, "c", &reference.point(5)).is_err());
    assert!(prototypes.add(&orphan("ICD-10:I10"), "c", &reference.point(5)).is_err());
    assert_eq!(prototypes, before, "what is refused changes nothing");
}

#[test]
fn a_training_case_withdrawn_is_a_training_case_less() {
    let reference = Reference::new();
    let embedded = reference.embedded();
    let mut prototypes = Prototypes::fit(&embedded, &reference.counts).unwrap();
    let (code, disease) = ("ORPHA:10", 3);
    let row = reference.counts.of(disease).iter().find(|(_, count)| *count >= 2.0).unwrap().0 as usize;
    assert!(prototypes.withdraw_trained(code, "x", &reference.point(row)).unwrap());
    assert!(!prototypes.withdraw_trained(code, "x", &reference.point(row)).unwrap(), "only once");
    assert_eq!(prototypes.withdrawn(), 1);
    assert!(prototypes.withdraw_trained("ICD-10:I10", "y", &reference.point(row)).is_err());
    // The statistics are those of the counts without the case.
    let mut entries = Vec::new();
    for j in 0..5 {
        entries.extend(reference.counts.of(j).iter().map(|&(row, count)| (j, row as usize, count)));
    }
    let less = entries
        .iter()
        .map(|&(j, at, count)| (j, at, if (j, at) == (disease, row) { count - 1.0 } else { count }));
    let less = DiseaseCounts::new(reference.counts.diseases().to_vec(), 60, less).unwrap();
    let again = Prototypes::fit(&embedded, &less).unwrap();
    let (got, expected) = (prototypes.statistics(code).unwrap(), again.statistics(code).unwrap());
    for (got, expected) in got.iter().zip(expected) {
        assert!(near(*got, expected, 1e-12), "{got} {expected}");
    }
}

#[test]
fn a_case_far_from_the_others_is_flagged() {
    let reference = Reference::new();
    let (prototypes, _) = reference.grown();
    let held = prototypes.held("ORPHA:20");
    let flagged: Vec<&str> = held.iter().filter(|held| held.flagged).map(|held| held.id).collect();
    assert_eq!(flagged, ["case-59"], "{held:?}");
    assert_eq!(prototypes.held("ORPHA:30")[0].distance, None, "nothing to compare it with");
}

#[test]
fn new_diseases_alarm_within_their_budget() {
    let reference = Reference::new();
    let (prototypes, _) = reference.grown();
    let margins = prototypes.margins(&reference.embedded()).unwrap();
    let negatives = reference.counts.by_row(|disease| !disease.orphan);
    let everyone = reference.counts.by_row(|_| true);
    let alarmed = vec![false; 60];
    let population = Population { negatives: &negatives, everyone: &everyone, alarmed: &alarmed };
    let total: f64 = negatives.iter().sum();
    for each in [0.0, 0.004, 0.02, 0.1] {
        let alarm =
            NoveltyBudget { each, total: 1.0, alerts: None }.fit(&margins.novelty, &population).unwrap();
        let mut any = 0.0;
        for (disease, threshold) in alarm.thresholds.iter().enumerate() {
            let raised = |row: usize| {
                threshold.is_some_and(|threshold| margins.novelty.row(row)[disease] >= threshold)
            };
            let share = (0..60).filter(|&row| raised(row)).map(|row| negatives[row]).sum::<f64>() / total;
            assert!(share <= each, "{share} > {each}");
            any += (0..60)
                .filter(|&row| alarm.raised(margins.novelty.row(row)))
                .map(|row| negatives[row])
                .sum::<f64>();
        }
        assert!(near(any / 2.0 / total, alarm.false_alarms, 1e-12));
        // The first case itself is alarmed as soon as the budget allows any alarm at all there.
        assert!(each < 0.1 || alarm.raised(margins.novelty.row(42)));
    }
    assert!(
        NoveltyBudget { each: 1.5, ..NoveltyBudget::default() }.fit(&margins.novelty, &population).is_err()
    );
    let short = Population { alarmed: &alarmed[1..], ..population };
    assert!(NoveltyBudget::default().fit(&margins.novelty, &short).is_err());
}
