package mcp.policy_test

import data.mcp.policy

call(path) := {"method": "tools/call", "tool": "write_file", "arguments": {"path": path}}

test_drafts_are_written if count(policy.deny) == 0 with input as call("drafts/plan.md")

test_nothing_else_is if policy.deny == {"`notes.txt` is outside drafts/, where agents write"} with input as call("notes.txt")
