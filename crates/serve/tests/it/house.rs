//! A running server for one test: ports in memory, a registry in a temporary folder, a real socket.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use clinical::Study;
use http_body_util::{BodyExt, Full};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use registry::{ModelVersion, Registry};
use serde_json::Value;
use serve::{
    Settings, State, Version,
    ports::{
        Catalogue, CatalogueError, Champions, Circle, CircleError, LogError, Model, Pending, PredictionLog,
    },
};
use tokio::{net::TcpListener, net::TcpStream, sync::oneshot, task::JoinHandle};
use uuid::Uuid;

use crate::model::ClosedForm;

/// A hang, however loaded the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never came: {what}"));
}

#[derive(Default)]
pub(crate) struct Throne {
    pub(crate) current: RwLock<Option<Arc<dyn Model>>>,
    pub(crate) former: RwLock<HashMap<String, Arc<Study>>>,
}

impl Throne {
    pub(crate) fn set(&self, model: ClosedForm) {
        let study = Arc::new(model.study().clone());
        self.former.write().unwrap().insert(model.reference().version.clone(), study);
        *self.current.write().unwrap() = Some(Arc::new(model));
    }
}

impl Champions for Throne {
    fn current(&self) -> Option<Arc<dyn Model>> {
        self.current.read().unwrap().clone()
    }

    fn study(&self, version: &str) -> Pending<Option<Arc<Study>>> {
        let study = self.former.read().unwrap().get(version).cloned();
        Box::pin(std::future::ready(study))
    }

    fn refresh(&self) -> Pending<()> {
        Box::pin(std::future::ready(()))
    }
}

#[derive(Default)]
pub(crate) struct Notebook {
    pub(crate) pages: Mutex<HashMap<Uuid, Vec<u8>>>,
    pub(crate) broken: Mutex<bool>,
    /// While it is held for writing, records wait.
    pub(crate) gate: Arc<tokio::sync::RwLock<()>>,
    /// Records that came.
    pub(crate) came: AtomicUsize,
}

#[derive(Clone, Default)]
pub(crate) struct Log(pub(crate) Arc<Notebook>);

impl PredictionLog for Log {
    fn append(&self, record: Vec<u8>) -> Pending<Result<Uuid, LogError>> {
        let log = Arc::clone(&self.0);
        Box::pin(async move {
            log.came.fetch_add(1, Ordering::Relaxed);
            let _open = log.gate.read().await;
            if *log.broken.lock().unwrap() {
                return Err(LogError("the disk is full".to_owned()));
            }
            let id = Uuid::now_v7();
            log.pages.lock().unwrap().insert(id, record);
            Ok(id)
        })
    }

    fn get(&self, id: Uuid) -> Pending<Result<Option<Vec<u8>>, LogError>> {
        let page = self.0.pages.lock().unwrap().get(&id).cloned();
        Box::pin(std::future::ready(Ok(page)))
    }
}

struct Shelf;

impl Catalogue for Shelf {
    fn datasets(&self) -> Result<Value, CatalogueError> {
        Ok(serde_json::json!({"datasets": [{"version": 3, "cases": 10_000}]}))
    }
}

/// Collects every confirmed case into dataset version 4.
struct Collector(Arc<Registry>);

impl Circle for Collector {
    fn collect(&self) -> Pending<Result<(), CircleError>> {
        for review in self.0.uncollected_cases().unwrap() {
            self.0.case_collected(review.id, Ok(4)).unwrap();
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn may_be_promoted(&self, _: ModelVersion) -> Pending<Result<bool, CircleError>> {
        Box::pin(std::future::ready(Ok(true)))
    }

    fn suggest(&self, number: usize, actor: String) -> Pending<Result<Value, CircleError>> {
        Box::pin(std::future::ready(Ok(serde_json::json!({"asked": number, "by": actor}))))
    }
}

pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) throne: Arc<Throne>,
    pub(crate) log: Log,
    pub(crate) registry: Arc<Registry>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<std::io::Result<()>>>,
    _folder: tempfile::TempDir,
}

impl House {
    /// A server with the default study and the model `m-0001`.
    pub(crate) async fn open() -> House {
        House::with(Study::default_study().clone()).await
    }

    pub(crate) async fn with(study: Study) -> House {
        let house = House::start(study.clone(), Settings::default()).await;
        house.throne.set(ClosedForm::new(study, "m-0001", 0.0));
        house
    }

    /// A server without a champion.
    pub(crate) async fn start(study: Study, settings: Settings) -> House {
        let folder = tempfile::tempdir().unwrap();
        let registry = Arc::new(Registry::open(folder.path()).unwrap());
        let (throne, log) = (Arc::new(Throne::default()), Log::default());
        let state = State {
            champions: Arc::clone(&throne) as Arc<dyn Champions>,
            log: Arc::new(log.clone()),
            catalogue: Arc::new(Shelf),
            circle: Arc::new(Collector(Arc::clone(&registry))),
            registry: Arc::clone(&registry),
            study: Arc::new(study),
            clock: Arc::new(time::OffsetDateTime::now_utc),
            version: Version { version: "0.1.0".to_owned(), commit: "abc".to_owned() },
            settings,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve::serve(listener, state, async {
            let _ = stopped.await;
        }));
        House { address, throne, log, registry, stop: Some(stop), server: Some(server), _folder: folder }
    }

    pub(crate) fn ask_to_stop(&mut self) -> JoinHandle<std::io::Result<()>> {
        self.stop.take().unwrap().send(()).unwrap();
        self.server.take().unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.client().await.send("GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.client().await.send("POST", path, &[JSON], body.to_string()).await
    }

    pub(crate) async fn predict(&self, body: &Value) -> Value {
        let reply = self.post("/api/v1/predictions", body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub(crate) const HTML: (&str, &str) = ("accept", "text/html,*/*;q=0.8");

/// A patient of the default study.
pub(crate) fn patient() -> Value {
    serde_json::json!({
        "patient_id": "p-1", "age_years": 54, "gender": "female", "blood_type": "O",
        "systolic_mmhg": 138, "diastolic_mmhg": 86, "exercise_days_per_month": 6
    })
}

pub(crate) fn with(mut value: Value, field: &str, other: Value) -> Value {
    value[field] = other;
    value
}

/// One connection.
pub(crate) struct Client(hyper::client::conn::http1::SendRequest<Full<Bytes>>);

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `field:code` of every error, and that the document is a problem in full.
    pub(crate) fn problems(&self) -> Vec<String> {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        for member in ["type", "title", "detail", "instance"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| {
                assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
                format!("{}:{}", error["field"].as_str().unwrap(), error["code"].as_str().unwrap())
            })
            .collect()
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Client(sender)
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header(header::HOST, "localhost:8501");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.0.ready().await.unwrap();
        let response = self.0.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: head.status.as_u16(), headers: head.headers, body }
    }
}
