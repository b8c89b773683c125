-- Schema 3: a review queue in order, what each reviewer found, and what happened to patients.

-- `queue` orders the open reviews: 1 reported as wrong, 2 orphan suspicion without outcome, 3 asked for by active learning,
-- 4 reported as right, 5 one of a flood. `why` says what a suggestion was chosen for.
ALTER TABLE reviews ADD COLUMN queue INTEGER NOT NULL DEFAULT 1;
ALTER TABLE reviews ADD COLUMN why TEXT;
-- The dataset version that holds the confirmed case, or why it can be in none.
ALTER TABLE reviews ADD COLUMN dataset_version INTEGER;
ALTER TABLE reviews ADD COLUMN left_out TEXT;

UPDATE reviews SET queue = 4 WHERE reason = 'reported_confirmed';

CREATE INDEX reviews_in_order ON reviews (state, queue, id);
CREATE INDEX reviews_of_prediction ON reviews (prediction_id);
CREATE UNIQUE INDEX one_suggestion ON reviews (prediction_id) WHERE feedback IS NULL;
CREATE INDEX feedback_by_actor ON feedback (actor, created_at);

CREATE TABLE findings (
    review     INTEGER NOT NULL REFERENCES reviews (id),
    reviewer   TEXT NOT NULL,
    resolution TEXT NOT NULL,
    at         TEXT NOT NULL,
    PRIMARY KEY (review, reviewer)
) STRICT;

INSERT INTO findings (review, reviewer, resolution, at)
SELECT id, resolved_by, resolution, resolved_at FROM reviews WHERE state = 'resolved';

-- What happened, never what somebody thinks. The newest row of a prediction is in force; those before it were corrected.
CREATE TABLE outcomes (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    prediction_id TEXT NOT NULL,
    severity      TEXT NOT NULL,
    rarity        TEXT,
    disease_code  TEXT,
    confirmed_at  TEXT NOT NULL,
    source        TEXT NOT NULL,
    actor         TEXT NOT NULL,
    recorded_at   TEXT NOT NULL
) STRICT;

CREATE INDEX outcomes_of_prediction ON outcomes (prediction_id, id);
