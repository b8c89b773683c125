-- Schema 7: leases by the database's clock. Who held one takes it again.

DROP TABLE leases;

-- Whose turn it is to do what only one may do.
CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    renewed_at INTEGER NOT NULL, -- the database's clock, Unix milliseconds
    length     INTEGER NOT NULL  -- milliseconds
) STRICT;
