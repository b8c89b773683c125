//! "Not sure: ask": a study that wants four patients in five answered, from training to the page.

use crate::harness::{Client, Deployment, Dice, Server, random_patient, replaced, small_study};

#[test]
fn the_least_certain_patients_get_no_answer_and_are_told_so() {
    let study = replaced(&small_study(), "coverage = 1.0", "coverage = 0.8");
    let deployment = Deployment::with_study(&study);
    deployment.ok("synth --rows 5000 --seed 5 --out cases.csv");
    deployment.ok("ingest cases.csv --source reference");
    let trained = deployment.json("train --seed 1");
    let number = |pointer: &str| trained.pointer(pointer).and_then(serde_json::Value::as_f64).unwrap();
    let chosen = "/training/abstention";
    let threshold = number(&format!("{chosen}/threshold"));
    let (right, right_answered) =
        (number(&format!("{chosen}/accuracy")), number(&format!("{chosen}/accuracy_answered")));
    assert!(right_answered > right + 0.02, "{right_answered} of the answered, {right} of all");
    // On cases that training has not seen, too.
    let answered = number("/validation/answered/value");
    assert!((0.7..0.9).contains(&answered), "{answered}");
    let (among, all) =
        (number("/validation/among_answered/macro_f1/value"), number("/validation/macro_f1/value"));
    assert!(among > all, "{among} {all}");

    deployment.ok("model promote m-0001 --override-gates --reason abstention");
    let server = Server::start(&deployment);
    let mut client: Client = server.client();
    let mut dice = Dice(11);
    let (mut unsure, mut sure) = (0, 0);
    for _ in 0..60 {
        let answer = client.predict(&random_patient(&mut dice));
        let told = answer["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == "not_sure");
        let class = answer["severity"]["class"].as_str().unwrap();
        let p = answer["severity"]["probabilities"][class].as_f64().unwrap();
        let alarmed = answer["rarity"]["class"] == "orphan";
        assert_eq!(told, !alarmed && p < threshold, "{answer}");
        let page = client.get(&format!("/cases/{}", answer["prediction_id"].as_str().unwrap()));
        assert_eq!(page.text().contains("NO CONCLUYENTE"), told);
        *(if told { &mut unsure } else { &mut sure }) += 1;
    }
    assert!(unsure > 0 && sure > 0, "{unsure} {sure}");
    drop(server);
    deployment.assert_well();

    let wrong = replaced(&study, "coverage = 0.8", "coverage = 0.0");
    deployment.write("study.toml", &wrong);
    let refused = deployment.run("train").exits(1);
    assert!(refused.reason().contains("[abstention]"), "{}", refused.reason());
}
