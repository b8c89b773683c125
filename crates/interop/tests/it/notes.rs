//! A study's note: a column that a file and a row may lack, in every form.

use std::io::Cursor;

use clinical::{Note, Study};
use interop::{CaseFile, CaseWriter, Format, Row};

use crate::{HEADER, Written, cases, form, reading, reasons};

fn study() -> Study {
    let note = "[[feature]]\nname = \"note\"\nkind = \"text\"\nlabel = { es = \"Nota\", en = \"Note\" }\nmax_length = 30\n";
    Study::parse(&format!("{}{note}", clinical::study::DEFAULT_TOML)).unwrap()
}

fn rows(study: &Study, bytes: Vec<u8>, format: Option<Format>) -> Vec<Row> {
    let file = CaseFile::stream(Box::new(Cursor::new(bytes)), format, reading(study, None)).unwrap();
    file.map(Result::unwrap).collect()
}

#[test]
fn a_note_is_read_where_there_is_one_and_a_bad_one_refuses_its_row() {
    let study = study();
    let row =
        |id: &str, note: &str| format!("{id},p,s,2025-01-01,54,female,O,138,86,6,mild,common,,,{note}\n");
    let text = format!(
        "{HEADER},note\n{}{}{}{}",
        row("a", "\"Niega fiebre,\r\ntos\""),
        row("b", "  "),
        row("c", &"x".repeat(31)),
        row("d", "a\u{1}b")
    );
    let rows = rows(&study, text.into_bytes(), Some(Format::Csv));
    let seen: Vec<Vec<String>> = rows.iter().map(reasons).collect();
    assert_eq!(
        seen,
        [vec!["accepted"], vec!["accepted"], vec!["note:out_of_range"], vec!["note:wrong_type"]]
    );
    let found = cases(rows.into_iter().take(2).collect());
    assert_eq!(found[0].note.as_ref().map(Note::text), Some("Niega fiebre,\ntos"));
    assert_eq!(found[1].note, None);
    // A file without the column, and a study without a note.
    let bare = format!("{HEADER}\n{}", row("a", "").trim_end_matches(",\n").to_owned() + "\n");
    assert_eq!(cases(self::rows(&study, bare.into_bytes(), None))[0].note, None);
}

#[test]
fn notes_survive_every_form() {
    let study = study();
    let text = format!(
        "{HEADER},note\na,p,s,2025-01-01,54,female,O,138,86,6,,,,,\"Sin \"\"tos\"\"\nni fiebre ñ\"\n"
    );
    let written = cases(rows(&study, text.into_bytes(), None));
    assert!(written[0].note.is_some());
    for name in ["x.csv", "x.ndjson.zst", "x.parquet"] {
        let out = Written::default();
        let mut writer = CaseWriter::create(form(name), Box::new(out.clone()), &study, Vec::new()).unwrap();
        written.iter().for_each(|case| writer.push(case, &[]).unwrap());
        writer.finish().unwrap();
        assert_eq!(cases(rows(&study, out.bytes(), None)), written, "{name}");
    }
}
