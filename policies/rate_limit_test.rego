package mcp.rate_limit_test

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
