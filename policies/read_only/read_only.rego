# In read-only mode, only tools that change nothing may be called.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("tool `%s` may change something, and the gateway is in read-only mode", [input.tool]),
	"rule": "read_only_mode",
	"severity": "high",
	"owasp": "ASI02",
	"remedy": "use a tool that only reads, or ask the operator to end read-only mode",
} if {
	data.read_only.enabled
	read_only_stage
	input.method == "tools/call"
	not data.read_only.tools[input.tool]
	not read_only_declared
}

# An answer comes too late, and without what the server says of the tool.
read_only_stage if input.stage == "request"

read_only_stage if input.stage == "list"

# The server's own word.
read_only_declared if {
	data.read_only.trust_annotations
	input.server.tool.annotations.readOnlyHint == true
}
