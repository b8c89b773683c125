//! Every figure equals scikit-learn's (scipy's, dcurves') on the same patients as rows; what cannot be computed says why.

use clinical::{Rarity, Severity};
use evaluate::{
    Answer, Bootstrap, Cells, DiseaseCounts, Error, Figure, Grouping, Metric, diseases, evaluate, subgroups,
};
use serde_json::Value;

use crate::{CLASSES, cells, floats, metrics, push};

const FEW: Bootstrap = Bootstrap { replicates: 20, seed: 3 };

fn close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{what}: {found} {expected}");
}

#[test]
fn figures_equal_scikit_learn() {
    let stored = metrics();
    let cases = stored["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let (expected, name) = (&case["expected"], case["name"].as_str().unwrap());
        let report = evaluate(&cells(case), &FEW).unwrap();
        assert_eq!(
            (report.patients, report.orphans),
            (expected["patients"].as_u64().unwrap(), expected["orphans"].as_u64().unwrap())
        );
        let json: Value = serde_json::to_value(&report).unwrap();
        for key in [
            "macro_f1",
            "f1_common",
            "f1_common_without_alarm",
            "orphan_recall",
            "orphan_precision",
            "orphan_omission",
            "alerts_per_1000",
            "orphan_average_precision",
            "orphan_roc_auc",
            "brier",
            "log_loss",
            "calibration_error",
            "orphan_brier",
            "orphan_log_loss",
            "orphan_calibration_error",
        ] {
            let figure = &json[key];
            close(
                figure["value"].as_f64().unwrap(),
                expected[key].as_f64().unwrap(),
                &format!("{name}: {key}"),
            );
            assert!(figure["low"].as_f64().unwrap() <= figure["value"].as_f64().unwrap(), "{name}: {key}");
            assert!(figure["high"].as_f64().unwrap() >= figure["value"].as_f64().unwrap(), "{name}: {key}");
        }
        let figures = &report.figures;
        for (found, key) in
            [(&figures.f1, "f1"), (&figures.precision, "precision"), (&figures.recall, "recall")]
        {
            assert_eq!(found.len(), CLASSES.len());
            for (figure, expected) in found.iter().zip(floats(&expected[key])) {
                close(figure.value().unwrap(), expected, &format!("{name}: {key}"));
            }
        }
        assert_eq!(json["confusion"], expected["confusion"]);
        let precision = report.figures.orphan_precision.value().unwrap();
        close(report.figures.number_needed_to_review.value().unwrap(), 1.0 / precision, name);
        close(
            report.figures.orphan_base_rate.value().unwrap(),
            report.orphans as f64 / report.patients as f64,
            name,
        );
        assert_eq!(serde_json::from_value::<evaluate::Report>(json).unwrap(), report);
    }
}

/// The curve's step sum is the average precision, and it ends with everybody alarmed.
#[test]
fn operating_points_and_calibration_curves_agree_with_the_figures() {
    for case in metrics()["cases"].as_array().unwrap() {
        let report = evaluate(&cells(case), &FEW).unwrap();
        let (points, figures) = (&report.operating_points, &report.figures);
        assert!(points.len() <= 202);
        let end = points.last().unwrap();
        close(end.recall, 1.0, "recall");
        close(end.alerts_per_1000, 1000.0, "alerts");
        assert!(points.windows(2).all(|w| w[0].threshold > w[1].threshold && w[0].recall <= w[1].recall));
        if case["name"] == "tied scores" {
            let steps = std::iter::once(0.0).chain(points.iter().map(|p| p.recall));
            let area: f64 =
                points.iter().zip(steps).map(|(p, before)| (p.recall - before) * p.precision).sum();
            close(area, figures.orphan_average_precision.value().unwrap(), "average precision");
        }
        for (curve, error) in [
            (&report.calibration.severity, &figures.calibration_error),
            (&report.calibration.orphan, &figures.orphan_calibration_error),
        ] {
            let bins = curve.iter().map(|b| (b.predicted, b.observed.estimate().unwrap()));
            let sum: f64 = bins.map(|(p, o)| (p - o.value).abs() * o.n as f64).sum();
            close(sum / report.patients as f64, error.value().unwrap(), "calibration error");
            assert!(curve.windows(2).all(|w| w[0].to < w[1].from));
        }
    }
}

#[test]
fn decision_curves_equal_dcurves() {
    for case in metrics()["cases"].as_array().unwrap() {
        let report = evaluate(&cells(case), &FEW).unwrap();
        let (expected, name) = (&case["expected"]["decision_curve"], case["name"].as_str().unwrap());
        assert_eq!(report.decision_curve.len(), 16);
        for (i, at) in report.decision_curve.iter().enumerate() {
            for (figure, key) in [
                (&at.by_probability, "by_probability"),
                (&at.by_alarm, "by_alarm"),
                (&at.everybody, "everybody"),
            ] {
                let e = figure.estimate().unwrap();
                close(e.value, floats(&expected[key])[i], &format!("{name}: {key} at {}", at.threshold));
                assert!(e.low <= e.value && e.value <= e.high, "{name}: {key} {e:?}");
                assert_eq!(e.n, report.patients);
            }
        }
        // The alarm beats nobody below its precision, and everybody above the share of orphans that it leaves out.
        let (from, to) = (&report.figures.orphan_omission, &report.figures.orphan_precision);
        for at in &report.decision_curve {
            let (alarm, everybody) = (at.by_alarm.value().unwrap(), at.everybody.value().unwrap());
            assert_eq!(alarm > 0.0, at.threshold < to.value().unwrap(), "{name} at {}", at.threshold);
            assert_eq!(alarm > everybody, at.threshold > from.value().unwrap(), "{name} at {}", at.threshold);
        }
    }
}

#[test]
fn those_who_get_no_answer_are_counted_and_left_out_of_what_the_others_get() {
    for case in metrics()["cases"].as_array().unwrap() {
        let (mut all, expected) = (cells(case), &case["expected"]);
        assert_eq!(evaluate(&all, &FEW).unwrap().among_answered, None);
        for i in 0..all.len() {
            if floats(&case["probabilities"][i]).into_iter().fold(0.0, f64::max) < 0.5 {
                all.abstain(i);
            }
        }
        all.abstain(all.len());
        let report = evaluate(&all, &FEW).unwrap();
        close(report.answered.value().unwrap(), expected["answered"].as_f64().unwrap(), "answered");
        let among: Value = serde_json::to_value(report.among_answered.as_ref().unwrap()).unwrap();
        for key in ["macro_f1", "orphan_recall", "brier"] {
            let expected = expected["among_answered"][key].as_f64().unwrap();
            close(among[key]["value"].as_f64().unwrap(), expected, key);
        }
        // Whoever is told "not sure" counts in all other figures with the answer that would have been given.
        close(report.figures.macro_f1.value().unwrap(), expected["macro_f1"].as_f64().unwrap(), "macro F1");
    }
}

#[test]
fn diseases_fare_as_scipy_counts_them() {
    for case in metrics()["cases"].as_array().unwrap() {
        let all = cells(case);
        let stored = case["diseases"].as_array().unwrap();
        let counts: Vec<DiseaseCounts> = stored
            .iter()
            .map(|disease| DiseaseCounts {
                code: disease["code"].as_str().unwrap().to_owned(),
                rarity: if disease["orphan"] == true { Rarity::Orphan } else { Rarity::Common },
                patients: floats(&disease["cells"])
                    .into_iter()
                    .enumerate()
                    .map(|(cell, n)| (cell, disease["severity"].as_u64().unwrap() as usize, n as u64))
                    .collect(),
            })
            .collect();
        let found = diseases(&all, &counts).unwrap();
        assert_eq!(found.len(), 18);
        assert!(found.iter().any(|disease| disease.recall.value().is_some()));
        assert!(found.iter().any(|disease| disease.recall.value().is_none()));
        for (found, expected) in found.iter().zip(stored) {
            assert_eq!(
                (&expected["code"], &expected["patients"]),
                (&found.code.as_str().into(), &found.patients.into())
            );
            for (figure, key) in
                [(&found.recall, "recall"), (&found.precision, "precision"), (&found.alarmed, "alarmed")]
            {
                match (figure, &expected[key]) {
                    (Figure::Measured(e), expected) => {
                        let [low, high, value] = floats(expected)[..] else { panic!("{expected}") };
                        close(e.value, value, key);
                        assert!((e.low - low).abs() < 1e-8 && (e.high - high).abs() < 1e-8, "{key}: {e:?}");
                    }
                    (undefined, expected) => {
                        assert!(expected.is_null(), "{expected}");
                        assert_eq!(reason(undefined), format!("{} patients, 9 are needed", found.patients));
                    }
                }
            }
        }
        let of = |patients| DiseaseCounts { code: "x".to_owned(), rarity: Rarity::Common, patients };
        let error = |patients| diseases(&all, &[of(patients)]).unwrap_err();
        assert_eq!(error(vec![(all.len(), 1, 1)]), Error::NoSuchCell { cell: all.len() });
        assert_eq!(error(vec![(0, 4, 1)]), Error::NoSuchClass { cell: 0, class: 4 });
    }
}

#[test]
fn subgroups_are_what_their_members_alone_give() {
    let stored = metrics();
    let all = cells(&stored["cases"][0]);
    let names: Vec<String> = ["even", "odd", "nobody"].map(str::to_owned).into();
    let of_cell: Vec<u16> = (0..all.len()).map(|i| (i % 2) as u16).collect();
    let groups = subgroups(&all, &Grouping { names: &names, of_cell: &of_cell }, &FEW).unwrap();
    assert_eq!(groups.iter().map(|g| g.patients).sum::<u64>(), all.patients());

    let mut case = stored["cases"][0].clone();
    for key in ["probabilities", "orphan", "alarm", "decided", "counts"] {
        let mut i = 0;
        case[key].as_array_mut().unwrap().retain(|_| {
            i += 1;
            i % 2 == 0
        });
    }
    let odd = evaluate(&cells(&case), &FEW).unwrap();
    assert_eq!(
        (groups[1].name.as_str(), &groups[1].figures, groups[1].orphans),
        ("odd", &odd.figures, odd.orphans)
    );
    assert_eq!((groups[2].patients, &groups[2].figures.macro_f1), (0, &Figure::undefined("no patient")));

    let short = Grouping { names: &names, of_cell: &of_cell[1..] };
    assert!(matches!(subgroups(&all, &short, &FEW), Err(Error::Length { .. })));
    let unknown = Grouping { names: &names[..1], of_cell: &of_cell };
    assert_eq!(subgroups(&all, &unknown, &FEW), Err(Error::NoSuchGroup { cell: 1, group: 1 }));
}

/// Why a figure is undefined; empty for one that is not.
fn reason(figure: &Figure) -> &str {
    match figure {
        Figure::Undefined { because } => because,
        Figure::Measured(_) => "",
    }
}

#[test]
fn what_cannot_be_computed_says_why() {
    let nobody = evaluate(&Cells::new(&CLASSES).unwrap(), &FEW).unwrap();
    for metric in [
        Metric::MacroF1,
        Metric::F1Common,
        Metric::Brier,
        Metric::LogLoss,
        Metric::CalibrationError,
        Metric::AlertsPer1000,
    ] {
        assert_eq!(reason(nobody.figures.figure(metric)), "no patient");
    }
    assert_eq!(reason(&nobody.answered), "no patient");
    for at in &nobody.decision_curve {
        for figure in [&at.by_probability, &at.by_alarm, &at.everybody] {
            assert_eq!(reason(figure), "no patient");
        }
    }

    // Three classes, no orphan, no alarm.
    let mut few = Cells::new(&CLASSES).unwrap();
    push(&mut few, 0, 0.1, false, [5, 0, 1, 0, 0, 0, 2, 0]);
    push(&mut few, 1, 0.2, false, [0, 0, 4, 0, 0, 0, 0, 0]);
    let f = evaluate(&few, &FEW).unwrap().figures;
    assert_eq!(reason(&f.macro_f1), "no patient of class acute");
    assert_eq!(reason(&f.f1_common), "no patient without an orphan disease of class acute");
    assert_eq!(reason(&f.f1[2]), "no patient of class acute");
    assert_eq!(f.f1[3].value(), Some(0.0), "chronic patients that were never found");
    assert_eq!(f.f1[3].estimate().unwrap().n, 2);
    for figure in [&f.orphan_recall, &f.orphan_average_precision, &f.orphan_roc_auc] {
        assert_eq!(reason(figure), "no orphan patient");
    }
    assert_eq!(reason(&f.orphan_precision), "no alarm");
    assert_eq!(f.orphan_omission.value(), Some(0.0));
    assert_eq!((reason(&f.recall[2]), f.recall[3].value()), ("no patient of class acute", Some(0.0)));
    assert_eq!((reason(&f.precision[2]), f.precision[1].value()), ("no patient is shown acute", Some(1.0)));
    assert_eq!(reason(&f.number_needed_to_review), "no alarm found an orphan patient");
    assert_eq!(f.alerts_per_1000.value(), Some(0.0));
    assert_eq!(f.orphan_base_rate.value(), Some(0.0));

    // Orphans only, one of them at a class that had been excluded.
    let mut orphans = Cells::new(&CLASSES).unwrap();
    let answer =
        Answer { probabilities: &[0.0, 1.0, 0.0, 0.0], orphan: 0.0, decided: Severity(1), alarm: true };
    orphans.push(&answer, &[0, 0, 0, 3, 0, 0, 0, 1]).unwrap();
    let f = evaluate(&orphans, &FEW).unwrap().figures;
    assert_eq!(reason(&f.log_loss), "what happened had been given probability 0");
    assert_eq!(reason(&f.orphan_log_loss), "what happened had been given probability 0");
    assert_eq!(reason(&f.orphan_roc_auc), "no patient without an orphan disease");
    assert_eq!(reason(&f.orphan_omission), "every patient is alarmed");
    assert_eq!(f.orphan_average_precision.value(), Some(1.0));
    assert_eq!(f.brier.value(), Some(0.5));
}

/// F1 common leaves orphans out but counts what the alarm does to the others.
#[test]
fn f1_common_is_about_patients_without_orphan_disease_after_alarms() {
    let mut cells = Cells::new(&CLASSES).unwrap();
    for class in 0..4_u8 {
        let mut counts = [0; 8];
        counts[2 * usize::from(class)] = 10;
        push(&mut cells, class, 0.0, false, counts);
    }
    // Ten orphans called healthy: F1 common does not see them, macro F1 does.
    push(&mut cells, 0, 0.1, false, [0, 0, 0, 0, 0, 0, 0, 10]);
    let f = evaluate(&cells, &FEW).unwrap().figures;
    assert_eq!((f.f1_common.value(), f.f1_common.estimate().unwrap().n), (Some(1.0), 40));
    assert!(f.macro_f1.value().unwrap() < 0.9);
    // Ten healthy people alarmed and so shown as mild.
    push(&mut cells, 1, 0.9, true, [10, 0, 0, 0, 0, 0, 0, 0]);
    let f = evaluate(&cells, &FEW).unwrap().figures;
    let (healthy, mild) = (2.0 * 10.0 / (20.0 + 10.0), 2.0 * 10.0 / (10.0 + 20.0));
    close(f.f1_common.value().unwrap(), (healthy + mild + 2.0) / 4.0, "F1 common");
    assert_eq!((f.orphan_recall.value(), f.orphan_precision.value()), (Some(0.0), Some(0.0)));
}

#[test]
fn answers_that_are_none_are_refused_and_leave_nothing_behind() {
    let mut cells = Cells::new(&CLASSES).unwrap();
    let good = Answer { probabilities: &[0.25; 4], orphan: 0.5, decided: Severity(3), alarm: false };
    let mut refuse = |answer: Answer<'_>, counts: &[u64]| {
        let error = cells.push(&answer, counts).unwrap_err();
        assert_eq!((cells.len(), cells.patients()), (0, 0));
        error
    };
    let none = [0; 8];
    assert!(matches!(refuse(Answer { probabilities: &[0.5; 2], ..good }, &none), Error::Length { .. }));
    assert!(matches!(refuse(good, &[1; 7]), Error::Length { .. }));
    for bad in [[1.5, -0.5, 0.0, 0.0], [f64::NAN, 0.5, 0.5, 0.0]] {
        assert!(matches!(
            refuse(Answer { probabilities: &bad, ..good }, &none),
            Error::NotAProbability { .. }
        ));
    }
    assert!(matches!(refuse(Answer { orphan: f64::NAN, ..good }, &none), Error::NotAProbability { .. }));
    assert_eq!(refuse(Answer { probabilities: &[0.2; 4], ..good }, &none), Error::Sum { cell: 0 });
    assert_eq!(
        refuse(Answer { decided: Severity(4), ..good }, &none),
        Error::NoSuchClass { cell: 0, class: 4 }
    );
    for many in [[u64::MAX; 8], [1 << 51, 1 << 51, 1 << 51, 1 << 51, 1, 0, 0, 0]] {
        assert_eq!(refuse(good, &many), Error::TooMany);
    }
    assert!(matches!(Cells::new(&["one"]), Err(Error::Classes { found: 1 })));
}
