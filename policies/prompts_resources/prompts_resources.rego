# Resources and prompts by pattern: those that are blocked, and, where there is a list of allowed ones, all others.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("resource `%s` is blocked", [input.resource]),
	"rule": "resource_blocked",
	"severity": "high",
	"owasp": "MCP10",
	"remedy": "use another resource",
} if {
	glob.match(lower(data.resource_access.blocked[_]), null, lower(input.resource))
}

violations contains {
	"msg": sprintf("resource `%s` is not among those that may be read", [input.resource]),
	"rule": "resource_not_allowed",
	"severity": "high",
	"owasp": "MCP10",
	"remedy": "use a resource that `resources/list` shows",
} if {
	count(data.resource_access.allowed) > 0
	input.resource
	not resource_access_allowed
}

# `..` and its encodings would make the patterns worthless.
violations contains {
	"msg": sprintf("resource `%s` can be read in more than one way", [input.resource]),
	"rule": "resource_not_canonical",
	"severity": "high",
	"owasp": "MCP10",
	"remedy": "write the address out, without `..` and encoded dots and slashes",
} if {
	resource_access_limited
	regex.match(`(?i)[\x00-\x20\\]|(^|/)(\.|%2e){2}(/|$)|%(00|25|2e|2f|5c)`, input.resource)
}

violations contains {
	"msg": sprintf("prompt `%s` is blocked", [input.prompt]),
	"rule": "prompt_blocked",
	"severity": "medium",
	"owasp": "MCP06",
	"remedy": "use another prompt",
} if {
	glob.match(lower(data.prompt_access.blocked[_]), null, lower(input.prompt))
}

violations contains {
	"msg": sprintf("prompt `%s` is not among those that may be used", [input.prompt]),
	"rule": "prompt_not_allowed",
	"severity": "medium",
	"owasp": "MCP06",
	"remedy": "use a prompt that `prompts/list` shows",
} if {
	count(data.prompt_access.allowed) > 0
	input.prompt
	not prompt_access_allowed
}

# Case matters where something is let through, and does not where it is stopped.
resource_access_allowed if glob.match(data.resource_access.allowed[_], null, input.resource)

prompt_access_allowed if glob.match(data.prompt_access.allowed[_], null, input.prompt)

resource_access_limited if count(data.resource_access.blocked) > 0

resource_access_limited if count(data.resource_access.allowed) > 0
