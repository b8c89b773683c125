-- Schema 4: the record of every change of champion, and the work that schedules and people ask for.

-- Every decision about a champion or a challenger. `epoch` is the reign that it began, `answers` the decision that waited
-- for it, `requested_by` who or what asked for the challenger.
CREATE TABLE changes (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    kind         TEXT NOT NULL CHECK (kind IN ('promotion', 'rollback', 'hold', 'wait', 'shadow', 'rejection')),
    model        INTEGER NOT NULL REFERENCES models (number),
    previous     INTEGER REFERENCES models (number),
    epoch        INTEGER UNIQUE REFERENCES reigns (epoch),
    answers      INTEGER UNIQUE REFERENCES changes (id),
    cause        TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    actor        TEXT NOT NULL,
    reason       TEXT NOT NULL,
    at           TEXT NOT NULL,
    evidence     TEXT NOT NULL,
    CHECK ((kind IN ('promotion', 'rollback')) = (epoch IS NOT NULL))
) STRICT;

CREATE INDEX changes_of_model ON changes (model, id);

CREATE TRIGGER changes_are_append_only_update BEFORE UPDATE ON changes
BEGIN SELECT RAISE (ABORT, 'change records are append-only'); END;

CREATE TRIGGER changes_are_append_only_delete BEFORE DELETE ON changes
BEGIN SELECT RAISE (ABORT, 'change records are append-only'); END;

-- One row per slot of a schedule or request of a person: `slot` is its key, so that nothing is done twice. `attempt` is
-- the fence: only the attempt that is under way may end the job.
CREATE TABLE jobs (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    kind         TEXT NOT NULL,
    slot         TEXT NOT NULL UNIQUE,
    requested_by TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed')),
    attempt      INTEGER NOT NULL DEFAULT 0,
    queued_at    TEXT NOT NULL,
    started_at   TEXT,
    ended_at     TEXT,
    outcome      TEXT,
    error        TEXT,
    CHECK ((state IN ('succeeded', 'failed')) = (ended_at IS NOT NULL)),
    CHECK ((state = 'failed') = (error IS NOT NULL))
) STRICT;

CREATE INDEX jobs_by_state ON jobs (state, id);

-- Whose turn it is to do what only one may do. `fence` grows with every new holder.
CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    fence      INTEGER NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;

-- Since when a schedule holds: no slot before that is owed.
CREATE TABLE schedules (
    kind  TEXT PRIMARY KEY,
    since TEXT NOT NULL
) STRICT;
