//! A real S3 server in a process of its own, over a folder: it can be killed and started again.
//!
//! The server library checks the condition of a conditional put and then writes, so two writers could pass the check
//! together; here whatever changes an object waits for its turn, which makes the condition hold as on S3 itself.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{IF_MATCH, IF_NONE_MATCH};
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

pub(crate) const BUCKET: &str = "hospital";
pub(crate) const ACCESS_KEY: &str = "lake-test";
pub(crate) const SECRET_KEY: &str = "a secret of nobody";
/// Tells a process of this binary to serve: `<port>:<manner>:<folder>`.
const SERVE: &str = "S3_SERVER";

/// How a server treats the conditions of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As S3 does.
    Careful,
    /// As a server does that knows none: puts always succeed. It asks for no credentials.
    Careless,
}

/// A running server. It ends with this value, and with this process, however that ends.
#[derive(Debug)]
pub(crate) struct S3Server {
    pub(crate) port: u16,
    root: PathBuf,
    manner: Manner,
    process: Child,
}

impl S3Server {
    /// Starts a server whose bucket lies in `root`.
    pub(crate) fn start(root: &Path, manner: Manner) -> S3Server {
        S3Server::at(0, root, manner)
    }

    fn at(port: u16, root: &Path, manner: Manner) -> S3Server {
        std::fs::create_dir_all(root.join(BUCKET)).unwrap();
        let (_, module) = module_path!().split_once("::").unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([&format!("{module}::serves_until_killed"), "--exact", "--ignored", "--nocapture"])
            .env(SERVE, format!("{port}:{manner:?}:{}", root.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.as_mut().unwrap()).lines();
        let port = lines.find_map(|line| line.unwrap().strip_prefix("SERVING ")?.parse().ok());
        S3Server { port: port.unwrap(), root: root.to_owned(), manner, process }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }

    /// Comes back at the same address with the same objects.
    pub(crate) fn restart(&mut self) {
        self.kill();
        *self = S3Server::at(self.port, &self.root, self.manner);
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Not a test of its own: the server.
#[test]
#[ignore = "started by other tests, in a process of its own"]
fn serves_until_killed() {
    let Ok(place) = std::env::var(SERVE) else { return };
    let [port, manner, root] = place.splitn(3, ':').collect::<Vec<_>>().try_into().unwrap();
    let careful = manner == format!("{:?}", Manner::Careful);
    // The end of the process that started this one closes the pipe.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
    if careful {
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(serve(port.parse().unwrap(), careful, builder.build()));
}

#[expect(clippy::print_stdout, reason = "tells the starter where it listens")]
async fn serve(port: u16, careful: bool, service: S3Service) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    println!("\nSERVING {}", listener.local_addr().unwrap().port());
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let (service, turn) = (service.clone(), Arc::clone(&turn));
        let answer = service_fn(move |mut request: Request<Incoming>| {
            if !careful {
                request.headers_mut().remove(IF_MATCH);
                request.headers_mut().remove(IF_NONE_MATCH);
            }
            let (service, turn) = (service.clone(), Arc::clone(&turn));
            async move {
                let _mine = if changes_an_object(&request) { Some(turn.lock().await) } else { None };
                Ok::<_, Infallible>(service.call(request.map(s3s::Body::from)).await.unwrap())
            }
        });
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), answer);
        tokio::spawn(async move {
            let _ = connection.await;
        });
    }
}

/// Parts of an upload change nothing until it is completed.
fn changes_an_object(request: &Request<Incoming>) -> bool {
    let part = request.uri().query().is_some_and(|query| query.contains("partNumber="));
    matches!(*request.method(), Method::PUT | Method::POST | Method::DELETE) && !part
}
