# A tool that is new, or not what it was when somebody looked at it, is called with a person's consent.
package mcp.policy

import rego.v1

obligations contains {"action": "require_approval", "message": message} if {
	data.tool_approval.enabled
	input.stage == "request"
	input.method == "tools/call"
	not tool_approval_given
	message := sprintf("tool `%s` of server `%s` is new or has changed (digest %s)", [input.tool, input.server.name, tool_digest])
}

# The very definition that was approved, and no other since the gateway was started.
tool_approval_given if {
	data.tool_approval.tools[input.server.name][input.tool] == input.server.tool.digest
	not input.server.tool.changed
}

# A tool that the server has not listed has no definition.
default tool_digest := "unknown"

tool_digest := input.server.tool.digest
