package mcp.policy_test

import data.mcp.policy

reasons(arguments) := {reason |
	some reason in policy.deny with input as {"method": "tools/call", "tool": "write_file", "arguments": arguments}
}

test_drafts_are_written if count(reasons({"path": "drafts/plan.md"})) == 0

test_nothing_else_is if {
	every path in ["notes.txt", "/etc/passwd", "drafts/../notes.txt", "drafts/.profile", ""] {
		count(reasons({"path": path})) == 1
	}
}

test_a_path_is_needed if reasons({"file": "notes.txt"}) == {"`nowhere` is outside drafts/, where agents write"}
