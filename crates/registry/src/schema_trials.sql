-- Schema 2: the trials of a run's search, kept as they end, so that an interrupted search goes on.

CREATE TABLE trials (
    run        TEXT NOT NULL REFERENCES runs (id),
    number     INTEGER NOT NULL CHECK (number >= 0),
    state      TEXT NOT NULL CHECK (state IN ('complete', 'pruned', 'failed')),
    parameters TEXT NOT NULL,
    metric     REAL,                       -- of all held-out cases; of a complete trial only
    log_loss   REAL,
    rounds     INTEGER NOT NULL,
    seconds    REAL NOT NULL,
    reason     TEXT,                       -- why it was given up or failed
    record     TEXT NOT NULL,              -- what the search itself needs of it, with the values of each fold
    ended_at   TEXT NOT NULL,
    PRIMARY KEY (run, number),
    CHECK ((state = 'complete') = (reason IS NULL))
) STRICT;

CREATE INDEX runs_by_request ON runs (dataset_version, study_hash, seed, state);
