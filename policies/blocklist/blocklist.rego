# Tools, agents and identities that may do nothing at all.
package mcp.policy

import rego.v1

# Case does not matter: servers differ in how they read the names of their tools.
violations contains {
	"msg": sprintf("tool `%s` is blocked", [input.tool]),
	"rule": "blocked_tool",
	"severity": "critical",
	"owasp": "ASI02",
	"remedy": "use another tool; this one is closed to everybody",
} if {
	tool := lower(input.tool)
	lower(data.blocked_tools[_]) == tool
}

violations contains {
	"msg": sprintf("agent `%s` is blocked", [input.agent.id]),
	"rule": "blocked_agent",
	"severity": "critical",
	"owasp": "MCP07",
	"remedy": "stop, and ask the operator why the agent is blocked",
} if {
	input.agent.id in data.blocked_agents
}

violations contains {
	"msg": sprintf("identity `%s` is blocked", [input.identity.did]),
	"rule": "blocked_identity",
	"severity": "critical",
	"owasp": "MCP07",
	"remedy": "stop, and ask the operator why the identity is blocked",
} if {
	input.identity.did in data.blocked_dids
}
