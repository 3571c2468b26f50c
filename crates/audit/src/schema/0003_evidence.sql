-- What a decision was made on, so that it can be made again; and rules that are watched rather than enforced.
--
-- Facts stay the same from message to message of a session, or of a tool, and are kept once. `last_day` is the last day
-- (since 1970, UTC) of a row that names them: older than the retention, they go, and no index on the rows is needed.
CREATE TABLE audit_facts (
    id       INTEGER PRIMARY KEY,
    digest   BLOB NOT NULL UNIQUE,
    last_day INTEGER NOT NULL,
    json     TEXT NOT NULL
) STRICT;

CREATE INDEX audit_facts_last_day ON audit_facts (last_day);

ALTER TABLE audit_log ADD COLUMN rules TEXT;
ALTER TABLE audit_log ADD COLUMN facts_id INTEGER;
ALTER TABLE audit_log ADD COLUMN tool_facts_id INTEGER;
ALTER TABLE audit_log ADD COLUMN request_count INTEGER;
ALTER TABLE audit_log ADD COLUMN session_state TEXT;
ALTER TABLE audit_log ADD COLUMN redactions TEXT;
ALTER TABLE audit_log ADD COLUMN approval TEXT;
ALTER TABLE audit_log ADD COLUMN config_revision TEXT;

-- A rule that is watched rather than enforced lets the message pass.
ALTER TABLE audit_log DROP COLUMN allowed;
ALTER TABLE audit_log ADD COLUMN allowed INTEGER NOT NULL AS (decision IN ('allow', 'would_deny')) VIRTUAL;

CREATE INDEX audit_log_would_deny ON audit_log (timestamp_us) WHERE decision = 'would_deny';

CREATE VIEW audit_would_deny AS
SELECT id, timestamp, agent_id, session_id, server, method, tool, resource_uri, prompt,
       mode, stage, matched_rule, violations, reasons, policy_revision, request_id, decision_id
FROM audit_log
WHERE decision = 'would_deny'
ORDER BY timestamp_us DESC;

DROP VIEW audit_hourly;
CREATE VIEW audit_hourly AS
SELECT strftime('%Y-%m-%dT%H:00:00Z', timestamp_us / 1000000, 'unixepoch') AS hour,
       count(*) AS messages,
       sum(decision IN ('allow', 'would_deny')) AS allowed,
       sum(decision = 'deny') AS denied,
       sum(decision = 'would_deny') AS would_deny,
       sum(decision = 'error') AS errors,
       sum(forwarded) AS forwarded,
       avg(latency_ms) AS average_latency_ms,
       max(latency_ms) AS longest_latency_ms,
       sum(request_bytes) AS request_bytes,
       sum(response_bytes) AS response_bytes
FROM audit_log
GROUP BY hour
ORDER BY hour DESC;

DROP VIEW audit_by_agent;
CREATE VIEW audit_by_agent AS
SELECT agent_id,
       max(agent_name) AS agent_name,
       count(*) AS messages,
       sum(decision IN ('allow', 'would_deny')) AS allowed,
       sum(decision = 'deny') AS denied,
       sum(decision = 'would_deny') AS would_deny,
       sum(decision = 'error') AS errors,
       count(DISTINCT session_id) AS sessions,
       count(DISTINCT tool) AS tools,
       avg(latency_ms) AS average_latency_ms,
       min(timestamp) AS first_seen,
       max(timestamp) AS last_seen
FROM audit_log
GROUP BY agent_id
ORDER BY messages DESC, agent_id;

DROP VIEW audit_by_tool;
CREATE VIEW audit_by_tool AS
SELECT server,
       tool,
       count(*) AS messages,
       sum(decision IN ('allow', 'would_deny')) AS allowed,
       sum(decision = 'deny') AS denied,
       sum(decision = 'would_deny') AS would_deny,
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
