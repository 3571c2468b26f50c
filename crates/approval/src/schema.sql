-- One row a question. Times are microseconds since 1970. What is expired is computed when read.
CREATE TABLE approval (
    id             TEXT PRIMARY KEY,
    asked_at       INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    agent          TEXT NOT NULL,
    server         TEXT NOT NULL,
    method         TEXT NOT NULL,
    tool           TEXT,
    target         TEXT,
    definition     TEXT,
    arguments_hash BLOB NOT NULL,
    arguments      TEXT,
    message        TEXT,
    state          TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'granted', 'denied', 'used')),
    scope          TEXT CHECK (scope IN ('arguments', 'tool', 'agent')),
    granted_until  INTEGER,
    uses           INTEGER NOT NULL DEFAULT 0,
    uses_limit     INTEGER,
    decided_at     INTEGER,
    decided_by     TEXT,
    note           TEXT
) STRICT;

CREATE INDEX approval_asked ON approval (agent, server, method, state);
CREATE INDEX approval_expires ON approval (state, expires_at);
