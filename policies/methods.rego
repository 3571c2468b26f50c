# Methods that nobody has allowed are denied, in both directions.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("method `%s` is not allowed", [method]),
	"rule": "method_not_allowed",
	"severity": "medium",
	"owasp": "MCP07",
} if {
	not data.allowed_methods[input.method]
}

# A message without a method is denied, too, and needs a text.
default method := ""

method := input.method

violations contains {
	"msg": "`tools/call` names no tool",
	"rule": "tool_missing",
	"severity": "medium",
	"owasp": "MCP07",
} if {
	input.method == "tools/call"
	not input.tool
}
