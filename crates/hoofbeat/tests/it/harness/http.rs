//! A small HTTP/1.1 client that keeps its connection and can also send what no client library would.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// No answer takes this long, however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(300);

/// One client of one server on this machine. It fails the test on any 5xx: nothing that a client sends may cause one.
pub(crate) struct Client {
    port: u16,
    connection: Option<BufReader<TcpStream>>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(port: u16) -> Client {
        Client { port, connection: None }
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    pub(crate) fn form(&mut self, path: &str, fields: &str) -> Reply {
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "text/html")];
        self.send("POST", path, &headers, fields.as_bytes())
    }

    /// The answer to a patient, which must be one.
    pub(crate) fn predict(&mut self, patient: &Value) -> Value {
        let reply = self.post("/api/v1/predictions", patient);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let reply = self.try_send(method, path, headers, body);
        reply.unwrap_or_else(|error| panic!("{method} {path} got no answer: {error}"))
    }

    /// The same where the server may be gone.
    pub(crate) fn try_send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Reply> {
        let reply = self.exchange(method, path, headers, body)?;
        assert!(reply.status < 500, "{method} {path} was answered {}: {}", reply.status, reply.text());
        Ok(reply)
    }

    /// The status alone, where a 5xx is right.
    pub(crate) fn status(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> u16 {
        self.exchange(method, path, headers, body).unwrap().status
    }

    fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Reply> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n", self.port);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || method == "POST" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        head += "\r\n";
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        connection.get_mut().write_all(&request)?;
        let reply = Reply::read(&mut connection, method)?;
        if reply.header("connection") != "close" {
            self.connection = Some(connection);
        }
        Ok(reply)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }
}

impl Reply {
    fn read(connection: &mut BufReader<TcpStream>, method: &str) -> io::Result<Reply> {
        let status_line = line(connection)?;
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {status_line}")))?;
        let mut headers = Vec::new();
        loop {
            let header = line(connection)?;
            let Some((name, value)) = header.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut reply = Reply { status, headers, body: Vec::new() };
        if method == "HEAD" || status == 304 || status == 204 {
            return Ok(reply);
        }
        if reply.header("transfer-encoding") == "chunked" {
            loop {
                let size = line(connection)?;
                let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
                reply.body.extend(exactly(connection, size)?);
                line(connection)?;
                if size == 0 {
                    return Ok(reply);
                }
            }
        }
        let length = reply.header("content-length").parse().map_err(io::Error::other)?;
        reply.body = exactly(connection, length)?;
        Ok(reply)
    }

    /// A header's value; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// `field:code` of every error of a problem document, sorted.
    pub(crate) fn issues(&self) -> Vec<String> {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        let word = |error: &Value, key: &str| error[key].as_str().unwrap().to_owned();
        let mut issues: Vec<String> = problem["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|error| {
                assert!(!word(error, "message").is_empty());
                format!("{}:{}", word(error, "field"), word(error, "code"))
            })
            .collect();
        issues.sort();
        issues
    }
}

fn line(connection: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn exactly(connection: &mut BufReader<TcpStream>, size: usize) -> io::Result<Vec<u8>> {
    let mut body = vec![0; size];
    connection.read_exact(&mut body)?;
    Ok(body)
}
