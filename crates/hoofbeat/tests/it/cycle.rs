//! The circle closes: a reported error becomes a better model, by REST alone and by the page alone; what must not change
//! the model does not; and what schedules owe is done once.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Browser, Client, Deployment, Server, replaced, small_study, trained};

/// A hang, however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(600);

/// A copy of the shared deployment whose champion, `m-0002`, knows all of its cases.
fn caught_up() -> Deployment {
    let deployment = trained().copy();
    deployment.ok("model promote m-0002");
    deployment
}

fn patient() -> Value {
    json!({ "patient_id": "p-77", "age_years": 61, "gender": "male", "blood_type": "A", "systolic_mmhg": 152,
            "diastolic_mmhg": 91, "exercise_days_per_month": 3 })
}

fn newest(deployment: &Deployment) -> Value {
    deployment.json("dataset list").as_array().unwrap().last().unwrap().clone()
}

/// Waits until a training has ended; what it is then.
fn wait_for_job(client: &mut Client, id: u64) -> Value {
    let started = Instant::now();
    loop {
        let job = client.get(&format!("/api/v1/retrainings/{id}")).json();
        if job["state"] == "succeeded" || job["state"] == "failed" {
            return job;
        }
        assert!(started.elapsed() < PATIENCE, "job {id} does not end: {job}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_reported_error_becomes_the_next_model_by_rest_alone() {
    let deployment = caught_up();
    let server = Server::start(&deployment);
    let mut client = server.client();
    let answer = client.predict(&patient());
    assert_eq!(answer["model"]["version"], "m-0002");
    let id = answer["prediction_id"].as_str().unwrap();

    let opinion = json!({ "verdict": "wrong", "severity": "chronic", "reporter": "Dr. Pérez" });
    let stored = client.post(&format!("/api/v1/predictions/{id}/feedback"), &opinion);
    assert_eq!(stored.status, 201, "{}", stored.text());
    let queue = client.get("/api/v1/reviews?state=open").json();
    let review = queue["reviews"][0]["id"].as_u64().unwrap();
    assert_eq!(queue["reviews"][0]["prediction_id"], id);
    // An opinion is no case.
    assert_eq!(newest(&deployment)["version"], 2);

    let finding = json!({ "reviewer": "Dra. Ruiz", "severity": "chronic", "rarity": "common", "disease_code": "ICD-10:I10" });
    let resolved = client.post(&format!("/api/v1/reviews/{review}/resolution"), &finding);
    assert_eq!(
        (resolved.status, &resolved.json()["dataset_version"]),
        (200, &json!(3)),
        "{}",
        resolved.text()
    );
    let again = client.post(&format!("/api/v1/reviews/{review}/resolution"), &finding).json();
    assert_eq!(again["dataset_version"], 3);
    let version = newest(&deployment);
    assert_eq!((&version["version"], &version["totals"]["sources"]["review"]), (&json!(3), &json!(1)));

    let asked = client.post("/api/v1/retrainings", &json!({ "mode": "incremental", "requested_by": "Ana" }));
    assert_eq!(asked.status, 202, "{}", asked.text());
    let job = wait_for_job(&mut client, asked.json()["id"].as_u64().unwrap());
    assert_eq!(
        (&job["state"], &job["outcome"]["decision"]),
        (&json!("succeeded"), &json!("promoted")),
        "{job}"
    );
    assert_eq!(job["outcome"]["cases"], json!({ "added": 1, "of_reviews": 1 }));
    server.wait_for_model("m-0003");
    assert_eq!(client.predict(&patient())["model"], json!({ "version": "m-0003", "dataset_version": 3 }));

    // The record tells what, why, on what data, by which figures and who.
    let change = &client.get("/api/v1/models/history").json()["changes"][0];
    assert_eq!((&change["kind"], &change["cause"]), (&json!("promotion"), &json!("retrain:incremental")));
    assert_eq!((&change["requested_by"], &change["previous"]), (&json!("api:Ana"), &json!("m-0002")));
    let evidence = &change["evidence"];
    assert_eq!(evidence["data"]["dataset_version"], json!({ "before": 2, "after": 3 }));
    for figure in ["f1_common", "orphan_recall", "log_loss"] {
        for side in ["before", "after", "difference"] {
            let figure = &evidence["figures"][side][figure];
            assert!(figure["low"].as_f64() <= figure["high"].as_f64(), "{side}: {figure}");
            assert!(figure["value"].is_f64(), "{side}: {figure}");
        }
    }
    assert_eq!(evidence["verification"]["holds"], true);
    assert!(evidence["limits"].as_array().unwrap().iter().all(|limit| limit["holds"] == true), "{evidence}");
    assert!(evidence["gates"]["verdicts"].as_array().unwrap().len() > 3);

    // It went on from the champion, and can be made again byte for byte.
    let shown = deployment.json("model show m-0003");
    assert_eq!(shown["run"]["parameters"]["mode"], "incremental");
    let made = deployment.json("model reproduce m-0003");
    assert_eq!(made["identical"], true, "{made}");
    // Nothing new: nothing is made.
    let idle = deployment.json("retrain --mode incremental");
    assert_eq!((&idle["decision"], &idle["challenger"]), (&json!("nothing"), &Value::Null));

    assert_eq!(client.send("POST", "/api/v1/models/rollback", &[], b"").status, 200);
    assert_eq!(client.predict(&patient())["model"]["version"], "m-0002");
    assert_eq!(deployment.json("model history")["changes"][0]["kind"], "rollback");
    server.stop();
    deployment.assert_well();
}

#[test]
fn a_reported_error_becomes_the_next_model_by_the_page_alone() {
    let deployment = caught_up();
    let server = Server::start(&deployment);
    let mut browser = Browser::open();
    browser.set_language("es");
    browser.go(&server.url("/"));
    for (name, value) in [
        ("age_years", "61"),
        ("systolic_mmhg", "152"),
        ("diastolic_mmhg", "91"),
        ("exercise_days_per_month", "3"),
    ] {
        browser.fill(&format!("#{name}"), value);
    }
    browser.click("label:has(> input[name=gender][value=male])");
    browser.click("label:has(> input[name=blood_type][value=A])");
    browser.click("main form[action='/'] button[type=submit]");
    browser.wait_for("#result");
    assert!(browser.text("#result .facts").contains("m-0002"));
    browser.click("[data-open=feedback-dialog]");
    browser.wait_for("#feedback-dialog");
    browser.click("#feedback-dialog label:has(> input[value=chronic])");
    browser.fill("#feedback-dialog #reporter", "Dr. Pérez");
    browser.click("#feedback-dialog button[type=submit]");
    browser.wait_for("#opinion p[role=status]");

    // The reviewer: the queue, the case with its answer, the finding, the second look.
    browser.click("a[href='/reviews']");
    browser.wait_for("#queue");
    assert!(browser.text("#queue").contains("Notificado como error"));
    browser.click("#queue a[href='/reviews/1']");
    browser.wait_for("#resolve");
    assert!(browser.text("main").contains("Dr. Pérez") && browser.text("#h-why") == "Por qué este resultado");
    browser.click("#resolve label:has(> input[name=severity][value=chronic])");
    browser.click("#resolve label:has(> input[name=rarity][value=common])");
    browser.fill("#disease_code", "ICD-10:I10");
    browser.fill("#reviewer", "Dra. Ruiz");
    browser.click("#resolve button[value=case]");
    browser.wait_for("#confirm");
    assert!(browser.text("#confirm").contains("ENFERMEDAD CRÓNICA · Común · ICD-10:I10"));
    browser.click("#confirm button[value=confirm]");
    browser.wait_for("#place");
    assert!(browser.text("#place").contains("versión 3 de los datos"));

    // The cycle: a training, looked at twice, and its end.
    browser.click("a[href='/cycle']");
    browser.wait_for("#retrain");
    browser.click("#retrain label:has(> input[value=incremental])");
    browser.fill("#retrain #name", "Ana");
    browser.click("#retrain button[type=submit]");
    browser.wait_for("#confirm");
    browser.click("#confirm button[value=confirm]");
    // The page follows the training by itself.
    let started = Instant::now();
    while !browser.sees("#jobs .tag.ok") {
        assert!(!browser.sees("#jobs .tag.crit"), "the training failed");
        assert!(started.elapsed() < PATIENCE, "the page does not show the training's end");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(browser.text("#jobs").contains("m-0003: en uso"), "{}", browser.text("#jobs"));
    assert!(browser.text("#changes").contains("Reentrenamiento incremental"));
    server.wait_for_model("m-0003");
    browser.go(&server.url("/"));
    assert!(browser.text(".side-foot").contains("m-0003"));
    assert_eq!(browser.complaints(), [""; 0], "the browser complained");
    server.stop();
    deployment.assert_well();
}

#[test]
fn five_hundred_wrong_labels_change_nothing_and_are_shown_as_a_flood() {
    let deployment = caught_up();
    let server = Server::start(&deployment);
    let mut client = server.client();
    for n in 0..500 {
        let answer = client.predict(&patient());
        let id = answer["prediction_id"].as_str().unwrap();
        let body =
            json!({ "verdict": "wrong", "severity": "acute", "rarity": "orphan", "reporter": "Mallory" });
        assert_eq!(client.post(&format!("/api/v1/predictions/{id}/feedback"), &body).status, 201, "{n}");
    }
    let flood = client.get("/api/v1/reviews?state=open&limit=1000").json();
    let reviews = flood["reviews"].as_array().unwrap();
    assert_eq!(reviews.len(), 500);
    assert!(reviews.iter().all(|review| review["marks"]["flood"] == 500), "a report is not marked");
    assert!(
        client.get("/reviews").text().contains("Una de 500 notificaciones de la misma persona en un día")
    );
    // Somebody else's report comes before most of them.
    let honest = client.predict(&patient())["prediction_id"].as_str().unwrap().to_owned();
    let body = json!({ "verdict": "wrong", "severity": "mild", "reporter": "Ana" });
    client.post(&format!("/api/v1/predictions/{honest}/feedback"), &body);
    let queue = client.get("/api/v1/reviews?state=open&limit=60").json();
    assert!(queue["reviews"].to_string().contains(&honest));

    // No data, no outcome, nothing to learn, in any mode.
    assert_eq!(newest(&deployment)["version"], 2);
    for mode in ["incremental", "full", "orphan"] {
        let turn = deployment.json(&format!("retrain --mode {mode}"));
        assert_eq!((&turn["decision"], &turn["challenger"]), (&json!("nothing"), &Value::Null), "{mode}");
    }
    assert_eq!(client.predict(&patient())["model"]["version"], "m-0002");
    server.stop();
    deployment.assert_well();
}

#[test]
fn limits_hold_a_challenger_back_and_a_second_person_lets_one_through() {
    let deployment = caught_up();
    deployment.ok("synth --rows 1500 --seed 3 --out third.csv");
    deployment.ok("ingest third.csv --source reference");
    // Nobody's answer may change: more than a study should ask, and enough to hold any challenger, whatever a study of its
    // own would allow.
    let allowing = |share: &str| replaced(&small_study(), "changed_people = 0.20", share);
    deployment.write("study.toml", &allowing("changed_people = 0.0"));
    deployment.write("loose.toml", &allowing("changed_people = 1.0"));
    let held = deployment.run("--study loose.toml retrain --mode full --json").exits(3).json();
    assert_eq!((&held["decision"], &held["challenger"]["promoted"]), (&json!("held"), &json!(false)));
    let because = held["because"].to_string();
    assert!(because.contains("the answer changes for") && because.contains("above 0.0 %"), "{because}");
    let change = &deployment.json("model history")["changes"][0];
    assert_eq!((&change["kind"], &change["model"]), (&json!("hold"), &held["challenger"]["model"]));
    assert_eq!(deployment.json("model show")["model"]["version"], "m-0002");
    assert_eq!(deployment.json("model show m-0003")["model"]["stage"], "candidate");

    deployment.write("study.toml", &small_study());
    let configured = deployment.read("hoofbeat.toml") + "[cycle]\napproval = \"second_person\"\n";
    deployment.write("hoofbeat.toml", &configured);
    let rehearsed = deployment.json("retrain --mode incremental --dry-run");
    assert_eq!((&rehearsed["decision"], &rehearsed["change"]), (&json!("rehearsed"), &Value::Null));
    let turn = deployment.json("retrain --mode incremental");
    assert_eq!(
        (&turn["decision"], &turn["challenger"]["gates_hold"]),
        (&json!("waits"), &json!(true)),
        "{turn}"
    );
    assert_eq!(turn["challenger"]["compared"], rehearsed["challenger"]["compared"]);
    assert_eq!(deployment.json("model show")["model"]["version"], "m-0002");
    let asker = turn_asker(&deployment);
    let refused = deployment.run(&format!("model approve m-0004 --approver {asker}")).exits(1);
    assert!(refused.reason().contains("second person"), "{}", refused.reason());
    deployment.ok("model approve m-0004 --approver Eva");
    assert_eq!(deployment.json("model show")["model"]["version"], "m-0004");
    let history = deployment.json("model history");
    assert_eq!(
        (&history["changes"][0]["kind"], &history["changes"][0]["actor"]),
        (&json!("promotion"), &json!("cli:Eva"))
    );
    // Small steps: an incremental model stays near the one that it went on from.
    let changed = &turn["challenger"]["difference"];
    let people = |extent: &str| changed[extent]["people"].as_f64().unwrap();
    assert!(people("changed") / people("all") < 0.10, "{changed}");
    deployment.assert_well();
}

#[test]
fn a_looser_study_does_not_loosen_the_gates_that_judge_it() {
    let deployment = caught_up();
    deployment.write("loose.toml", &replaced(&small_study(), "at_least = 0.50", "at_least = 0.01"));
    let bound = |report: &Value| {
        let verdicts = report["validation"]["gates"].as_array().unwrap();
        let gate = verdicts.iter().find(|verdict| verdict["rule"]["metric"] == "f1_common").unwrap();
        gate["rule"]["bound"].as_f64().unwrap()
    };
    // The deployment names no study: the champion's judges.
    let configured = deployment.read("hoofbeat.toml");
    deployment.write("hoofbeat.toml", "");
    let trained = deployment.run("--study loose.toml train --json").exits(0).json();
    assert_eq!(bound(&trained), 0.50);
    assert_eq!(trained["validation"]["judged_by"], deployment.json("model show")["model"]["study_hash"]);
    assert_ne!(trained["validation"]["judged_by"], trained["model"]["study_hash"]);

    // It names one: that judges, whatever the command works with.
    deployment.write("hoofbeat.toml", &configured);
    deployment.write("study.toml", &replaced(&small_study(), "at_least = 0.50", "at_least = 0.999"));
    let refused = deployment.run("--study loose.toml train --json").exits(3).json();
    assert_eq!(bound(&refused), 0.999);
    let version = refused["model"]["version"].as_str().unwrap();
    assert_eq!(deployment.run(&format!("evaluate {version} --json")).exits(3).json()["gates_hold"], false);
    deployment.run(&format!("--study loose.toml model promote {version}")).exits(3);
    // What the champion's study let pass before, the deployment's judges anew.
    let passed = trained["model"]["version"].as_str().unwrap();
    assert_eq!(deployment.json(&format!("model show {passed}"))["model"]["stage"], "validated");
    deployment.run(&format!("model promote {passed}")).exits(3);
    let server = Server::start(&deployment);
    let asked = server.client().send("POST", &format!("/api/v1/models/{passed}/promote"), &[], b"");
    assert_eq!(asked.status, 409);
    assert!(asked.json()["detail"].as_str().unwrap().contains(passed), "{}", asked.json());
    server.stop();
    assert_eq!(deployment.json("model show")["model"]["version"], "m-0002");
    deployment.ok(&format!("model promote {passed} --override-gates --reason known"));
    let shown = deployment.json("model show")["model"].clone();
    assert_eq!(
        (&shown["version"], &shown["gates"]["overridden"]["reason"]),
        (&json!(passed), &json!("known"))
    );
}

/// The name under which the command line's requests are recorded.
fn turn_asker(deployment: &Deployment) -> String {
    let history = deployment.json("model history");
    let by = history["changes"][0]["requested_by"].as_str().unwrap();
    by.split_once(':').unwrap().1.to_owned()
}

#[test]
fn a_challenger_in_the_shadow_is_counted_before_it_is_used() {
    let deployment = caught_up();
    let study = replaced(&small_study(), "shadow_days = 0", "shadow_days = 7");
    deployment.write("study.toml", &study);
    deployment.ok("synth --rows 500 --seed 3 --out third.csv");
    deployment.ok("ingest third.csv --source reference");
    let turn = deployment.json("retrain --mode incremental");
    assert_eq!(
        (&turn["decision"], &turn["challenger"]["gates_hold"]),
        (&json!("shadow"), &json!(true)),
        "{turn}"
    );
    let server = Server::start(&deployment);
    let mut client = server.client();
    let mut dice = crate::harness::Dice(11);
    for _ in 0..40 {
        // Nobody is shown what the challenger says.
        let answer = client.predict(&crate::harness::random_patient(&mut dice));
        assert_eq!(answer["model"]["version"], "m-0002");
    }
    server.stop();
    let during = deployment.run("schedule run-due --json").exits(0).json();
    assert_eq!(during, json!({ "queued": [], "done": [] }), "the period goes on");
    let after = deployment.run("schedule run-due --now 2100-01-01T00:00:00Z --json").exits(0).json();
    let outcome = &after["done"][0]["outcome"];
    assert_eq!(
        (&outcome["decision"], &outcome["shadow"]["patients"]),
        (&json!("promoted"), &json!(40)),
        "{after}"
    );
    let change = &deployment.json("model history")["changes"][0];
    assert_eq!(change["evidence"]["shadow"], outcome["shadow"]);
    assert_eq!(deployment.json("model show")["model"]["version"], "m-0003");
    deployment.assert_well();
}

#[test]
fn what_schedules_owe_is_done_once() {
    let deployment = caught_up();
    let configured = deployment.read("hoofbeat.toml")
        + "[schedule]\nincremental = \"monthly 1 03:00\"\norphan = \"at once\"\n";
    deployment.write("hoofbeat.toml", &configured);
    let planned = deployment.json("schedule list");
    let kinds: Vec<&str> =
        planned["schedules"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["orphan", "incremental"]);
    assert!(deployment.ok("schedule run-due").contains("nothing is owed"));

    let mut cases =
        "case_id,patient_id,recorded_at,age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,\
                     exercise_days_per_month,severity,rarity,disease_code,confirmed_at\n"
            .to_owned();
    for i in 0..20 {
        cases += &format!(
            "c-{i},p-{i},2026-03-01,{},male,AB,191,124,30,chronic,orphan,ORPHA:905,2026-03-02\n",
            8 + i % 3
        );
    }
    deployment.write("cases.csv", &cases);
    deployment.ok("ingest cases.csv --source hospital");
    // Two that ask at once: the job is one.
    let due = "schedule run-due --json";
    let runs: Vec<_> = std::thread::scope(|scope| {
        let asks: Vec<_> = (0..2).map(|_| scope.spawn(|| deployment.run(due).exits(0).json())).collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    let done: Vec<&Value> = runs.iter().flat_map(|run| run["done"].as_array().unwrap()).collect();
    assert_eq!(done.len(), 1, "{runs:?}");
    assert_eq!(
        (&done[0]["slot"], &done[0]["outcome"]["decision"]),
        (&json!("orphan@dataset-3"), &json!("promoted"))
    );
    assert_eq!(done[0]["requested_by"], "schedule");
    assert!(deployment.ok("schedule run-due").contains("nothing is owed"));
    let change = &deployment.json("model history")["changes"][0];
    assert_eq!((&change["actor"], &change["cause"]), (&json!("schedule"), &json!("retrain:orphan")));

    // Two years on, the newest missed slot is made up for, once.
    let later = "schedule run-due --now 2100-05-15T00:00:00Z --json";
    let made_up = deployment.run(later).exits(0).json();
    assert_eq!(made_up["queued"][0]["slot"], "incremental@2100-05-01T03:00Z");
    assert_eq!(made_up["done"][0]["state"], "succeeded");
    assert_eq!(deployment.run(later).exits(0).json(), json!({ "queued": [], "done": [] }));
    for wrong in ["incremental = \"sometimes\"", "full = \"at once\""] {
        deployment.write("wrong.toml", &format!("[schedule]\n{wrong}\n"));
        assert!(deployment.run("--config wrong.toml schedule list").exits(1).reason().contains("wrong.toml"));
    }
    deployment.assert_well();
}

#[test]
fn reviews_are_suggested_resolved_and_fed_by_outcomes_from_the_command_line() {
    let deployment = caught_up();
    let server = Server::start(&deployment);
    let mut client = server.client();
    let mut dice = crate::harness::Dice(5);
    let ids: Vec<String> = (0..80)
        .map(|_| {
            let answer = client.predict(&crate::harness::random_patient(&mut dice));
            answer["prediction_id"].as_str().unwrap().to_owned()
        })
        .collect();
    server.stop();
    let outcome = format!(
        "prediction_id,severity,rarity,disease_code,confirmed_at\n{},mild,common,,2026-03-01\n{},healthy,common,,2026-03-01\n\
         00000000-0000-0000-0000-000000000000,mild,common,,2026-03-01\n",
        ids[0], ids[1]
    );
    deployment.write("outcomes.csv", &outcome);
    let added = deployment.json("outcome add outcomes.csv --source ehr");
    assert_eq!((&added["added"], &added["refused"]), (&json!(1), &json!(2)), "{added}");
    assert_eq!(deployment.json("outcome add outcomes.csv --source ehr")["known"], 1);

    // Of a small pool, the newest answers alone are asked about.
    let small = deployment.copy();
    let pool = |size: u32| format!("study = \"study.toml\"\n[review]\npool = {size}\n");
    small.write("hoofbeat.toml", &pool(7));
    assert_eq!(small.json("review suggest -n 10 --seed 1")["candidates"], 7);
    let asked = small.json("review list --state open");
    let asked: Vec<&str> =
        asked.as_array().unwrap().iter().map(|review| review["prediction_id"].as_str().unwrap()).collect();
    assert!(
        asked.len() == 7 && asked.iter().all(|id| ids[73..].iter().any(|newest| newest == id)),
        "{asked:?}"
    );
    assert_eq!(small.json("review suggest -n 10 --seed 1")["candidates"], 0);
    small.write("hoofbeat.toml", &pool(0));
    assert!(small.run("review suggest").exits(1).reason().contains("[review] pool"));

    let opened = deployment.json("review suggest -n 10 --seed 1");
    assert_eq!(
        (&opened["candidates"], &opened["informative"], &opened["random"]),
        (&json!(79), &json!(10), &json!(1))
    );
    let queue = deployment.json("review list --state open");
    let queue = queue.as_array().unwrap();
    let reasons: Vec<&str> = queue.iter().map(|review| review["reason"].as_str().unwrap()).collect();
    let suspected = reasons.iter().take_while(|reason| **reason == "orphan_suspected").count();
    assert_eq!(suspected as u64, opened["suspicions"].as_u64().unwrap());
    assert_eq!(reasons.len(), suspected + 10);
    assert_eq!(reasons.iter().filter(|reason| **reason == "unbiased_sample").count(), 1);
    assert!(!queue.iter().any(|review| review["prediction_id"] == ids[0].as_str()), "its outcome is known");
    let text = deployment.ok("review list");
    assert!(text.contains("drawn at random, the unbiased sample") && text.contains("bits"), "{text}");

    let id = &queue[suspected]["id"];
    let wrong = deployment.run(&format!("review resolve {id} --severity ill --reviewer Ana")).exits(1);
    assert!(wrong.reason().to_lowercase().contains("severity"), "{}", wrong.reason());
    let resolved =
        deployment.json(&format!("review resolve {id} --severity mild --rarity common --reviewer Ana"));
    assert_eq!((&resolved["dataset_version"], &resolved["resolved_by"]), (&json!(3), &json!("cli:Ana")));
    let other = &queue[suspected + 1]["id"];
    assert!(deployment.ok(&format!("review dismiss {other} --reviewer Ana")).contains("dismissed"));
    assert!(deployment.ok(&format!("review show {id}")).contains("its case is in dataset version 3"));
    let case = &newest(&deployment)["ingest"];
    assert_eq!((&case["source"], &case["accepted"]), (&json!("review"), &json!(1)));

    // Two reviewers where the deployment asks for them.
    deployment.write("hoofbeat.toml", &(deployment.read("hoofbeat.toml") + "[review]\nconfirmations = 2\n"));
    let third = &queue[suspected + 2]["id"];
    let line = |name: &str| {
        format!(
            "review resolve {third} --severity chronic --rarity orphan --disease ORPHA:586 --reviewer {name}"
        )
    };
    assert!(deployment.ok(&line("Ana")).contains("waits for another reviewer"));
    assert_eq!(newest(&deployment)["version"], 3);
    assert_eq!(deployment.json(&line("Eva"))["dataset_version"], 4);
    deployment.assert_well();
}
