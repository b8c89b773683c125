//! Sections about the data: what the dataset holds, how it was divided, what is asked of a patient.

use clinical::{Input, study::Accepts};
use serde_json::Value;

use super::document::Section;
use super::{Author, about, list, word};

pub(super) fn dataset(a: &Author<'_>) -> Section {
    let w = a.w;
    let mut section = Section::new("data", w.t("card-data"));
    let card = &a.study().card;
    section.facts(vec![
        a.fact("card-setting", a.stated(card.setting.as_ref())),
        a.fact("card-outcome", a.stated(card.outcome.as_ref())),
    ]);
    let Some(dataset) = about::dataset(a) else {
        section.text(w.t("card-data-gone"));
        return section;
    };
    let totals = &dataset["totals"];
    let record = a.record();
    let count = |value: &Value| value.as_u64().map_or_else(|| w.t("card-none"), |n| n.to_string());
    section.facts(vec![
        a.fact("fact-dataset", dataset["version"].to_string()),
        a.fact("card-rows", count(&totals["rows"])),
        a.fact("card-refused", count(&totals["quarantined"])),
        a.fact("card-unconfirmed", count(&record["unconfirmed"])),
        a.fact("card-outside", count(&record["outside"])),
        a.fact("card-training-cases", count(&record["training_cases"])),
        a.fact("card-training-patients", count(&record["training_patients"])),
    ]);
    section.text(w.t("card-counting-note"));

    section.heading(w.t("card-by-class"));
    section.table(a.header(&["card-class", "card-rarity", "card-cases"]), by_class(a, totals), false);
    section.heading(w.t("card-sources"));
    let sources = totals["sources"].as_object().into_iter().flatten();
    let rows = sources.map(|(source, rows)| vec![source.clone(), rows.to_string()]).collect();
    section.table(a.header(&["card-source", "card-cases"]), rows, true);
    section.heading(w.t("card-ingests"));
    section.table(
        a.header(&[
            "fact-dataset",
            "card-ingested-at",
            "card-source",
            "card-files",
            "card-accepted",
            "card-refused",
        ]),
        ingests(a),
        false,
    );
    section.heading(w.t("card-refused-by-reason"));
    let refused = refused(totals);
    if refused.is_empty() {
        section.text(w.t("card-nothing-refused"));
    }
    section.table(a.header(&["card-source", "card-reason", "card-cases"]), refused, false);
    section.heading(w.t("card-representativeness"));
    section.text(w.t("card-representativeness-note"));
    section.table(a.header(&["card-group", "card-people", "card-share"]), people(a), true);
    section
}

fn by_class(a: &Author<'_>, totals: &Value) -> Vec<Vec<String>> {
    // Diseases are added up: the card is about classes.
    let mut classes: Vec<(String, String, u64)> = Vec::new();
    for outcome in list(&totals["outcomes"]) {
        let severity = match outcome["severity"].as_str() {
            Some(code) => a.severity(code),
            None => a.w.t("card-unconfirmed-class"),
        };
        let rarity = outcome["rarity"].as_str().map_or_else(|| "–".to_owned(), |code| a.rarity(code));
        let rows = outcome["rows"].as_u64().unwrap_or_default();
        match classes.iter_mut().find(|(known, of, _)| (known, of) == (&severity, &rarity)) {
            Some((_, _, sum)) => *sum += rows,
            None => classes.push((severity, rarity, rows)),
        }
    }
    classes.into_iter().map(|(severity, rarity, rows)| vec![severity, rarity, rows.to_string()]).collect()
}

/// The ingests that made the dataset version: its own and those of the versions that it came from.
fn ingests(a: &Author<'_>) -> Vec<Vec<String>> {
    let find = |version: u64| list(a.subject.datasets).find(|dataset| dataset["version"] == version);
    let parent = |dataset: &&Value| dataset["parent"].as_u64().and_then(find);
    let lineage = std::iter::successors(find(a.subject.model.dataset_version), parent);
    // One that a restore made has no rows of its own.
    let mut versions: Vec<&Value> = lineage.filter(|dataset| dataset["restored"].is_null()).collect();
    versions.reverse();
    let row = |dataset: &Value| {
        let ingest = &dataset["ingest"];
        let files: Vec<&str> = list(&ingest["files"]).map(|file| word(&file["name"])).collect();
        vec![
            dataset["version"].to_string(),
            a.w.moment(word(&ingest["created_at"])),
            word(&ingest["source"]).to_owned(),
            files.join(", "),
            ingest["accepted"].to_string(),
            ingest["quarantined"].to_string(),
        ]
    };
    versions.into_iter().map(row).collect()
}

fn refused(totals: &Value) -> Vec<Vec<String>> {
    let sources = totals["quarantined_by"].as_object().into_iter().flatten();
    let rows = sources.flat_map(|(source, reasons)| {
        let reasons = reasons.as_object().into_iter().flatten();
        reasons.map(move |(reason, n)| vec![source.clone(), reason.clone(), n.to_string()])
    });
    rows.collect()
}

/// People of the cohort by group, as the verification counted them.
fn people(a: &Author<'_>) -> Vec<Vec<String>> {
    let verification = a.report().map_or(&Value::Null, |(_, report)| &report["verification"]);
    let all = verification["people"].as_f64().filter(|people| *people > 0.0);
    let mut rows = Vec::new();
    for by in list(&verification["groups"]) {
        for group in list(&by["groups"]) {
            let share = all.and_then(|all| Some(group["people"].as_f64()? / all));
            let share = share.map_or_else(|| a.w.t("card-none"), |share| a.w.percent(share, 1));
            rows.push(vec![
                a.group(word(&by["feature"]), word(&group["name"])),
                group["people"].to_string(),
                share,
            ]);
        }
    }
    rows
}

pub(super) fn split(a: &Author<'_>) -> Section {
    let (w, split) = (a.w, &a.record()["split"]);
    let mut section = Section::new("split", w.t("card-split"));
    let plan = &a.study().split;
    let [train, validation, test] = [plan.train, plan.validation, plan.test].map(|share| share.to_string());
    section.text(w.args(
        "card-split-text",
        &[("train", &train), ("validation", &validation), ("test", &test), ("seed", &plan.seed.to_string())],
    ));
    if split.is_null() {
        section.text(w.t("card-record-gone"));
        return section;
    }
    let verdict = if split["alike"] == true { "card-split-alike" } else { "card-split-unlike" };
    section.text(w.t(verdict));
    section.heading(w.t("card-split-strata"));
    let freedom = split["degrees_of_freedom"].to_string();
    section.text(w.args(
        "card-chi-square",
        &[
            ("statistic", &a.number(&split["chi_square"], 2)),
            ("freedom", &freedom),
            ("p", &a.p_value(&split["p_value"])),
        ],
    ));
    let strata = list(&split["strata"]).map(|stratum| {
        let rarity = stratum["rarity"].as_str().map_or_else(|| "–".to_owned(), |code| a.rarity(code));
        let mut row = vec![format!("{} / {rarity}", a.severity(word(&stratum["severity"])))];
        row.extend(
            list(&stratum["cases"])
                .zip(list(&stratum["shares"]))
                .map(|(n, share)| format!("{n} ({})", a.share(share))),
        );
        row
    });
    let header = a.header(&["card-class", "card-set-train", "card-set-validation", "card-set-test"]);
    section.table(header, strata.collect(), true);

    section.heading(w.t("card-split-moments"));
    let moments = list(&split["moments"]).map(|check| {
        let input = a.study().input(word(&check["input"]));
        let label = input.map_or(word(&check["input"]), |input| input.label.get(w.0)).to_owned();
        let set = if check["set"] == "test" { "card-set-test" } else { "card-set-validation" };
        let deviation =
            |value: &Value| value.as_f64().map_or_else(|| w.t("card-none"), |v| w.number(v.sqrt(), 2));
        vec![
            format!("{label}, {}", w.t(set)),
            format!("{} / {}", a.number(&check["mean"], 2), a.number(&check["training_mean"], 2)),
            a.p_value(&check["mean_p"]),
            format!("{} / {}", deviation(&check["variance"]), deviation(&check["training_variance"])),
            a.p_value(&check["variance_p"]),
        ]
    });
    let header =
        a.header(&["card-value", "card-mean", "card-welch", "card-deviation", "card-brown-forsythe"]);
    section.table(header, moments.collect(), true);
    section
}

pub(super) fn inputs(a: &Author<'_>) -> Section {
    let w = a.w;
    let mut section = Section::new("inputs", w.t("card-inputs"));
    section.text(w.t("inputs-lead"));
    let row = |input: &Input| {
        let feature = a.study().features().get(input.feature);
        let label = feature.map(|feature| feature.label.get(w.0)).unwrap_or_default();
        vec![
            input.label.get(w.0).to_owned(),
            accepts(a, input),
            input.loinc.clone().unwrap_or_else(|| w.t("card-none")),
            label.to_owned(),
        ]
    };
    let rows = a.study().inputs().iter().map(row).collect();
    section.table(a.header(&["patient-datum", "accepts", "card-loinc", "card-feature"]), rows, false);

    section.heading(w.t("card-scaling"));
    let scales = list(&a.record()["scales"]).map(|scale| {
        let kind = if scale["kind"] == "standardised" { "card-standardised" } else { "card-normalised" };
        vec![
            a.feature(word(&scale["feature"])),
            w.t(kind),
            a.number(&scale["normality"]["statistic"], 2),
            a.p_value(&scale["normality"]["p_value"]),
        ]
    });
    section.table(
        a.header(&["card-feature", "card-scale", "card-normality", "card-p"]),
        scales.collect(),
        false,
    );
    section.text(w.t("card-scaling-note"));

    section.heading(w.t("card-demographics"));
    section.text(w.t("card-demographics-note"));
    let rows = DEMOGRAPHICS.iter().map(|(key, codes)| {
        let used: Vec<&str> = (a.study().inputs().iter())
            .filter(|input| input.loinc.as_deref().is_some_and(|code| codes.contains(&code)))
            .map(|input| input.label.get(w.0))
            .collect();
        let used = if used.is_empty() {
            w.t("card-not-used")
        } else {
            w.with("card-used", "input", &used.join(", "))
        };
        vec![w.t(key), used]
    });
    section.table(a.header(&["card-variable", "card-use"]), rows.collect(), false);
    section
}

/// The variables of 45 CFR 170.315(b)(11)(iv)(A)(5) to (13), and the LOINC codes by which an input is known as one.
const DEMOGRAPHICS: [(&str, &[&str]); 9] = [
    ("card-race", &["32624-9", "72826-1"]),
    ("card-ethnicity", &["69490-1"]),
    ("card-language", &["54899-0", "54588-9"]),
    ("card-sexual-orientation", &["76690-7"]),
    ("card-gender-identity", &["76691-5"]),
    ("card-sex", &["46098-0", "76689-9", "72143-1", "99502-7"]),
    ("card-birth", &["30525-0", "21112-8"]),
    ("card-social", &["89555-7", "68516-4", "63512-8", "76437-3"]),
    ("card-health-status", &["72166-2", "82810-3", "75618-9"]),
];

fn accepts(a: &Author<'_>, input: &Input) -> String {
    match &input.accepts {
        Accepts::Number { min, max, .. } => {
            let (min, max, unit) = (min.to_string(), max.to_string(), input.unit.get(a.w.0));
            a.w.args("range", &[("min", &min), ("max", &max), ("unit", unit)]).trim_end().to_owned()
        }
        Accepts::Code(_) => {
            let feature = a.study().features().get(input.feature);
            let choices = feature.map(clinical::Feature::choices).unwrap_or_default();
            choices.iter().map(|choice| choice.label.get(a.w.0)).collect::<Vec<_>>().join(", ")
        }
    }
}
