//! Sections with measured figures: how well, by severity, by disease, and whether 30 % means 30 %.

use serde_json::Value;

use super::document::Section;
use super::{Author, list, reading, word};

const FIGURES: [&str; 16] = [
    "f1_common",
    "f1_common_without_alarm",
    "macro_f1",
    "orphan_recall",
    "orphan_precision",
    "orphan_omission",
    "alerts_per_1000",
    "number_needed_to_review",
    "orphan_average_precision",
    "orphan_base_rate",
    "orphan_roc_auc",
    "brier",
    "log_loss",
    "orphan_brier",
    "orphan_log_loss",
    "answered",
];

pub(super) fn figures(a: &Author<'_>) -> Section {
    let w = a.w;
    let mut section = Section::new("performance", w.t("card-performance"));
    let Some((set, report)) = a.report() else {
        section.text(w.t("figures-none"));
        return section;
    };
    section.text(w.with(set, "n", &report["patients"].to_string()));
    section.text(w.t("card-intervals"));
    let mut header = a.header(&["figure", "value", "interval"]);
    header.push("n".to_owned());
    let found = reading::find_report(report);
    let views = found.map(|found| reading::figures(found, &FIGURES, a.study(), w)).unwrap_or_default();
    section.table(header, views.into_iter().map(|figure| figure.row(w)).collect(), true);

    section.heading(w.t("card-by-severity"));
    let rows = a.study().severities().iter().enumerate().map(|(class, severity)| {
        let mut row = vec![
            severity.short.get(w.0).to_owned(),
            report["recall"][class]["n"].as_u64().unwrap_or_default().to_string(),
        ];
        row.extend(["f1", "precision", "recall"].map(|key| cell(a, &report[key][class])));
        row
    });
    let mut header = a.header(&["card-class"]);
    header.push("n".to_owned());
    header.push("F1".to_owned());
    header.extend(a.header(&["card-precision", "card-recall"]));
    section.table(header, rows.collect(), true);

    section.heading(w.t("card-confusion"));
    let short = |class: &clinical::study::SeverityClass| class.short.get(w.0).to_owned();
    let mut header = a.header(&["card-true-shown"]);
    header.extend(a.study().severities().iter().map(short));
    let rows =
        a.study().severities().iter().zip(list(&report["confusion"])).map(|(class, row)| {
            std::iter::once(short(class)).chain(list(row).map(Value::to_string)).collect()
        });
    section.table(header, rows.collect(), true);

    section.heading(w.t("card-by-disease"));
    section.text(w.t("card-by-disease-text"));
    let rows = list(&report["diseases"]).map(|disease| {
        let mut row = vec![word(&disease["code"]).to_owned(), a.rarity(word(&disease["rarity"]))];
        row.push(disease["patients"].to_string());
        row.extend(["recall", "precision", "alarmed"].map(|key| cell(a, &disease[key])));
        row
    });
    let mut header = a.header(&["disease", "card-rarity"]);
    header.push("n".to_owned());
    header.extend(a.header(&["card-recall", "card-precision", "card-alarmed"]));
    section.table(header, rows.collect(), false);
    section
}

/// A figure as one cell.
pub(super) fn cell(a: &Author<'_>, figure: &Value) -> String {
    let view = reading::figure_view(String::new(), "", figure, a.study(), a.w);
    view.map_or_else(|| a.w.t("card-none"), |view| view.cell(a.w))
}

pub(super) fn calibration(a: &Author<'_>) -> Section {
    let w = a.w;
    let mut section = Section::new("calibration", w.t("card-calibration"));
    section.text(w.t("card-calibration-text"));
    let Some((_, report)) = a.report() else { return section };
    let mut header = a.header(&["figure", "value", "interval"]);
    header.push("n".to_owned());
    let names = ["calibration_error", "orphan_calibration_error"];
    let found = reading::find_report(report);
    let views = found.map(|found| reading::figures(found, &names, a.study(), w)).unwrap_or_default();
    section.table(header, views.into_iter().map(|figure| figure.row(w)).collect(), true);
    for (key, curve) in [("card-curve-severity", "severity"), ("card-curve-orphan", "orphan")] {
        section.heading(w.t(key));
        let rows = list(&report["calibration"][curve]).map(|bin| {
            let range = format!("{} – {}", a.number(&bin["from"], 3), a.number(&bin["to"], 3));
            let n = bin["observed"]["n"].as_u64().unwrap_or_default().to_string();
            vec![range, n, a.number(&bin["predicted"], 3), cell(a, &bin["observed"])]
        });
        let mut header = a.header(&["card-bin"]);
        header.push("n".to_owned());
        header.extend(a.header(&["card-predicted", "card-observed"]));
        section.table(header, rows.collect(), true);
    }
    section
}
