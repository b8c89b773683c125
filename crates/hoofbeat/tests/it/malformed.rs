//! Files that are wrong in every way that files are: each gets one clear reason or goes to quarantine row by row, and
//! what was stored before stays as it was.

use std::io::Write;

use flate2::write::GzEncoder;

use crate::harness::Deployment;

const HEADER: &str = "case_id,patient_id,source,recorded_at,age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,exercise_days_per_month,severity,rarity,disease_code,confirmed_at";

/// A good row.
fn row(id: &str) -> String {
    format!("{id},p-{id},ehr,2025-06-01,54,female,O,138,86,6,mild,common,ICD-10:I10,2025-06-02")
}

fn lines(end: &str, rows: &[String]) -> Vec<u8> {
    let mut text = HEADER.to_owned() + end;
    rows.iter().for_each(|row| text.extend([row.as_str(), end]));
    text.into_bytes()
}

/// What `ingest` must say about a file.
enum Expected {
    /// It fails with one line that contains this; nothing is stored.
    Error(&'static str),
    /// So many rows accepted, so many refused.
    Rows(u64, u64),
}

use Expected::{Error, Rows};

struct Wrong {
    name: &'static str,
    bytes: Vec<u8>,
    expected: Expected,
}

fn wrong(name: &'static str, bytes: impl Into<Vec<u8>>, expected: Expected) -> Wrong {
    Wrong { name, bytes: bytes.into(), expected }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

fn utf16(text: &[u8], big: bool) -> Vec<u8> {
    let text = std::str::from_utf8(text).unwrap();
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

fn half(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() / 2].to_vec()
}

fn turned(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0x55;
    bytes
}

fn compressed(good: &[u8], many: &[u8], parquet: &[u8]) -> Vec<Wrong> {
    let (gz, zst) = (gzip(many), zstd(many));
    let end = parquet.len();
    vec![
        wrong("cut.csv.gz", half(&gz), Error("truncated")),
        wrong("cut.csv.zst", half(&zst), Error("zstd data")),
        wrong("turned.csv.gz", turned(&gz, gz.len() - 6), Error("gzip data is damaged")),
        wrong("turned.csv.zst", turned(&zst, zst.len() / 2), Error("zstd data")),
        wrong("head-only.csv.gz", gz[..12].to_vec(), Error("truncated")),
        wrong("packed-twice.csv.gz", gzip(&gz), Error("header row")),
        wrong("nothing.csv.gz", gzip(b""), Error("empty")),
        wrong("in-truth-zstd.csv.gz", zstd(good), Rows(1, 0)),
        wrong("in-truth-plain.csv.gz", good, Rows(0, 0)),
        wrong("cut.parquet", half(parquet), Error("Parquet")),
        wrong("no-footer.parquet", parquet[..end - 8].to_vec(), Error("Parquet")),
        wrong("turned-footer.parquet", turned(parquet, end - 20), Error("Parquet")),
        wrong("turned-length.parquet", turned(parquet, end - 6), Error("Parquet")),
        wrong("marks-only.parquet", b"PAR1PAR1".to_vec(), Error("Parquet")),
        wrong("in-truth-csv.parquet", good, Error("Parquet")),
        wrong("packed.parquet.gz", gzip(&half(parquet)), Error("Parquet")),
        wrong("in-truth-parquet.csv", half(parquet), Error("Parquet")),
        wrong("picture.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), Error("header row")),
        wrong("workbook.csv", b"PK\x03\x04\x14\0\x06\0[Content_Types].xml".to_vec(), Error("header row")),
        wrong("bomb.csv.gz", gzip(&vec![b'9'; 64 << 20]), Error("header row is longer")),
    ]
}

fn text(good: &[u8]) -> Vec<Wrong> {
    let with = |rows: &[&str]| lines("\n", &rows.iter().map(ToString::to_string).collect::<Vec<_>>());
    let mixed = format!("{HEADER}\r\n{}\n\r\n{}\r\n\n{}", row("x1"), row("x2"), row("x3"));
    let changed = |id: &str, from: &str, to: &str| row(id).replace(from, to);
    let huge = "9".repeat(5 << 20);
    let mut nul = row("n1");
    nul.insert(9, '\0');
    let mut latin = with(&[&row("l1")]);
    latin.extend(b"l2,Mu\xf1oz,ehr,2025-06-01,54,female,O,138,86,6,,,,\n");
    vec![
        wrong("nothing.csv", b"".to_vec(), Error("empty")),
        wrong("mark-only.csv", b"\xef\xbb\xbf".to_vec(), Error("empty")),
        wrong("blank-lines.csv", b"\n\r\n\n".to_vec(), Error("empty")),
        wrong("zeros.csv", vec![0; 4096], Error("header row")),
        wrong("header-only.csv", with(&[]), Rows(0, 0)),
        wrong("no-header.csv", row("h1") + "\n", Error("lacks required columns")),
        wrong("few-columns.csv", "case_id,age_years\n1,54\n", Error("gender, blood_type")),
        wrong("twice.csv", format!("{HEADER},gender\n"), Error("column `gender` is in the file twice")),
        wrong(
            "semicolons.csv",
            String::from_utf8(good.to_vec()).unwrap().replace(',', ";"),
            Error("lacks required columns"),
        ),
        wrong("open-quote-in-header.csv", format!("\"{HEADER}\n{}\n", row("o1")), Error("header row")),
        wrong("utf16-le.csv", utf16(good, false), Error("UTF-8")),
        wrong("utf16-be.csv", utf16(good, true), Error("UTF-8")),
        wrong("latin-1.csv", latin, Rows(1, 1)),
        wrong("latin-1-header.csv", b"a\xf1os,case_id\n".to_vec(), Error("UTF-8")),
        wrong("mark.csv", [b"\xef\xbb\xbf", with(&[&row("m1")]).as_slice()].concat(), Rows(1, 0)),
        wrong("line-ends.csv", mixed, Rows(3, 0)),
        wrong("carriage-returns.csv", lines("\r", &[row("r1"), row("r2")]), Error("carriage returns")),
        wrong("no-last-end.csv", with(&[&row("e1")]).strip_suffix(b"\n").unwrap().to_vec(), Rows(1, 0)),
        wrong("nul.csv", with(&[&nul, &row("n2")]), Rows(1, 1)),
        wrong("broken-quote.csv", with(&[&row("\"q1"), &row("q2"), &row("q3")]), Rows(2, 1)),
        wrong("stray-quote.csv", with(&[&row("q\"4"), &row("q5")]), Rows(1, 1)),
        wrong("ragged.csv", with(&["g1,p", &(row("g2") + ",,,"), &row("g3")]), Rows(1, 2)),
        wrong("gigantic.csv", with(&[&row(&huge), &row("k1")]), Rows(1, 1)),
        wrong("gigantic-quoted.csv", with(&[&row(&format!("\"{huge}\"")), &row("k2")]), Rows(1, 1)),
        wrong(
            "gigantic-number.csv",
            with(&[&changed("k3", ",54,", ",99999999999999999999999,"), &row("k4")]),
            Rows(1, 1),
        ),
        wrong(
            "formulas.csv",
            with(&[&row("=cmd|' /C calc'!A0"), &row("@SUM(A1:A9)"), &changed("f3", ",54,", ",=50+4,")]),
            Rows(2, 1),
        ),
        wrong(
            "odd-numbers.csv",
            with(&[
                &changed("z1", ",54,", ",NaN,"),
                &changed("z2", ",54,", ",-0,"),
                &changed("z3", ",54,", ",5e1,"),
                &changed("z4", ",54,", ",٥٤,"),
            ]),
            Rows(2, 2),
        ),
        wrong("escapes.csv", with(&[&row("\u{1b}[31m"), &row("t\u{202e}1"), &row("t2")]), Rows(2, 1)),
    ]
}

fn json() -> Vec<Wrong> {
    let good = r#"{"case_id":"j1","age_years":54,"gender":"female","blood_type":"O","systolic_mmhg":138,"diastolic_mmhg":86,"exercise_days_per_month":6}"#;
    let deep = "[".repeat(100_000);
    vec![
        wrong("cut.ndjson", format!("{good}\n{}", &good[..60]), Rows(1, 1)),
        wrong("array.ndjson", format!("[{good}]\n"), Rows(0, 1)),
        wrong("deep.ndjson", format!("{}\n{{\"age_years\":{deep}\n", good.replace("j1", "j2")), Rows(1, 1)),
        wrong("not-json.ndjson", format!("{}\nnull\n42\n\"x\"\n", good.replace("j1", "j3")), Rows(1, 3)),
        wrong(
            "half-a-character.ndjson",
            [good.replace("j1", "j4").as_bytes(), b"\n{\"case_id\":\"\\ud800\"}\n"].concat(),
            Rows(1, 1),
        ),
        wrong("utf16.ndjson", utf16(good.as_bytes(), false), Rows(0, 1)),
    ]
}

/// Ingests a file; how many rows were accepted, or what was not as expected.
fn ingested(deployment: &Deployment, file: &Wrong) -> Result<u64, String> {
    std::fs::write(deployment.path(file.name), &file.bytes).unwrap();
    let run = deployment.run(&format!("ingest {} --source ehr --json", file.name));
    let said = format!("exit {}, {} {}", run.code, run.stdout, run.stderr);
    match file.expected {
        _ if run.stderr.contains("panicked") => Err(said),
        Error(part) => {
            let clear = run.code == 1 && run.reason().contains(file.name) && run.reason().contains(part);
            if clear && run.reason().len() < 600 { Ok(0) } else { Err(said) }
        }
        Rows(..) if run.code != 0 => Err(said),
        Rows(accepted, refused) => {
            let report = run.json();
            // A row that an earlier file of the list brought is a duplicate.
            let as_expected = report["accepted"] == accepted && report["refused"] == refused;
            if as_expected { Ok(accepted) } else { Err(said) }
        }
    }
}

#[test]
fn malformed_files_end_in_a_clear_error_or_in_quarantine_and_cost_nothing_else() {
    let deployment = Deployment::empty();
    deployment.ok("synth --rows 300 --seed 1 --out first.csv");
    deployment.ok("ingest first.csv --source ehr");
    deployment.ok("synth --rows 2000 --seed 2 --out good.parquet");
    let parquet = std::fs::read(deployment.path("good.parquet")).unwrap();
    let good = lines("\n", &[row("good")]);
    let many = lines("\n", &(0..3000).map(|n| row(&format!("many-{n}"))).collect::<Vec<_>>());
    let (mut stored, mut faults) = (300, Vec::new());
    for file in compressed(&good, &many, &parquet).into_iter().chain(text(&good)).chain(json()) {
        match ingested(&deployment, &file) {
            Ok(accepted) => stored += accepted,
            Err(fault) => faults.push(format!("{}: {fault}", file.name)),
        }
    }
    assert_eq!(faults, Vec::<String>::new());
    let versions = deployment.json("dataset list");
    assert_eq!(versions.as_array().unwrap().last().unwrap()["totals"]["rows"], stored);
    deployment.assert_well();
}

#[test]
fn an_answer_of_a_case_named_like_a_formula_is_no_formula_in_a_spreadsheet() {
    let deployment = crate::harness::trained().copy();
    std::fs::write(deployment.path("f.csv"), lines("\n", &[row("=cmd|' /C calc'!A0"), row("-17")])).unwrap();
    deployment.ok("predict --in f.csv --out answers.csv");
    let answers = deployment.read("answers.csv");
    let ids: Vec<&str> = answers.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(ids, ["'=cmd|' /C calc'!A0", "-17"]);
    deployment.ok("predict --in f.csv --out answers.ndjson");
    assert!(deployment.read("answers.ndjson").contains(r#""case_id":"=cmd|' /C calc'!A0""#));
}
