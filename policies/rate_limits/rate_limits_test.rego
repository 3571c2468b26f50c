package mcp.rate_limits_test

import data.mcp.policy
import rego.v1

limits := {"default": 10, "batch": 100}

exceeded(agent, count) if {
	some violation in policy.violations with input as {
		"method": "ping",
		"agent": {"id": agent, "capabilities": []},
		"session": {"request_count": count},
	}
		with data.rate_limits as limits
	violation.rule == "rate_limit_exceeded"
}

test_as_many_as_the_limit if not exceeded("alice", 10)

test_one_more if exceeded("alice", 11)

test_limit_of_an_agent if {
	not exceeded("batch", 100)
	exceeded("batch", 101)
}

test_without_data_there_is_still_a_limit if {
	policy.rate_limit == 100000 with data.rate_limits as {} with input as {"agent": {"id": "alice"}}
}

windows := {
	"enabled": true,
	"methods": {"tools/call": true, "resources/read": true},
	"agents": {"default": {"limit": 10, "per": "1m"}, "batch": {"limit": 1000, "per": "1h"}},
	"session": {"limit": 5, "per": "1s"},
	"tools": {"send_mail": {"limit": 2, "per": "1d"}},
}

counted(message, table) := {obligation |
	some obligation in policy.obligations with input as message with data.rate_windows as table
	obligation.action == "rate_limit"
}

call(agent, tool) := {"stage": "request", "method": "tools/call", "tool": tool, "agent": {"id": agent}}

test_windows_of_a_call if {
	counted(call("alice", "send_mail"), windows) == {
		{"action": "rate_limit", "key": "agent", "limit": 10, "per": "1m"},
		{"action": "rate_limit", "key": "session", "limit": 5, "per": "1s"},
		{"action": "rate_limit", "key": ["agent", "tool"], "limit": 2, "per": "1d"},
	}
}

test_window_of_an_agent if {
	counted(call("batch", "echo"), {"enabled": true, "methods": {"tools/call": true}, "agents": windows.agents}) == {{
		"action": "rate_limit",
		"key": "agent",
		"limit": 1000,
		"per": "1h",
	}}
}

test_no_window_for_an_agent if {
	table := {"enabled": true, "methods": {"tools/call": true}, "agents": {"batch": windows.agents.batch}}
	count(counted(call("alice", "echo"), table)) == 0
}

test_what_does_not_count if {
	count(counted({"stage": "request", "method": "ping", "agent": {"id": "alice"}}, windows)) == 0
	count(counted(object.union(call("alice", "send_mail"), {"stage": "list"}), windows)) == 0
}

test_windows_are_off if {
	count(counted(call("alice", "send_mail"), object.remove(windows, ["enabled"]))) == 0
	count(policy.obligations) == 0 with input as call("alice", "echo")
}
