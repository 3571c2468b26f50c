# No session touches private data and untrusted content and a way out: with all three, words in the content can send
# the data away. Any two are fine; the call that would be the third is denied.
#
# A session's taints say what it has touched. They are set before the call leaves, so that two calls at once cannot
# slip through; a call that another rule denies counts as well.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("`%s` would complete private data, untrusted content and a way out in one session", [name]),
	"rule": "toxic_flow",
	"severity": "critical",
	"owasp": "MCP06",
	"remedy": "do this in a session of its own, without what the other calls have brought in",
} if {
	data.toxic_flow.enabled
	toxic_flow_complete
	name := toxic_flow_names[_]
}

obligations contains {"action": "taint", "label": leg} if {
	data.toxic_flow.enabled
	input.stage == "request"
	toxic_flow_touched[leg]
	not toxic_flow_complete
}

toxic_flow_complete if {
	count(toxic_flow_touched) > 0
	count(toxic_flow_legs) == 3
}

toxic_flow_names contains input.tool

toxic_flow_names contains input.resource

# What this call touches. It may be more than one leg: fetching a page is a way out and brings in content.
toxic_flow_touched contains leg if {
	pattern := data.toxic_flow.legs[leg][_]
	name := toxic_flow_names[_]
	glob.match(lower(pattern), null, lower(name))
}

toxic_flow_legs contains leg if toxic_flow_touched[leg]

toxic_flow_legs contains leg if {
	data.toxic_flow.legs[leg]
	leg in input.session.taints
}
