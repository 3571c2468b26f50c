# Agents of publishers that nobody trusts use nothing.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("publisher `%s` of the agent is not trusted", [publisher]),
	"rule": "untrusted_publisher",
	"severity": "high",
	"owasp": "ASI04",
	"remedy": "ask the operator to trust the publisher",
} if {
	count(data.trusted_publishers) > 0
	data.publisher_methods[input.method]
	not input.agent.publisher in data.trusted_publishers
}

default publisher := ""

publisher := input.agent.publisher
