//! Two models side by side: whose answer changes, and how many people that is.
//!
//! Both answer the same possible patients, so nothing is estimated: every change is listed.

use clinical::{Cell, Study};
use serde::{Deserialize, Serialize};

use crate::answers::{Answers, Largest, People, PossiblePatient};
use crate::{Error, Result};

/// How many of the largest shifts are named.
const NAMED: usize = 10;

/// A number of possible patients, and of the people of the cohort who are one of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    pub patients: usize,
    pub people: u64,
}

impl Extent {
    fn add(&mut self, people: u64) {
        self.patients += 1;
        self.people += people;
    }
}

/// What changes from the first model to the second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub all: Extent,
    /// Another severity is shown.
    pub status_changed: Extent,
    pub alarm_gained: Extent,
    pub alarm_lost: Extent,
    /// Another severity is shown, or the alarm changes.
    pub changed: Extent,
    /// Codes of the severities, for the next two.
    pub severities: Vec<String>,
    /// By `[severity shown by the first][by the second]`.
    pub transitions: Vec<Vec<Extent>>,
    /// One per severity, then the orphan probability.
    pub outputs: Vec<OutputChange>,
    /// By every feature.
    pub groups: Vec<GroupChange>,
    /// The largest shifts among all possible patients, and among those that somebody in the cohort is.
    pub named: Vec<Shift>,
    pub named_of_people: Vec<Shift>,
}

/// How far one shown probability moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputChange {
    pub output: String,
    /// Means over the people; none without people.
    pub mean_absolute: Option<f64>,
    pub mean: Option<f64>,
    /// Mean over all possible patients, each counted once.
    pub mean_absolute_of_possible: f64,
    pub largest: f64,
}

/// What changes for one group of people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupChange {
    pub feature: String,
    pub name: String,
    pub people: u64,
    pub status_changed: u64,
    pub alarm_gained: u64,
    pub alarm_lost: u64,
    /// Mean over the group's people of the largest change of a shown probability.
    pub mean_change: f64,
}

/// One possible patient whose answer moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    pub patient: PossiblePatient,
    /// The probability that moves most: a severity's code, or `orphan`.
    pub output: String,
    /// That probability by the first and by the second model.
    pub probability: [f64; 2],
    pub status: [String; 2],
    pub alarm: [bool; 2],
}

/// Compares the answers of two models.
///
/// # Errors
/// When they are not asked the same questions or do not give the same kind of answer; the error names the first
/// difference.
pub fn compare(first: &Answers<'_>, second: &Answers<'_>, people: &People) -> Result<Difference> {
    require_same_domain(first.study(), second.study())?;
    people.require(first.patients())?;
    let study = first.study();
    let severities = study.severities().len();
    let mut found = Difference {
        all: Extent { patients: first.patients(), people: people.total() },
        status_changed: Extent::default(),
        alarm_gained: Extent::default(),
        alarm_lost: Extent::default(),
        changed: Extent::default(),
        severities: study.severities().iter().map(|class| class.code.clone()).collect(),
        transitions: vec![vec![Extent::default(); severities]; severities],
        outputs: Vec::new(),
        groups: Vec::new(),
        named: Vec::new(),
        named_of_people: Vec::new(),
    };
    let mut outputs = vec![OutputSums::default(); severities + 1];
    let mut groups = Groups::new(study);
    let (mut named, mut named_of_people) = (Largest::new(NAMED), Largest::new(NAMED));
    for cell in 0..first.patients() {
        let count = people.of(cell);
        let change = Change::of(first, second, cell);
        found.transitions[first.decided(cell)][second.decided(cell)].add(count);
        for (is, extent) in [
            (change.status, &mut found.status_changed),
            (change.gained, &mut found.alarm_gained),
            (change.lost, &mut found.alarm_lost),
            (change.any(), &mut found.changed),
        ] {
            if is {
                extent.add(count);
            }
        }
        let (mut output, mut largest) = (0, 0.0);
        for (k, (before, after)) in first.shown(cell).iter().zip(second.shown(cell)).enumerate() {
            let moved = after - before;
            outputs[k].add(moved, count);
            if moved.abs() > largest {
                (output, largest) = (k, moved.abs());
            }
        }
        groups.add(study, cell, count, &change, largest);
        named.offer(largest, || (cell, output));
        if count > 0 {
            named_of_people.offer(largest, || (cell, output));
        }
    }
    found.outputs =
        (outputs.into_iter().enumerate()).map(|(k, sums)| sums.finish(first.output(k), found.all)).collect();
    found.groups = groups.finish();
    let words = |largest: Largest<(Cell, usize)>| {
        largest.into_vec().into_iter().map(|at| shift(first, second, at, people)).collect()
    };
    (found.named, found.named_of_people) = (words(named), words(named_of_people));
    Ok(found)
}

/// The possible patients whose shown severity or alarm the second model changes, in order.
pub fn changed<'a>(first: &'a Answers<'_>, second: &'a Answers<'_>) -> impl Iterator<Item = Cell> + 'a {
    (0..first.patients()).filter(|&cell| Change::of(first, second, cell).any())
}

struct Change {
    status: bool,
    gained: bool,
    lost: bool,
}

impl Change {
    fn of(first: &Answers<'_>, second: &Answers<'_>, cell: Cell) -> Self {
        let (was, is) = (first.alarmed(cell), second.alarmed(cell));
        Change { status: first.decided(cell) != second.decided(cell), gained: is && !was, lost: was && !is }
    }

    fn any(&self) -> bool {
        self.status || self.gained || self.lost
    }
}

#[derive(Debug, Clone, Default)]
struct OutputSums {
    absolute: f64,
    signed: f64,
    of_possible: f64,
    largest: f64,
}

impl OutputSums {
    fn add(&mut self, moved: f64, people: u64) {
        self.absolute += people as f64 * moved.abs();
        self.signed += people as f64 * moved;
        self.of_possible += moved.abs();
        self.largest = self.largest.max(moved.abs());
    }

    fn finish(self, output: &str, all: Extent) -> OutputChange {
        let mean = |sum: f64| (all.people > 0).then(|| sum / all.people as f64);
        OutputChange {
            output: output.to_owned(),
            mean_absolute: mean(self.absolute),
            mean: mean(self.signed),
            mean_absolute_of_possible: self.of_possible / all.patients as f64,
            largest: self.largest,
        }
    }
}

/// Sums by feature and group.
struct Groups {
    of_level: Vec<Vec<u16>>,
    groups: Vec<Vec<GroupChange>>,
}

impl Groups {
    fn new(study: &Study) -> Self {
        let (mut of_level, mut groups) = (Vec::new(), Vec::new());
        for feature in study.features() {
            let own = feature.groups();
            of_level.push(own.of_level);
            let empty = |name| GroupChange {
                feature: feature.name.clone(),
                name,
                people: 0,
                status_changed: 0,
                alarm_gained: 0,
                alarm_lost: 0,
                mean_change: 0.0,
            };
            groups.push(own.names.into_iter().map(empty).collect());
        }
        Groups { of_level, groups }
    }

    fn add(&mut self, study: &Study, cell: Cell, people: u64, change: &Change, largest: f64) {
        if people == 0 {
            return;
        }
        let levels = study.domain().levels(cell);
        for ((level, of_level), groups) in levels.into_iter().zip(&self.of_level).zip(&mut self.groups) {
            let group = &mut groups[usize::from(of_level[level])];
            group.people += people;
            group.status_changed += if change.status { people } else { 0 };
            group.alarm_gained += if change.gained { people } else { 0 };
            group.alarm_lost += if change.lost { people } else { 0 };
            group.mean_change += people as f64 * largest;
        }
    }

    fn finish(self) -> Vec<GroupChange> {
        let inhabited = self.groups.into_iter().flatten().filter(|group| group.people > 0);
        inhabited
            .map(|group| GroupChange { mean_change: group.mean_change / group.people as f64, ..group })
            .collect()
    }
}

fn shift(first: &Answers<'_>, second: &Answers<'_>, (cell, output): (Cell, usize), people: &People) -> Shift {
    let both = [first, second];
    Shift {
        patient: PossiblePatient::of(first.study(), cell, people),
        output: first.output(output).to_owned(),
        probability: both.map(|model| model.shown(cell).get(output).copied().unwrap_or_default()),
        status: both.map(|model| model.output(model.decided(cell)).to_owned()),
        alarm: both.map(|model| model.alarmed(cell)),
    }
}

/// The same features with the same levels, and the same severities.
fn require_same_domain(first: &Study, second: &Study) -> Result<()> {
    let refuse = |what: String| Err(Error::Invalid(format!("the two models cannot be compared: {what}")));
    let names =
        |study: &Study| study.features().iter().map(|feature| feature.name.clone()).collect::<Vec<_>>();
    if names(first) != names(second) {
        return refuse(format!("one asks for {:?}, the other for {:?}", names(first), names(second)));
    }
    for (a, b) in first.features().iter().zip(second.features()) {
        if a.dim() != b.dim() || (0..a.dim()).any(|level| a.level_code(level) != b.level_code(level)) {
            return refuse(format!("the values of `{}` differ", a.name));
        }
    }
    let codes = |study: &Study| study.severities().iter().map(|class| class.code.clone()).collect::<Vec<_>>();
    if codes(first) != codes(second) {
        return refuse(format!("one answers {:?}, the other {:?}", codes(first), codes(second)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;
    use crate::predict::Table;

    const STUDY: &str = include_str!("verify/tests.study.toml");

    fn answers<'a>(study: &'a Study, table: &'a Table) -> Answers<'a> {
        let cells = 0..table.patients();
        let decided = |cell: usize| {
            let shown = &table.predict_cell(cell)[..3];
            (0..3_u8).max_by(|&a, &b| shown[usize::from(a)].total_cmp(&shown[usize::from(b)])).unwrap()
        };
        let alarm = cells.clone().map(|cell| table.predict_cell(cell)[3] >= 0.5).collect();
        Answers::new(study, table, alarm, cells.map(decided).collect()).unwrap()
    }

    fn table(study: &Study, of: impl Fn(usize) -> [f64; 4]) -> Table {
        let cells = study.domain().size().unwrap();
        let f = Matrix::from_vec(cells, 4, (0..cells).flat_map(of).collect()).unwrap();
        Table::build(study.domain().dims(), &f, &[(0, 1.0)]).unwrap()
    }

    /// In 72 patients the second model calls every seventh `ill` instead of `well`, and alarms all of ward C.
    #[test]
    fn every_change_is_counted_in_patients_and_people() {
        let study = Study::parse(STUDY).unwrap();
        let first = table(&study, |_| [0.6, 0.3, 0.1, 0.2]);
        let second = table(&study, |cell| {
            let orphan = if cell >= 48 { 0.9 } else { 0.2 };
            if cell % 7 == 0 { [0.2, 0.7, 0.1, orphan] } else { [0.6, 0.3, 0.1, orphan] }
        });
        let count = |cell: usize| (cell as u64) % 5;
        let people = People::new(72, (0..72).map(|cell| (cell, count(cell)))).unwrap();
        let (a, b) = (answers(&study, &first), answers(&study, &second));
        let found = compare(&a, &b, &people).unwrap();
        let extent = |keep: &dyn Fn(usize) -> bool| {
            let cells: Vec<usize> = (0..72).filter(|&cell| keep(cell)).collect();
            Extent { patients: cells.len(), people: cells.into_iter().map(count).sum() }
        };
        assert_eq!(found.all, extent(&|_| true));
        assert_eq!(found.status_changed, extent(&|cell| cell % 7 == 0));
        assert_eq!((found.alarm_gained, found.alarm_lost), (extent(&|cell| cell >= 48), Extent::default()));
        assert_eq!(found.changed, extent(&|cell| cell % 7 == 0 || cell >= 48));
        assert_eq!(
            found.transitions[0],
            [extent(&|cell| cell % 7 != 0), extent(&|cell| cell % 7 == 0), Extent::default()]
        );
        assert!(found.transitions[1..].iter().flatten().all(|extent| *extent == Extent::default()));
        let well = &found.outputs[0];
        let share = found.status_changed.people as f64 / found.all.people as f64;
        assert!((well.mean_absolute.unwrap() - 0.4 * share).abs() < 1e-12);
        assert!((well.mean.unwrap() + 0.4 * share).abs() < 1e-12);
        assert!((well.mean_absolute_of_possible - 0.4 * 11.0 / 72.0).abs() < 1e-12);
        assert_eq!((found.outputs[3].output.as_str(), found.outputs.len()), ("orphan", 4));
        let ward_c = found.groups.iter().find(|group| group.name == "C").unwrap();
        assert_eq!(
            (ward_c.people, ward_c.alarm_gained),
            (found.alarm_gained.people, found.alarm_gained.people)
        );
        assert!((ward_c.mean_change - 0.7).abs() < 1e-12);
        assert_eq!(
            found.groups.iter().map(|g| g.people).sum::<u64>(),
            3 * found.all.people,
            "three features"
        );
        let worst = &found.named[0];
        assert_eq!((worst.patient.cell, worst.output.as_str(), worst.alarm), (48, "orphan", [false, true]));
        assert!((worst.probability[1] - worst.probability[0] - 0.7).abs() < 1e-12);
        assert!(found.named_of_people.iter().all(|shift| shift.patient.people > 0));
        let listed: Vec<usize> = changed(&a, &b).collect();
        assert_eq!(listed.len(), found.changed.patients);
        assert!(listed.iter().all(|cell| cell % 7 == 0 || *cell >= 48));
        assert_eq!(
            serde_json::from_value::<Difference>(serde_json::to_value(&found).unwrap()).unwrap(),
            found
        );

        let none = compare(&a, &a, &people).unwrap();
        assert_eq!((none.changed, none.named.len(), none.outputs[0].largest), (Extent::default(), 0, 0.0));
    }

    #[test]
    fn models_that_are_asked_other_questions_are_not_compared() {
        let study = Study::parse(STUDY).unwrap();
        let table_of = |study: &Study| table(study, |_| [0.6, 0.3, 0.1, 0.2]);
        let first = table_of(&study);
        let people = People::new(72, []).unwrap();
        for (from, to, what) in [
            ("name = \"ward\"", "name = \"floor\"", "floor"),
            ("min = 17\nmax = 22", "min = 18\nmax = 23", "`age`"),
            ("code = \"grave\"", "code = \"acute\"", "acute"),
        ] {
            let other = Study::parse(&STUDY.replacen(from, to, 1)).unwrap();
            let second = table_of(&other);
            let error = compare(&answers(&study, &first), &answers(&other, &second), &people).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
