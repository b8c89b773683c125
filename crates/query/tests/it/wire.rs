//! The PostgreSQL wire with the `postgres` crate, and with bytes that no client sends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{NoTls, SimpleQueryMessage};
use query::wire::Endpoint;

use crate::support::{
    ANALYST, BOTH, FIRST, REGISTRAR, SECRET, Served, empty, endpoint, ingest, limits, made,
};

/// However loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn statements_simple_and_prepared_are_answered() {
    let made = made();
    let served = Served::start(endpoint(&made));
    let mut client = served.connect(ANALYST);
    let row = client.query_one("SELECT count(*), min(age_years), avg(age_years) FROM cases", &[]).unwrap();
    assert_eq!(row.get::<_, i64>(0), BOTH as i64);
    assert_eq!(row.get::<_, i32>(1), 0);
    assert!(row.get::<_, f64>(2) > 1.0);
    let statement =
        client.prepare("SELECT count(*) FROM cases WHERE age_years >= $1 AND gender = $2").unwrap();
    let mut last = i64::MAX;
    for age in [0i32, 50, 120] {
        let women: i64 = client.query_one(&statement, &[&age, &"female"]).unwrap().get(0);
        assert!(women < last, "{age}");
        last = women;
    }
    let simple =
        client.simple_query("SELECT 1; SELECT severity FROM cases WHERE severity = 'mild' LIMIT 2").unwrap();
    let rows = simple.iter().filter(|message| matches!(message, SimpleQueryMessage::Row(_))).count();
    assert_eq!(rows, 3);
    let types: Vec<String> = client
        .prepare("SELECT recorded_at, severity, age_years, case_key, slot FROM cases")
        .unwrap()
        .columns()
        .iter()
        .map(|column| column.type_().name().to_owned())
        .collect();
    assert_eq!(types[1..4], ["text", "int4", "int8"], "{types:?}");
}

#[test]
fn the_role_says_who_sees_identifiers() {
    let made = made();
    let served = Served::start(endpoint(&made));
    let question = "SELECT DISTINCT patient_id, note FROM cases WHERE patient_id IS NOT NULL";
    let all = |role| -> String {
        let rows = served.connect(role).query(question, &[]).unwrap();
        rows.iter()
            .map(|row| format!("{:?} {:?}\n", row.get::<_, Option<&str>>(0), row.get::<_, Option<&str>>(1)))
            .collect()
    };
    let (masked, shown) = (all(ANALYST), all(REGISTRAR));
    assert!(!masked.contains(SECRET) && masked.contains("patient-"), "{masked}");
    assert!(shown.contains(&format!("{SECRET}-1")) && shown.contains("bit the patient"));
    assert_eq!(masked.lines().count(), shown.lines().count());
    // A parameter that names a patient finds nobody, prepared before or not.
    let mut analyst = served.connect(ANALYST);
    let named = analyst.prepare("SELECT count(*) FROM cases WHERE patient_id = $1").unwrap();
    assert_eq!(analyst.query_one(&named, &[&format!("{SECRET}-1")]).unwrap().get::<_, i64>(0), 0);
    // Who one is cannot be changed.
    for change in ["SET ROLE registrar", "SET SESSION AUTHORIZATION registrar"] {
        let _ = analyst.batch_execute(change);
        assert_eq!(
            analyst.query_one(&named, &[&format!("{SECRET}-1")]).unwrap().get::<_, i64>(0),
            0,
            "{change}"
        );
    }
}

#[test]
fn passwords_are_asked_for() {
    let made = made();
    let served = Served::start(endpoint(&made));
    for role in [(ANALYST.0, "wrong"), ("nobody", "of numbers"), (ANALYST.0, ""), ("", "")] {
        let error = served.config(role).connect(NoTls).err().unwrap_or_else(|| panic!("{role:?} was let in"));
        assert!(!error.to_string().contains("of numbers"), "{error}");
    }
    let mut without = postgres::Config::new();
    without.host("127.0.0.1").port(served.port).user(ANALYST.0);
    assert!(without.connect(NoTls).is_err());
    // Without roles whoever is here is let in, and sees no identifiers, whatever name is given.
    let open = Served::start(Endpoint { roles: Vec::new(), ..endpoint(&made) });
    let mut client = open.connect(REGISTRAR);
    let first: String = client.query_one("SELECT min(patient_id) FROM cases", &[]).unwrap().get(0);
    assert!(first.starts_with("patient-"), "{first}");
}

#[test]
fn nothing_is_written_defined_or_read_from_files() {
    let made = made();
    let served = Served::start(endpoint(&made));
    let target = made.folder.path().join("copied.csv");
    for statement in [
        "CREATE TABLE x AS SELECT 1".to_owned(),
        "CREATE VIEW x AS SELECT 1".to_owned(),
        "CREATE SCHEMA s".to_owned(),
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'".to_owned(),
        format!("COPY cases TO '{}'", target.display()),
        format!("COPY (SELECT 1) TO '{}' STORED AS CSV", target.display()),
        "INSERT INTO cases SELECT * FROM cases".to_owned(),
        "DELETE FROM cases".to_owned(),
        "UPDATE cases SET slot = 1".to_owned(),
        "DROP TABLE cases".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "SET datafusion.explain.show_statistics = true".to_owned(),
        "DECLARE c CURSOR FOR INSERT INTO cases SELECT * FROM cases".to_owned(),
        "EXPLAIN ANALYZE INSERT INTO cases SELECT * FROM cases".to_owned(),
    ] {
        let mut client = served.connect(REGISTRAR);
        assert!(client.batch_execute(&statement).is_err(), "simple: {statement}");
        let mut client = served.connect(REGISTRAR);
        assert!(client.execute(statement.as_str(), &[]).is_err(), "prepared: {statement}");
    }
    assert!(!target.exists());
    let mut client = served.connect(ANALYST);
    let error = client.batch_execute("DROP TABLE cases").unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION));
    assert_eq!(client.query_one("SELECT count(*) FROM cases", &[]).unwrap().get::<_, i64>(0), BOTH as i64);
    assert!(client.query("SELECT * FROM x", &[]).is_err());
}

#[test]
fn errors_have_postgresql_s_codes_and_the_connection_goes_on() {
    let made = made();
    let served = Served::start(endpoint(&made));
    let mut client = served.connect(ANALYST);
    for (statement, code, word) in [
        ("SELECT age_year FROM cases", SqlState::UNDEFINED_COLUMN, "did you mean `age_years`"),
        ("SELECT * FROM casses", SqlState::UNDEFINED_TABLE, "did you mean `cases`"),
        ("SELEKT 1", SqlState::SYNTAX_ERROR, "cannot be read"),
    ] {
        for error in [client.batch_execute(statement).unwrap_err(), client.prepare(statement).err().unwrap()]
        {
            assert_eq!(error.code(), Some(&code), "{statement}: {error:?}");
            assert!(format!("{error:?}").contains(word), "{statement}: {error:?}");
        }
    }
    assert_eq!(client.query_one("SELECT 7::BIGINT", &[]).unwrap().get::<_, i64>(0), 7);
}

#[test]
fn a_statement_has_its_time_and_can_be_cancelled() {
    let made = made();
    let short = query::Limits { time: Some(Duration::from_secs(1)), ..limits(made.folder.path()) };
    let served = Served::start(Endpoint { limits: short, ..endpoint(&made) });
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000000) AS s(v) WHERE v % 7 = 3";
    let mut client = served.connect(ANALYST);
    let started = Instant::now();
    for error in [client.batch_execute(endless).unwrap_err(), client.query(endless, &[]).err().unwrap()] {
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
    }
    // Nor does a client give itself more.
    client.batch_execute("SET statement_timeout = 0").unwrap();
    assert!(client.batch_execute(endless).is_err());
    assert!(started.elapsed() < PATIENCE);
    let patient = Served::start(endpoint(&made));
    let mut client = patient.connect(ANALYST);
    let cancel = client.cancel_token();
    let done = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&done);
    // A wish that comes before the statement begins is for none: ask until it has ended.
    let canceller = std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            cancel.cancel_query(NoTls).unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let error = client.batch_execute(endless).unwrap_err();
    done.store(true, Ordering::Relaxed);
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
    canceller.join().unwrap();
}

#[test]
fn new_dataset_versions_are_seen() {
    let made = empty();
    let served = Served::start(endpoint(&made));
    let mut client = served.connect(ANALYST);
    let error = client.batch_execute("SELECT * FROM cases").unwrap_err();
    assert!(format!("{error:?}").contains("no dataset version yet"), "{error:?}");
    let mut wait_for = |rows: u64| {
        let started = Instant::now();
        loop {
            let counted = client.query_one("SELECT count(*) FROM cases", &[]);
            if counted.is_ok_and(|row| row.get::<_, i64>(0) == rows as i64) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{rows} rows are not seen");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    ingest(&made.lake, 0..FIRST);
    wait_for(FIRST);
    ingest(&made.lake, FIRST..BOTH);
    wait_for(BOTH);
}

#[test]
fn one_connection_too_many_is_told_so() {
    let made = made();
    let served = Served::start(Endpoint { connections: 2, ..endpoint(&made) });
    let first = served.connect(ANALYST);
    let _second = served.connect(ANALYST);
    let error = served.config(ANALYST).connect(NoTls).err().unwrap();
    assert_eq!(error.code(), Some(&SqlState::TOO_MANY_CONNECTIONS), "{error:?}");
    drop(first);
    let started = Instant::now();
    while served.config(ANALYST).connect(NoTls).is_err() {
        assert!(started.elapsed() < PATIENCE, "a place that became free is not given");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Bytes that are no conversation: each connection ends or stays silent, and the next client is served.
#[test]
fn garbage_neither_hangs_nor_kills() {
    let made = made();
    let served = Served::start(Endpoint { connections: 64, ..endpoint(&made) });
    let startup = |parameters: &[u8]| {
        let mut bytes = ((8 + parameters.len()) as u32).to_be_bytes().to_vec();
        bytes.extend(196_608u32.to_be_bytes());
        bytes.extend(parameters);
        bytes
    };
    let mut attempts: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![0],
        vec![0; 8],
        vec![0xff; 64],
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        startup(b""),
        startup(b"user"),
        startup(b"user\0analyst\0"),
        startup(b"user\0analyst\0\0Q\0\0\0\x0dSELECT 1\0"),
        startup(b"user\0analyst\0\0p\xff\xff\xff\xff"),
        startup(b"user\0analyst\0\0p\0\0\0\x04"),
        startup(b"user\0analyst\0\0X\0\0\0\x04"),
        [&80_877_103u32.to_be_bytes()[..], &[0; 4]].concat(),
        [&16u32.to_be_bytes()[..], &80_877_102u32.to_be_bytes(), &[0; 8]].concat(),
    ];
    let mut state = 1u64;
    attempts.extend((0..40).map(|length| {
        let next = |state: &mut u64| {
            *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (*state >> 56) as u8
        };
        (0..length * 7).map(|_| next(&mut state)).collect()
    }));
    for bytes in attempts {
        let mut socket = TcpStream::connect(("127.0.0.1", served.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // The other side may have closed already.
        let _ = socket.write_all(&bytes);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let ended = socket.read_to_end(&mut answer);
        let timed_out = ended.err().is_some_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!timed_out, "{bytes:?} hangs");
    }
    let mut client = served.connect(ANALYST);
    assert_eq!(client.query_one("SELECT count(*) FROM cases", &[]).unwrap().get::<_, i64>(0), BOTH as i64);
}
