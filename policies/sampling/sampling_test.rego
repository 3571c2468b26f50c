package mcp.sampling_test

import data.mcp.policy
import rego.v1

rules(method, params) := {violation.rule |
	some violation in policy.violations with input as {"stage": "server_request", "method": method, "request": {"params": params}}
		with data.allowed_methods as {"sampling/createMessage": true, "elicitation/create": true}
}

test_sampling_is_bounded if {
	rules("sampling/createMessage", {"maxTokens": 4096}) == set()
	rules("sampling/createMessage", {"maxTokens": 4097}) == {"sampling_too_long"}
}

test_the_bound_is_said if {
	rules("sampling/createMessage", {}) == {"sampling_unlimited"}
	rules("sampling/createMessage", {"maxTokens": null}) == {"sampling_unlimited"}
	"sampling_unlimited" in rules("sampling/createMessage", {"maxTokens": "9"})
}

form(fields) := {"message": "?", "requestedSchema": {"type": "object", "properties": fields}}

test_a_form if rules("elicitation/create", form({"name": {}, "spinner": {}})) == set()

test_a_form_asks_for_no_secret if {
	every field in ["password", "Passwd", "api_key", "apiKey", "access_token", "CVC", "pin", "card_number", "client_secret"] {
		rules("elicitation/create", form({"name": {}, field: {}})) == {"elicitation_secret"}
	}
}

test_addresses if {
	rules("elicitation/create", {"mode": "url", "url": "https://evil.example"}) == {"elicitation_address"}
	count(policy.violations) == 0 with input as {"method": "elicitation/create", "request": {"params": {"mode": "url"}}}
		with data.allowed_methods as {"elicitation/create": true}
		with data.elicitation.allow_addresses as true
}

test_the_server_may_not_ask_by_itself if {
	some violation in policy.violations with input as {"method": "sampling/createMessage", "request": {"params": {"maxTokens": 1}}}
	violation.rule == "method_not_allowed"
}

limits := {"enabled": true, "methods": {"sampling/createMessage": 2}}

ask(method, taints) := {
	"stage": "server_request",
	"method": method,
	"request": {"params": {"maxTokens": 1}},
	"session": {"taints": taints},
}

denied(message, table) if {
	some violation in policy.violations with input as message with data.question_limits as table
	violation.rule == "question_limit_exceeded"
}

marks(message, table) := {obligation.label |
	some obligation in policy.obligations with input as message with data.question_limits as table
	obligation.action == "taint"
}

first := "question:sampling/createMessage:0"

second := "question:sampling/createMessage:1"

test_as_many_questions_as_the_limit if {
	marks(ask("sampling/createMessage", []), limits) == {first}
	marks(ask("sampling/createMessage", [first, "other"]), limits) == {second}
	not denied(ask("sampling/createMessage", [first]), limits)
}

test_one_question_more if {
	denied(ask("sampling/createMessage", [first, second]), limits)
	marks(ask("sampling/createMessage", [first, second]), limits) == set()
}

test_other_questions_are_not_counted if {
	not denied(ask("elicitation/create", [first, second]), limits)
	marks(ask("elicitation/create", []), limits) == set()
}

test_the_limit_is_off if {
	not denied(ask("sampling/createMessage", [first, second]), object.remove(limits, ["enabled"]))
	marks(ask("sampling/createMessage", []), object.remove(limits, ["enabled"])) == set()
}
