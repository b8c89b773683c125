-- Schema 1. Times are RFC 3339 in UTC, JSON is text, digests are lower-case hexadecimal.

CREATE TABLE runs (
    id              TEXT PRIMARY KEY,
    started_at      TEXT NOT NULL,
    finished_at     TEXT,
    state           TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed')),
    dataset_version INTEGER NOT NULL,
    study_hash      TEXT NOT NULL,
    seed            INTEGER NOT NULL,          -- the 64 bits of an unsigned seed
    parameters      TEXT NOT NULL,
    figures         TEXT,
    error           TEXT,
    CHECK ((state = 'running') = (finished_at IS NULL)),
    CHECK ((state = 'failed') = (error IS NOT NULL))
) STRICT;

-- A version's number is taken before its bundle is written, because the bundle carries it.
CREATE TABLE model_numbers (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    run    TEXT NOT NULL UNIQUE REFERENCES runs (id)
) STRICT;

CREATE TABLE models (
    number          INTEGER PRIMARY KEY REFERENCES model_numbers (number),
    bundle_path     TEXT NOT NULL UNIQUE,
    bundle_digest   TEXT NOT NULL,
    dataset_version INTEGER NOT NULL,
    study_hash      TEXT NOT NULL,
    run             TEXT NOT NULL REFERENCES runs (id),
    created_at      TEXT NOT NULL,
    stage           TEXT NOT NULL CHECK (stage IN ('candidate', 'validated', 'champion', 'retired')),
    validated_at    TEXT,
    gates           TEXT,
    CHECK (stage NOT IN ('validated', 'champion') OR validated_at IS NOT NULL)
) STRICT;

CREATE UNIQUE INDEX one_champion ON models (stage) WHERE stage = 'champion';

-- Every change of champion. `undo` is the reign that a rollback returns to.
CREATE TABLE reigns (
    epoch  INTEGER PRIMARY KEY AUTOINCREMENT,
    model  INTEGER NOT NULL REFERENCES models (number),
    undo   INTEGER REFERENCES reigns (epoch),
    kind   TEXT NOT NULL CHECK (kind IN ('promotion', 'rollback')),
    actor  TEXT NOT NULL,
    reason TEXT NOT NULL,
    at     TEXT NOT NULL
) STRICT;

CREATE TABLE evaluations (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    key    TEXT NOT NULL UNIQUE,
    model  INTEGER NOT NULL REFERENCES models (number),
    actor  TEXT NOT NULL,
    at     TEXT NOT NULL,
    report TEXT NOT NULL
) STRICT;

CREATE TABLE test_openings (
    model       INTEGER PRIMARY KEY REFERENCES models (number),
    opened_at   TEXT NOT NULL,
    opened_by   TEXT NOT NULL,
    reported_at TEXT,
    report      TEXT,
    CHECK ((report IS NULL) = (reported_at IS NULL))
) STRICT;

CREATE TABLE feedback (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    key           TEXT NOT NULL UNIQUE,
    prediction_id TEXT NOT NULL,
    verdict       TEXT NOT NULL CHECK (verdict IN ('confirmed', 'wrong')),
    severity      TEXT,
    rarity        TEXT,
    disease_code  TEXT,
    comment       TEXT,
    actor         TEXT NOT NULL,
    created_at    TEXT NOT NULL
) STRICT;

CREATE INDEX feedback_of_prediction ON feedback (prediction_id);

CREATE TABLE reviews (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    prediction_id TEXT NOT NULL,
    feedback      INTEGER UNIQUE REFERENCES feedback (id),
    state         TEXT NOT NULL CHECK (state IN ('open', 'resolved')),
    reason        TEXT NOT NULL,
    opened_at     TEXT NOT NULL,
    resolved_at   TEXT,
    resolved_by   TEXT,
    resolution    TEXT,
    CHECK ((state = 'resolved') = (resolution IS NOT NULL)),
    CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
) STRICT;

CREATE INDEX reviews_by_state ON reviews (state, id);

CREATE TABLE requests (
    key     TEXT PRIMARY KEY,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL,
    at      TEXT NOT NULL
) STRICT;

CREATE TABLE audit (
    seq      INTEGER PRIMARY KEY,
    at       TEXT NOT NULL,
    actor    TEXT NOT NULL,
    action   TEXT NOT NULL,
    subject  TEXT NOT NULL,
    reason   TEXT NOT NULL,
    detail   TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash     TEXT NOT NULL
) STRICT;

-- Where the chain ends, so that rows cut from its tail are missed.
CREATE TABLE audit_head (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    seq  INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;

INSERT INTO audit_head VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

CREATE TRIGGER audit_is_append_only_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE (ABORT, 'the audit is append-only'); END;

CREATE TRIGGER audit_is_append_only_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE (ABORT, 'the audit is append-only'); END;
