package mcp.publishers_test

import data.mcp.policy
import rego.v1

texts(method, agent) := {violation.msg |
	some violation in policy.violations with input as {"method": method, "agent": agent}
		with data.trusted_publishers as ["example.com"]
	violation.rule == "untrusted_publisher"
}

test_trusted if texts("tools/call", {"id": "a", "publisher": "example.com"}) == set()

test_not_trusted if {
	texts("tools/call", {"id": "a", "publisher": "example.com.evil"}) == {"publisher `example.com.evil` of the agent is not trusted"}
	count(texts("resources/read", {"id": "a", "publisher": "Example.com"})) == 1
}

test_no_publisher if {
	texts("prompts/get", {"id": "a", "publisher": ""}) == {"publisher `` of the agent is not trusted"}
	texts("prompts/get", {"id": "a"}) == {"publisher `` of the agent is not trusted"}
}

test_a_session_may_be_opened if texts("initialize", {"id": "a", "publisher": ""}) == set()

test_it_is_off if {
	every list in [[], null] {
		count(policy.violations) == 0 with input as {"method": "prompts/get", "agent": {"id": "a", "publisher": "evil"}}
			with data.trusted_publishers as list
	}
}
