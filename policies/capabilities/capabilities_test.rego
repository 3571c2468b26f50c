package mcp.capabilities_test

import data.mcp.policy
import rego.v1

call(tool, capabilities) := {
	"method": "tools/call",
	"tool": tool,
	"agent": {"id": "alice", "capabilities": capabilities},
	"session": {"request_count": 1},
}

table := {
	"tool_capabilities": {"read_file": "read:files", "write_file": "write:files"},
	"tool_patterns": {"get_*": "read:tools", "*_secret": "secrets:read"},
	"unlisted_tools": "call:unlisted",
}

missing(tool, capabilities) := {violation.msg |
	some violation in policy.violations with input as call(tool, capabilities)
		with data.tool_capabilities as table.tool_capabilities
		with data.tool_patterns as table.tool_patterns
		with data.unlisted_tools as table.unlisted_tools
	violation.rule == "missing_capability"
}

test_exact_capability if count(missing("read_file", ["read:files"])) == 0

test_wildcard_capability if count(missing("read_file", ["read:*"])) == 0

test_super_capability if count(missing("write_file", ["*"])) == 0

test_missing_capability if {
	missing("write_file", ["read:*"]) == {"agent `alice` lacks capability `write:files` for tool `write_file`"}
}

test_no_agent if {
	some violation in policy.violations with input as {"method": "tools/call", "tool": "write_file"}
	violation.rule == "missing_capability"
}

test_no_capabilities if count(missing("read_file", [])) == 1

test_wildcard_is_a_prefix_of_whole_parts if count(missing("read_file", ["re", "read", "read:file"])) == 1

test_pattern if {
	count(missing("get_weather", ["read:tools"])) == 0
	count(missing("get_weather", ["write:*"])) == 1
}

test_every_matching_pattern_counts if {
	count(missing("get_secret", ["read:*"])) == 1
	count(missing("get_secret", ["read:*", "secrets:read"])) == 0
}

test_unlisted_tool_needs_its_capability if {
	count(missing("unheard_of", ["read:*"])) == 1
	count(missing("unheard_of", ["call:unlisted"])) == 0
}

test_unlisted_tools_may_be_let_through if {
	count(policy.violations) == 0 with input as call("unheard_of", []) with data.unlisted_tools as ""
}

test_other_methods_need_no_capability if {
	count(policy.violations) == 0 with input as {"method": "tools/list", "agent": {"id": "a", "capabilities": []}}
}

# What the demo of the README shows.
test_shipped_tables if {
	count(policy.violations) == 0 with input as call("lookup_customer", ["read:*"])
	count(policy.violations) == 1 with input as call("delete_file", ["read:*"])
}
