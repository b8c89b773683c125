//! The doctor's path in a real browser: form, mistakes, result, language, opinion; with scripts and without.

use serde_json::Value;

use crate::harness::{Browser, Client, Deployment, Dice, Server, random_patient, table, trained};

struct Visit {
    browser: Browser,
    server: Server,
    _deployment: Deployment,
}

/// A browser that asks for Spanish, and a server with a champion.
fn visit() -> Visit {
    let deployment = trained().copy();
    let server = Server::start(&deployment);
    let mut browser = Browser::open();
    browser.set_language("es");
    Visit { browser, server, _deployment: deployment }
}

const NUMBERS: [(&str, &str); 4] = [
    ("age_years", "67"),
    ("systolic_mmhg", "178"),
    ("diastolic_mmhg", "104"),
    ("exercise_days_per_month", "2"),
];

fn choose(browser: &mut Browser, name: &str, code: &str) {
    // The button itself is hidden behind its label.
    browser.click(&format!("label:has(> input[name={name}][value={code}])"));
}

fn fill_in(browser: &mut Browser) {
    for (name, value) in NUMBERS {
        browser.fill(&format!("#{name}"), value);
    }
    choose(browser, "gender", "female");
    choose(browser, "blood_type", "A");
}

const SEND: &str = "main form[action='/'] button[type=submit]";

/// The result says the class in words and number, and why.
fn assert_result(browser: &mut Browser) {
    browser.wait_for("#result");
    let verdict = browser.text("#h-res");
    assert!(browser.sees("#result .glyph svg") && browser.text("#result .big b").contains('%'));
    assert_eq!(browser.text("#result .prob h2"), "Probabilidades");
    assert_eq!(browser.text("#h-why"), "Por qué este resultado");
    let table = browser.text("table.wf");
    for part in ["Punto de partida", "178/104 mmHg (Alta 2)", "67 años", "2 días al mes"] {
        assert!(table.contains(part), "no {part} in {table}");
    }
    assert!(browser.text(".orphan-line").contains("Enfermedad huérfana"));
    assert!(browser.title().contains(&verdict));
    // What was typed stays, and no address holds it.
    assert_eq!(browser.attribute("#age_years", "value"), "67");
    let address = browser.address();
    assert!(address.contains("/cases/") && !address.contains("178"), "{address}");
}

#[test]
fn a_doctor_classifies_a_patient_and_disagrees() {
    let Visit { mut browser, server, _deployment } = visit();
    browser.go(&server.url("/"));
    assert_eq!(browser.text("h1"), "Clasificar");
    assert!(browser.text("main").contains("Sin resultado todavía"));

    // Mistakes are said while typing, at the field.
    browser.fill("#systolic_mmhg", "300");
    browser.wait_for("#systolic_mmhg-e");
    assert!(browser.text("#systolic_mmhg-e").contains("debe estar entre 50 y 280 mmHg"));
    assert_eq!(browser.attribute("#systolic_mmhg", "aria-invalid"), "true");
    browser.click(SEND);
    browser.wait_for("#age_years-e");
    assert!(browser.address().ends_with('/'), "a form with mistakes was sent");
    fill_in(&mut browser);
    assert!(!browser.sees("#systolic_mmhg-e"));

    browser.click(SEND);
    assert_result(&mut browser);
    let case = browser.address();
    // Reloading asks nobody twice.
    browser.go(&case);
    assert_result(&mut browser);

    browser.click("a[hreflang=en]");
    browser.wait_for("html[lang=en] body");
    assert_eq!(browser.text("#h-why"), "Why this result");
    assert!(browser.text("table.wf").contains("178/104 mmHg (Stage 2)"));
    // The choice is kept on the next page.
    browser.go(&server.url("/"));
    assert!(browser.text("main").contains("Patient data"));
    browser.click("a[hreflang=es]");
    browser.wait_for("html[lang=es] body");

    browser.go(&case);
    browser.click("[data-open=feedback-dialog]");
    browser.wait_for("#feedback-dialog");
    browser.click("#feedback-dialog label:has(> input[value=chronic])");
    browser.click("#feedback-dialog label:has(> input[value=common])");
    browser.fill("#disease_code", "ICD-10:I10");
    browser.fill("#comment", "HTA conocida");
    browser.click("#feedback-dialog button[type=submit]");
    browser.wait_for("#opinion p[role=status]");
    assert!(browser.text("#opinion").contains("está en la cola de revisión"));

    let id = case.rsplit('/').next().unwrap().split(['?', '#']).next().unwrap();
    let kept = server.client().get(&format!("/api/v1/predictions/{id}")).json();
    assert_eq!(kept["feedback"][0]["severity"], "chronic");
    assert_eq!(kept["feedback"][0]["comment"], "HTA conocida");
    assert_eq!(browser.complaints(), [""; 0], "the browser complained");
}

/// The address of a case of this class, entered by a form of random patients.
fn case_of(client: &mut Client, class: &str) -> String {
    let mut dice = Dice(4);
    for _ in 0..20_000 {
        let patient = random_patient(&mut dice);
        if table("m-0001").of(&patient).severity != class {
            continue;
        }
        let field = |(name, value): (&String, &Value)| match value.as_str() {
            Some(code) => format!("{name}={code}"),
            None => format!("{name}={value}"),
        };
        let fields: Vec<String> = patient.as_object().unwrap().iter().map(field).collect();
        return client.form("/", &fields.join("&")).header("location").to_owned();
    }
    panic!("no patient is {class}")
}

/// The hue of a computed colour, in degrees.
fn hue(colour: &str) -> f64 {
    let numbers = colour.trim_start_matches(|c: char| !c.is_ascii_digit()).trim_end_matches(')').split(", ");
    let rgb: Vec<f64> = numbers.take(3).map(|part| part.parse().unwrap()).collect();
    let [r, g, b] = rgb[..] else { panic!("{colour} is no colour") };
    // Preucil's circle: the angle of the colour's vector between red, green and blue.
    (3f64.sqrt() * (g - b)).atan2(2.0 * r - g - b).to_degrees().rem_euclid(360.0)
}

#[test]
fn each_result_has_words_an_icon_and_a_colour_of_its_own() {
    let Visit { mut browser, server, _deployment } = visit();
    let mut icons = Vec::new();
    for (class, words, hues) in [
        ("healthy", "NO ENFERMO", 100.0..180.0),
        ("mild", "ENFERMEDAD LEVE", 35.0..65.0),
        ("acute", "ENFERMEDAD AGUDA", 0.0..20.0),
        ("chronic", "ENFERMEDAD CRÓNICA", 0.0..20.0),
    ] {
        browser.go(&server.url(&case_of(&mut server.client(), class)));
        browser.wait_for("#result .glyph svg");
        assert_eq!(browser.text("#h-res"), words);
        let hue = hue(&browser.style("#result .glyph", "background-color"));
        assert!(hues.contains(&hue), "{class} has a hue of {hue} degrees");
        icons.push(browser.attribute("#result .glyph use", "href"));
    }
    // Never colour alone: green, yellow and red differ in their icon, too.
    assert!(icons[0] != icons[1] && icons[1] != icons[2] && icons[0] != icons[2], "{icons:?}");
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let Visit { mut browser, server, _deployment } = visit();
    // A new browser shows a page of its own first: what that asked for is not ours.
    browser.go("about:blank");
    browser.requests();
    browser.go(&server.url("/"));
    fill_in(&mut browser);
    browser.click(SEND);
    browser.wait_for("#result");
    for page in ["/model", "/docs", "/nothing"] {
        browser.go(&server.url(page));
    }
    let home = server.url("/");
    let asked = browser.requests();
    assert!(asked.iter().any(|url| url.starts_with(&server.url("/assets/"))), "{asked:?}");
    let foreign: Vec<_> =
        asked.iter().filter(|url| !url.starts_with(&home) && !url.starts_with("data:")).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    // Nor could it be.
    for page in ["/", "/model", "/docs"] {
        let reply = server.client().send("GET", page, &[("accept", "text/html")], b"");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{page}: {policy}");
        assert!(!policy.contains("http:") && !policy.contains("https:") && !policy.contains('*'), "{policy}");
    }
}

#[test]
fn the_page_works_without_scripts() {
    let Visit { mut browser, server, _deployment } = visit();
    browser.set_scripts(false);
    browser.go(&server.url("/"));
    fill_in(&mut browser);
    browser.fill("#systolic_mmhg", "300");
    browser.click(SEND);
    browser.wait_for(".errsum");
    assert!(browser.text(".errsum").contains("Sistólica: debe estar entre 50 y 280 mmHg"));
    assert_eq!(browser.attribute("#age_years", "value"), "67", "what was typed is lost");
    browser.fill("#systolic_mmhg", "178");
    browser.click(SEND);
    assert_result(&mut browser);
    // The dialog's link is a page of its own then.
    browser.click("[data-open=feedback-dialog]");
    browser.wait_for("form.opinion");
    assert!(browser.address().ends_with("/feedback"), "{}", browser.address());
    browser.click("label:has(> input[value=unknown])");
    browser.click("form.opinion button[type=submit]");
    browser.wait_for("#opinion p[role=status]");
    assert!(browser.text("#opinion").contains("Gracias"));
}

#[test]
fn a_bare_form_is_enough() {
    let deployment = trained().copy();
    let server = Server::start(&deployment);
    let mut client = server.client();
    let fields = "age_years=67&gender=female&blood_type=A&systolic_mmhg=178&diastolic_mmhg=104&exercise_days_per_month=2";
    let sent = client.form("/", fields);
    assert_eq!(sent.status, 303);
    let case = sent.header("location").to_owned();
    let page = client.get(&case);
    for part in ["Por qué este resultado", "178/104 mmHg (Alta 2)", "m-0001", "Coincide"] {
        assert!(page.text().contains(part), "no {part}");
    }
    let agreed = client.form(&format!("{case}/feedback"), "verdict=confirmed&key=k");
    assert_eq!((agreed.status, agreed.header("location")), (303, format!("{case}#opinion").as_str()));
    assert!(client.get(&case).text().contains("Gracias. Consta que el resultado coincide"));
    let mistakes = client.form("/", "age_years=167");
    assert_eq!(mistakes.status, 422);
    assert!(mistakes.text().contains("Edad: debe estar entre 0 y 120 años"));
}
