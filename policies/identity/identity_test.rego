package mcp.identity_test

import data.mcp.policy
import rego.v1

rules(message) := {violation.rule |
	some violation in policy.violations with input as message
		with data.identity_required_tools as ["approve"]
		with data.allowed_dids as ["did:key:good"]
	startswith(violation.rule, "identity_")
}

call(tool, verified, did) := {
	"method": "tools/call",
	"tool": tool,
	"identity": {"verified": verified, "method": "did", "did": did},
}

test_somebody_verified if rules(call("approve", true, "did:key:good")) == set()

test_somebody_unverified if {
	rules(call("approve", false, "did:key:good")) == {"identity_required", "identity_not_allowed"}
	rules(call("echo", false, "did:key:good")) == {"identity_not_allowed"}
}

test_somebody_else if rules(call("approve", true, "did:key:other")) == {"identity_not_allowed"}

test_nobody if {
	rules({"method": "tools/call", "tool": "approve"}) == {"identity_required", "identity_not_allowed"}
	rules({"method": "resources/read", "resource": "x:y"}) == {"identity_not_allowed"}
}

test_the_text_for_nobody if {
	some violation in policy.violations with input as {"method": "prompts/get"} with data.allowed_dids as ["did:key:good"]
	violation.msg == "identity `` is not among those that may use this server"
}

test_a_session_may_be_opened if {
	rules({"method": "initialize", "identity": {"verified": false, "method": "did", "did": ""}}) == set()
}

test_it_is_off if {
	message := object.union(call("approve", false, ""), {"agent": {"id": "alice", "capabilities": ["*"]}})
	count(policy.violations) == 0 with input as message
	count(policy.violations) == 0 with input as message with data.allowed_dids as []
}
