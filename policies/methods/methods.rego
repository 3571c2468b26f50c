# Methods that nobody has allowed are denied, in both directions. Only a client that connects has no method yet.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("method `%s` is not allowed", [method]),
	"rule": "method_not_allowed",
	"severity": "medium",
	"owasp": "MCP07",
	"remedy": "do without it, or ask the operator to allow the method",
} if {
	method := input.method
	not data.allowed_methods[method]
}

violations contains {
	"msg": "`tools/call` names no tool",
	"rule": "tool_missing",
	"severity": "medium",
	"owasp": "MCP07",
	"remedy": "send the name of the tool as `params.name`",
} if {
	input.method == "tools/call"
	not input.tool
}
