-- One row a message. The columns that duplicate others for readers of older logs are computed when read.
CREATE TABLE audit_log (
    id                  INTEGER PRIMARY KEY,
    seq                 INTEGER NOT NULL GENERATED ALWAYS AS (id) VIRTUAL,
    request_id          TEXT NOT NULL,
    decision_id         TEXT NOT NULL,
    session_id          TEXT,
    timestamp           TEXT NOT NULL,
    timestamp_us        INTEGER NOT NULL,
    agent_id            TEXT NOT NULL,
    agent_name          TEXT,
    capabilities        TEXT NOT NULL,
    identity_verified   INTEGER NOT NULL,
    did                 TEXT,
    method              TEXT NOT NULL,
    tool                TEXT,
    resource_uri        TEXT,
    prompt              TEXT,
    arguments           TEXT,
    decision            TEXT NOT NULL,
    forwarded           INTEGER NOT NULL,
    mode                TEXT NOT NULL,
    stage               TEXT NOT NULL,
    matched_rule        TEXT,
    violations          TEXT,
    reasons             TEXT,
    obligations         TEXT,
    policy_revision     TEXT,
    server              TEXT,
    source_ip           TEXT,
    environment         TEXT,
    transport           TEXT NOT NULL,
    user_agent          TEXT,
    protocol_version    TEXT,
    latency_total_ns    INTEGER NOT NULL,
    latency_policy_ns   INTEGER NOT NULL,
    latency_inspect_ns  INTEGER NOT NULL,
    latency_upstream_ns INTEGER NOT NULL,
    request_bytes       INTEGER NOT NULL,
    response_bytes      INTEGER NOT NULL,
    response_summary    TEXT,
    error_kind          TEXT,
    error               TEXT,
    allowed             INTEGER NOT NULL AS (decision = 'allow') VIRTUAL,
    policy_mode         TEXT NOT NULL AS (mode) VIRTUAL,
    latency_ms          REAL NOT NULL AS (latency_total_ns / 1000000.0) VIRTUAL
) STRICT;

-- Every index costs each row: these serve time ranges, retention and the question that is asked most.
CREATE INDEX audit_log_timestamp ON audit_log (timestamp_us);
CREATE INDEX audit_log_denials ON audit_log (timestamp_us) WHERE decision = 'deny';

CREATE VIEW audit_recent AS
SELECT id, timestamp, agent_id, session_id, server, method, tool, resource_uri, prompt,
       decision, forwarded, mode, stage, matched_rule, violations, latency_ms, error_kind, error,
       request_id, decision_id
FROM audit_log
ORDER BY id DESC
LIMIT 100;

CREATE VIEW audit_denials AS
SELECT id, timestamp, agent_id, session_id, server, method, tool, resource_uri, prompt,
       forwarded, mode, stage, matched_rule, violations, reasons, policy_revision,
       request_id, decision_id
FROM audit_log
WHERE decision = 'deny'
ORDER BY timestamp_us DESC;

CREATE VIEW audit_hourly AS
SELECT strftime('%Y-%m-%dT%H:00:00Z', timestamp_us / 1000000, 'unixepoch') AS hour,
       count(*) AS messages,
       sum(decision = 'allow') AS allowed,
       sum(decision = 'deny') AS denied,
       sum(decision = 'error') AS errors,
       sum(forwarded) AS forwarded,
       avg(latency_ms) AS average_latency_ms,
       max(latency_ms) AS longest_latency_ms,
       sum(request_bytes) AS request_bytes,
       sum(response_bytes) AS response_bytes
FROM audit_log
GROUP BY hour
ORDER BY hour DESC;

CREATE VIEW audit_by_agent AS
SELECT agent_id,
       max(agent_name) AS agent_name,
       count(*) AS messages,
       sum(decision = 'allow') AS allowed,
       sum(decision = 'deny') AS denied,
       sum(decision = 'error') AS errors,
       count(DISTINCT session_id) AS sessions,
       count(DISTINCT tool) AS tools,
       avg(latency_ms) AS average_latency_ms,
       min(timestamp) AS first_seen,
       max(timestamp) AS last_seen
FROM audit_log
GROUP BY agent_id
ORDER BY messages DESC, agent_id;

CREATE VIEW audit_by_tool AS
SELECT server,
       tool,
       count(*) AS messages,
       sum(decision = 'allow') AS allowed,
       sum(decision = 'deny') AS denied,
       sum(decision = 'error') AS errors,
       count(DISTINCT agent_id) AS agents,
       avg(latency_ms) AS average_latency_ms,
       max(latency_ms) AS longest_latency_ms,
       min(timestamp) AS first_seen,
       max(timestamp) AS last_seen
FROM audit_log
WHERE tool IS NOT NULL
GROUP BY server, tool
ORDER BY messages DESC, server, tool;
