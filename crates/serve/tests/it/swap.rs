//! A change of champion under load, and an orderly end: no answer is lost, mixed or cut short.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clinical::Study;
use serde_json::{Value, json};

use crate::{
    house::{Client, House, JSON},
    model::{ClosedForm, study_of},
};

const PATH: &str = "/api/v1/predictions";

fn small() -> Study {
    study_of(&["gender", "exercise"])
}

/// What tells the two models apart: every number of the answer.
fn numbers(answer: &Value) -> Value {
    json!([
        answer["severity"],
        answer["rarity"]["probability_orphan"],
        answer["explanation"],
        answer["model"]
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_under_load_loses_and_mixes_nothing() {
    let house = House::with(small()).await;
    let body = json!({"gender": "male", "exercise_days_per_month": 12});
    let old = numbers(&house.predict(&body).await);
    house.throne.set(ClosedForm::new(small(), "m-0002", 1.0));
    let new = numbers(&house.predict(&body).await);
    assert!((0..3).all(|part| old[part] != new[part]));

    let stop = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = (0..4)
        .map(|_| {
            let (stop, address, body, known) =
                (Arc::clone(&stop), house.address, body.to_string(), [old.clone(), new.clone()]);
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                let mut seen = [0_usize; 2];
                while !stop.load(Ordering::Relaxed) {
                    let reply = client.send("POST", PATH, &[JSON], body.clone()).await;
                    assert_eq!(reply.status, 200);
                    let answer = numbers(&reply.json());
                    let which = known.iter().position(|known| *known == answer);
                    seen[which.expect("an answer of neither model")] += 1;
                }
                seen
            })
        })
        .collect();
    for turn in 0..40 {
        let (version, tilt) = if turn % 2 == 0 { ("m-0001", 0.0) } else { ("m-0002", 1.0) };
        house.throne.set(ClosedForm::new(small(), version, tilt));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut total = [0, 0];
    for load in loads {
        let seen = load.await.unwrap();
        total = [total[0] + seen[0], total[1] + seen[1]];
    }
    assert!(total[0] > 10 && total[1] > 10, "{total:?}");
    assert_eq!(house.log.0.pages.lock().unwrap().len(), total[0] + total[1] + 2);
}

#[tokio::test]
async fn shutdown_finishes_what_was_begun() {
    let mut house = House::with(small()).await;
    *house.log.0.delay.lock().unwrap() = Duration::from_millis(400);
    let mut idle = house.client().await;
    assert_eq!(idle.send("GET", "/healthz", &[], "").await.status, 200);
    let mut busy = house.client().await;
    let request = tokio::spawn(async move {
        let body = json!({"gender": "male", "exercise_days_per_month": 12}).to_string();
        busy.send("POST", PATH, &[JSON], body).await
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let address = house.address;
    let server = house.ask_to_stop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "it still listens");
    assert!(!server.is_finished(), "it did not wait");
    assert_eq!(request.await.unwrap().status, 200);
    tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap().unwrap();
}
