# A tool call needs the capabilities that `data.tool_capabilities` names for the tool.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("agent `%s` lacks capability `%s` for tool `%s`", [agent_id, capability, input.tool]),
	"rule": "missing_capability",
	"severity": "high",
	"owasp": "MCP02",
	"remedy": "ask the operator to grant the capability, or use a tool that needs none",
	"scope": capability,
} if {
	input.method == "tools/call"
	capability := needed[_]
	not granted(capability)
}

# An agent without an id lacks capabilities, too, and needs a text.
default agent_id := "unknown"

agent_id := input.agent.id

# The tool by its exact name, else what its pattern says.
needed contains data.tool_capabilities[input.tool]

needed contains capability if {
	not data.tool_capabilities[input.tool]
	capability := needed_by_pattern[_]
}

# Every pattern that it matches, else the capability of unlisted tools.
needed_by_pattern contains data.tool_patterns[pattern] if matching[pattern]

needed_by_pattern contains data.unlisted_tools if {
	count(matching) == 0
	data.unlisted_tools != ""
}

matching contains pattern if {
	data.tool_patterns[pattern]
	glob.match(pattern, null, input.tool)
}

# `read:files` is granted by `read:files`, `read:*` and `*`.
granted(capability) if capability in input.agent.capabilities

granted(capability) if {
	held := input.agent.capabilities[_]
	endswith(held, "*")
	startswith(capability, trim_suffix(held, "*"))
}
