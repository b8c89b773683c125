-- Schema 8: what became known lately is found without reading all that ever did.

CREATE INDEX outcomes_by_time ON outcomes (recorded_at, id);
