//! `hoofbeat model verify`: every possible patient.

use anyhow::{Result, bail};
use learn::verify::{Groups, Jump, Jumps, MonotoneSteps, Spread, Swap, Swaps, Verification};
use registry::Model;
use serde_json::json;

use crate::cli::Global;
use crate::deployment::Deployment;
use crate::output::{self, Done};
use crate::pipeline::score::Scorer;
use crate::pipeline::{cohort, verify};

const NOBODY: &str = "undefined: no people";

/// Exit status 3 when an answer is improper or a gate among the study's limits is exceeded.
pub(super) fn run(global: &Global, deployment: &Deployment, model: &Model) -> Result<Done> {
    let scorer = Scorer::open(deployment, model)?;
    let counted = cohort::count(deployment, scorer.study(), model.dataset_version)?;
    let judge = deployment.study_in_force(scorer.study())?;
    let Some(found) = verify::verify(&scorer, &counted.cohort, &judge)? else {
        bail!(
            "{} answers from its trees, not from a table: there is no list of possible patients to verify",
            model.version
        );
    };
    let value = json!({
        "model": model.version,
        "dataset_version": model.dataset_version,
        "holds": found.holds,
        "verification": found,
    });
    output::print(global.json, &value, || {
        let verdict = if found.holds { "holds" } else { "DOES NOT HOLD" };
        format!(
            "{}: {} possible patients checked, weighed by the {} people of dataset version {}: {verdict}\n{}",
            model.version,
            found.patients,
            found.people,
            model.dataset_version,
            text(&found)
        )
    })?;
    Ok(Done::held(found.holds))
}

fn text(found: &Verification) -> String {
    let proper = &found.proper;
    let mut text = format!(
        "  not probabilities {}\n  not summing to 1  {} (largest error {:.1e})\n  alarmed           {} possible patients, {} people ({})\n",
        proper.not_probabilities,
        proper.not_summing,
        proper.largest_sum_error,
        proper.alarmed,
        proper.people_alarmed,
        people_share((found.people > 0).then(|| proper.people_alarmed as f64 / found.people as f64)),
    );
    if let Some(fault) = &proper.first_fault {
        text += &format!("  FIRST FAULT: {}\n", fault.text);
    }
    text += &jumps("neighbours along a number, same alarm", &found.jumps);
    text += &jumps("neighbours along a category, same alarm", &found.category_jumps);
    text += &jumps("neighbours across the alarm", &found.jumps_across_alarm);
    text += &found.monotone.iter().map(monotone).collect::<String>();
    text += &found.groups.iter().map(groups).collect::<String>();
    text += &found.swaps.iter().map(swaps).collect::<String>();
    text += "declared limits\n";
    if found.bounds.is_empty() {
        text += "  none: the study has no [verification]\n";
    }
    for bound in &found.bounds {
        let verdict = match (bound.holds, bound.gate) {
            (true, _) => "holds",
            (false, true) => "FAILS",
            (false, false) => "beyond",
        };
        let kind = if bound.gate { "gate" } else { "report" };
        text += &format!(
            "  {verdict:<7} {}: {:.4}, at most {} ({kind})\n",
            bound.what, bound.found, bound.at_most
        );
    }
    text
}

fn jumps(what: &str, jumps: &Jumps) -> String {
    let mut text = format!("{what}: {} pairs, largest jump {:.4}", jumps.pairs, jumps.largest);
    if let (Some(beyond), Some(people)) = (jumps.beyond, jumps.people_beyond) {
        text += &format!("; beyond the limit {beyond} pairs, {people} people");
    }
    text + "\n" + &jumps.named.iter().map(jump).collect::<String>()
}

fn jump(jump: &Jump) -> String {
    // The pair differs in one value: the first patient is told whole, the second by that value.
    let changed = jump.to.values.iter().find(|(name, value)| jump.from.values.get(*name) != Some(*value));
    let to = changed.map(|(_, value)| value.to_string()).unwrap_or_default();
    format!(
        "  {:+.4} in p({}) from [{}] to {} {} ({} and {} people)\n",
        jump.difference,
        jump.output,
        jump.from.text,
        jump.feature,
        to.trim_matches('"'),
        jump.from.people,
        jump.to.people
    )
}

fn monotone(steps: &MonotoneSteps) -> String {
    let direction = match steps.direction {
        clinical::study::Direction::Rising => "must not fall",
        clinical::study::Direction::Falling => "must not rise",
    };
    let head = format!(
        "p({}) {direction} as {} rises: {} violations in {} steps, {} people, largest {:.4}\n",
        steps.output, steps.feature, steps.violations, steps.steps, steps.people, steps.largest
    );
    head + &steps.named.iter().map(jump).collect::<String>()
}

fn groups(by: &Groups) -> String {
    let header = ["  group", "people", "alarmed", "mean p(orphan)", "shown each severity"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(by.groups.iter().map(|group| {
        let few = if group.compared { "" } else { " (few)" };
        let shares: Vec<String> = group.severity_shares.iter().map(|&p| share(p)).collect();
        vec![
            format!("  {}{few}", group.name),
            group.people.to_string(),
            share(group.alarm_rate),
            format!("{:.4}", group.orphan_probability),
            shares.join(" "),
        ]
    }));
    let spread = |spread: &Option<Spread>| match spread {
        None => "undefined: fewer than two groups of thirty people".to_owned(),
        Some(Spread { lowest, highest, difference, ratio }) => {
            let ratio = ratio.map_or_else(|| "undefined: the lowest is 0".to_owned(), |r| format!("{r:.2}"));
            format!("{difference:.4}, ratio {ratio} ({highest} over {lowest})")
        }
    };
    format!(
        "people by {}\n{}\n  alarm rate apart by {}\n  mean p(orphan) apart by {}\n",
        by.feature,
        output::table(&rows),
        spread(&by.alarm_rate),
        spread(&by.orphan_probability)
    )
}

fn swaps(by: &Swaps) -> String {
    let mean = |mean: Option<f64>| mean.map_or_else(|| NOBODY.to_owned(), |m| format!("{m:.4}"));
    let mut text = format!(
        "the same patient with another {}\n  status changes for {} of the people ({} of the possible patients), the alarm for {}\n  \
         largest change of a probability: on average {}, of p(orphan) {}; at most {:.4}\n",
        by.feature,
        people_share(by.status_changed),
        share(by.possible_status_changed),
        people_share(by.alarm_changed),
        mean(by.mean_change),
        mean(by.mean_orphan_change),
        by.largest_change
    );
    let header =
        ["  instead of", "people", "other status", "alarm gained", "alarm lost", "mean change of p(orphan)"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(by.pairs.iter().map(|pair| {
        let numbers = [pair.people, pair.status_changed, pair.alarm_gained, pair.alarm_lost];
        let mut row = vec![format!("  {} now {}", pair.from, pair.to)];
        row.extend(numbers.map(|n| n.to_string()));
        row.push(pair.mean_orphan_change.map_or_else(|| NOBODY.to_owned(), |m| format!("{m:+.4}")));
        row
    }));
    text += &(output::table(&rows) + "\n");
    text += &by.named_of_people.iter().map(swap).collect::<String>();
    text
}

fn swap(swap: &Swap) -> String {
    let [before, after] = &swap.status;
    let alarm = match swap.alarm {
        [false, true] => ", alarm gained",
        [true, false] => ", alarm lost",
        _ => "",
    };
    format!(
        "  {:+.4} in p({}) of [{}] ({} people) with {}: {before} to {after}{alarm}\n",
        swap.difference, swap.output, swap.patient.text, swap.patient.people, swap.to
    )
}

fn people_share(part: Option<f64>) -> String {
    part.map_or_else(|| NOBODY.to_owned(), share)
}

/// A share in per cent.
fn share(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
