//! SQL over the lake: for people, over the PostgreSQL wire, and on several machines.
