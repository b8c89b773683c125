//! Whether groups of people are answered alike: what the model shows the cohort's people, group by group.
//!
//! This is demographic parity: it says that answers differ, not that they are wrong where they do (a disease may be
//! more frequent in one group). Whether each group is served well is the evaluation's question.

use clinical::Kind;
use serde::{Deserialize, Serialize};

use crate::answers::{Answers, People};

/// Groups of fewer people are shown and not compared: their answers hang on who happens to be in them.
const FEWEST: u64 = 30;

/// The groups by one feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    pub feature: String,
    /// Every group with people in it.
    pub groups: Vec<GroupShares>,
    /// How far the groups of at least thirty people are apart; none with fewer than two of them.
    pub alarm_rate: Option<Spread>,
    pub orphan_probability: Option<Spread>,
    /// One per severity.
    pub severity_shares: Option<Vec<Spread>>,
}

/// What one group is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupShares {
    pub name: String,
    pub people: u64,
    /// Whether the group is large enough to be compared with others.
    pub compared: bool,
    /// Share of its people who are alarmed.
    pub alarm_rate: f64,
    /// Mean orphan probability of its people.
    pub orphan_probability: f64,
    /// Share of its people who are shown each severity.
    pub severity_shares: Vec<f64>,
}

/// The two groups that differ most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub lowest: String,
    pub highest: String,
    /// Highest minus lowest.
    pub difference: f64,
    /// Highest over lowest; none where the lowest is 0.
    pub ratio: Option<f64>,
}

/// By every feature that is declared for it, else by every code and number.
pub(super) fn compare(answers: &Answers<'_>, people: &People, declared: Option<&[String]>) -> Vec<Groups> {
    let features = answers.study().features().iter().enumerate();
    let wanted = features.filter(|(_, feature)| match declared {
        Some(names) => names.contains(&feature.name),
        None => !matches!(feature.kind, Kind::Category(_)),
    });
    wanted.map(|(index, _)| by(index, answers, people)).collect()
}

#[derive(Clone)]
struct Sums {
    people: u64,
    alarmed: u64,
    orphan: f64,
    shown: Vec<u64>,
}

fn by(index: usize, answers: &Answers<'_>, people: &People) -> Groups {
    let study = answers.study();
    let feature = &study.features()[index];
    let (groups, severities) = (feature.groups(), study.severities().len());
    let empty = Sums { people: 0, alarmed: 0, orphan: 0.0, shown: vec![0; severities] };
    let mut sums = vec![empty; groups.names.len()];
    for (cell, count) in people.cells() {
        let level = study.domain().levels(cell)[index];
        let sums = &mut sums[usize::from(groups.of_level[level])];
        sums.people += count;
        sums.alarmed += if answers.alarmed(cell) { count } else { 0 };
        sums.orphan += count as f64 * answers.shown(cell).get(severities).copied().unwrap_or_default();
        sums.shown[answers.decided(cell)] += count;
    }
    let shares = |(name, sums): (String, Sums)| {
        let n = sums.people as f64;
        GroupShares {
            name,
            people: sums.people,
            compared: sums.people >= FEWEST,
            alarm_rate: sums.alarmed as f64 / n,
            orphan_probability: sums.orphan / n,
            severity_shares: sums.shown.iter().map(|&shown| shown as f64 / n).collect(),
        }
    };
    let inhabited = groups.names.into_iter().zip(sums).filter(|(_, sums)| sums.people > 0);
    let groups: Vec<GroupShares> = inhabited.map(shares).collect();
    Groups {
        feature: feature.name.clone(),
        alarm_rate: spread(&groups, |group| group.alarm_rate),
        orphan_probability: spread(&groups, |group| group.orphan_probability),
        severity_shares: (0..severities).map(|k| spread(&groups, |group| group.severity_shares[k])).collect(),
        groups,
    }
}

fn spread(groups: &[GroupShares], of: impl Fn(&GroupShares) -> f64) -> Option<Spread> {
    let compared = || groups.iter().filter(|group| group.compared);
    if compared().count() < 2 {
        return None;
    }
    let lowest = compared().min_by(|a, b| of(a).total_cmp(&of(b)))?;
    let highest = compared().max_by(|a, b| of(a).total_cmp(&of(b)))?;
    let (low, high) = (of(lowest), of(highest));
    Some(Spread {
        lowest: lowest.name.clone(),
        highest: highest.name.clone(),
        difference: high - low,
        ratio: (low > 0.0).then(|| high / low),
    })
}
