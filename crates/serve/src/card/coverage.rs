//! Where the card answers what regulation and reporting guidelines ask, and why not where it does not.

use super::Author;
use super::document::{Cell, Section};

/// Where an item is answered.
enum Answered {
    /// In a section of the card.
    In(&'static str),
    /// Nowhere, for this reason (a message).
    Not(&'static str),
}
use Answered::{In, Not};

/// The 31 source attributes of 45 CFR 170.315(b)(11)(iv)(B), by paragraph.
const ONC: [(&str, Answered); 31] = [
    ("1-i", In("summary")),
    ("1-ii", In("summary")),
    ("1-iii", In("summary")),
    ("1-iv", In("summary")),
    ("2-i", In("purpose")),
    ("2-ii", In("purpose")),
    ("2-iii", In("purpose")),
    ("2-iv", In("purpose")),
    ("3-i", In("limits")),
    ("3-ii", In("limits")),
    ("4-i", In("inputs")),
    ("4-ii", In("inputs")),
    ("4-iii", In("data")),
    ("4-iv", In("data")),
    ("5-i", In("fairness")),
    ("5-ii", In("fairness")),
    ("6-i", In("external")),
    ("6-ii", In("external")),
    ("6-iii", In("external")),
    ("6-iv", In("external")),
    ("7-i", In("performance")),
    ("7-ii", In("fairness")),
    ("7-iii", In("external")),
    ("7-iv", In("external")),
    ("7-v", In("external")),
    ("8-i", In("maintenance")),
    ("8-ii", In("performance")),
    ("8-iii", In("maintenance")),
    ("8-iv", In("fairness")),
    ("9-i", In("maintenance")),
    ("9-ii", In("maintenance")),
];

/// The items of TRIPOD+AI.
const TRIPOD: [(&str, Answered); 52] = [
    ("1", In("summary")),
    ("2", In("summary")),
    ("3a", In("purpose")),
    ("3b", In("purpose")),
    ("3c", In("fairness")),
    ("4", In("purpose")),
    ("5a", In("data")),
    ("5b", In("data")),
    ("6a", In("data")),
    ("6b", In("inputs")),
    ("6c", Not("tripod-not-treatment")),
    ("7", In("data")),
    ("8a", In("data")),
    ("8b", In("data")),
    ("8c", In("data")),
    ("9a", In("inputs")),
    ("9b", In("inputs")),
    ("9c", Not("tripod-not-assessor")),
    ("10", In("limits")),
    ("11", In("limits")),
    ("12a", In("split")),
    ("12b", In("inputs")),
    ("12c", In("development")),
    ("12d", Not("tripod-not-clusters")),
    ("12e", In("performance")),
    ("12f", In("development")),
    ("12g", In("lineage")),
    ("13", In("development")),
    ("14", In("fairness")),
    ("15", In("alarm")),
    ("16", In("split")),
    ("17", In("lineage")),
    ("18a", In("summary")),
    ("18b", In("summary")),
    ("18c", In("lineage")),
    ("18d", In("lineage")),
    ("18e", In("lineage")),
    ("18f", In("lineage")),
    ("19", In("lineage")),
    ("20a", In("data")),
    ("20b", In("data")),
    ("20c", In("split")),
    ("21", In("split")),
    ("22", In("lineage")),
    ("23a", In("performance")),
    ("23b", Not("tripod-not-clusters")),
    ("24", In("maintenance")),
    ("25", Not("tripod-not-interpretation")),
    ("26", In("limits")),
    ("27a", In("limits")),
    ("27b", In("purpose")),
    ("27c", Not("tripod-not-research")),
];

pub(super) fn onc(a: &Author<'_>) -> Section {
    let mut section = Section::new("onc", a.w.t("card-onc"));
    section.text(a.w.t("card-onc-text"));
    let number = |item: &str| match item.split_once('-') {
        Some((paragraph, part)) => format!("({paragraph})({part})"),
        None => item.to_owned(),
    };
    table(a, &mut section, "onc", &ONC, number);
    section
}

pub(super) fn tripod(a: &Author<'_>) -> Section {
    let mut section = Section::new("tripod", a.w.t("card-tripod"));
    section.text(a.w.t("card-tripod-text"));
    table(a, &mut section, "tripod", &TRIPOD, str::to_owned);
    section
}

fn table(
    a: &Author<'_>,
    section: &mut Section,
    guide: &str,
    items: &[(&str, Answered)],
    number: impl Fn(&str) -> String,
) {
    let row = |(item, answered): &(&str, Answered)| {
        let answered = match answered {
            In(id) => Cell::Link { text: a.w.t(&format!("card-{id}")), id },
            Not(reason) => Cell::Text(a.w.with("card-does-not-apply", "reason", &a.w.t(reason))),
        };
        vec![Cell::Text(number(item)), Cell::Text(a.w.t(&format!("{guide}-{item}"))), answered]
    };
    let header = a.header(&["card-item", "card-asked", "card-answered"]);
    section.linked_table(header, items.iter().map(row).collect(), false);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The sections that items are said to be answered in.
    pub(in super::super) fn sections() -> impl Iterator<Item = &'static str> {
        ONC.iter().chain(&TRIPOD).filter_map(|(_, answered)| match answered {
            In(id) => Some(*id),
            Not(_) => None,
        })
    }

    #[test]
    fn every_item_stands_once() {
        for items in [&ONC[..], &TRIPOD[..]] {
            let mut names: Vec<&str> = items.iter().map(|(name, _)| *name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), items.len());
        }
    }
}
