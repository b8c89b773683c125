//! A card of a made-up model, in both languages and forms.

use registry::{ModelVersion, RunState, Stage};
use serde_json::json;
use time::OffsetDateTime;

use super::document::Block;
use super::*;

/// What a card is written from, with a hostile source and figures of every kind.
struct Facts {
    study: Study,
    model: Model,
    run: Run,
    validation: Value,
    datasets: Value,
}

fn facts() -> Facts {
    let study = Study::default_study().clone();
    let version: ModelVersion = "m-0007".parse().unwrap();
    let figure = |value: f64| json!({ "value": value, "low": value - 0.1, "high": value + 0.05, "n": 120 });
    let undefined = |because: &str| json!({ "undefined": because });
    let four = |value: f64| {
        json!([figure(value), figure(value), undefined("no patient of class acute"), figure(value)])
    };
    let patient = json!({ "cell": 69_318, "people": 3, "values": {}, "text": "" });
    let spread = json!({ "lowest": "male", "highest": "female", "difference": 0.02, "ratio": null });
    let verification = json!({
        "patients": 154_880, "people": 2000, "not_probabilities": 0, "not_summing": 0, "alarmed": 900,
        "jumps": { "largest": 0.61, "named": [{ "from": patient, "to": patient, "feature": "age", "output": "mild", "difference": 0.61 }] },
        "category_jumps": { "largest": 0.5, "named": [] },
        "jumps_across_alarm": { "largest": 0.7, "named": [] },
        "monotone": [{ "output": "chronic", "feature": "blood_pressure", "direction": "rising", "steps": 10, "violations": 1, "largest": 0.01 }],
        "groups": [{ "feature": "gender", "alarm_rate": spread, "groups": [
            { "name": "female", "people": 1990, "compared": true, "alarm_rate": 0.03, "orphan_probability": 0.02, "severity_shares": [0.4, 0.3, 0.2, 0.1] },
            { "name": "male", "people": 10, "compared": false, "alarm_rate": 0.03, "orphan_probability": 0.02, "severity_shares": [0.4, 0.3, 0.2, 0.1] },
        ] }],
        "swaps": [{ "feature": "blood_type", "status_changed": 0.01, "alarm_changed": null, "mean_change": 0.004, "largest_change": 0.2,
            "named_of_people": [{ "patient": patient, "to": "AB", "output": "orphan", "difference": -0.2 }] }],
        "bounds": [
            { "kind": "jump", "feature": null, "output": null, "found": 0.61, "at_most": 0.6, "gate": false, "holds": false },
            { "kind": "fall", "feature": "blood_pressure", "output": "chronic", "found": 0.01, "at_most": 0.0, "gate": true, "holds": false },
        ],
    });
    let validation = json!({
        "set": "validation", "patients": 300, "orphans": 9, "classes": ["healthy", "mild", "acute", "chronic"],
        "f1_common": figure(0.91), "f1_common_without_alarm": figure(0.92), "macro_f1": figure(0.9),
        "f1": four(0.8), "precision": four(0.7), "recall": four(0.6),
        "orphan_recall": figure(0.75), "orphan_precision": figure(0.5), "orphan_omission": figure(0.2),
        "orphan_average_precision": undefined("no orphan patient"), "calibration_error": figure(0.11),
        "orphan_calibration_error": figure(0.11), "alerts_per_1000": figure(37.0), "answered": figure(0.9),
        "number_needed_to_review": undefined("no alarm found an orphan patient"),
        "confusion": [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]],
        "calibration": { "severity": [{ "from": 0.1, "to": 0.9, "predicted": 0.5, "observed": figure(0.4) }], "orphan": [] },
        "decision_curve": [{
            "threshold": 0.05, "by_alarm": figure(0.012), "by_probability": undefined("no patient"), "everybody": figure(-0.2),
        }],
        "diseases": [
            { "code": "ORPHA:586", "rarity": "orphan", "patients": 12, "recall": figure(0.75), "precision": figure(0.5), "alarmed": figure(0.75) },
            { "code": "ICD-10:I10", "rarity": "common", "patients": 4, "recall": undefined("4 patients, 9 are needed"),
              "precision": undefined("4 patients, 9 are needed"), "alarmed": undefined("4 patients, 9 are needed") },
        ],
        "subgroups": { "gender": [{ "name": "female", "patients": 150, "f1_common": figure(0.9), "orphan_recall": figure(0.8),
            "orphan_precision": undefined("no alarm"), "calibration_error": figure(0.12) }] },
        "input_limit": { "macro_f1": figure(0.93), "orphan_average_precision": undefined("no orphan disease occurs") },
        "inputs": { "inputs": "sufficient" },
        "gates": [
            { "rule": { "metric": "f1_common", "comparison": "at_least", "bound": 0.85 }, "outcome": "holds", "because": "" },
            { "rule": { "metric": "orphan_recall", "comparison": "at_least", "bound": 0.5 }, "outcome": "fails", "because": "",
              "group": { "feature": "gender", "name": "female" } },
        ],
        "verification": verification,
    });
    let training = json!({
        "dataset_version": 3, "parameters": { "learner": "xgboost", "eta": 0.08 }, "seed": 7, "cohort": "c0ffee", "training_cases": 1400, "training_patients": 1200,
        "unconfirmed": 5, "outside": 0, "columns": ["age", "exercise"], "rounds": [40, 50],
        "scales": [{ "feature": "age", "kind": "normalised", "normality": { "statistic": 812.3, "p_value": 1e-12 } }],
        "calibration": { "orphan_before": 0.02, "orphan_after": 0.008, "groups_before": 0.03, "groups_after": 0.02 },
        "alarm": { "positives": 44, "index": 9, "threshold": 0.1875 },
        "split": {
            "strata": [{ "severity": "mild", "rarity": "common", "cases": [70, 15, 15], "shares": [0.7, 0.15, 0.15] }],
            "chi_square": 1.25, "degrees_of_freedom": 6, "p_value": 0.97, "alike": true,
            "moments": [{ "input": "age_years", "set": "test", "mean": 50.5, "variance": 100.0, "training_mean": 50.25,
                "training_variance": 121.0, "mean_p": 0.4, "variance_p": null }],
        },
    });
    let datasets = json!([
        { "version": 2, "ingest": { "created_at": "2026-01-01T00:00:00Z", "source": "ward|<b>3</b>", "files": [{ "name": "a.csv" }],
          "accepted": 90, "quarantined": 1 }, "totals": {} },
        { "version": 3, "parent": 2, "ingest": { "created_at": "2026-02-01T00:00:00Z", "source": "ehr", "files": [{ "name": "b.csv" }],
          "accepted": 1910, "quarantined": 2 },
          "totals": { "rows": 2000, "quarantined": 3, "sources": { "ward|<b>3</b>": 90, "ehr": 1910 },
            "outcomes": [{ "severity": "mild", "rarity": "common", "disease_code": "x", "rows": 600 },
              { "severity": "mild", "rarity": "common", "disease_code": "y", "rows": 400 }, { "severity": null, "rows": 5 }],
            "quarantined_by": { "ehr": { "age_years:out_of_range": 2 } } } },
        { "version": 4, "ingest": {}, "totals": {} },
    ]);
    let at = OffsetDateTime::from_unix_timestamp(1_764_000_000).unwrap();
    let model = Model {
        version,
        bundle_path: "models/m-0007".to_owned(),
        bundle_digest: "d1ge57".to_owned(),
        dataset_version: 3,
        study_hash: study.digest(),
        run: "run".to_owned(),
        created_at: at,
        stage: Stage::Validated,
        validated_at: Some(at),
        gates: None,
    };
    let run = Run {
        id: "run".to_owned(),
        started_at: at,
        finished_at: Some(at),
        state: RunState::Succeeded,
        dataset_version: 3,
        study_hash: study.digest(),
        seed: 7,
        parameters: json!({ "parameters": { "learner": "xgboost", "eta": 0.08 } }),
        figures: Some(json!({ "training": training })),
        error: None,
    };
    Facts { study, model, run, validation, datasets }
}

impl Facts {
    fn subject(&self) -> Subject<'_> {
        Subject {
            study: &self.study,
            model: &self.model,
            run: &self.run,
            validation: Some(&self.validation),
            test: None,
            datasets: &self.datasets,
        }
    }
}

#[test]
fn both_languages_have_the_same_sections_and_every_item_leads_to_one() {
    let facts = facts();
    let documents = Language::ALL.map(|language| document(&facts.subject(), language));
    let shape = |document: &Document| {
        let blocks = |section: &super::document::Section| {
            section.blocks.iter().map(std::mem::discriminant).collect::<Vec<_>>()
        };
        document.sections.iter().map(|section| (section.id, blocks(section))).collect::<Vec<_>>()
    };
    assert_eq!(shape(&documents[0]), shape(&documents[1]));
    let ids: Vec<&str> = documents[0].sections.iter().map(|section| section.id).collect();
    for id in coverage::tests::sections() {
        assert!(ids.contains(&id), "no section `{id}`");
    }
}

/// A message that is missing is shown as its key, and a key looks like no word.
#[test]
fn no_message_is_missing_and_no_figure_is_lost() {
    let facts = facts();
    for language in Language::ALL {
        let document = document(&facts.subject(), language);
        let mut texts = vec![document.title.clone(), document.lead.clone()];
        for section in &document.sections {
            texts.push(section.title.clone());
            for block in &section.blocks {
                match block {
                    Block::Heading(text) | Block::Text(text) => texts.push(text.clone()),
                    Block::Items(items) => texts.extend(items.clone()),
                    Block::Facts(facts) => {
                        texts.extend(facts.iter().flat_map(|(a, b)| [a.clone(), b.clone()]))
                    }
                    Block::Table(table) => {
                        texts.extend(table.header.clone());
                        for row in &table.rows {
                            assert_eq!(row.len(), table.header.len(), "{}: {row:?}", section.id);
                            texts.extend(row.iter().map(|cell| cell.text().to_owned()));
                        }
                    }
                }
            }
        }
        let is_key = |word: &str| {
            let known =
                ["card-", "onc-", "tripod-", "bound-", "metric-", "undefined-", "fact-", "gate-", "limit-"];
            known.iter().any(|start| word.starts_with(start)) && !word.contains(' ')
        };
        for text in &texts {
            assert!(!is_key(text) && !text.contains("NaN") && !text.contains("null"), "{text}");
        }
        let has =
            |wanted: &str| assert!(texts.iter().any(|text| text.contains(wanted)), "{language:?}: {wanted}");
        let (point, threshold) = match language {
            Language::Es => ("0,910", "0,1875"),
            Language::En => ("0.910", "0.1875"),
        };
        [point, threshold, "ORPHA:586", "d1ge57", "c0ffee", "a.csv", "1000"].into_iter().for_each(has);
        has(match language {
            Language::Es => "sin definir: 4 pacientes, hacen falta 9",
            Language::En => "undefined: 4 patients, 9 are needed",
        });
        has(match language {
            Language::Es => {
                "Edad 54 años, Género Femenino, Grupo sanguíneo B, Tensión arterial Elevada, Ejercicio 6 días al mes"
            }
            Language::En => {
                "Age 54 years, Gender Female, Blood group B, Blood pressure Elevated, Exercise 6 days a month"
            }
        });
    }
}

#[test]
fn the_html_stands_alone_and_its_text_is_text() {
    let facts = facts();
    for language in Language::ALL {
        let html = html(&facts.subject(), language).unwrap();
        assert!(html.contains(&format!("<html lang=\"{}\">", language.tag())));
        for foreign in ["<script", "src=", "http://", "https://", "@import", "url("] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        assert!(!html.contains("<b>3</b>") && html.contains("ward|&#60;b&#62;3"), "a source's name is text");
        assert_eq!(html.matches("<section").count(), html.matches("</section>").count());
        let markdown = markdown(&facts.subject(), language);
        assert!(markdown.contains("ward\\|\\<b\\>3") && markdown.contains("](#limits)"));
    }
}

#[test]
fn a_model_of_which_little_is_known_has_a_card_too() {
    let mut facts = facts();
    facts.run.figures = None;
    let subject = Subject { validation: None, datasets: &Value::Null, ..facts.subject() };
    for language in Language::ALL {
        let text = markdown(&subject, language);
        assert!(text.contains("m-0007") && !text.contains("card-"), "{text}");
        html(&subject, language).unwrap();
    }
}
