//! Rules over real reports.

use clinical::Study;
use evaluate::{Bootstrap, Cells, Metric, Outcome, Reading, Rule, evaluate};

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
