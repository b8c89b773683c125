//! A small lake with unmistakable patients.

use std::path::Path;

use lake::predictions::Mark;
use lake::{
    CaseRow, IngestMeta, Lake, OutcomeRow, PredictionLayout, PredictionRow, QuarantineRow, Reason, Schema,
};
use query::wire::{Endpoint, Role};
use query::{Dataset, Format, Identifiers, Input, Limits, Pseudonyms, QueryError, Session};
use tempfile::TempDir;
use time::macros::datetime;

/// In every identifier, note and refused row, and nowhere else.
pub(crate) const SECRET: &str = "zebrafish";

/// Cases of the first dataset version, and of both.
pub(crate) const FIRST: u64 = 400;
pub(crate) const BOTH: u64 = 700;

pub(crate) fn inputs() -> Vec<Input> {
    let input = |name: &str, codes: &[&str]| Input {
        name: name.to_owned(),
        codes: codes.iter().map(|&code| code.to_owned()).collect(),
    };
    vec![input("age_years", &[]), input("gender", &["female", "male"]), input("systolic_mmhg", &[])]
}

/// A lake in a folder of its own.
pub(crate) struct Made {
    pub(crate) folder: TempDir,
    pub(crate) lake: Lake,
}

/// Two dataset versions; two cases a patient, some unconfirmed, some without a pressure.
pub(crate) fn made() -> Made {
    let made = empty();
    ingest(&made.lake, 0..FIRST);
    ingest(&made.lake, FIRST..BOTH);
    made
}

pub(crate) fn empty() -> Made {
    let folder = tempfile::tempdir().unwrap();
    Made { lake: Lake::open(folder.path()), folder }
}

/// What a case's columns hold: age, gender, pressure, severity.
pub(crate) fn case(n: u64) -> ([Option<i32>; 3], Option<&'static str>) {
    let pressure = (!n.is_multiple_of(13)).then_some(90 + (n * 7 % 120) as i32);
    let severity = ["healthy", "mild", "acute", "chronic"][(n % 4) as usize];
    (
        [Some((n * 31 % 130) as i32), Some((n % 2) as i32), pressure],
        (!n.is_multiple_of(11)).then_some(severity),
    )
}

pub(crate) fn ingest(lake: &Lake, numbers: std::ops::Range<u64>) {
    let schema = Schema {
        inputs: inputs().into_iter().map(|input| input.name).collect(),
        note: Some("note".to_owned()),
    };
    let meta = IngestMeta { source: "ward".to_owned(), now: datetime!(2026-01-02 03:04:05 UTC), schema };
    let mut ingest = lake.begin_ingest(meta, |_: &str, n: u64| (n % 20) as u8).unwrap();
    for n in numbers.clone() {
        let (values, severity) = case(n);
        let row = CaseRow {
            case_id: &format!("{SECRET}-case-{n}"),
            patient_id: &format!("{SECRET}-{}", n / 2),
            source: "ward",
            recorded_at: Some(1_700_000_000_000_000 + n as i64),
            inputs: &values,
            note: Some(&format!("a {SECRET} bit the patient")),
            severity,
            rarity: severity.filter(|&severity| severity != "healthy").map(|_| "common"),
            disease_code: severity.filter(|&severity| severity == "mild").map(|_| "ICD-10:I10"),
            confirmed_at: None,
        };
        ingest.push(&row).unwrap();
    }
    let reasons = [Reason { field: "gender", code: "unknown_code" }];
    let raw = format!("{{\"patient_id\": \"{SECRET}-{}\"}}", numbers.start);
    ingest
        .quarantine(&QuarantineRow { source: "ward", file: "x.csv", row: 7, reasons: &reasons, raw: &raw })
        .unwrap();
    ingest.commit().unwrap();
}

/// Answers to the patients `numbers`, named by them, and outcomes of every other one.
pub(crate) fn serve(lake: &Lake, numbers: std::ops::Range<u64>) {
    let layout = PredictionLayout {
        inputs: inputs().into_iter().map(|input| input.name).collect(),
        severities: vec!["healthy".to_owned(), "mild".to_owned()],
    };
    let place = numbers.end as i64;
    let mut answers = lake.publish_predictions("log", &layout).unwrap();
    for n in numbers.clone() {
        let (id, (values, _)) = (format!("{SECRET}-answer-{n}"), case(n));
        answers
            .push(&PredictionRow {
                prediction_id: &id,
                created_at: 1_700_000_000_000_000,
                model_version: "m-0001",
                dataset_version: 2,
                patient_id: Some(&format!("{SECRET}-{}", n / 2)),
                severity: Some("mild"),
                rarity: Some("common"),
                probability_orphan: 0.01,
                threshold: 0.08,
                abstained: false,
                probabilities: &[Some(0.25), Some(0.75)],
                inputs: &values,
            })
            .unwrap();
    }
    answers.commit(Some(Mark { place, print: None })).unwrap();
    let mut outcomes = lake.publish_outcomes("registry").unwrap();
    for n in numbers.filter(|n| n.is_multiple_of(2)) {
        outcomes.push(&OutcomeRow {
            outcome_id: n,
            prediction_id: &format!("{SECRET}-answer-{n}"),
            severity: "healthy",
            rarity: None,
            disease_code: None,
            confirmed_at: 1_700_000_000_000_000,
            recorded_at: 1_700_000_000_000_000,
            source: "review",
            reviewer: "reviewer-1",
        });
    }
    outcomes.commit(place).unwrap();
}

pub(crate) fn masked() -> Identifiers {
    Identifiers::Masked(Pseudonyms::new([7; 32]))
}

pub(crate) fn limits(folder: &Path) -> Limits {
    Limits { memory_mib: 64, threads: 2, time: None, spill: folder.to_owned() }
}

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work)
}

/// Answers statements over a dataset version.
pub(crate) struct Asked {
    session: Session,
    runtime: tokio::runtime::Runtime,
}

impl Asked {
    pub(crate) fn of(made: &Made, version: u64, identifiers: &Identifiers, limits: &Limits) -> Asked {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let dataset = Dataset::pin(&made.lake, version, &inputs()).unwrap();
        let session = runtime.block_on(Session::open(&dataset, identifiers, limits)).unwrap();
        Asked { session, runtime }
    }

    pub(crate) fn masked(made: &Made) -> Asked {
        Asked::of(made, 2, &masked(), &limits(made.folder.path()))
    }

    /// The answer in a form, or why there is none.
    pub(crate) fn answer(&self, statement: &str, format: Format) -> Result<Vec<u8>, QueryError> {
        self.runtime.block_on(async {
            let rows = self.session.query(statement).await?;
            let mut out = Vec::new();
            query::write(rows, format, &mut out).await?;
            Ok(out)
        })
    }

    pub(crate) fn csv(&self, statement: &str) -> String {
        match self.answer(statement, Format::Csv) {
            Ok(out) => String::from_utf8(out).unwrap(),
            Err(error) => panic!("{statement}: {error}"),
        }
    }

    /// The one value of an answer with one row and one column.
    pub(crate) fn one(&self, statement: &str) -> String {
        let csv = self.csv(statement);
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 2, "{statement}: {csv}");
        lines[1].to_owned()
    }

    pub(crate) fn error(&self, statement: &str) -> QueryError {
        self.answer(statement, Format::Csv).err().unwrap_or_else(|| panic!("{statement} was answered"))
    }
}

/// The PostgreSQL endpoint over a lake, until it is dropped.
pub(crate) struct Served {
    pub(crate) port: u16,
    runtime: Option<tokio::runtime::Runtime>,
}

pub(crate) const ANALYST: (&str, &str) = ("analyst", "of numbers");
pub(crate) const REGISTRAR: (&str, &str) = ("registrar", "of patients");

pub(crate) fn endpoint(made: &Made) -> Endpoint {
    let role = |(name, password): (&str, &str), identifiers| Role {
        name: name.to_owned(),
        password: password.to_owned(),
        identifiers,
    };
    Endpoint {
        lake: made.lake.clone(),
        inputs: inputs(),
        pseudonyms: Pseudonyms::new([7; 32]),
        roles: vec![role(ANALYST, false), role(REGISTRAR, true)],
        tls: None,
        connections: 8,
        limits: limits(made.folder.path()),
    }
}

impl Served {
    pub(crate) fn start(endpoint: Endpoint) -> Served {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .event_interval(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move { query::wire::serve(listener, endpoint).await.unwrap() });
        Served { port, runtime: Some(runtime) }
    }

    pub(crate) fn config(&self, (name, password): (&str, &str)) -> postgres::Config {
        let mut config = postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user(name).password(password).dbname("hoofbeat");
        config
    }

    pub(crate) fn connect(&self, role: (&str, &str)) -> postgres::Client {
        self.config(role).connect(postgres::NoTls).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
