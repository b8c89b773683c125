//! Whoever may not see identifiers gets none, however the question is put.

use query::{Format, Identifiers};

use crate::support::{Asked, BOTH, SECRET, limits, made, masked, serve};

/// Ways to ask for what is hidden.
const QUESTIONS: [&str; 44] = [
    "SELECT * FROM predictions",
    "SELECT * FROM outcomes",
    "SELECT p.*, o.* FROM predictions p JOIN outcomes o USING (prediction_id)",
    "SELECT min(prediction_id), max(patient_id), min(patient_key) FROM predictions",
    "SELECT * FROM cases",
    "SELECT * FROM quarantine",
    "SELECT c.* FROM cases c",
    "SELECT patient_id, case_id, note FROM cases ORDER BY patient_id LIMIT 5",
    "SELECT \"patient_id\" FROM hoofbeat.public.cases",
    "SELECT x FROM (SELECT patient_id AS x FROM cases) AS y",
    "WITH a AS (SELECT patient_id FROM cases) SELECT * FROM a",
    "SELECT min(patient_id), max(patient_id), min(case_id), max(note) FROM cases",
    "SELECT first_value(patient_id ORDER BY age_years) FROM cases",
    "SELECT array_agg(patient_id) FROM cases",
    "SELECT array_agg(DISTINCT note) FROM cases",
    "SELECT string_agg(case_id, ',') FROM cases",
    "SELECT patient_id || '' FROM cases",
    "SELECT substr(patient_id, 1, 9) FROM cases",
    "SELECT upper(note) FROM cases",
    "SELECT reverse(patient_id) FROM cases",
    "SELECT concat('x', case_id) FROM cases",
    "SELECT CAST(patient_id AS VARCHAR) FROM cases",
    "SELECT CASE WHEN true THEN patient_id ELSE note END FROM cases",
    "SELECT coalesce(note, patient_id) FROM cases",
    "SELECT patient_id FROM cases UNION ALL SELECT raw FROM quarantine",
    "SELECT patient_id FROM cases INTERSECT SELECT patient_id FROM cases",
    "SELECT a.patient_id, b.note FROM cases a JOIN cases b ON a.patient_id = b.patient_id LIMIT 5",
    "SELECT (SELECT max(patient_id) FROM cases)",
    "SELECT row_number() OVER (PARTITION BY patient_id ORDER BY case_id), patient_id FROM cases LIMIT 5",
    "SELECT lag(patient_id) OVER (ORDER BY age_years) FROM cases",
    "SELECT patient_id, count(*) FROM cases GROUP BY patient_id HAVING min(case_id) > '' LIMIT 5",
    "SELECT DISTINCT patient_id FROM cases",
    "SELECT named_struct('a', patient_id) FROM cases LIMIT 2",
    "SELECT make_array(patient_id, case_id) FROM cases LIMIT 2",
    "SELECT regexp_replace(patient_id, 'a', 'b') FROM cases",
    "SELECT raw, row_key FROM quarantine WHERE raw IS NOT NULL OR true",
    "EXPLAIN SELECT patient_id FROM cases",
    "EXPLAIN VERBOSE SELECT min(patient_id), max(case_id) FROM cases",
    "EXPLAIN ANALYZE SELECT patient_id FROM cases",
    "EXPLAIN ANALYZE VERBOSE SELECT patient_id FROM cases WHERE age_years > 50",
    "EXPLAIN FORMAT TREE SELECT patient_id FROM cases",
    "DESCRIBE cases",
    "SELECT * FROM information_schema.columns",
    "SELECT * FROM information_schema.views",
];

#[test]
fn no_form_of_a_question_reaches_an_identifier() {
    let made = made();
    serve(&made.lake, 0..40);
    let asked = Asked::masked(&made);
    for question in QUESTIONS {
        for format in [Format::Csv, Format::Ndjson] {
            match asked.answer(question, format) {
                Ok(answer) => {
                    let answer = String::from_utf8(answer).unwrap().to_lowercase();
                    let backwards: String = SECRET.chars().rev().collect();
                    assert!(
                        !answer.contains(SECRET) && !answer.contains(&backwards),
                        "{question}:\n{answer}"
                    );
                    assert!(!answer.contains("bit the patient"), "{question}:\n{answer}");
                }
                Err(error) => panic!("{question}: {error}"),
            }
        }
    }
}

/// A condition on what is hidden meets the pseudonym, so that guessing finds nobody.
#[test]
fn conditions_meet_the_pseudonym() {
    let made = made();
    let asked = Asked::masked(&made);
    for condition in [
        format!("patient_id = '{SECRET}-1'"),
        format!("patient_id LIKE '{SECRET}%'"),
        format!("case_id IN ('{SECRET}-case-1', '{SECRET}-case-2')"),
        format!("starts_with(patient_id, '{SECRET}')"),
        format!("patient_id BETWEEN '{SECRET}' AND '{SECRET}z'"),
        format!("note LIKE '%{SECRET}%'"),
        "note IS NOT NULL".to_owned(),
        "patient_key IS NOT NULL".to_owned(),
        "case_key > 0 OR case_key <= 0".to_owned(),
        format!("age_years > 3 AND patient_id = '{SECRET}-1'"),
    ] {
        assert_eq!(asked.one(&format!("SELECT count(*) FROM cases WHERE {condition}")), "0", "{condition}");
    }
    assert_eq!(asked.one("SELECT count(*) FROM quarantine WHERE raw IS NOT NULL"), "0");
    // An error that quotes a value quotes a pseudonym.
    let error = asked.error("SELECT CAST(patient_id AS INT) FROM cases").to_string();
    assert!(!error.contains(SECRET) && error.contains("patient-"), "{error}");
}

#[test]
fn pseudonyms_count_group_and_join_like_the_identifiers() {
    let made = made();
    let (limits, shown) = (limits(made.folder.path()), Identifiers::Shown);
    let (masked, shown) = (Asked::of(&made, 2, &masked(), &limits), Asked::of(&made, 2, &shown, &limits));
    for question in [
        "SELECT count(DISTINCT patient_id) FROM cases",
        "SELECT count(*) FROM cases a JOIN cases b ON a.patient_id = b.patient_id",
        "SELECT max(n) FROM (SELECT count(*) AS n FROM cases GROUP BY patient_id)",
        "SELECT count(DISTINCT case_id) FROM cases",
    ] {
        assert_eq!(masked.one(question), shown.one(question), "{question}");
    }
    let again = Asked::masked(&made);
    let question = "SELECT min(patient_id), max(case_id) FROM cases";
    assert_eq!(masked.csv(question), again.csv(question), "a pseudonym stays");
}

#[test]
fn who_may_see_identifiers_sees_them() {
    let made = made();
    let asked = Asked::of(&made, 2, &Identifiers::Shown, &limits(made.folder.path()));
    let here =
        format!("SELECT count(*) FROM cases WHERE patient_id = '{SECRET}-3' AND note LIKE '%{SECRET}%'");
    assert_eq!(asked.one(&here), "2");
    assert_eq!(asked.one("SELECT count(patient_key) FROM cases"), BOTH.to_string());
    assert!(asked.csv("SELECT raw FROM quarantine").contains(SECRET));
}

/// Answers meet their outcomes, and the patients' cases, by pseudonyms.
#[test]
fn what_was_served_meets_what_became_of_it_and_the_cases() {
    let made = made();
    assert_eq!(Asked::masked(&made).one("SELECT count(*) FROM predictions"), "0");
    serve(&made.lake, 0..40);
    for identifiers in [masked(), Identifiers::Shown] {
        let asked = Asked::of(&made, 2, &identifiers, &limits(made.folder.path()));
        assert_eq!(
            asked.one("SELECT count(*) FROM predictions p JOIN outcomes o USING (prediction_id)"),
            "20"
        );
        let genders = "SELECT DISTINCT gender FROM predictions ORDER BY 1";
        assert_eq!(asked.csv(genders), "gender\nfemale\nmale\n");
        let patients =
            "SELECT count(DISTINCT p.patient_id) FROM predictions p JOIN cases c USING (patient_id)";
        assert_eq!(asked.one(patients), "20");
        assert_eq!(asked.one("SELECT sum(p_healthy + p_mild) FROM predictions"), "40.0");
    }
}
