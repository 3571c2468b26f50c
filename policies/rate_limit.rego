# How many requests a session may send: as many as its limit, and not one more.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("session has sent %d requests, more than the limit of %d", [input.session.request_count, rate_limit]),
	"rule": "rate_limit_exceeded",
	"severity": "medium",
	"owasp": "ASI02",
} if {
	input.session.request_count > rate_limit
}

default rate_limit := 100000

rate_limit := object.get(data.rate_limits, input.agent.id, data.rate_limits.default)
