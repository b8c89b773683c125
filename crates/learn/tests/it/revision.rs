//! A revision against the training that it goes on from: without a case it is the same model, with cases it follows them.

use std::collections::BTreeMap;

use clinical::{Severity, Study};
use learn::bundle::{Bundle, files};
use learn::crossfit::{Training, fit};
use learn::fewshot::NoveltyBudget;
use learn::model::{self, Parts};
use learn::revision::{Edition, OrphanCase, Revision, Taken, TrainingCases};
use learn::{Matrix, Model};
use prepare::{Cohort, Preprocessor, Stratum};
use serde_json::json;
use tempfile::TempDir;

use crate::model::{recipe, training};
use crate::worker::trainer;

const CHRONIC: Severity = Severity(2);

/// The default study with the features of the small cohort; `table_limit` decides the model's form.
fn study(table_limit: usize) -> Study {
    let (_, rest) = clinical::study::DEFAULT_TOML.split_once("# ── Outcome").unwrap();
    let rest = rest.replace("table_limit = 20_000_000", &format!("table_limit = {table_limit}"));
    let code =
        |code: &str| format!("{{ code = \"{code}\", label = {{ es = \"{code}\", en = \"{code}\" }} }}");
    let feature = |name: &str, rest: &str| {
        format!("[[feature]]\nname = \"{name}\"\nlabel = {{ es = \"{name}\", en = \"{name}\" }}\n{rest}\n")
    };
    let head = [
        "name = \"small\"\ntitle = { es = \"x\", en = \"x\" }\n".to_owned(),
        feature("a", "kind = \"number\"\nunit = \"x\"\nmin = 0\nmax = 19"),
        feature("b", &format!("kind = \"code\"\ncodes = [{}, {}]", code("p"), code("q"))),
        feature("c", &format!("kind = \"code\"\ncodes = [{}, {}, {}]", code("r"), code("s"), code("t"))),
    ];
    // Limits and gates by group name features that are gone.
    let by_group =
        |line: &str| ["by = [", "reading = ", "features = ["].iter().any(|start| line.starts_with(start));
    let rest: String = rest.lines().filter(|line| !by_group(line)).flat_map(|line| [line, "\n"]).collect();
    Study::parse(&format!("{}\n# {rest}", head.concat())).unwrap()
}

/// A trained model of the small cohort as a bundle in a folder, with its digest.
struct Trained {
    folder: TempDir,
    digest: String,
    cases: Vec<TrainingCases>,
}

impl Trained {
    fn new(table_limit: usize) -> Trained {
        let study = study(table_limit);
        let mut training = training();
        training.classes.severities = 4;
        let cases: Vec<TrainingCases> = (0..120).map(|cell| cases(&training, cell)).collect();
        let stratum = Stratum { severity: Severity(0), rarity: None, disease_code: None };
        let counted = cases.iter().map(|of| (of.cell, 0, stratum.clone(), of.cases as u64));
        let preprocessor = Preprocessor::fit(&study, &Cohort::new(counted));
        let mut x = Vec::new();
        (0..120).for_each(|cell| preprocessor.encode_into(&study.domain().levels(cell), &mut x));
        training.x = Matrix::from_vec(120, preprocessor.width(), x).unwrap();
        training.score = training.x.clone();
        if table_limit < 120 {
            training.score = Matrix::zeros(0, preprocessor.width());
            training.score_levels = Matrix::zeros(0, 3);
        }
        let fitted = fit(&training, &recipe(), &trainer(2), &mut |_| {}).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let parts = Parts {
            version: "m-0001".into(),
            created_at: "2026-01-01T00:00:00Z".into(),
            dataset_version: 1,
            lineage: BTreeMap::from([("seed".into(), "0".into()), ("run".into(), "first".into())]),
            study: &study,
            preprocessor: &preprocessor,
            fitted: &fitted,
            notes: None,
            weights: &cases.iter().map(|of| (of.cell, of.cases)).collect::<Vec<_>>(),
            record: &json!({ "rows": 6000 }),
            seed: 0,
        };
        let digest = model::write(&folder.path().join("m"), &parts).unwrap();
        Trained { folder, digest, cases }
    }

    fn bundle(&self) -> Bundle {
        Bundle::open_recorded(&self.folder.path().join("m"), &self.digest).unwrap()
    }
}

fn cases(training: &Training, cell: usize) -> TrainingCases {
    let of = |keep: &dyn Fn(usize) -> bool| {
        let rows = training.folds.iter().map(|fold| fold.row(cell).iter().enumerate());
        rows.flatten().filter(|(disease, _)| keep(*disease)).map(|(_, cases)| cases).sum::<f64>()
    };
    TrainingCases { cell, cases: of(&|_| true), orphans: of(&|disease| training.diseases[disease].orphan) }
}

fn edition(version: &str) -> Edition {
    Edition {
        version: version.into(),
        created_at: "2026-02-02T00:00:00Z".into(),
        dataset_version: 2,
        lineage: BTreeMap::from([("run".into(), "second".into()), ("parent".into(), "m-0001".into())]),
        record: json!({ "version": version }),
    }
}

fn case<'a>(id: &'a str, code: Option<&'a str>, cell: usize) -> OrphanCase<'a> {
    OrphanCase { id, severity: CHRONIC, disease_code: code, cell }
}

fn finish(revision: Revision<'_>, cases: &[TrainingCases], threads: usize) -> Bundle {
    revision.finish(edition("m-0002"), cases, &NoveltyBudget::default(), threads).unwrap()
}

/// Names of the files that differ.
fn changed(a: &Bundle, b: &Bundle) -> Vec<String> {
    let differs = |(name, digest): &(&String, &String)| b.manifest.files.get(*name) != Some(*digest);
    assert_eq!(a.manifest.files.len(), b.manifest.files.len());
    a.manifest.files.iter().filter(differs).map(|(name, _)| name.clone()).collect()
}

#[test]
fn without_a_case_it_answers_as_its_parent_to_the_byte() {
    for table_limit in [1000, 10] {
        let trained = Trained::new(table_limit);
        let parent = trained.bundle();
        for threads in [1, 3, 500] {
            let same = finish(Revision::of(&parent).unwrap(), &trained.cases, threads);
            assert_eq!(changed(&parent, &same), [files::REPORT]);
        }
    }
}

#[test]
fn cases_change_the_few_shot_half_and_the_answers_and_nothing_else() {
    let trained = Trained::new(1000);
    let parent = trained.bundle();
    let revised = |threads| {
        let mut revision = Revision::of(&parent).unwrap();
        // The rare corner of a disease that nobody has seen; the same case is counted once.
        for (id, taken) in [("1", Taken::Added), ("2", Taken::Added), ("1", Taken::Held)] {
            assert_eq!(revision.add(&case(id, Some("ORPHA:905"), 119)).unwrap(), taken);
        }
        assert_eq!(revision.add(&case("3", None, 60)).unwrap(), Taken::Added);
        let acute = OrphanCase { severity: Severity(1), ..case("4", Some("ORPHA:905"), 119) };
        assert_eq!(revision.add(&acute).unwrap(), Taken::Unclassed);
        finish(revision, &trained.cases, threads)
    };
    let next = revised(2);
    let half = ["few-shot/novelty.json", "few-shot/profiles.json", "few-shot/prototypes.safetensors"];
    let answers = ["healthy.bin.zst", "nearest.bin.zst", files::REPORT, files::TABLE];
    assert_eq!(changed(&parent, &next), [&half[..], &answers[..]].concat());
    assert!(changed(&next, &revised(1)).is_empty(), "threads change no byte");

    let manifest = &next.manifest;
    assert_eq!((manifest.version.as_str(), manifest.dataset_version), ("m-0002", 2));
    assert_eq!(manifest.study, parent.manifest.study);
    let lineage = [("parent", "m-0001"), ("run", "second"), ("seed", "0")];
    assert_eq!(manifest.lineage, lineage.map(|(name, value)| (name.into(), value.into())).into());
    let report: serde_json::Value = next.json(files::REPORT).unwrap();
    assert_eq!(report["training"]["rows"], 6000);
    assert_eq!(report["revisions"], json!([{ "version": "m-0002" }]));

    // Written and opened, the patient is told of the disease, and a revision of it goes on.
    let folder = trained.folder.path().join("next");
    let digest = next.write(&folder).unwrap();
    let (before, after) = (Model::of(&parent).unwrap(), Model::open(&folder, &digest).unwrap());
    let orphan = |model: &Model| model.assess(&[19, 1, 2]).unwrap().orphan;
    assert!(orphan(&after) > orphan(&before), "{} {}", orphan(&after), orphan(&before));
    let third = Bundle::open_recorded(&folder, &digest).unwrap();
    let mut third = Revision::of(&third).unwrap();
    assert_eq!(third.add(&case("2", Some("ORPHA:905"), 119)).unwrap(), Taken::Held);
    assert!(third.add(&case("2", Some("ORPHA:905"), 3)).is_err(), "another case by the same name");
}

#[test]
fn a_new_disease_alarms_as_many_as_its_budget_allows() {
    let trained = Trained::new(1000);
    let parent = trained.bundle();
    let alarmed = |share: f64, code: &str| {
        let mut revision = Revision::of(&parent).unwrap();
        revision.add(&case("1", Some(code), 0)).unwrap();
        let budget = NoveltyBudget { each: share, total: share, alerts: None };
        let next = revision.finish(edition("m-0002"), &trained.cases, &budget, 2).unwrap();
        let model = Model::of(&next).unwrap();
        let levels = |cell: usize| model.study().domain().levels(cell);
        let alarmed = |cell: usize| model.assess(&levels(cell)).unwrap().alarm;
        let of = |cells: &TrainingCases| if alarmed(cells.cell) { cells.cases - cells.orphans } else { 0.0 };
        trained.cases.iter().map(of).sum::<f64>()
    };
    let negatives: f64 = trained.cases.iter().map(|of| of.cases - of.orphans).sum();
    let (none, some, many) = (alarmed(0.0, "new"), alarmed(0.05, "new"), alarmed(0.3, "new"));
    assert!(none < some && some < many, "{none} {some} {many}");
    assert!(some - none <= 0.05 * negatives && many - none <= 0.3 * negatives, "{none} {some} {many}");
    // A known disease is the gate's business: no budget raises it.
    assert_eq!(alarmed(0.0, "disease 3"), alarmed(0.3, "disease 3"));
}

#[test]
fn the_direct_form_follows_too() {
    let trained = Trained::new(10);
    let parent = trained.bundle();
    let mut revision = Revision::of(&parent).unwrap();
    revision.add(&case("1", Some("ORPHA:905"), 119)).unwrap();
    let next = finish(revision, &trained.cases, 2);
    let half = ["few-shot/novelty.json", "few-shot/profiles.json", "few-shot/prototypes.safetensors"];
    assert_eq!(changed(&parent, &next), [&half[..], &[files::REPORT]].concat());
    // The same alarm and the same answers as with a table.
    let tabulated = Trained::new(1000);
    let other = tabulated.bundle();
    let mut revision = Revision::of(&other).unwrap();
    revision.add(&case("1", Some("ORPHA:905"), 119)).unwrap();
    let other = finish(revision, &tabulated.cases, 2);
    let novelty = "few-shot/novelty.json";
    assert_eq!(next.file(novelty).unwrap(), other.file(novelty).unwrap());
    let (direct, table) = (Model::of(&next).unwrap(), Model::of(&other).unwrap());
    for cell in 0..120 {
        let levels = direct.study().domain().levels(cell);
        let (a, b) = (direct.assess(&levels).unwrap(), table.assess(&levels).unwrap());
        assert_eq!((a.alarm, a.decided), (b.alarm, b.decided), "{levels:?}");
        assert!((a.orphan - b.orphan).abs() < 1e-6);
    }
}

#[test]
fn a_cohort_out_of_order_is_refused() {
    let trained = Trained::new(1000);
    let parent = trained.bundle();
    let backwards: Vec<TrainingCases> = trained.cases.iter().rev().copied().collect();
    let revision = Revision::of(&parent).unwrap();
    assert!(revision.finish(edition("m-0002"), &backwards, &NoveltyBudget::default(), 1).is_err());
}
