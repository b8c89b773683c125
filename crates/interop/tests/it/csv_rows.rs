//! CSV as a format: framing, quoting, bounds.

use interop::{FileError, Format, Row};

use crate::{HEADER, cases, csv, read, reasons};

fn row(id: &str) -> String {
    format!("{id},p,s,2025-01-01,54,female,O,138,86,6,,,,")
}

#[test]
fn a_quote_that_is_never_closed_costs_its_own_line_only() {
    let text = format!("{HEADER}\n{}\n\"{}\n{}\n{}\n", row("a"), row("b"), row("c"), row("d"));
    let rows = csv(text);
    assert_eq!(
        rows.iter().map(reasons).collect::<Vec<_>>().concat(),
        ["accepted", "row:wrong_type", "accepted", "accepted"]
    );
}

#[test]
fn a_quote_that_meets_the_next_one_lines_later_costs_its_own_line_only() {
    let text = format!(
        "{HEADER},note\n{},\"open\n{},fine\n{},\"closed\"\n{},\n",
        row("a"),
        row("b"),
        row("c"),
        row("d")
    );
    let lines: Vec<_> = csv(text).iter().map(reasons).collect();
    assert_eq!(lines.concat(), ["row:wrong_type", "accepted", "accepted", "accepted"]);
}

#[test]
fn quoted_fields_may_hold_delimiters_line_ends_and_quotes() {
    let text = format!(
        "{HEADER},note\r\n\"a\",\"p,\"\"1\"\"\",s,2025-01-01,\"54\",female,O,138,86,6,,,,,\"x\r\ny\"\r\n"
    );
    let case = cases(csv(text)).remove(0);
    assert_eq!((case.case_id.as_str(), case.patient_id.as_str()), ("a", "p,\"1\""));
}

#[test]
fn a_gigantic_record_is_refused_and_bounded_and_the_next_one_read() {
    let huge = "9".repeat(3 << 20);
    let text = format!("{HEADER}\n{}\nb,{huge},x\n{}\n", row("a"), row("c"));
    let rows = csv(text);
    assert_eq!(
        rows.iter().map(reasons).collect::<Vec<_>>().concat(),
        ["accepted", "row:out_of_range", "accepted"]
    );
    let Row::Refused { line: 3, raw, .. } = &rows[1] else { panic!("{:?}", rows[1]) };
    assert!(raw.len() <= 1 << 16);
    // The same where quotes make it one field over many lines.
    let text = format!("{HEADER}\n{}\nb,\"{}\n{}\n", row("a"), "9,9\n".repeat(1 << 19), row("c"));
    let rows = csv(text);
    assert_eq!(rows.first().map(reasons), rows.last().map(reasons));
    assert_eq!(reasons(&rows[1]), ["row:wrong_type"]);
}

#[test]
fn blank_lines_marks_and_line_ends_do_not_count() {
    let text = format!("\u{feff}{HEADER}\r\n\r\n{}\r\n\n{}", row("a"), row("b"));
    let ids: Vec<String> = cases(csv(text)).into_iter().map(|case| case.case_id).collect();
    assert_eq!(ids, ["a", "b"]);
}

#[test]
fn a_file_without_a_required_column_is_refused_whole_with_the_list() {
    let error = read("case_id,gender,age_years\n1,female,54\n", Some(Format::Csv), None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the file lacks required columns: blood_type, systolic_mmhg, diastolic_mmhg, exercise_days_per_month"
    );
}

#[test]
fn a_column_that_comes_twice_is_an_error_but_a_file_without_header_does_not_print_its_values() {
    let error = read(format!("{HEADER},age_years\n"), None, None).unwrap_err();
    assert_eq!(error.to_string(), "column `age_years` is in the file twice");
    let error = read("c1,p1,s,,54,54,female,O\n", None, None).unwrap_err().to_string();
    assert!(error.starts_with("the file lacks required columns"), "{error}");
    assert!(!error.contains("54") && !error.contains("c1"), "{error}");
}

#[test]
fn an_empty_file_and_an_unreadable_header_are_errors() {
    for bytes in [b"".to_vec(), b"\xef\xbb\xbf".to_vec(), b"\n\r\n".to_vec()] {
        assert!(matches!(read(bytes, Some(Format::Csv), None), Err(FileError::Empty)));
    }
    assert!(matches!(read(b"age_years,\xff\n".to_vec(), None, None), Err(FileError::HeaderNotText)));
    assert!(matches!(read(vec![b'a'; 2 << 20], None, None), Err(FileError::HeaderTooLong { .. })));
}

#[test]
fn derived_ids_are_stable_across_column_order_and_distinct_within_a_file() {
    let one = "age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,exercise_days_per_month\n54,female,O,138,86,6\n54,female,O,138,86,6\n55,female,O,138,86,6\n";
    let other = "gender,age_years,ward,blood_type,systolic_mmhg,diastolic_mmhg,exercise_days_per_month\nfemale,55,x,O,138,86,6\nfemale,54,x,O,138,86,6\nfemale,54,y,O,138,86,6\n";
    let ids = |text: &str| {
        let mut ids: Vec<String> = cases(csv(text)).into_iter().map(|case| case.case_id).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(one), ids(other));
    assert_eq!(ids(one).iter().collect::<std::collections::HashSet<_>>().len(), 3);
}
