//! A change of champion under load, and an orderly end: no answer is lost, mixed or cut short.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use clinical::Study;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    house::{Client, House, JSON, PATIENCE, until},
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
    let seen: Arc<[AtomicUsize; 2]> = Arc::default();
    let loads: Vec<_> = (0..4)
        .map(|_| {
            let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
            let (address, body, known) = (house.address, body.to_string(), [old.clone(), new.clone()]);
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                while !stop.load(Ordering::Relaxed) {
                    let reply = client.send("POST", PATH, &[JSON], body.clone()).await;
                    assert_eq!(reply.status, 200);
                    let answer = numbers(&reply.json());
                    let which = known.iter().position(|known| *known == answer);
                    seen[which.expect("an answer of neither model")].fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for turn in 0..40 {
        let (version, tilt) = if turn % 2 == 0 { ("m-0001", 0.0) } else { ("m-0002", 1.0) };
        let before = seen[turn % 2].load(Ordering::Relaxed);
        house.throne.set(ClosedForm::new(small(), version, tilt));
        until("an answer of the new model", async || seen[turn % 2].load(Ordering::Relaxed) > before).await;
    }
    stop.store(true, Ordering::Relaxed);
    for load in loads {
        load.await.unwrap();
    }
    let total: usize = seen.iter().map(|seen| seen.load(Ordering::Relaxed)).sum();
    assert_eq!(house.log.0.pages.lock().unwrap().len(), total + 2);
}

#[tokio::test]
async fn shutdown_finishes_what_was_begun() {
    let mut house = House::with(small()).await;
    let gate = Arc::clone(&house.log.0.gate);
    let closed = gate.write().await;
    let mut idle = house.client().await;
    assert_eq!(idle.send("GET", "/healthz", &[], "").await.status, 200);
    let mut busy = house.client().await;
    let request = tokio::spawn(async move {
        let body = json!({"gender": "male", "exercise_days_per_month": 12}).to_string();
        busy.send("POST", PATH, &[JSON], body).await
    });
    let log = house.log.clone();
    until("the request", async || log.0.came.load(Ordering::Relaxed) > 0).await;
    let address = house.address;
    let server = house.ask_to_stop();
    until("the end of listening", async || TcpStream::connect(address).await.is_err()).await;
    assert!(!server.is_finished() && !request.is_finished(), "it did not wait");
    drop(closed);
    assert_eq!(request.await.unwrap().status, 200);
    tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap().unwrap();
}
