package mcp.tool_approval_test

import data.mcp.policy
import rego.v1

settings := {"enabled": true, "tools": {"default": {"echo": "1234"}}}

asked(message, table) := {obligation.message |
	some obligation in policy.obligations with input as message with data.tool_approval as table
	obligation.action == "require_approval"
}

call(server, tool, definition) := {
	"stage": "request",
	"method": "tools/call",
	"tool": tool,
	"server": {"name": server, "tool": definition},
}

test_an_approved_definition if asked(call("default", "echo", {"digest": "1234", "changed": false}), settings) == set()

test_a_new_tool if {
	asked(call("default", "other", {"digest": "1234", "changed": false}), settings) == {"tool `other` of server `default` is new or has changed (digest 1234)"}
}

test_another_definition if count(asked(call("default", "echo", {"digest": "5678", "changed": false}), settings)) == 1

test_a_definition_that_wavers if count(asked(call("default", "echo", {"digest": "1234", "changed": true}), settings)) == 1

test_another_server if count(asked(call("other", "echo", {"digest": "1234", "changed": false}), settings)) == 1

test_a_tool_that_nobody_listed if {
	message := {"stage": "request", "method": "tools/call", "tool": "echo", "server": {"name": "default"}}
	asked(message, settings) == {"tool `echo` of server `default` is new or has changed (digest unknown)"}
}

test_only_calls_are_held if {
	asked(object.union(call("default", "other", {}), {"stage": "list"}), settings) == set()
	asked({"stage": "request", "method": "ping", "server": {"name": "default"}}, settings) == set()
}

test_it_is_off if asked(call("default", "other", {}), object.remove(settings, ["enabled"])) == set()
