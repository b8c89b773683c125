//! Drift of what is asked and of what is answered, everybody and source by source.

use anyhow::Result;
use clinical::study::Accepts;
use clinical::{Kind, Study};
use evaluate::drift::{self, Change, Drift, Limits, Pair, Question, Scale};
use evaluate::{LabelShift, label_shift};
use serde::Serialize;

use super::profile::{Answered, Answers, Profile};
use super::sample::{Arrived, Sample, Served};
use crate::pipeline::score::Scorer;

/// Cases of a source in the reference from which on it is compared with itself instead of with everybody.
const OWN_REFERENCE: u64 = 200;
/// Bars of a histogram at most.
const BARS: usize = 24;
/// Values that a bar may hold.
const WIDTHS: [usize; 8] = [1, 2, 5, 10, 20, 50, 100, 1000];

/// Everything compared.
#[derive(Debug, Serialize)]
pub struct Drifts {
    pub limits: DriftLimits,
    pub comparisons: Vec<Comparison>,
    /// Share of the comparisons with enough patients that found a notable change; none where there was none.
    pub rate: Option<f64>,
    /// What the model answers: of the reference, of what was served, and of what arrived.
    pub answers: GroupAnswers,
    /// Shares of the severities among the patients served, by the model's own probabilities.
    pub label_shift: Option<LabelShift>,
}

/// From where on a change is said to matter.
#[derive(Debug, Serialize)]
pub struct DriftLimits {
    pub false_discovery_rate: f64,
    pub notable: f64,
    pub major: f64,
    pub permutations: u32,
    pub psi_bins: usize,
}

#[derive(Debug, Serialize)]
pub struct GroupAnswers {
    pub reference: Answers,
    pub served: Answers,
    pub arrived: Answers,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A value that is asked for.
    Input,
    /// A clinical category made of values.
    Category,
    /// The model's answer.
    Answer,
}

/// One comparison with its picture.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// `served`, `arrived`, or a source.
    pub group: String,
    pub about: About,
    pub name: String,
    /// What it is compared with: `everybody` in the training cohort, or the cases of the same `source`.
    pub against: &'static str,
    #[serde(flatten)]
    pub change: Change,
    pub bars: Bars,
}

/// Counts for a histogram.
#[derive(Debug, Serialize)]
pub struct Bars {
    /// Codes, or ranges such as `40-49`.
    pub labels: Vec<String>,
    pub reference: Vec<u64>,
    pub window: Vec<u64>,
}

impl Comparison {
    /// How an alert names it.
    pub fn subject(&self) -> String {
        format!("{}:{}", self.group, self.name)
    }
}

/// A comparison that waits for its numbers.
struct Asked<'a> {
    group: &'a str,
    about: About,
    name: &'a str,
    against: &'static str,
    scale: Scale,
    reference: &'a [u64],
    window: &'a [u64],
    labels: Vec<String>,
}

/// What a window brought.
pub(super) struct Window<'a> {
    pub served: &'a Served,
    /// What the model says of those served.
    pub answered: &'a Answered,
    pub arrived: &'a Arrived,
    pub sources: &'a std::collections::BTreeMap<String, Sample>,
    pub arrived_sample: &'a Sample,
}

pub(super) fn compare(
    scorer: &Scorer,
    profile: &Profile,
    window: &Window<'_>,
    threads: usize,
) -> Result<Drifts> {
    let study = scorer.study();
    let served = window.answered;
    let arrived = Answered::of(scorer, &window.arrived.patients)?;
    let answers = GroupAnswers {
        reference: profile.answers.clone(),
        served: served.count(study, &profile.orphan_bins),
        arrived: arrived.count(study, &profile.orphan_bins),
    };
    let levels = [served.levels(study), arrived.levels(study)];
    let mut asked = Vec::new();
    for (group, sample) in [("served", &window.served.sample), ("arrived", window.arrived_sample)] {
        inputs(study, group, "everybody", &profile.everybody, sample, &mut asked);
    }
    // With one source alone, its comparison is the one of everybody.
    for (source, sample) in window.sources.iter().filter(|_| window.sources.len() > 1) {
        match profile.sources.get(source).filter(|own| own.patients >= OWN_REFERENCE) {
            Some(own) => inputs(study, source, "source", own, sample, &mut asked),
            None => inputs(study, source, "everybody", &profile.everybody, sample, &mut asked),
        }
    }
    for (group, levels) in ["served", "arrived"].into_iter().zip(&levels) {
        categories(study, group, profile, levels, &mut asked);
    }
    for (group, of_group) in [("served", &answers.served), ("arrived", &answers.arrived)] {
        answered(study, group, profile, of_group, &mut asked);
    }
    let limits = Limits::default().for_comparisons(asked.len());
    let comparisons = judge(asked, &limits, threads)?;
    let enough: Vec<&Comparison> = comparisons.iter().filter(|one| one.change.drift != Drift::Few).collect();
    let notable = enough.iter().filter(|one| one.change.drift >= Drift::Notable).count();
    Ok(Drifts {
        rate: (!enough.is_empty()).then(|| notable as f64 / enough.len() as f64),
        limits: DriftLimits {
            false_discovery_rate: limits.alpha,
            notable: limits.notable,
            major: limits.major,
            permutations: limits.draws,
            psi_bins: drift::PSI_BINS,
        },
        comparisons,
        label_shift: shift(profile, served)?,
        answers,
    })
}

/// Every input of two samples.
pub(super) fn between(
    study: &Study,
    before: &Sample,
    after: &Sample,
    threads: usize,
) -> Result<Vec<Comparison>> {
    let mut asked = Vec::new();
    inputs(study, "cases", "everybody", before, after, &mut asked);
    judge(asked, &Limits::default().for_comparisons(study.inputs().len()), threads)
}

fn inputs<'a>(
    study: &'a Study,
    group: &'a str,
    against: &'static str,
    reference: &'a Sample,
    window: &'a Sample,
    asked: &mut Vec<Asked<'a>>,
) {
    for (at, input) in study.inputs().iter().enumerate() {
        let (scale, labels) = match &input.accepts {
            Accepts::Number { min, max, .. } => {
                (Scale::Ordered, (*min..=*max).map(|value| value.to_string()).collect())
            }
            Accepts::Code(codes) => (Scale::Nominal, codes.clone()),
        };
        let (reference, window) = (&reference.inputs[at], &window.inputs[at]);
        asked.push(Asked {
            group,
            about: About::Input,
            name: &input.name,
            against,
            scale,
            reference,
            window,
            labels,
        });
    }
}

fn categories<'a>(
    study: &'a Study,
    group: &'a str,
    profile: &'a Profile,
    levels: &'a [Vec<u64>],
    asked: &mut Vec<Asked<'a>>,
) {
    for (at, feature) in study.features().iter().enumerate() {
        if !matches!(feature.kind, Kind::Category(_)) {
            continue;
        }
        asked.push(Asked {
            group,
            about: About::Category,
            name: &feature.name,
            against: "everybody",
            scale: Scale::of(feature),
            reference: &profile.features[at],
            window: &levels[at],
            labels: feature.choices().iter().map(|choice| choice.code.clone()).collect(),
        });
    }
}

fn answered<'a>(
    study: &'a Study,
    group: &'a str,
    profile: &'a Profile,
    window: &'a Answers,
    asked: &mut Vec<Asked<'a>>,
) {
    let severities = study.severities().iter().map(|class| class.code.clone()).collect();
    let bins = profile.orphan_bins.iter().map(|from| format!("{from:.4}")).collect();
    let reference = &profile.answers;
    let one = |name, scale, reference, window, labels| Asked {
        group,
        about: About::Answer,
        name,
        against: "everybody",
        scale,
        reference,
        window,
        labels,
    };
    asked.push(one("severity", Scale::Nominal, &reference.severities, &window.severities, severities));
    let alarms = vec!["no".to_owned(), "yes".to_owned()];
    asked.push(one("alarm", Scale::Nominal, &reference.alarms, &window.alarms, alarms));
    asked.push(one("probability_orphan", Scale::Ordered, &reference.orphan_bins, &window.orphan_bins, bins));
}

/// Compares what has patients on both sides.
fn judge(asked: Vec<Asked<'_>>, limits: &Limits, threads: usize) -> Result<Vec<Comparison>> {
    let asked: Vec<(Asked<'_>, Pair<'_>)> = asked
        .into_iter()
        .filter_map(|one| Pair::new(one.reference, one.window).ok().map(|pair| (one, pair)))
        .collect();
    let questions: Vec<Question<'_>> =
        asked.iter().map(|(one, pair)| Question { pair: *pair, scale: one.scale }).collect();
    let changes = drift::compare(&questions, limits, threads)?;
    let comparison = |((one, _), change): ((Asked<'_>, Pair<'_>), Change)| Comparison {
        bars: bars(&one),
        group: one.group.to_owned(),
        about: one.about,
        name: one.name.to_owned(),
        against: one.against,
        change,
    };
    Ok(asked.into_iter().zip(changes).map(comparison).collect())
}

/// Neighbouring values of a number put together, so that a picture holds them.
fn bars(one: &Asked<'_>) -> Bars {
    let occupied = |at: &usize| one.reference[*at] + one.window[*at] > 0;
    let levels = one.labels.len();
    if one.about != About::Input || one.scale == Scale::Nominal || levels <= BARS {
        return Bars {
            labels: one.labels.clone(),
            reference: one.reference.to_vec(),
            window: one.window.to_vec(),
        };
    }
    let first = (0..levels).find(occupied).unwrap_or(0);
    let last = (0..levels).rfind(occupied).unwrap_or(levels - 1);
    let lowest: i64 = one.labels[0].parse().unwrap_or(0);
    let width = WIDTHS.into_iter().find(|width| (last - first + 1).div_ceil(*width) < BARS).unwrap_or(levels);
    let mut out = Bars { labels: Vec::new(), reference: Vec::new(), window: Vec::new() };
    // Bars begin at multiples of their width.
    let wide = width as i64;
    let mut from = (lowest + first as i64).div_euclid(wide) * wide;
    while from <= lowest + last as i64 {
        let place = |value: i64| usize::try_from(value - lowest).unwrap_or(0).min(levels);
        let of = |counts: &[u64]| -> u64 { counts[place(from)..place(from + wide)].iter().sum() };
        out.labels.push(if width == 1 { from.to_string() } else { format!("{from}-{}", from + wide - 1) });
        out.reference.push(of(one.reference));
        out.window.push(of(one.window));
        from += wide;
    }
    out
}

fn shift(profile: &Profile, served: &Answered) -> Result<Option<LabelShift>> {
    let known: u64 = profile.severities.iter().sum();
    if known == 0 || served.patients.is_empty() {
        return Ok(None);
    }
    let shares: Vec<f64> = profile.severities.iter().map(|&n| n as f64 / known as f64).collect();
    let posteriors: Vec<f64> =
        served.assessed.iter().flat_map(|assessed| assessed.before_alarm.iter().copied()).collect();
    let patients: Vec<u64> = served.patients.iter().map(|(_, n)| *n).collect();
    Ok(Some(label_shift(&shares, &posteriors, &patients)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_hold_every_patient_and_begin_at_round_numbers() {
        let mut reference = vec![0; 231];
        let mut window = vec![0; 231];
        (reference[45], reference[46], window[120]) = (3, 4, 5);
        let asked = Asked {
            group: "served",
            about: About::Input,
            name: "systolic_mmhg",
            against: "everybody",
            scale: Scale::Ordered,
            reference: &reference,
            window: &window,
            labels: (50..=280).map(|value: i32| value.to_string()).collect(),
        };
        let bars = bars(&asked);
        assert_eq!(bars.labels.first().map(String::as_str), Some("95-99"));
        assert_eq!((bars.reference.iter().sum::<u64>(), bars.window.iter().sum::<u64>()), (7, 5));
        assert!(bars.labels.len() <= BARS + 1, "{}", bars.labels.len());
    }
}
