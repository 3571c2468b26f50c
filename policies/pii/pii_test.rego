package mcp.pii_test

import data.mcp.policy
import rego.v1

rules(tool, model, blocked, allowed) := {violation.rule |
	some violation in policy.violations with input as {"method": "tools/call", "tool": tool, "agent": {"id": "alice", "model": model}}
		with data.pii_tools as ["lookup"]
		with data.blocked_models_for_pii as blocked
		with data.allowed_models_for_pii as allowed
	startswith(violation.rule, "pii_")
}

test_blocked_model if {
	rules("lookup", "small-7b", ["small-*"], []) == {"pii_model_blocked"}
	rules("lookup", "SMALL-7b", ["Small-*"], []) == {"pii_model_blocked"}
	rules("lookup", "claude", ["small-*"], []) == set()
}

test_allowed_model if {
	rules("lookup", "claude-x", [], ["claude-*"]) == set()
	rules("lookup", "other", [], ["claude-*"]) == {"pii_model_not_allowed"}
}

test_blocked_wins if rules("lookup", "claude-preview", ["*-preview"], ["claude-*"]) == {"pii_model_blocked"}

test_no_model if {
	rules("lookup", "", ["small-*"], []) == {"pii_model_unknown"}
	rules("lookup", "", [], ["claude-*"]) == {"pii_model_not_allowed"}
}

test_an_agent_without_a_model if {
	some violation in policy.violations with input as {"method": "tools/call", "tool": "lookup"}
		with data.pii_tools as ["lookup"]
		with data.blocked_models_for_pii as ["small-*"]
	violation.rule == "pii_model_unknown"
}

test_other_tools if rules("echo", "small-7b", ["small-*"], ["claude-*"]) == set()

test_it_is_off if rules("lookup", "small-7b", [], []) == set()
