//! Rules over real reports.

use std::collections::BTreeMap;

use clinical::{
    Study,
    study::{Gate, GateMetric},
};
use evaluate::{
    Bootstrap, Cells, Grouping, Metric, Outcome, Reading, Rule, Subgroup, evaluate, hold, judge, subgroups,
};

use crate::{CLASSES, cells, metrics, push};

#[test]
fn a_rule_reads_the_side_that_it_names_and_says_why() {
    let stored = metrics();
    let report = evaluate(&cells(&stored["cases"][1]), &Bootstrap { replicates: 100, seed: 1 }).unwrap();
    let recall = *report.figures.orphan_recall.estimate().unwrap();
    assert!(recall.low < recall.value && recall.value < recall.high);
    let bound = f64::midpoint(recall.low, recall.value);
    let rule = Rule::at_least(Metric::OrphanRecall, bound);
    assert_eq!(rule.judge(&report.figures).outcome, Outcome::Holds);
    let strict = Rule { reading: Reading::Low, ..rule }.judge(&report.figures);
    assert_eq!(strict.outcome, Outcome::Fails);
    let text = format!(
        "orphan recall {:.4} ({:.4} to {:.4}, n = {})",
        recall.value, recall.low, recall.high, recall.n
    );
    assert_eq!(strict.because, format!("{text}: the low end is below {bound}"));
    let at_most = Rule::at_most(Metric::OrphanRecall, bound);
    assert_eq!(at_most.judge(&report.figures).outcome, Outcome::Fails);
    assert_eq!(Rule { reading: Reading::Low, ..at_most }.judge(&report.figures).outcome, Outcome::Holds);
    assert_eq!(Rule { reading: Reading::High, ..rule }.judge(&report.figures).outcome, Outcome::Holds);

    let more = Rule { fewest: recall.n + 1, ..rule }.judge(&report.figures);
    assert_eq!(
        (more.outcome, more.because),
        (
            Outcome::Undetermined,
            format!("orphan recall rests on {} cases, {} are needed", recall.n, recall.n + 1)
        )
    );
}

#[test]
fn the_default_studys_gates_are_undetermined_without_orphans_never_green() {
    let mut few = Cells::new(&CLASSES).unwrap();
    for class in 0..4_u8 {
        let mut counts = [0; 8];
        counts[2 * usize::from(class)] = 20;
        push(&mut few, class, 0.1, false, counts);
    }
    let report = evaluate(&few, &Bootstrap { replicates: 50, seed: 1 }).unwrap();
    let rules: Vec<Rule> = Study::default_study().gates.iter().flat_map(Rule::of_gate).collect();
    assert!(rules.len() >= 2);
    let of = |metric| rules.iter().find(|r| r.metric == metric).unwrap().judge(&report.figures);
    assert_eq!(of(Metric::F1Common).outcome, Outcome::Holds);
    let recall = of(Metric::OrphanRecall);
    assert_eq!(
        (recall.outcome, recall.because.as_str()),
        (Outcome::Undetermined, "orphan recall is not defined: no orphan patient")
    );
}

/// Two groups of which one is served badly, and a third that is too small to tell.
#[test]
fn a_gate_by_feature_is_judged_group_by_group_and_a_small_group_blocks_nothing() {
    let mut cells = Cells::new(&CLASSES).unwrap();
    for class in 0..4_u8 {
        let right = |n: u64| std::array::from_fn(|at| if at == 2 * usize::from(class) { n } else { 0 });
        push(&mut cells, class, 0.1, false, right(50));
        push(&mut cells, class, 0.1, false, std::array::from_fn(|at| if at % 2 == 0 { 10 } else { 0 }));
        push(&mut cells, class, 0.1, false, right(1));
    }
    let names: Vec<String> = ["well", "badly", "few"].map(str::to_owned).into();
    let of_cell: Vec<u16> = (0..12).map(|cell| cell % 3).collect();
    let bootstrap = Bootstrap { replicates: 100, seed: 1 };
    let groups = subgroups(&cells, &Grouping { names: &names, of_cell: &of_cell }, &bootstrap).unwrap();
    let everybody = evaluate(&cells, &bootstrap).unwrap().figures;
    let gate = |at_least, reading, by: &[&str]| Gate {
        metric: GateMetric::MacroF1,
        at_least: Some(at_least),
        at_most: None,
        reading,
        by: by.iter().map(|name| (*name).to_owned()).collect(),
    };
    let verdicts = |gate: Gate, groups: &[Subgroup]| {
        judge(&[gate], &everybody, &BTreeMap::from([("ward".to_owned(), groups.to_vec())]))
    };
    let judged = verdicts(gate(0.5, Reading::High, &["ward"]), &groups);
    let outcomes: Vec<(&str, Outcome)> =
        judged.iter().map(|v| (v.group.as_ref().unwrap().name.as_str(), v.outcome)).collect();
    assert_eq!(
        outcomes,
        [("well", Outcome::Holds), ("badly", Outcome::Fails), ("few", Outcome::Undetermined)]
    );
    assert!(judged[1].because.contains("the high end is below 0.5"), "{}", judged[1].because);
    assert!(!hold(&judged));
    assert!(hold(&verdicts(gate(0.5, Reading::High, &["ward"]), &[groups[0].clone(), groups[2].clone()])));
    // The same lack of cases about everybody does not hold.
    let alone = judge(&[gate(0.5, Reading::Value, &[])], &groups[2].figures, &BTreeMap::new());
    assert_eq!((alone.len(), alone[0].outcome, &alone[0].group), (1, Outcome::Undetermined, &None));
    assert!(!hold(&alone));
    // Nor does a gate by something that the model is not asked.
    let unknown = verdicts(gate(0.5, Reading::High, &["elsewhere"]), &groups);
    assert_eq!((unknown.len(), unknown[0].outcome, &unknown[0].group), (1, Outcome::Undetermined, &None));
    assert!(unknown[0].because.contains("elsewhere") && !hold(&unknown), "{}", unknown[0].because);
    let json = serde_json::to_value(&judged[0]).unwrap();
    assert_eq!(json["group"], serde_json::json!({ "feature": "ward", "name": "well" }));
    assert_eq!(serde_json::from_value::<evaluate::Verdict>(json).unwrap(), judged[0]);
}
