package mcp.blocklist_test

import data.mcp.policy
import rego.v1

rules(message) := {violation.rule |
	some violation in policy.violations with input as message
		with data.blocked_tools as ["rm_rf"]
		with data.blocked_agents as ["mallory"]
		with data.blocked_dids as ["did:key:bad"]
}

call(tool, agent, did) := {
	"method": "tools/call",
	"tool": tool,
	"agent": {"id": agent, "capabilities": ["*"]},
	"identity": {"verified": true, "did": did},
	"session": {"request_count": 1},
}

test_nobody_is_blocked if count(rules(call("echo", "alice", ""))) == 0

test_blocked_tool if rules(call("rm_rf", "alice", "")) == {"blocked_tool"}

test_blocked_tool_in_another_case if rules(call("RM_Rf", "alice", "")) == {"blocked_tool"}

test_blocked_agent if rules(call("echo", "mallory", "")) == {"blocked_agent"}

test_blocked_identity if rules(call("echo", "alice", "did:key:bad")) == {"blocked_identity"}

test_blocked_agent_may_not_even_ping if {
	rules({"method": "ping", "agent": {"id": "mallory", "capabilities": []}}) == {"blocked_agent"}
}
