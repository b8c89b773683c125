-- Schema 3: monitoring. What was measured, the alerts that it raised, and what of them still has to be told.

CREATE TABLE monitoring_runs (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    key    TEXT NOT NULL UNIQUE,
    model  INTEGER NOT NULL REFERENCES models (number),
    at     TEXT NOT NULL,
    report TEXT NOT NULL
) STRICT;

-- What a model's training cohort looked like: counted once.
CREATE TABLE monitoring_references (
    model   INTEGER PRIMARY KEY REFERENCES models (number),
    profile TEXT NOT NULL
) STRICT;

-- One row per rule and subject: what holds for the second time is the same alert.
CREATE TABLE alerts (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    rule            TEXT NOT NULL,
    subject         TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('raised', 'acknowledged', 'resolved')),
    message         TEXT NOT NULL,
    detail          TEXT NOT NULL,
    raised_at       TEXT NOT NULL,             -- the last time
    raisings        INTEGER NOT NULL,
    seen_at         TEXT NOT NULL,             -- the last run that found it so
    acknowledged_at TEXT,
    acknowledged_by TEXT,
    resolved_at     TEXT,
    resolved_by     TEXT,
    UNIQUE (rule, subject),
    CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
) STRICT;

CREATE TABLE deliveries (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    alert        INTEGER NOT NULL REFERENCES alerts (id),
    event        TEXT NOT NULL CHECK (event IN ('raised', 'reopened', 'resolved')),
    sink         TEXT NOT NULL,
    message      TEXT NOT NULL,                -- as it was when the event happened
    at           TEXT NOT NULL,
    tries        INTEGER NOT NULL DEFAULT 0,
    due          INTEGER,                      -- Unix seconds; NULL once delivered or given up
    delivered_at TEXT,
    error        TEXT
) STRICT;

CREATE INDEX deliveries_due ON deliveries (due) WHERE due IS NOT NULL;
