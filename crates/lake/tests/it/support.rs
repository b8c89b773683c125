//! Made-up cases, storages of both kinds, and children to kill.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use lake::{
    CaseRow, CaseScan, Erasure, Ingest, IngestMeta, Lake, LakeError, Pushed, QuarantineRow, Reason, Refused,
    RefusedRow, Removal, Rewriting, Schema, Storage, StorageOptions, columns,
};
use tempfile::TempDir;
use time::macros::datetime;

use crate::s3_server::{ACCESS_KEY, BUCKET, Manner, S3Server, SECRET_KEY};

/// Runs each of the tests on a local folder and on a real S3 server.
macro_rules! on_each_storage {
    ($($test:ident)*) => {
        $(mod $test {
            use crate::support::Site;
            #[test]
            fn on_local_disk() {
                super::$test(&Site::local());
            }
            #[test]
            fn on_s3() {
                super::$test(&Site::s3());
            }
        })*
    };
}
pub(crate) use on_each_storage;

/// A storage with nothing in it yet.
#[derive(Debug)]
pub(crate) struct Site {
    url: String,
    endpoint: Option<String>,
    pub(crate) lease: Duration,
    /// The lake's files, whichever kind of storage it is: the server keeps objects as plain files.
    pub(crate) dir: PathBuf,
    _files: Option<Arc<TempDir>>,
}

/// The server of all tests that do not stop it.
static SERVER: LazyLock<(Arc<TempDir>, S3Server)> = LazyLock::new(|| {
    let root = tempfile::tempdir().unwrap();
    let server = S3Server::start(root.path(), Manner::Careful);
    (Arc::new(root), server)
});

impl Site {
    pub(crate) fn local() -> Site {
        let files = Arc::new(tempfile::tempdir().unwrap());
        let dir = files.path().join("lake");
        let url = dir.display().to_string();
        Site { url, endpoint: None, lease: Duration::ZERO, dir, _files: Some(files) }
    }

    pub(crate) fn s3() -> Site {
        Site { _files: Some(Arc::clone(&SERVER.0)), ..Site::on(&SERVER.1, SERVER.0.path()) }
    }

    /// A place of its own on a server over the folder `root`.
    pub(crate) fn on(server: &S3Server, root: &Path) -> Site {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("lakes/{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Site {
            url: format!("s3://{BUCKET}/{prefix}"),
            endpoint: Some(server.endpoint()),
            lease: Duration::from_secs(4),
            dir: root.join(BUCKET).join(prefix),
            _files: None,
        }
    }

    pub(crate) fn with_lease(self, seconds: u64) -> Site {
        Site { lease: Duration::from_secs(seconds), ..self }
    }

    pub(crate) fn storage(&self) -> Storage {
        self.storage_by(&[("access_key_id", ACCESS_KEY), ("secret_access_key", SECRET_KEY)])
    }

    pub(crate) fn storage_by(&self, credentials: &[(&str, &str)]) -> Storage {
        let options = StorageOptions {
            endpoint: self.endpoint.clone(),
            allow_http: true,
            retry: Duration::from_millis(300),
            lease: self.lease,
            more: credentials.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            ..StorageOptions::default()
        };
        Storage::open(&self.url, &options).unwrap()
    }

    pub(crate) fn lake(&self) -> Lake {
        Lake::at(self.storage())
    }

    /// Starts the ignored test `name` of this binary in a process of its own, over this storage.
    pub(crate) fn spawn_child(&self, name: &str) -> Child {
        self.spawn(Command::new(std::env::current_exe().unwrap()), name)
    }

    /// The same, told more.
    pub(crate) fn spawn_child_with(&self, name: &str, more: &[(&str, &PathBuf)]) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.envs(more.iter().copied());
        self.spawn(command, name)
    }

    /// The same, under a limit (1,024-byte blocks) on the size of any file that it writes.
    pub(crate) fn spawn_limited_child(&self, name: &str, blocks: u32) -> Child {
        self.spawn(limited(blocks), name)
    }

    fn spawn(&self, mut command: Command, name: &str) -> Child {
        let endpoint = self.endpoint.as_deref().unwrap_or_default();
        let site =
            [&self.url, endpoint, &self.lease.as_millis().to_string(), &self.dir.display().to_string()];
        command.env(CHILD_SITE, site.join(" "));
        child_command(command, name, &self.dir)
    }

    /// The storage that a child works on; `None` when the test was not started as a child.
    pub(crate) fn of_child() -> Option<Site> {
        let site = std::env::var(CHILD_SITE).ok()?;
        let [url, endpoint, lease, dir] = site.split(' ').collect::<Vec<_>>().try_into().unwrap();
        Some(Site {
            url: url.to_owned(),
            endpoint: (!endpoint.is_empty()).then(|| endpoint.to_owned()),
            lease: Duration::from_millis(lease.parse().unwrap()),
            dir: dir.into(),
            _files: None,
        })
    }
}

const CHILD_SITE: &str = "LAKE_CHILD_SITE";

/// A small generator of its own (Knuth's MMIX constants), so that every run makes the same rows.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

pub(crate) const INPUTS: [&str; 3] = ["age_years", "systolic_mmhg", "exercise_days_per_month"];

pub(crate) fn schema() -> Schema {
    Schema { inputs: INPUTS.map(str::to_owned).to_vec(), note: None }
}

pub(crate) fn meta(source: &str) -> IngestMeta {
    IngestMeta { source: source.to_owned(), now: datetime!(2026-01-02 03:04:05 UTC), schema: schema() }
}

/// Each block of 20 in an order of its own: enough of a permutation for these tests.
pub(crate) fn rule(stratum: &str, n: u64) -> u8 {
    let start = stratum.len() as u64 + n / 20;
    ((n % 20 * 7 + start) % 20) as u8
}

pub(crate) fn begin(lake: &Lake, source: &str) -> Result<Ingest, LakeError> {
    lake.begin_ingest(meta(source), rule)
}

/// One made-up case; `n` decides everything.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Made {
    pub(crate) case_id: String,
    pub(crate) patient_id: String,
    pub(crate) inputs: [Option<i32>; 3],
    pub(crate) severity: Option<&'static str>,
    pub(crate) rarity: Option<&'static str>,
    pub(crate) disease: Option<&'static str>,
}

/// Two cases a patient; one in eleven unconfirmed, one in thirteen without a pressure.
pub(crate) fn made(n: u64) -> Made {
    let mut dice = Dice(n ^ 0x9e37_79b9);
    dice.below(2);
    let (severity, rarity, disease) = match dice.below(6) {
        0 | 1 => ("healthy", None, None),
        2 => ("mild", Some("common"), Some("ICD-10:I10")),
        3 => ("acute", Some("common"), Some("ICD-10:I21")),
        4 => ("chronic", Some("common"), None),
        _ => ("chronic", Some("orphan"), Some("ORPHA:586")),
    };
    let confirmed = !n.is_multiple_of(11);
    Made {
        case_id: format!("c-{n}"),
        patient_id: format!("p-{}", n / 2),
        inputs: [
            Some(dice.below(121) as i32),
            (!n.is_multiple_of(13)).then(|| 50 + dice.below(231) as i32),
            Some(dice.below(32) as i32),
        ],
        severity: confirmed.then_some(severity),
        rarity: rarity.filter(|_| confirmed),
        disease: disease.filter(|_| confirmed),
    }
}

impl Made {
    pub(crate) fn row(&self) -> CaseRow<'_> {
        CaseRow {
            case_id: &self.case_id,
            patient_id: &self.patient_id,
            source: "ehr",
            recorded_at: Some(1_700_000_000_000_000),
            inputs: &self.inputs,
            note: None,
            severity: self.severity,
            rarity: self.rarity,
            disease_code: self.disease,
            confirmed_at: None,
        }
    }
}

pub(crate) fn push_all(ingest: &mut Ingest, numbers: impl Iterator<Item = u64>) -> u64 {
    let mut added = 0;
    for n in numbers {
        added += u64::from(ingest.push(&made(n).row()).unwrap() == Pushed::Added);
    }
    added
}

pub(crate) fn refuse(ingest: &mut Ingest, file: &str, row: u64, raw: &str) -> Pushed {
    let reasons = [
        Reason { field: "systolic_mmhg", code: "out_of_range" },
        Reason { field: "gender", code: "unknown_code" },
    ];
    let reasons = &reasons[..1 + (row % 2) as usize];
    ingest.quarantine(&QuarantineRow { source: "ehr", file, row, reasons, raw }).unwrap()
}

/// Starts the ignored test `name` of this binary in a process of its own.
pub(crate) fn spawn_child(name: &str, dir: &std::path::Path) -> Child {
    child_command(Command::new(std::env::current_exe().unwrap()), name, dir)
}

/// The same, under a limit (1,024-byte blocks) on the size of any file that it writes.
pub(crate) fn spawn_limited_child(name: &str, dir: &std::path::Path, blocks: u32) -> Child {
    child_command(limited(blocks), name, dir)
}

fn limited(blocks: u32) -> Command {
    let mut command = Command::new("bash");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    command.args(["-c", &script, "child"]).arg(std::env::current_exe().unwrap());
    command
}

fn child_command(mut command: Command, name: &str, dir: &std::path::Path) -> Child {
    command
        .args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env("LAKE_CHILD_DIR", dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The folder that a child works in; `None` when the test was not started as a child.
pub(crate) fn child_dir() -> Option<std::path::PathBuf> {
    std::env::var_os("LAKE_CHILD_DIR").map(Into::into)
}

/// How a rewriting is carried out in tests.
pub(crate) fn quietly(dry_run: bool) -> Rewriting<'static> {
    Rewriting { now: datetime!(2026-01-02 03:04:05 UTC), dry_run, progress: &|_, _| {} }
}

/// Case identifiers of a dataset version, ascending.
pub(crate) fn case_ids(lake: &Lake, version: u64) -> Vec<String> {
    texts(lake.scan_cases(version, &[columns::CASE_ID]).unwrap(), columns::CASE_ID)
}

/// One text column of a scan, ascending.
pub(crate) fn texts(scan: CaseScan, column: &str) -> Vec<String> {
    let mut texts: Vec<String> =
        scan.flat_map(|chunk| chunk.unwrap().texts(column).unwrap()).flatten().collect();
    texts.sort();
    texts
}

/// Takes persons out, with refused rows whose text names one of them.
pub(crate) fn erase(lake: &Lake, patients: &[&str], dry_run: bool) -> Removal {
    let patients: HashSet<String> = patients.iter().map(|id| (*id).to_owned()).collect();
    let refused = |row: &RefusedRow<'_>| {
        let named = |id: &String| row.raw.contains(&format!("\"{id}\""));
        if patients.iter().any(named) { Refused::Theirs } else { Refused::NotTheirs }
    };
    let erasure = Erasure { patients: &patients, predictions: &HashSet::new(), refused: &refused };
    lake.erase(&erasure, &quietly(dry_run)).unwrap()
}

/// Asserts that nothing is wrong and nothing was left over.
pub(crate) fn assert_clean(lake: &Lake) {
    let check = lake.check().unwrap();
    assert_eq!((check.problems, check.leftovers), (Vec::<String>::new(), Vec::new()));
}

/// Bytes of a patient's key, as data files hold them: uncompressed, without a dictionary.
pub(crate) fn key_bytes(patient: &str) -> [u8; 8] {
    twox_hash::XxHash3_64::oneshot(patient.as_bytes()).to_le_bytes()
}

/// Whether any file under `dir` holds these bytes.
pub(crate) fn on_disk(dir: &Path, bytes: &[u8]) -> bool {
    let found = |path: &Path| std::fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes);
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { on_disk(&path, bytes) } else { found(&path) }
    })
}
