//! How far the lake is from its limits: `cargo run --release -p lake --example lake_bench -- [ROWS]`.
//!
//! Prints ingest in rows per second, then the cohort query beside the bare scan of the same columns, in the same
//! run, and appends per second of the prediction log beside the disk's own syncs. CPU is that of the process.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the person who measures")]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use lake::{CaseRow, CellMap, Cohort, CohortQuery, EACH_SLOT, IngestMeta, Lake, Schema, columns};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use time::OffsetDateTime;

const INPUTS: [&str; 6] =
    ["age_years", "gender", "blood_type", "systolic_mmhg", "diastolic_mmhg", "exercise_days_per_month"];
const DISEASES: u64 = 17;

fn main() {
    let rows = std::env::args().nth(1).map_or(5_000_000, |rows| rows.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path());
    ingest(&lake, rows);
    let files: Vec<_> =
        std::fs::read_dir(dir.path().join("lake/cases")).unwrap().map(|e| e.unwrap().path()).collect();
    let files: Vec<_> = files.into_iter().filter(|path| path.is_file()).collect();
    let bytes: u64 = files.iter().map(|path| path.metadata().unwrap().len()).sum();
    println!("stored: {:.1} bytes a row in {} files", bytes as f64 / rows as f64, files.len());
    let mut sets = [1; 21];
    sets[..14].fill(0);
    sets[17..].fill(2);
    for _ in 0..2 {
        measure("bare scan, 1 thread", rows, || bare_scan(&files));
        for (what, slot_group) in [("each slot", EACH_SLOT), ("three sets", sets)] {
            for threads in [1, 2] {
                let query = CohortQuery { cells: &Patients::new(), slot_group, margins: &[], threads };
                let cohort = measure(&format!("cohort, {what}, {threads} threads"), rows, || {
                    lake.cohort(1, &query).unwrap()
                });
                let Cohort { counts, outcomes, rows, .. } = cohort;
                println!("    {rows} rows -> {} counts, {} outcomes", counts.len(), outcomes.len());
            }
        }
    }
    measure("begin an ingest (read the keys)", rows, || drop(begin(&lake)));
    appends(dir.path());
}

fn begin(lake: &Lake) -> lake::Ingest {
    let schema = Schema { inputs: INPUTS.map(str::to_owned).to_vec(), note: None };
    let meta = IngestMeta { source: "bench".into(), now: OffsetDateTime::UNIX_EPOCH, schema };
    lake.begin_ingest(meta, |stratum: &str, n: u64| ((n % 20 * 7 + stratum.len() as u64 + n / 20) % 20) as u8)
        .unwrap()
}

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    *state >> 33
}

fn ingest(lake: &Lake, rows: u64) {
    let diseases: Vec<String> = (0..DISEASES).map(|n| format!("ORPHA:{n}")).collect();
    let made = |each: &mut dyn FnMut(&CaseRow<'_>)| {
        let (mut case_id, mut patient_id, mut state) = (String::new(), String::new(), 1u64);
        for n in 0..rows {
            use std::fmt::Write;
            case_id.clear();
            patient_id.clear();
            write!(case_id, "ref-{n:010}").unwrap();
            write!(patient_id, "p-{:010}", n / 2).unwrap();
            // Ages and exercise cluster, as people do.
            let age = 18 + next(&mut state) % 40 + next(&mut state) % 40;
            let inputs = [
                age,
                next(&mut state) % 2,
                next(&mut state) % 4,
                90 + next(&mut state) % 50 + next(&mut state) % 50,
                55 + next(&mut state) % 30 + next(&mut state) % 30,
                (next(&mut state) % 16) + next(&mut state) % 16,
            ];
            let inputs = inputs.map(|value| Some(value as i32));
            // As in the reference cohort: 10 common and 7 orphan diseases, each with one severity.
            let pick = next(&mut state) % 1000;
            let disease = match pick {
                0..400 => None,
                400..900 => Some(pick as usize % 10),
                _ => Some(10 + pick as usize % 7),
            };
            let severity = disease.map_or("healthy", |disease| ["mild", "acute", "chronic"][disease % 3]);
            each(&CaseRow {
                case_id: &case_id,
                patient_id: &patient_id,
                source: "reference",
                recorded_at: Some(1_700_000_000_000_000 + (n as i64 / 5000) * 86_400_000_000),
                inputs: &inputs,
                note: None,
                severity: Some(severity),
                rarity: disease.map(|disease| if disease < 10 { "common" } else { "orphan" }),
                disease_code: disease.map(|disease| diseases[disease].as_str()),
                confirmed_at: None,
            });
        }
    };
    measure("making the rows", rows, || made(&mut |_| ()));
    measure("ingest (with making the rows)", rows, || {
        let mut ingest = begin(lake);
        made(&mut |row| assert_eq!(ingest.push(row).unwrap(), lake::Pushed::Added));
        ingest.commit().unwrap();
    });
}

fn bare_scan(files: &[std::path::PathBuf]) {
    let wanted =
        INPUTS.into_iter().chain([columns::SEVERITY, columns::RARITY, columns::DISEASE_CODE, columns::SLOT]);
    let wanted: Vec<&str> = wanted.collect();
    for path in files {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        let mask = ProjectionMask::columns(builder.parquet_schema(), wanted.iter().copied());
        for batch in builder.with_projection(mask).with_batch_size(1 << 14).build().unwrap() {
            std::hint::black_box(batch.unwrap().num_rows());
        }
    }
}

/// The 154,880 possible patients of the default study.
struct Patients(Vec<String>);

impl Patients {
    fn new() -> Self {
        Patients(INPUTS.map(str::to_owned).to_vec())
    }
}

impl CellMap for Patients {
    fn columns(&self) -> &[String] {
        &self.0
    }

    fn len(&self) -> u32 {
        121 * 2 * 4 * 5 * 32
    }

    fn cells(&self, columns: &[&[i32]], out: &mut [u32]) {
        let [age, gender, blood, systolic, diastolic, exercise] = columns else { return };
        for (row, cell) in out.iter_mut().enumerate() {
            let category = match (systolic[row], diastolic[row]) {
                (s, d) if s > 180 || d > 120 => 4,
                (s, d) if s >= 140 || d >= 90 => 3,
                (s, d) if s >= 130 || d >= 80 => 2,
                (s, _) if s >= 120 => 1,
                _ => 0,
            };
            let index = ((age[row] * 2 + gender[row]) * 4 + blood[row]) * 5 + category;
            *cell = (index * 32 + exercise[row]) as u32;
        }
    }
}

fn measure<T>(what: &str, rows: u64, work: impl FnOnce() -> T) -> T {
    let (cpu, wall) = (cpu_time(), Instant::now());
    let result = work();
    let (cpu, wall) = (cpu_time() - cpu, wall.elapsed());
    let rate = rows as f64 / 1e6;
    println!(
        "{what}: {:.2} s wall, {:.2} s CPU, {:.1} M rows/s wall, {:.1} M rows/s a core",
        wall.as_secs_f64(),
        cpu.as_secs_f64(),
        rate / wall.as_secs_f64(),
        rate / cpu.as_secs_f64()
    );
    result
}

/// CPU time of this process so far, from the kernel (ticks of 10 ms).
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

fn appends(dir: &Path) {
    let payload = vec![b'j'; 1500];
    let mut file = File::create(dir.join("syncs")).unwrap();
    let started = Instant::now();
    for _ in 0..200 {
        file.write_all(&payload).unwrap();
        file.sync_data().unwrap();
    }
    println!("bare write + fdatasync: {:.0} a second", 200.0 / started.elapsed().as_secs_f64());
    let log = lake::predictions::PredictionLog::open(&dir.join("predictions")).unwrap();
    for clients in [1usize, 64, 1024] {
        let (started, cpu) = (Instant::now(), cpu_time());
        let mut done = 0;
        while started.elapsed() < Duration::from_secs(2) {
            let waiting: Vec<_> = (0..clients).map(|_| log.append(payload.clone())).collect();
            done += waiting.len();
            waiting.into_iter().for_each(|pending| assert!(pending.wait().is_ok()));
        }
        let rate = done as f64 / started.elapsed().as_secs_f64();
        let cpu = (cpu_time() - cpu).as_secs_f64() * 1e6 / done as f64;
        println!(
            "prediction log, {clients} at a time: {rate:.0} appends/s of 1,500 bytes, {cpu:.1} us CPU each"
        );
    }
}
