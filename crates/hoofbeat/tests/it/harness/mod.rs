//! What every story needs: a deployment in a folder of its own, the binary run in it, a server, a client.

mod browser;
mod http;
mod patient;
mod process;
mod server;
mod table;

pub(crate) use browser::Browser;
pub(crate) use http::Client;
pub(crate) use patient::{Dice, aha_category, random_patient};
pub(crate) use process::{ended, finished, output};
pub(crate) use server::{Server, running, signal};
pub(crate) use table::{Answered, COLUMNS, POSSIBLE_PATIENTS, Table};

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// Patients in the shared cohort, and rounds of its models: enough to pass the gates below, small enough for a test.
const COHORT_ROWS: &str = "6000";
const ROUNDS: u32 = 60;

/// The built-in study's text, with fewer rounds and gates that a small cohort passes.
pub(crate) fn small_study() -> String {
    let text = clinical::study::DEFAULT_TOML.to_owned();
    [
        ("rounds = 1000", format!("rounds = {ROUNDS}")),
        ("early_stopping = 30", "early_stopping = 10".to_owned()),
        ("eta = 0.08", "eta = 0.3".to_owned()),
        ("at_least = 0.85", "at_least = 0.50".to_owned()),
        ("at_least = 0.70", "at_least = 0.10".to_owned()),
        ("at_most = 0.05", "at_most = 0.50".to_owned()),
    ]
    .into_iter()
    .fold(text, |text, (from, to)| replaced(&text, from, &to))
}

/// `text` with `from`, which must be there, replaced.
pub(crate) fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "`{from}` is no longer in the text that this test changes");
    text.replace(from, to)
}

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A file of `samples/`.
pub(crate) fn sample(name: &str) -> PathBuf {
    let path = repository().join("samples").join(name);
    assert!(path.is_file(), "{} is missing", path.display());
    path
}

/// A CSV file's rows by column name.
pub(crate) fn rows(text: &str) -> Vec<Value> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let record = |record: csv::StringRecord| {
        Value::Object(header.iter().zip(record.iter()).map(|(k, v)| (k.to_owned(), Value::from(v))).collect())
    };
    reader.records().map(Result::unwrap).map(record).collect()
}

/// The program under test: `HOOFBEAT_BINARY` where another build than this one is to be tested.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("HOOFBEAT_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_hoofbeat").into(), Into::into)
}

/// The boosters' libraries; training needs them.
fn engines() -> PathBuf {
    let named = std::env::var_os("HOOFBEAT_ENGINES").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| repository().join(".engines"));
    for library in ["xgboost/lib/libxgboost.so", "lightgbm/lib/lib_lightgbm.so"] {
        let there = folder.join(library).is_file();
        assert!(
            there,
            "{library} is not in {}: run scripts/fetch-engines first (make test does)",
            folder.display()
        );
    }
    folder
}

/// A folder in which the program is run: `hoofbeat.toml` where there is one, and `hoofbeat-data`.
pub(crate) struct Deployment {
    folder: Folder,
}

/// Where a deployment lies: removed with it, or, for the one that all tests share, by the next run.
enum Folder {
    Own(TempDir),
    Shared(PathBuf),
}

impl Deployment {
    /// An empty folder: the built-in study.
    pub(crate) fn empty() -> Deployment {
        Deployment { folder: Folder::Own(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()) }
    }

    /// A folder whose configuration names this study.
    pub(crate) fn with_study(study: &str) -> Deployment {
        let deployment = Deployment::empty();
        deployment.configure(study);
        deployment
    }

    fn configure(&self, study: &str) {
        std::fs::write(self.path("study.toml"), study).unwrap();
        std::fs::write(self.path("hoofbeat.toml"), "study = \"study.toml\"\n").unwrap();
    }

    /// A copy that a test may change.
    pub(crate) fn copy(&self) -> Deployment {
        let copy = Deployment::empty();
        copy_folder(self.root(), copy.root());
        copy
    }

    fn root(&self) -> &Path {
        match &self.folder {
            Folder::Own(folder) => folder.path(),
            Folder::Shared(path) => path,
        }
    }

    /// A file of this folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Writes a file of this folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A file of this folder.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The program, about to be run here.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.root()).stdin(Stdio::null());
        command.env("HOOFBEAT_ENGINES", engines());
        for name in [
            "HOOFBEAT_DATA_DIR",
            "HOOFBEAT_STORAGE_URL",
            "HOOFBEAT_REGISTRY_URL",
            "RUST_LOG",
            "RUST_BACKTRACE",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Runs one command line to its end. Words are parted by spaces.
    pub(crate) fn run(&self, line: &str) -> Run {
        Run::of(line, self.command(line.split_whitespace()))
    }

    /// Runs a command that must be done well.
    pub(crate) fn ok(&self, line: &str) -> String {
        self.run(line).exits(0).stdout
    }

    /// Runs a command with `--json` that must be done well; its one document.
    pub(crate) fn json(&self, line: &str) -> Value {
        self.run(&format!("{line} --json")).exits(0).json()
    }

    /// Checks the deployment with `doctor`; nothing may be wrong.
    pub(crate) fn assert_well(&self) {
        let found = self.run("doctor --json");
        assert_eq!(found.code, 0, "doctor: {}", found.stdout);
        assert_eq!(found.json()["well"], true);
    }
}

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Run {
    line: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Runs a command to its end; `line` is its name in messages.
    pub(crate) fn of(line: &str, mut command: Command) -> Run {
        let output = output(line, &mut command);
        Run {
            line: line.to_owned(),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn exits(self, code: i32) -> Run {
        assert_eq!(
            self.code, code,
            "`hoofbeat {}` ended with {}, not {code}\n{}\n{}",
            self.line, self.code, self.stdout, self.stderr
        );
        self
    }

    /// The one JSON document on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("`hoofbeat {}` did not print one JSON document ({error}):\n{}", self.line, self.stdout)
        })
    }

    /// The one line on standard error that says why the command failed.
    pub(crate) fn reason(&self) -> &str {
        let lines: Vec<&str> = self.stderr.lines().filter(|line| line.starts_with("hoofbeat: ")).collect();
        assert_eq!(lines.len(), 1, "`hoofbeat {}` did not say why in one line:\n{}", self.line, self.stderr);
        assert_eq!(self.stderr.lines().last(), Some(lines[0]), "the reason comes last");
        lines[0]
    }
}

/// The deployment that most stories start from: a small reference cohort in two dataset versions, a model of
/// each that passed its gates, `m-0001` champion. Made once; a test that changes it takes a copy.
pub(crate) fn trained() -> &'static Deployment {
    static TRAINED: OnceLock<Deployment> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let deployment = Deployment { folder: Folder::Shared(shared_folder()) };
        deployment.configure(&small_study());
        deployment.ok(&format!("synth --rows {COHORT_ROWS} --seed 1 --out first.csv"));
        deployment.ok("ingest first.csv --source reference");
        deployment.ok("train --seed 1");
        deployment.ok("synth --rows 2000 --seed 2 --out second.parquet");
        deployment.ok("ingest second.parquet --source reference");
        deployment.ok("train --seed 2");
        deployment.ok("model promote m-0001");
        deployment
    })
}

/// The exported table of one of the shared models.
pub(crate) fn table(version: &str) -> &'static Table {
    static TABLES: [OnceLock<Table>; 2] = [OnceLock::new(), OnceLock::new()];
    let index = ["m-0001", "m-0002"].iter().position(|known| *known == version);
    TABLES[index.unwrap_or_else(|| panic!("{version} is not one of the shared models"))].get_or_init(|| {
        let deployment = Deployment::empty();
        let (data, file) = (trained().path("hoofbeat-data"), deployment.path("table.csv"));
        deployment.ok(&format!(
            "--data-dir {} model export {version} --table {}",
            data.display(),
            file.display()
        ));
        Table::read(&file)
    })
}

/// A folder named by this process; those of processes that are gone are removed.
fn shared_folder() -> PathBuf {
    let above = Path::new(env!("CARGO_TARGET_TMPDIR")).join("trained");
    std::fs::create_dir_all(&above).unwrap();
    for entry in std::fs::read_dir(&above).unwrap().map(Result::unwrap) {
        if !Path::new("/proc").join(entry.file_name()).exists() {
            // Another run may be removing it, too.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let folder = above.join(std::process::id().to_string());
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
