//! The command line, exactly as the manual shows it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use clinical::Language;
use time::Date;
use time::macros::format_description;

use crate::commands;

/// Classify disease from a hospital's own clinical records: the whole circle in one program.
#[derive(Debug, Parser)]
#[command(
    name = "hoofbeat",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Deployment configuration (default: hoofbeat.toml where it exists)
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where data, models and the registry lie (default: ./hoofbeat-data)
    #[arg(long, global = true, value_name = "DIR", env = "HOOFBEAT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where the lake's tables lie: a path, s3://, az:// or gs:// (default: lake in the data directory)
    #[arg(long, global = true, value_name = "URL", env = "HOOFBEAT_STORAGE_URL")]
    pub storage: Option<String>,
    /// Study file (default: the built-in study)
    #[arg(long, global = true, value_name = "FILE")]
    pub study: Option<PathBuf>,
    /// Print the result as one JSON document
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress, only results and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// First run: make a cohort, train, evaluate, promote; then, every run: serve
    Up(Up),
    /// Write a reference cohort whose true class probabilities are known
    Synth(Synth),
    /// Validate case files, quarantine what is wrong, store the rest as a new dataset version
    Ingest(Ingest),
    /// Where data come from: mapping, expected columns, checks before anything is stored
    #[command(subcommand)]
    Source(Source),
    /// Dataset versions and what was refused
    #[command(subcommand)]
    Dataset(Dataset),
    /// Rare diseases as Orphanet describes them: names, prevalence, onset, inheritance, findings
    #[command(subcommand)]
    Disease(Disease),
    /// Train a candidate model on a dataset version
    Train(Train),
    /// Metrics of a model with confidence intervals
    Evaluate(Evaluate),
    /// One turn of the cycle: what the champion lacks, compared with it, promoted only through the gates
    Retrain(Retrain),
    /// Drift, data quality and performance of the served model over a window; exit status 3 when a rule is broken
    Monitor(Monitor),
    /// What monitoring found wrong
    #[command(subcommand)]
    Alert(Alert),
    /// The review queue: reported errors, orphan suspicions and the cases that active learning asks about
    #[command(subcommand)]
    Review(Review),
    /// What happened to patients who were answered before
    #[command(subcommand)]
    Outcome(Outcome),
    /// What a server does by itself, and when
    #[command(subcommand)]
    Schedule(Schedule),
    /// Training runs and the trials of their searches
    #[command(subcommand)]
    Run(Run),
    /// The registry of models
    #[command(subcommand)]
    Model(Model),
    /// Score a case file
    Predict(Predict),
    /// Serve the champion: REST and the page
    Serve(Serve),
    /// Ask a dataset version in SQL: reads only, identifiers masked
    Sql(commands::sql::Sql),
    /// What the columns of a dataset version hold: missing, different, range, mean, histogram
    Profile(commands::profile::ProfileArgs),
    /// The processes that count together when one machine is outgrown
    #[command(subcommand)]
    Cluster(commands::cluster::Cluster),
    /// A hospital's year in a minute: what is alerted, retrained, promoted and held when things change; exit status 3 when a
    /// promise is broken
    Simulate(commands::simulate::Simulate),
    /// The study: what is asked, what is answered, how
    #[command(subcommand)]
    Study(Study),
    /// Check configuration, storage, registry, model, engines and port, and say how to mend what is wrong
    Doctor,
    /// Print shell completions
    Completions {
        /// Shell to complete for
        shell: Shell,
    },
    /// Work off one attempt of a job (used by `serve`)
    #[command(hide = true)]
    Work {
        /// The job's number
        job: u64,
        /// The attempt that is under way
        attempt: u32,
    },
    /// Train one model: one job on standard input, the model on standard output (used by `train`)
    #[command(hide = true)]
    LearnWorker {
        /// Nothing, `member HOST:PORT RANK OF`, or `tracker HOST WORKERS`
        role: Vec<String>,
    },
}

#[derive(Debug, Clone, Args)]
pub struct Up {
    /// Address to listen on (default: 127.0.0.1:8501)
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Patients in the reference cohort of the first run
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub rows: u64,
}

#[derive(Debug, Args)]
pub struct Synth {
    /// Number of patients
    #[arg(long, value_name = "N")]
    pub rows: u64,
    /// Seed: the same seed writes the same file
    #[arg(long, value_name = "S")]
    pub seed: u64,
    /// File to write: .csv, .ndjson or .parquet, also .gz or .zst
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// How hard the cohort is
    #[arg(long, value_enum, default_value_t = Preset::Reference)]
    pub preset: Preset,
    /// With orphan diseases that the other cohorts do not have
    #[arg(long)]
    pub novel: bool,
    /// Add the true probabilities of each row
    #[arg(long)]
    pub truth: bool,
}

/// Presets of the reference cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    Reference,
    Epidemiology,
    Hard,
    Easy,
}

impl Preset {
    pub fn name(self) -> &'static str {
        match self {
            Preset::Reference => "reference",
            Preset::Epidemiology => "epidemiology",
            Preset::Hard => "hard",
            Preset::Easy => "easy",
        }
    }
}

#[derive(Debug, Args)]
pub struct Ingest {
    /// Case files: CSV, NDJSON, Parquet or FHIR, also .gz or .zst; all FHIR files together are one export
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where the files come from, e.g. hospital-ehr; a registered source brings its mapping
    #[arg(long, value_name = "NAME")]
    pub source: String,
    /// Mapping file for a foreign layout, of a source that is not registered
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Source {
    /// Register a source: what lacks a required feature is refused with the whole list
    Add {
        /// Name, as `ingest --source` will use it
        name: String,
        /// Mapping file (default: its files have the study's own columns)
        #[arg(long, value_name = "FILE")]
        map: Option<PathBuf>,
        /// What it is
        #[arg(long, value_enum, default_value_t = SourceKind::Ehr)]
        kind: SourceKind,
        /// A sample file: it is held to the study, and its columns are remembered
        #[arg(long, value_name = "FILE")]
        schema_from: Option<PathBuf>,
        /// In place of the source of this name
        #[arg(long)]
        replace: bool,
    },
    /// All registered sources
    List,
    /// One source with its mapping and columns
    Show {
        /// Name of the source
        name: String,
    },
    /// Read files as an ingest would, store nothing: what would be refused, what changed in the columns
    Check {
        /// Name of the source
        name: String,
        /// Files of the source
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Forget a source; its cases stay
    Remove {
        /// Name of the source
        name: String,
    },
}

/// Kinds of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SourceKind {
    /// Electronic health records
    Ehr,
    /// A registry of patients
    Registry,
    /// A specialised centre
    Centre,
    Laboratory,
    Other,
}

#[derive(Debug, Subcommand)]
pub enum Disease {
    /// Everything that is known of a disease
    Show {
        /// ORPHAcode, e.g. ORPHA:586
        code: String,
    },
    /// Read Orphanet's product files (names in any language, prevalence, ages, findings), also .gz or .zst
    Import {
        /// Files as Orphadata offers them, e.g. es_product1.xml
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Dataset {
    /// All dataset versions
    List,
    /// One dataset version: counts by outcome, files, refused rows (default: the newest)
    Show {
        /// Dataset version
        // Named apart from the `--version` that every command has.
        #[arg(id = "dataset_version", value_name = "VERSION")]
        version: Option<u64>,
    },
    /// Count a dataset version to possible patients, as training does; from the kept count of an earlier version where there is one
    Count {
        /// Dataset version (default: the newest)
        #[arg(id = "dataset_version", value_name = "VERSION")]
        version: Option<u64>,
        /// Forget the kept counts first: every row is counted
        #[arg(long)]
        anew: bool,
    },
    /// How good the rows were: missing, out of range, unknown, inconsistent, swapped, digit preference
    Quality {
        /// Only this source
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// Only this ingest (the beginning of its number is enough)
        #[arg(long, value_name = "ID")]
        ingest: Option<String>,
    },
    /// Refused rows with their reasons
    Quarantine {
        /// Up to this dataset version (default: the newest)
        #[arg(id = "dataset_version", value_name = "VERSION")]
        version: Option<u64>,
        /// Only rows of this source
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// Only rows refused for this: a field, or field:code
        #[arg(long, value_name = "REASON")]
        reason: Option<String>,
        /// Rows at most
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
        /// Show the rows as they came: patient data
        #[arg(long)]
        raw: bool,
    },
    /// What one dataset version has and another has not, by class, source and disease
    Diff {
        /// Dataset version
        #[arg(value_name = "A")]
        before: u64,
        /// Dataset version
        #[arg(value_name = "B")]
        after: u64,
    },
    /// Go back: a new dataset version with the rows of an older one; nothing is lost
    Restore {
        /// Dataset version to go back to
        #[arg(id = "dataset_version", value_name = "VERSION")]
        version: u64,
    },
    /// Put the small files of many ingests and publications together; every dataset version keeps its rows
    Compact {
        /// Delete the files that were replaced, now and before
        #[arg(long)]
        vacuum: bool,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Bring the predictions and outcomes since the last time into the open tables; a server does it by itself
    Publish {
        /// Compare everything once more: after the prediction log or the registry was put back from a backup
        #[arg(long)]
        anew: bool,
    },
    /// Erase a person: from every dataset version, quarantine, predictions, outcomes, feedback and reviews
    Erase(Erase),
    /// Delete cases and predictions that have been kept long enough, from every dataset version and the prediction log
    Retain(Retain),
    /// Read refused rows again by a corrected mapping; those that are accepted become a new dataset version
    Release(Release),
}

#[derive(Debug, Clone, Args)]
#[command(group(clap::ArgGroup::new("who").required(true).args(["patient", "patient_file"])))]
pub struct Erase {
    /// Pseudonym of the person, as the dataset has it
    #[arg(long, value_name = "ID")]
    pub patient: Option<String>,
    /// File with one pseudonym a line (`-`: standard input), so that none is seen in the list of processes
    #[arg(long, value_name = "FILE")]
    pub patient_file: Option<PathBuf>,
    /// Mapping by which the refused rows were read, where their files do not name the column `patient_id`
    /// (default: the one that their source is registered with)
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    /// Why; kept in the audit, so without a patient's data
    #[arg(long, value_name = "TEXT", default_value = "a person's request")]
    pub reason: String,
    /// Say what would be erased, and erase nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Retain {
    /// Cases recorded and predictions made before this go: a date (2015-12-31), or an age in days or years (3650d, 10y)
    #[arg(long, value_name = "D")]
    pub older_than: String,
    /// Only cases of this source; predictions stay
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Why; kept in the audit
    #[arg(long, value_name = "TEXT", default_value = "the retention period has ended")]
    pub reason: String,
    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Args)]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(true).args(["ingest", "reason", "source"])))]
pub struct Release {
    /// Only rows that this ingest refused
    #[arg(long, value_name = "ID")]
    pub ingest: Option<uuid::Uuid>,
    /// Only rows refused for this: a field, or field:code
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// Only rows of this source
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// The corrected mapping (default: the one that the source is registered with, else the columns as they are named)
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    /// CSV file whose first row is the header of the refused rows, for ingests that did not keep theirs
    #[arg(long, value_name = "FILE")]
    pub header: Option<PathBuf>,
    /// Say what would be released, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Train {
    /// Dataset version (default: the newest)
    #[arg(long, value_name = "V")]
    pub dataset_version: Option<u64>,
    /// Seed of every random draw
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Learner
    #[arg(long, value_enum, default_value_t = Learner::Auto)]
    pub learner: Learner,
    /// Processes that share the rows of one model, XGBoost only (default: the configuration's
    /// where the study is too large for a table, else one)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,
    /// Trials of a search for better settings, by cross-validation in the training set; 0: the study's settings as they stand
    /// (default: the study's `[search] trials`). Interrupted, the same command goes on where it stopped
    #[arg(long, value_name = "N")]
    pub trials: Option<usize>,
}

/// Learners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Learner {
    /// The study's choice; in a search, the best of those that the study lets it choose from
    Auto,
    Xgboost,
    Lightgbm,
    Mlp,
}

impl Learner {
    /// The learner that is meant; none where it is left open.
    pub fn named(self) -> Option<clinical::study::Learner> {
        match self {
            Learner::Auto => None,
            Learner::Xgboost => Some(clinical::study::Learner::Xgboost),
            Learner::Lightgbm => Some(clinical::study::Learner::Lightgbm),
            Learner::Mlp => Some(clinical::study::Learner::Mlp),
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Run {
    /// The latest runs, newest first
    List {
        /// Runs at most
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
    },
    /// One run with every trial of its search (default: the newest)
    Show {
        /// Run, as `run list` names it
        run: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct Evaluate {
    /// Model version, e.g. m-0001
    pub model: String,
    /// Which set: the test set is opened once per model, and that is recorded
    #[arg(long, value_enum, default_value_t = EvaluatedSet::Validation)]
    pub set: EvaluatedSet,
}

#[derive(Debug, Subcommand)]
pub enum Review {
    /// Reviews in the order of the queue
    List {
        /// Only those of this state
        #[arg(long, value_enum)]
        state: Option<ReviewState>,
        /// Reviews at most
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// One review: what was answered, what was said of it, what reviewers found
    Show {
        /// Review, as `review list` numbers it
        review: u64,
    },
    /// Open reviews of unanswered alarms and of the served patients whose outcome would teach most
    Suggest {
        /// Patients chosen by active learning at most, the random sample among them
        #[arg(short, long, value_name = "N", default_value_t = 20)]
        number: usize,
        /// Seed of the random sample (default: drawn by the clock)
        #[arg(long, value_name = "S")]
        seed: Option<u64>,
    },
    /// Confirm what the patient has: a case of the next dataset version
    Resolve {
        /// Review, as `review list` numbers it
        review: u64,
        /// Severity, as the study codes it
        #[arg(long, value_name = "CODE")]
        severity: String,
        /// common or orphan; left out for a patient without disease
        #[arg(long, value_name = "CODE")]
        rarity: Option<String>,
        /// Disease, e.g. ICD-10:I10 or ORPHA:586
        #[arg(long, value_name = "CODE")]
        disease: Option<String>,
        /// Who confirms it; kept with the case
        #[arg(long, value_name = "NAME")]
        reviewer: String,
        /// Kept with the review
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// End a review without a confirmed case
    Dismiss {
        /// Review, as `review list` numbers it
        review: u64,
        /// Who says so
        #[arg(long, value_name = "NAME")]
        reviewer: String,
        /// Kept with the review
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReviewState {
    Open,
    Resolved,
}

#[derive(Debug, Subcommand)]
pub enum Schedule {
    /// The configured schedules: the last slot, the next one, and the latest jobs
    List {
        /// Jobs at most
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
    },
    /// Queue what is owed, and work off what is queued, here and now
    RunDue {
        /// As if it were this time, RFC 3339 (default: now)
        #[arg(long, value_name = "TIME")]
        now: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Outcome {
    /// Store the outcomes of a file: prediction_id or case_id, severity, rarity, disease_code, confirmed_at
    Add {
        /// CSV, NDJSON or Parquet, also .gz or .zst
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Where the outcomes come from
        #[arg(long, value_name = "NAME", default_value = "file")]
        source: String,
    },
}

#[derive(Debug, Args)]
pub struct Monitor {
    /// Length of the window that ends now, such as 30d (default: the configuration's)
    #[arg(long, value_name = "DAYS", value_parser = days, conflicts_with = "since")]
    pub window: Option<u32>,
    /// Beginning of the window instead: YYYY-MM-DD
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub since: Option<Date>,
    /// Model whose training cohort is the reference (default: the champion)
    #[arg(long, value_name = "MODEL")]
    pub reference: Option<String>,
}

fn days(text: &str) -> Result<u32, String> {
    let days = text.strip_suffix('d').unwrap_or(text).parse().ok().filter(|days| (1..=3650).contains(days));
    days.ok_or_else(|| "days are meant, 1d to 3650d".to_owned())
}

fn date(text: &str) -> Result<Date, String> {
    Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map_err(|_| "it is no date such as 2026-01-31".to_owned())
}

#[derive(Debug, Subcommand)]
pub enum Alert {
    /// Alerts, open ones first
    List {
        /// Also those that are over
        #[arg(long)]
        all: bool,
    },
    /// Say that somebody looks after an alert
    Ack {
        /// Its number
        alert: u64,
        /// What is being done; kept in the audit
        #[arg(long, value_name = "TEXT", default_value = "acknowledged from the command line")]
        reason: String,
    },
    /// Say that an alert is over; it comes back if the next look finds it again
    Resolve {
        /// Its number
        alert: u64,
        /// What was done; kept in the audit
        #[arg(long, value_name = "TEXT", default_value = "resolved from the command line")]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub struct Retrain {
    /// What is made anew
    #[arg(long, value_enum)]
    pub mode: RetrainMode,
    /// Of a full training: trials of a search for better settings before it, 0 for none (default: the study's
    /// `[cycle.full] trials`, else its `[search] trials`). Interrupted, the next one goes on with its trials
    #[arg(long, value_name = "N")]
    pub trials: Option<usize>,
    /// Of a full training: what learns (default: the study's `[cycle.full] learner`, else `auto`: in a search the best,
    /// without one the champion's own)
    #[arg(long, value_enum)]
    pub learner: Option<Learner>,
    /// Make and compare, but store and promote nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Ways to go on from the champion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RetrainMode {
    /// The champion goes on learning from the new cases in small steps, with the old ones beside
    Incremental,
    /// Everything from nothing, with the champion's settings on the newest dataset version
    Full,
    /// Prototypes, profiles and the table, by the confirmed orphan cases since the champion's dataset version
    Orphan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EvaluatedSet {
    Validation,
    Test,
}

#[derive(Debug, Subcommand)]
pub enum Model {
    /// All models and their stages
    List,
    /// One model: data, figures, gates (default: the champion)
    Show {
        /// Model version, e.g. m-0001
        model: Option<String>,
    },
    /// Make a model the champion, if it passed its gates
    Promote {
        /// Model version, e.g. m-0001
        model: String,
        /// Why; kept in the audit
        #[arg(long, value_name = "TEXT", default_value = "promoted from the command line")]
        reason: String,
        /// Promote although gates failed; needs --reason and is kept in the audit
        #[arg(long, requires = "reason")]
        override_gates: bool,
    },
    /// Let a challenger that waits for a second person become the champion
    Approve {
        /// Model version, e.g. m-0002
        model: String,
        /// Who approves; not who asked for it
        #[arg(long, value_name = "NAME")]
        approver: String,
        /// Why; kept in the change record
        #[arg(long, value_name = "TEXT", default_value = "approved from the command line")]
        reason: String,
    },
    /// Refuse a challenger that waits for a second person
    Reject {
        /// Model version, e.g. m-0002
        model: String,
        /// Who refuses; not who asked for it
        #[arg(long, value_name = "NAME")]
        approver: String,
        /// Why; kept in the change record
        #[arg(long, value_name = "TEXT", default_value = "rejected from the command line")]
        reason: String,
    },
    /// The life of the model: every decision about the champion with its evidence, newest first
    History {
        /// Decisions at most
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
    },
    /// Back to the champion before
    Rollback {
        /// Why; kept in the audit
        #[arg(long, value_name = "TEXT", default_value = "rolled back from the command line")]
        reason: String,
    },
    /// Check every possible patient of a model
    Verify {
        /// Model version, e.g. m-0001
        model: String,
    },
    /// Whose answer changes from one model to another, and how many people that is
    Diff {
        /// Model version, e.g. m-0001
        first: String,
        /// Model version, e.g. m-0002
        second: String,
        /// Whose people are counted (default: the second model's dataset version)
        #[arg(long, value_name = "V")]
        dataset_version: Option<u64>,
        /// Also write every possible patient whose status or alarm changes: .csv, .ndjson or .parquet
        #[arg(long, value_name = "FILE")]
        table: Option<PathBuf>,
    },
    /// Write a model's card: data, figures, limits, use, lineage
    Card {
        /// Model version, e.g. m-0001
        model: String,
        /// Form of the document (default: by the ending of --out, else Markdown)
        #[arg(long, value_enum)]
        format: Option<CardFormat>,
        /// Language of the document
        #[arg(long, value_enum, default_value_t = CardLanguage::Es)]
        lang: CardLanguage,
        /// File to write (default: standard output)
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Make a model again from its dataset version, study and seed, and compare every byte
    Reproduce {
        /// Model version, e.g. m-0001
        model: String,
    },
    /// Write a model's predictor table, one row per possible patient, or its boosters
    #[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
    Export {
        /// Model version, e.g. m-0001
        model: String,
        /// File to write: .csv, .ndjson or .parquet
        #[arg(long, value_name = "FILE", group = "what")]
        table: Option<PathBuf>,
        /// Folder for the boosters in their own format, the preprocessor and the calibration
        #[arg(long, value_name = "DIR", group = "what")]
        boosters: Option<PathBuf>,
    },
}

/// Forms of a model card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CardFormat {
    Markdown,
    Html,
}

impl CardFormat {
    pub fn name(self) -> &'static str {
        match self {
            CardFormat::Markdown => "markdown",
            CardFormat::Html => "html",
        }
    }

    /// The form that a file's name asks for.
    pub fn of_path(path: &Path) -> Option<CardFormat> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "md" | "markdown" => Some(CardFormat::Markdown),
            "html" | "htm" => Some(CardFormat::Html),
            _ => None,
        }
    }
}

/// Languages of a model card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CardLanguage {
    Es,
    En,
}

impl From<CardLanguage> for Language {
    fn from(language: CardLanguage) -> Language {
        match language {
            CardLanguage::Es => Language::Es,
            CardLanguage::En => Language::En,
        }
    }
}

#[derive(Debug, Args)]
pub struct Predict {
    /// Case file to score (default: CSV on standard input)
    #[arg(long = "in", value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// File to write: .csv, .ndjson or .parquet (default: CSV on standard output)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Mapping file for a foreign layout
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
    /// Model version (default: the champion)
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Add one column per feature: its contribution to the probability of the answer
    #[arg(long)]
    pub explain: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Address to listen on (default: 127.0.0.1:8501)
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Address of the SQL endpoint, for PostgreSQL clients (default: the configuration's, else none)
    #[arg(long, value_name = "ADDR")]
    pub sql_listen: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
pub enum Study {
    /// Print the study
    Show,
    /// Check a study file
    Check,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
