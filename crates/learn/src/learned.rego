# What agents were seen to do is what they may do: everything else that they call, read or ask for is denied.
#
# The file is fixed; what was learned is `data.learned`. These rules only deny, so nothing that is learned can allow
# what another rule denies. Without the data, everything is denied that the rules look at.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("agent `%s` was never seen to call tool `%s`", [learned_agent_name, learned_tool_name]),
	"rule": "not_learned_tool",
	"severity": "high",
	"owasp": "MCP02",
	"remedy": "use a tool that `tools/list` shows, or ask the operator to allow this one",
} if {
	learned_stage
	input.method == "tools/call"
	not learned_tool
}

violations contains {
	"msg": sprintf("tool `%s` is not defined as it was (digest %s)", [learned_tool_name, learned_digest]),
	"rule": "tool_definition_changed",
	"severity": "critical",
	"owasp": "MCP03",
	"remedy": "list the tools again; if that does not help, ask the operator to look at the new definition",
} if {
	learned_stage
	input.method == "tools/call"
	count(learned_tool.definitions) > 0
	not learned_tool.definitions[learned_digest]
}

violations contains {
	"msg": sprintf("`%s` of tool `%s` is not what it was ever seen to be", [node.at, learned_tool_name]),
	"rule": "not_learned_argument",
	"severity": "high",
	"owasp": "MCP02",
	"remedy": "call the tool as before, or ask the operator to allow this argument",
} if {
	node := learned_nodes[_]
	not learned_fits(node.spec, node.value)
}

violations contains {
	"msg": sprintf("`%s` of tool `%s` lacks `%s`, which was always there", [node.at, learned_tool_name, name]),
	"rule": "not_learned_argument",
	"severity": "medium",
	"owasp": "MCP02",
	"remedy": "send this argument, too",
} if {
	node := learned_nodes[_]
	is_object(node.value)
	node.spec.members[name].required
	not learned_has(node.value, name)
}

violations contains {
	"msg": sprintf("agent `%s` was never seen to use resource `%s`", [learned_agent_name, input.resource]),
	"rule": "not_learned_resource",
	"severity": "high",
	"owasp": "MCP10",
	"remedy": "use a resource that `resources/list` shows, or ask the operator to allow this one",
} if {
	learned_stage
	input.resource
	not learned_resource
}

violations contains {
	"msg": sprintf("agent `%s` was never seen to use prompt `%s`", [learned_agent_name, input.prompt]),
	"rule": "not_learned_prompt",
	"severity": "medium",
	"owasp": "MCP06",
	"remedy": "use a prompt that `prompts/list` shows, or ask the operator to allow this one",
} if {
	learned_stage
	input.prompt
	not learned_prompt
}

learned_stage if input.stage == "request"

learned_stage if input.stage == "list"

# Without a name there still is a sentence, and so a denial.
default learned_agent_name := "unknown"

learned_agent_name := input.agent.id

default learned_tool_name := "unknown"

learned_tool_name := input.tool

learned_server := data.learned.agents[input.agent.id][input.server.name]

learned_tool := entry if {
	entry := learned_server.tools[input.tool]
	learned_granted(entry)
}

learned_prompt if {
	entry := learned_server.prompts[input.prompt]
	learned_granted(entry)
}

learned_resource if {
	scheme := split(input.resource, ":")[0]
	entry := learned_server.resources[scheme]
	learned_granted(entry)
	learned_fits(entry.uri, input.resource)
}

# What has too little evidence has reasons to be reviewed. It is granted, unless the settings say otherwise.
learned_granted(entry) if not learned_held(entry)

learned_held(entry) if {
	data.learned.settings.review == "deny"
	count(entry.review) > 0
}

# A tool that the server has not listed since the gateway was started has no digest.
default learned_digest := "unknown"

learned_digest := input.server.tool.digest

# A call without arguments has none that are not learned, and may lack some.
default learned_arguments := {}

learned_arguments := input.arguments

# The arguments of a call and what is in them, four levels deep, each with what was learned of it: nothing, where a
# name is new. What was learned as `any` is not looked into.
learned_nodes contains node if {
	node := learned_roots[_]
}

learned_nodes contains node if {
	node := learned_first[_]
}

learned_nodes contains node if {
	node := learned_second[_]
}

learned_nodes contains node if {
	node := learned_third[_]
}

learned_nodes contains node if {
	node := learned_fourth[_]
}

learned_roots contains {"at": "arguments", "spec": spec, "value": learned_arguments} if {
	input.stage == "request"
	input.method == "tools/call"
	spec := object.get(learned_tool, "arguments", {})
}

learned_first contains {"at": at, "spec": spec, "value": value} if {
	above := learned_roots[_]
	above.spec.rung != "any"
	value := above.value[key]
	spec := learned_below(above.spec, key)
	at := sprintf("%s/%v", [above.at, key])
}

learned_second contains {"at": at, "spec": spec, "value": value} if {
	above := learned_first[_]
	above.spec.rung != "any"
	value := above.value[key]
	spec := learned_below(above.spec, key)
	at := sprintf("%s/%v", [above.at, key])
}

learned_third contains {"at": at, "spec": spec, "value": value} if {
	above := learned_second[_]
	above.spec.rung != "any"
	value := above.value[key]
	spec := learned_below(above.spec, key)
	at := sprintf("%s/%v", [above.at, key])
}

learned_fourth contains {"at": at, "spec": spec, "value": value} if {
	above := learned_third[_]
	above.spec.rung != "any"
	value := above.value[key]
	spec := learned_below(above.spec, key)
	at := sprintf("%s/%v", [above.at, key])
}

# Of a member of an object by its name, of any item of an array.
learned_below(spec, key) := object.get(object.get(spec, "members", {}), key, object.get(spec, "items", {}))

learned_has(parent, name) if name in object.keys(parent)

# The rungs of the ladder, from one value to anything.
learned_fits(spec, value) if {
	value == spec.values[_]
}

learned_fits(spec, value) if {
	spec.rung == "prefix"
	learned_matches(spec.format, value)
	array.slice(split(value, "/"), 0, count(spec.prefix)) == spec.prefix
}

learned_fits(spec, value) if {
	spec.rung == "host_suffix"
	learned_matches("url", value)
	parts := split(value, "/")
	parts[0] == spec.scheme
	labels := array.reverse(split(parts[2], "."))
	array.slice(labels, 0, count(spec.host)) == array.reverse(spec.host)
}

learned_fits(spec, value) if {
	spec.rung == "range"
	is_number(value)
	value >= spec.min
	value <= spec.max
	learned_whole(spec.whole, value)
}

learned_fits(spec, value) if {
	spec.rung == "format"
	learned_matches(spec.format, value)
}

learned_fits(spec, value) if {
	spec.rung == "type"
	type_name(value) == spec.types[_]
}

learned_fits(spec, _) if spec.rung == "any"

learned_matches(format, value) if {
	is_string(value)
	regex.match(data.learned.formats[format], value)
}

learned_whole(whole, _) if not whole

learned_whole(whole, value) if {
	whole
	floor(value) == value
}
