package mcp.read_only_test

import data.mcp.policy
import rego.v1

denied(message, table) if {
	some violation in policy.violations with input as message with data.read_only as table
	violation.rule == "read_only_mode"
}

call(tool, annotations) := {
	"stage": "request",
	"method": "tools/call",
	"tool": tool,
	"server": {"name": "default", "tool": {"annotations": annotations}},
}

on := {"enabled": true, "trust_annotations": true, "tools": {"lookup": true, "drop": false}}

test_a_tool_that_says_it_only_reads if not denied(call("echo", {"readOnlyHint": true}), on)

test_a_listed_tool if not denied(call("lookup", {}), on)

test_what_may_change_something if {
	denied(call("echo", {"readOnlyHint": false}), on)
	denied(call("echo", {"readOnlyHint": "true"}), on)
	denied(call("echo", {}), on)
	denied(call("drop", {}), on)
	denied({"stage": "request", "method": "tools/call", "tool": "echo"}, on)
}

test_the_word_of_the_server_may_not_be_enough if {
	denied(call("echo", {"readOnlyHint": true}), object.remove(on, ["trust_annotations"]))
}

test_other_methods_are_not_concerned if not denied({"stage": "request", "method": "resources/read"}, on)

test_tools_are_not_listed_either if denied(object.union(call("echo", {}), {"stage": "list"}), on)

test_answers_are_not_concerned if not denied(object.union(call("echo", {}), {"stage": "response"}), on)

test_it_is_off if {
	not denied(call("echo", {}), object.remove(on, ["enabled"]))
	not denied(call("echo", {}), {"tools": {}})
}
