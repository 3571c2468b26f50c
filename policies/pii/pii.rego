# Tools that show personal data are for models that may see it.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("model `%s` may not see the personal data of tool `%s`", [input.agent.model, input.tool]),
	"rule": "pii_model_blocked",
	"severity": "high",
	"owasp": "MCP10",
	"compliance": "GDPR",
	"remedy": "let a model do this that may see personal data",
} if {
	input.tool in data.pii_tools
	glob.match(lower(data.blocked_models_for_pii[_]), null, lower(input.agent.model))
}

violations contains {
	"msg": sprintf("model `%s` is not among those that may see the personal data of tool `%s`", [input.agent.model, input.tool]),
	"rule": "pii_model_not_allowed",
	"severity": "high",
	"owasp": "MCP10",
	"compliance": "GDPR",
	"remedy": "let a model do this that may see personal data",
} if {
	input.tool in data.pii_tools
	count(data.allowed_models_for_pii) > 0
	not pii_model_allowed
}

# A block list is no use against a model that has no name.
violations contains {
	"msg": sprintf("tool `%s` shows personal data, and the agent names no model", [input.tool]),
	"rule": "pii_model_unknown",
	"severity": "high",
	"owasp": "MCP10",
	"compliance": "GDPR",
	"remedy": "ask the operator to name the agent's model",
} if {
	input.tool in data.pii_tools
	count(data.blocked_models_for_pii) > 0
	not pii_model_named
}

pii_model_named if input.agent.model != ""

pii_model_allowed if glob.match(lower(data.allowed_models_for_pii[_]), null, lower(input.agent.model))
