# What a server may ask of the client's model and of its user. Whether it may ask at all is `data.allowed_methods`.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("the server asks for %v tokens, more than the limit of %v", [input.request.params.maxTokens, data.sampling.max_tokens]),
	"rule": "sampling_too_long",
	"severity": "medium",
	"owasp": "MCP06",
	"remedy": "ask for fewer tokens",
} if {
	data.allowed_methods["sampling/createMessage"]
	input.method == "sampling/createMessage"
	input.request.params.maxTokens > data.sampling.max_tokens
}

# In the order of values, a text is more than any number, but nothing is not.
violations contains {
	"msg": "the server does not say how many tokens it asks for",
	"rule": "sampling_unlimited",
	"severity": "medium",
	"owasp": "MCP06",
	"remedy": "say `maxTokens`",
} if {
	data.allowed_methods["sampling/createMessage"]
	input.method == "sampling/createMessage"
	data.sampling.max_tokens
	not is_number(input.request.params.maxTokens)
}

# The specification forbids a server to ask for such in a form; a user may not know.
violations contains {
	"msg": sprintf("the server asks the user for `%s`", [name]),
	"rule": "elicitation_secret",
	"severity": "high",
	"owasp": "MCP01",
	"remedy": "let the user sign in at the server's own page",
} if {
	data.allowed_methods["elicitation/create"]
	input.method == "elicitation/create"
	input.request.params.requestedSchema.properties[name]
	regex.match(data.elicitation.secret_names[_], lower(name))
}

violations contains {
	"msg": "the server sends the user to an address",
	"rule": "elicitation_address",
	"severity": "medium",
	"owasp": "MCP06",
	"remedy": "ask in a form, or ask the operator to allow addresses",
} if {
	data.allowed_methods["elicitation/create"]
	input.method == "elicitation/create"
	input.request.params.mode == "url"
	not data.elicitation.allow_addresses
}

# How often a server may ask in one session. Each question that may be asked leaves a mark of its own in the session.
violations contains {
	"msg": sprintf("the server has asked `%s` %d times in this session, which is the limit", [input.method, count(sampling_asked)]),
	"rule": "question_limit_exceeded",
	"severity": "medium",
	"owasp": "MCP06",
	"remedy": "ask in another session",
} if {
	data.question_limits.enabled
	count(sampling_asked) >= data.question_limits.methods[input.method]
}

obligations contains {"action": "taint", "label": label} if {
	data.question_limits.enabled
	input.stage == "server_request"
	count(sampling_asked) < data.question_limits.methods[input.method]
	label := concat("", [sampling_mark, sprintf("%d", [count(sampling_asked)])])
}

sampling_mark := concat("", ["question:", input.method, ":"])

sampling_asked contains mark if {
	mark := input.session.taints[_]
	startswith(mark, sampling_mark)
}
