# How much may be asked: of a session in its whole life, and of agents, sessions and tools in a window of time.
package mcp.policy

import rego.v1

# As many requests as the limit, and not one more.
violations contains {
	"msg": sprintf("session has sent %d requests, more than the limit of %d", [input.session.request_count, rate_limit]),
	"rule": "rate_limit_exceeded",
	"severity": "medium",
	"owasp": "ASI02",
	"remedy": "open a new session if the work is not done",
} if {
	input.session.request_count > rate_limit
}

default rate_limit := 100000

rate_limit := object.get(data.rate_limits, input.agent.id, data.rate_limits.default)

# The gateway counts; what is beyond a window is denied as `rate_limited`.
obligations contains {"action": "rate_limit", "key": "agent", "limit": window.limit, "per": window.per} if {
	data.rate_windows.enabled
	input.stage == "request"
	data.rate_windows.methods[input.method]
	agents := data.rate_windows.agents
	window := object.get(agents, input.agent.id, object.get(agents, "default", null))
	window != null
}

obligations contains {"action": "rate_limit", "key": "session", "limit": window.limit, "per": window.per} if {
	data.rate_windows.enabled
	input.stage == "request"
	data.rate_windows.methods[input.method]
	window := data.rate_windows.session
}

obligations contains {"action": "rate_limit", "key": ["agent", "tool"], "limit": window.limit, "per": window.per} if {
	data.rate_windows.enabled
	input.stage == "request"
	input.method == "tools/call"
	window := data.rate_windows.tools[input.tool]
}
