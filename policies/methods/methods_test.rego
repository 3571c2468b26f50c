package mcp.methods_test

import data.mcp.policy
import rego.v1

rules(message) := {violation.rule |
	some violation in policy.violations with input as message
	violation.rule in {"method_not_allowed", "tool_missing"}
}

test_methods_of_every_revision if {
	every method in [
		"initialize", "notifications/initialized", "ping", "tools/list", "resources/list", "resources/read",
		"resources/templates/list", "resources/subscribe", "prompts/list", "prompts/get", "completion/complete",
		"logging/setLevel", "notifications/cancelled", "notifications/progress", "notifications/message",
		"notifications/tools/list_changed", "notifications/roots/list_changed",
	] {
		count(rules({"method": method})) == 0
	}
}

test_unknown_methods if {
	rules({"method": "tools/explode"}) == {"method_not_allowed"}
	rules({"method": "Tools/call"}) == {"method_not_allowed"}
	rules({"method": ""}) == {"method_not_allowed"}
}

# A client that connects has sent no message yet.
test_no_method if count(rules({"stage": "connect"})) == 0

test_requests_of_the_server_are_off if {
	rules({"method": "sampling/createMessage"}) == {"method_not_allowed"}
	rules({"method": "elicitation/create"}) == {"method_not_allowed"}
	rules({"method": "roots/list"}) == {"method_not_allowed"}
}

test_requests_of_the_server_can_be_switched_on if {
	count(policy.violations) == 0 with input as {"method": "roots/list"}
		with data.allowed_methods as {"roots/list": true}
}

test_a_call_names_its_tool if {
	rules({"method": "tools/call", "agent": {"id": "a", "capabilities": ["*"]}}) == {"tool_missing"}
}
