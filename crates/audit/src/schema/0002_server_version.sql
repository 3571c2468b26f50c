-- Client and server may speak different revisions of MCP: the gateway translates.
ALTER TABLE audit_log ADD COLUMN server_version TEXT;
