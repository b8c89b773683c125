-- Sources of data: what a file from there looks like and how it is read.

CREATE TABLE sources (
    name         TEXT PRIMARY KEY,
    kind         TEXT NOT NULL CHECK (kind IN ('ehr', 'registry', 'centre', 'laboratory', 'other')),
    mapping      TEXT,                         -- the mapping file's text; none where files have the study's own columns
    mapping_hash TEXT,
    columns      TEXT NOT NULL,                -- of a sample file, a JSON list; empty where there was none
    study_hash   TEXT NOT NULL,                -- of the study that it was checked against
    added_at     TEXT NOT NULL,
    added_by     TEXT NOT NULL,
    CHECK ((mapping IS NULL) = (mapping_hash IS NULL))
) STRICT;
