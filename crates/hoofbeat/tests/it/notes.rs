//! A clinical note is one stanza of the study: it goes from a case file to a model and to an explained answer, it may
//! always be left out, and its text is found nowhere but in the case table.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::harness::{Deployment, Dice, Server, output, replaced, small_study};

const NOTE: &str = r#"
[[feature]]
name = "note"
kind = "text"
label = { es = "Nota clínica", en = "Clinical note" }
max_length = 200
dictionary = ["hpo", "orphanet"]
terms = [
  { code = "HP:0002240", es = ["hepatomegalia", "hígado aumentado"] },
  { code = "dyspnoea", es = ["disnea"], en = ["dyspnoea", "shortness of breath"] },
]
"#;

/// A word that nothing else would say.
const WORD: &str = "zebrafish";

fn study() -> String {
    replaced(&small_study(), "rounds = 60", "rounds = 12") + NOTE
}

/// A synthetic cohort with notes for four cases of five: orphan diseases have a large liver, chronic ones dyspnoea, more
/// often than not; fever is denied at random.
fn cohort(deployment: &Deployment) {
    deployment.run("--study plain.toml synth --rows 2500 --seed 7 --out plain.csv").exits(0);
    let mut reader = csv::Reader::from_path(deployment.path("plain.csv")).unwrap();
    let mut writer = csv::Writer::from_path(deployment.path("noted.csv")).unwrap();
    let mut header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let (severity, rarity) = (at("severity"), at("rarity"));
    header.push_field("note");
    writer.write_record(&header).unwrap();
    let mut dice = Dice(5);
    for (line, mut record) in reader.records().map(Result::unwrap).enumerate() {
        let chance = |dice: &mut Dice, often: bool| dice.between(1, 100) <= if often { 70 } else { 6 };
        let mut note =
            String::from(if chance(&mut dice, false) { "Niega fiebre. " } else { "Acude a consulta. " });
        let liver = if chance(&mut dice, &record[rarity] == "orphan") {
            "Hígado aumentado. "
        } else {
            "Sin hepatomegalia. "
        };
        note.push_str(liver);
        if chance(&mut dice, &record[severity] == "chronic") {
            note.push_str("Refiere DISNEA de esfuerzo.");
        }
        record.push_field(if line % 5 == 0 { "" } else { &note });
        writer.write_record(&record).unwrap();
    }
    // One note is longer than the study allows.
    let mut long = csv::StringRecord::from(vec![""; header.len()]);
    for (place, value) in [
        ("age_years", "40"),
        ("gender", "male"),
        ("blood_type", "A"),
        ("systolic_mmhg", "120"),
        ("diastolic_mmhg", "70"),
        ("exercise_days_per_month", "3"),
    ] {
        let at = header.iter().position(|column| column == place).unwrap();
        let mut fields: Vec<String> = long.iter().map(str::to_owned).collect();
        fields[at] = value.to_owned();
        long = csv::StringRecord::from(fields);
    }
    let mut fields: Vec<String> = long.iter().map(str::to_owned).collect();
    *fields.last_mut().unwrap() = format!("{WORD} ").repeat(40);
    writer.write_record(&fields).unwrap();
    writer.flush().unwrap();
}

/// A trained and promoted model with notes, made once.
fn noted() -> &'static (Deployment, Value) {
    static NOTED: OnceLock<(Deployment, Value)> = OnceLock::new();
    NOTED.get_or_init(|| {
        let deployment = Deployment::with_study(&study());
        deployment.write("plain.toml", &small_study());
        cohort(&deployment);
        let ingested = deployment.json("ingest noted.csv --source ward");
        assert_eq!((&ingested["accepted"], &ingested["ignored_columns"]), (&json!(2_500), &json!({})));
        assert_eq!(ingested["refused_by_reason"], json!({ "note:out_of_range": 1 }));
        let trained = deployment.run("train --seed 1 --json");
        assert!([0, 3].contains(&trained.code), "{}", trained.stderr);
        deployment.ok("model promote m-0001 --override-gates --reason notes");
        (deployment, trained.json())
    })
}

fn patient(note: Option<&str>) -> Value {
    let mut patient = json!({
        "age_years": 54, "gender": "female", "blood_type": "O", "systolic_mmhg": 128, "diastolic_mmhg": 78,
        "exercise_days_per_month": 6,
    });
    if let Some(note) = note {
        patient["note"] = json!(note);
    }
    patient
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn probabilities(answer: &Value) -> (Vec<f64>, f64) {
    let classes = ["healthy", "mild", "acute", "chronic"];
    let severity = classes.map(|class| number(&answer["severity"]["probabilities"][class]));
    (severity.to_vec(), number(&answer["rarity"]["probability_orphan"]))
}

/// The contributions add up to the explained probability; answers the note's line, where there is one.
fn explained(answer: &Value, features: usize) -> Option<Value> {
    let lines = answer["explanation"]["contributions"].as_array().unwrap();
    assert_eq!(lines.len(), features, "{lines:?}");
    let class = answer["explanation"]["class"].as_str().unwrap();
    let shown = match class {
        "orphan" => number(&answer["rarity"]["probability_orphan"]),
        class => number(&answer["severity"]["probabilities"][class]),
    };
    let sum: f64 = lines.iter().map(|line| number(&line["contribution"])).sum();
    let told = number(&answer["explanation"]["base_value"]) + sum;
    assert!((told - shown).abs() <= 1e-6, "the explanation adds up to {told}, not {shown}");
    lines.iter().find(|line| line["feature"] == "note").cloned()
}

#[test]
fn notes_are_learned_from_and_what_they_add_is_measured() {
    let (deployment, trained) = noted();
    let training = &trained["training"]["notes"];
    assert!(number(&training["notes"]) > 1_000.0, "{training}");
    assert!(number(&training["term_factor"]) > 0.0, "{training}");
    let gain = |figures: &Value| number(&figures["log_loss_without"]) - number(&figures["log_loss_with"]);
    assert!(gain(training) > 2.0 * number(&training["standard_error"]), "{training}");
    let validation = &trained["validation"]["notes"];
    assert!(gain(validation) > 0.0, "{validation}");
    let evaluated = deployment.run("evaluate m-0001 --json").json();
    assert_eq!(&evaluated["report"]["notes"], validation);
}

#[test]
fn a_note_moves_the_answer_and_without_one_it_is_the_tables() {
    // A copy: only one server writes a deployment's prediction log.
    let deployment = noted().0.copy();
    let server = Server::start(&deployment);
    let mut client = server.client();
    let plain = client.predict(&patient(None));
    assert!(explained(&plain, 5).is_none());
    // Nothing, an empty text and a text without a known term that the model believes: the table's own answer.
    for note in [Value::Null, json!(""), json!(" \n ")] {
        let mut asked = patient(None);
        asked["note"] = note;
        let answer = client.predict(&asked);
        assert_eq!(probabilities(&answer), probabilities(&plain));
        assert_eq!(answer["explanation"]["contributions"], plain["explanation"]["contributions"]);
    }
    let table = deployment.path("table.csv");
    deployment.ok(&format!("model export m-0001 --table {}", table.display()));
    let row = deployment.read("table.csv");
    let row = row.lines().find(|line| line.starts_with("54,female,O,elevated,6,")).unwrap().to_owned();
    let stored: Vec<f64> = row.split(',').skip(5).take(5).map(|value| value.parse().unwrap()).collect();
    assert_eq!(probabilities(&plain), (stored[..4].to_vec(), stored[4]));

    let liver = client.predict(&patient(Some("Hepatomegalia dolorosa")));
    assert!(probabilities(&liver).1 > 1.2 * probabilities(&plain).1, "{liver}");
    let sum: f64 = probabilities(&liver).0.iter().sum();
    assert!((sum - 1.0).abs() <= 1e-6);
    explained(&liver, 6).unwrap();
    let denied = client.predict(&patient(Some("Niega hepatomegalia")));
    assert!(probabilities(&denied).1 < probabilities(&plain).1);
    let family = client.predict(&patient(Some("Padre con hepatomegalia")));
    assert!(probabilities(&family).1 < probabilities(&liver).1, "a father's liver is not the patient's");

    let asked =
        client.post("/api/v1/predictions?explain=orphan", &patient(Some("Hepatomegalia, sin disnea"))).json();
    let line = explained(&asked, 6).unwrap();
    assert!(number(&line["contribution"]) > 0.0);
    assert!(line["text"].as_str().unwrap().starts_with("Nota clínica, menciona «hepatomegalia»"), "{line}");

    for bad in [json!(5), json!(["x"]), json!("a\u{0}b"), json!("x".repeat(201))] {
        let mut asked = patient(None);
        asked["note"] = bad;
        let refused = client.post("/api/v1/predictions", &asked);
        assert_eq!((refused.status, refused.issues().len()), (422, 1), "{}", refused.text());
        assert!(refused.issues()[0].starts_with("note:"));
    }
    server.stop();
    deployment.assert_well();
}

#[test]
fn a_file_with_notes_is_scored_like_single_answers() {
    let (deployment, _) = noted();
    let header =
        "case_id,age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,exercise_days_per_month,note";
    let row = |id: &str, note: &str| format!("{id},54,female,O,128,78,6,{note}\n");
    let rows =
        row("plain", "") + &row("liver", "\"Hígado aumentado, no fiebre\"") + &row("long", &"x".repeat(201));
    deployment.write("asked.csv", &format!("{header}\n{rows}"));
    let scored = deployment.json("predict --in asked.csv --out scored.ndjson --explain");
    assert_eq!(scored["refused_by_reason"], json!({ "note:out_of_range": 1 }));
    let lines: Vec<Value> =
        deployment.read("scored.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines[0].get("contribution_note").is_none_or(Value::is_null), "{}", lines[0]);
    assert!(number(&lines[1]["p_orphan"]) > 1.5 * number(&lines[0]["p_orphan"]));
    let names = ["age", "gender", "blood_type", "blood_pressure", "exercise", "note"];
    assert!(names.iter().all(|name| lines[1][format!("contribution_{name}")].is_number()), "{}", lines[1]);
    // The same file without the column.
    deployment
        .write("bare.csv", &format!("{}\n{}", header.replace(",note", ""), "plain,54,female,O,128,78,6\n"));
    deployment.ok("predict --in bare.csv --out bare.ndjson");
    let bare: Value = serde_json::from_str(deployment.read("bare.ndjson").lines().next().unwrap()).unwrap();
    assert_eq!(bare["p_orphan"], lines[0]["p_orphan"]);
}

#[test]
fn the_page_asks_for_a_note_and_shows_what_told_in_it_but_never_its_text() {
    // A copy: only one server writes a deployment's prediction log.
    let deployment = noted().0.copy();
    let server = Server::start(&deployment);
    let mut client = server.client();
    let form = client.get("/").text().to_owned();
    assert!(form.contains("<textarea id=\"note\" name=\"note\"") && form.contains("Nota clínica"), "{form}");
    let values = "age_years=54&gender=female&blood_type=O&systolic_mmhg=128&diastolic_mmhg=78&exercise_days_per_month=6";
    let sent = client.form("/", &format!("{values}&note=Hepatomegalia+{WORD}"));
    assert_eq!(sent.status, 303, "{}", sent.text());
    let case = client.get(sent.header("location")).text().to_owned();
    assert!(case.contains("menciona «hepatomegalia»") && !case.contains(WORD), "{case}");
    let refused = client.form("/", &format!("{values}&note={}", "x".repeat(201)));
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("Nota clínica") && refused.text().contains("200"), "{}", refused.text());
    let without = client.form("/", values);
    assert_eq!(without.status, 303);
    let english = client.get(&format!("{}?lang=en", sent.header("location"))).text().to_owned();
    assert!(english.contains("mentions “hepatomegalia”"), "{english}");
    server.stop();
}

/// Files under a folder that hold a text as it is.
fn holding(folder: &Path, text: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            holding(&entry.path(), text, found);
        } else {
            let bytes = std::fs::read(entry.path()).unwrap();
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(entry.path().display().to_string());
            }
        }
    }
}

#[test]
fn the_text_of_a_note_is_in_no_log_metric_answer_or_file() {
    let deployment = noted().0.copy();
    let server = Server::start_tracing(&deployment);
    let mut client = server.client();
    let planted = format!("Hepatomegalia, vive con {WORD}. Madre {WORD} con disnea");
    let answer = client.predict(&patient(Some(&planted)));
    assert!(!answer.to_string().contains(WORD));
    let id = answer["prediction_id"].as_str().unwrap().to_owned();
    let mut again = vec![client.get(&format!("/api/v1/predictions/{id}")).text().to_owned()];
    again.push(client.get(&format!("/cases/{id}")).text().to_owned());
    let mut long = patient(Some(&planted));
    long["note"] = json!(format!("{planted} ").repeat(9));
    again.push(client.post("/api/v1/predictions", &long).text().to_owned());
    again.push(
        client.post("/api/v1/predictions/batch", &json!([patient(Some(&planted)), long])).text().to_owned(),
    );
    let opinion = json!({ "verdict": "wrong" });
    assert_eq!(client.post(&format!("/api/v1/predictions/{id}/feedback"), &opinion).status, 201);
    again.push(client.get("/metrics").text().to_owned());
    again.push(client.get("/openapi.json").text().to_owned());
    drop(client);
    again.push(server.stop());
    for text in &again {
        assert!(!text.contains(WORD), "{text}");
    }
    assert!(again[0].contains("HP:0002240") || again[0].contains("hepatomegalia"), "the term itself is told");

    // Commands print none of it, whatever is wrong with the file.
    let header =
        "case_id,age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,exercise_days_per_month,note";
    let good = format!("a,54,female,O,128,78,6,{planted}\n");
    deployment
        .write("more.csv", &format!("{header}\n\"{good}b,54,female,O,128,78,6,{}\n", planted.repeat(9)));
    deployment.write(
        "good.csv",
        &format!("{header}\n{}", good.replace(planted.as_str(), &format!("\"{planted}\""))),
    );
    for line in [
        "ingest more.csv --source ward",
        "ingest good.csv --source ward --json",
        "dataset quarantine",
        "dataset show --json",
        "predict --in good.csv --out scored.csv --explain",
        "train --seed 2 --json",
        "evaluate m-0002 --json",
        "model show m-0002 --json",
        "doctor --json",
    ] {
        let output = output(line, deployment.command(line.split(' ')).env("RUST_LOG", "trace"));
        let printed = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&printed).contains(WORD), "{line}");
    }
    assert!(!deployment.read("scored.csv").contains(WORD));
    // Stored, it is in the tables of cases and of refused rows alone: no bundle, log or registry has it.
    let mut found = Vec::new();
    holding(&deployment.path("hoofbeat-data"), WORD, &mut found);
    assert!(
        found.iter().all(|path| path.contains("/lake/cases/") || path.contains("/lake/quarantine/")),
        "{found:?}"
    );
}
