//! Tables, views, versions, limits, errors, forms.

use std::time::{Duration, Instant};

use query::{Format, Limits, QueryError};

use crate::support::{Asked, BOTH, FIRST, case, ingest, limits, made, masked};

#[test]
fn tables_and_views_hold_what_was_ingested() {
    let made = made();
    let asked = Asked::masked(&made);
    assert_eq!(asked.one("SELECT count(*) FROM cases"), BOTH.to_string());
    assert_eq!(asked.one("SELECT sum(cases) FROM cohort"), BOTH.to_string());
    assert_eq!(asked.one("SELECT sum(refused) FROM quality"), "2");
    assert_eq!(asked.one("SELECT count(*) FROM dataset_versions"), "2");
    assert_eq!(asked.one("SELECT cases FROM dataset_versions WHERE version = 2"), BOTH.to_string());
    let women = (0..BOTH).filter(|&n| case(n).0[1] == Some(0)).count();
    assert_eq!(asked.one("SELECT count(*) FROM cases WHERE gender = 'female'"), women.to_string());
    let high = (0..BOTH).filter(|&n| case(n).0[2].is_some_and(|pressure| pressure >= 140)).count();
    assert_eq!(asked.one("SELECT count(*) FROM cases WHERE systolic_mmhg >= 140"), high.to_string());
    let mild = (0..BOTH).filter(|&n| case(n).1 == Some("mild")).count();
    assert_eq!(
        asked.one("SELECT sum(cases) FROM cohort WHERE severity = 'mild' AND disease_code = 'ICD-10:I10'"),
        mild.to_string()
    );
    assert_eq!(asked.one("SELECT count(*) FROM cases WHERE slot IS NULL AND severity IS NOT NULL"), "0");
}

#[test]
fn a_version_is_pinned_whatever_comes_later() {
    let made = made();
    let asked = Asked::of(&made, 1, &masked(), &limits(made.folder.path()));
    ingest(&made.lake, BOTH..BOTH + 50);
    assert_eq!(asked.one("SELECT count(*) FROM cases"), FIRST.to_string());
    assert_eq!(asked.one("SELECT count(*) FROM quarantine"), "1");
    assert_eq!(asked.one("SELECT max(version) FROM dataset_versions"), "1");
    let newest = Asked::of(&made, 3, &masked(), &limits(made.folder.path()));
    assert_eq!(newest.one("SELECT count(*) FROM cases"), (BOTH + 50).to_string());
}

#[test]
fn errors_say_what_is_meant() {
    let made = made();
    let asked = Asked::masked(&made);
    for (statement, words) in [
        (
            "SELECT age_year FROM cases",
            vec!["no column `age_year`", "did you mean `age_years`", "systolic_mmhg"],
        ),
        ("SELECT * FROM casses", vec!["no table `casses`", "did you mean `cases`", "quarantine"]),
        ("SELECT count( FROM cases", vec!["cannot be read as SQL"]),
        ("DROP TABLE cases", vec!["DROP TABLE is refused", "only statements that read"]),
        ("SELECT 1; SELECT 2", vec!["one statement at a time"]),
        ("SELECT nosuchfunction(age_years) FROM cases", vec!["nosuchfunction"]),
        ("SELECT count(*) FROM cases GROUP BY", vec!["cannot be read as SQL"]),
        ("SELECT * FROM '/etc/passwd'", vec!["no table"]),
        ("SELECT * FROM read_csv('/etc/passwd')", vec!["read_csv"]),
    ] {
        let text = asked.error(statement).to_string();
        for word in words {
            assert!(text.contains(word), "{statement} does not say `{word}`: {text}");
        }
        assert!(!text.contains('\n'), "{statement}: {text}");
    }
}

#[test]
fn what_does_not_fit_is_spilled_and_what_cannot_be_is_an_error() {
    let made = made();
    let little = Limits { memory_mib: 4, ..limits(made.folder.path()) };
    let asked = Asked::of(&made, 2, &masked(), &little);
    // 490,000 rows of a pair are some tens of MiB: sorted on disk.
    let sorted = "SELECT count(*) FROM (SELECT a.age_years, b.patient_id FROM cases a CROSS JOIN cases b ORDER BY b.patient_id, a.age_years)";
    assert_eq!(asked.one(sorted), (BOTH * BOTH).to_string());
    let spilled: Vec<_> = std::fs::read_dir(made.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != "lake")
        .collect();
    drop(asked);
    let asked = Asked::of(&made, 2, &masked(), &Limits { memory_mib: 1, ..little });
    let gathered = "SELECT array_agg(a.patient_id || b.patient_id) FROM cases a CROSS JOIN cases b";
    let error = asked.error(gathered);
    assert!(matches!(error, QueryError::Memory { megabytes: 1 }), "{error}");
    // Each session took a folder of its own and takes it away.
    drop(asked);
    let left = std::fs::read_dir(made.folder.path()).unwrap().count();
    assert!(left <= 1 + spilled.len(), "temporary folders stay: {left}");
}

#[test]
fn a_query_out_of_time_is_stopped() {
    let made = made();
    let short = Limits { time: Some(Duration::from_millis(300)), ..limits(made.folder.path()) };
    let asked = Asked::of(&made, 2, &masked(), &short);
    let started = Instant::now();
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000000) AS s(v) WHERE v % 7 = 3";
    assert!(matches!(asked.error(endless), QueryError::Time { .. }));
    assert!(started.elapsed() < Duration::from_secs(60), "it was stopped late");
    assert_eq!(asked.one("SELECT count(*) FROM cases"), BOTH.to_string(), "and the next one is answered");
}

#[test]
fn forms_hold_the_same_rows() {
    let made = made();
    let asked = Asked::masked(&made);
    let statement = "SELECT gender, note, count(*) AS n FROM cases GROUP BY gender, note ORDER BY gender";
    let text = |format| String::from_utf8(asked.answer(statement, format).unwrap()).unwrap();
    assert_eq!(text(Format::Csv), "gender,note,n\nfemale,,350\nmale,,350\n");
    assert_eq!(
        text(Format::Ndjson),
        "{\"gender\":\"female\",\"note\":null,\"n\":350}\n{\"gender\":\"male\",\"note\":null,\"n\":350}\n"
    );
    assert!(text(Format::Json).starts_with("[{\"gender\":\"female\""));
    assert!(text(Format::Table { rows: 0 }).contains("| female |      | 350 |"));
    let short = text(Format::Table { rows: 1 });
    assert!(short.contains("female") && !short.contains("| male"), "{short}");
    let parquet = asked.answer(statement, Format::Parquet).unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    // No row is an answer too.
    let none = "SELECT age_years FROM cases WHERE age_years < 0";
    assert_eq!(asked.csv(none), "age_years\n");
    assert_eq!(asked.answer(none, Format::Json).unwrap(), b"[]");
    assert!("x.csv".parse::<Format>().is_ok() && "x.xls".parse::<Format>().is_err());
}
