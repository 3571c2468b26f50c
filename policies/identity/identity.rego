# Tools that only somebody with a verified identity may call, and the identities that may do anything at all.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("tool `%s` needs a verified identity", [input.tool]),
	"rule": "identity_required",
	"severity": "high",
	"owasp": "MCP07",
	"remedy": "authenticate, then call again",
} if {
	input.tool in data.identity_required_tools
	not input.identity.verified
}

violations contains {
	"msg": sprintf("identity `%s` is not among those that may use this server", [identity_did]),
	"rule": "identity_not_allowed",
	"severity": "high",
	"owasp": "ASI03",
	"remedy": "use an identity that the operator has allowed",
} if {
	count(data.allowed_dids) > 0
	data.identity_methods[input.method]
	not identity_allowed
}

# A name that nobody has verified is worth nothing.
identity_allowed if {
	input.identity.verified
	input.identity.did in data.allowed_dids
}

default identity_did := ""

identity_did := input.identity.did
