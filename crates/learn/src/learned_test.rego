# Each entry of the learned document lets through what it was learned from, and not what is a little different. Made by
# `mcp-proxy policy learn`, from the entries and not from the log: no value stands here that the document does not have.
package mcp.learned_test

import data.mcp.policy
import rego.v1

denials := {
	"not_learned_tool", "tool_definition_changed", "not_learned_argument", "not_learned_resource", "not_learned_prompt",
}

denied(message) := {violation.rule |
	some violation in policy.violations with input as message with data.learned.settings as {"review": "allow"}
	violation.rule in denials
}

test_what_was_learned_passes if {
	every message in cases {
		denied(message) == set()
	}
}

test_other_agents_do_not_have_it if {
	every message in cases {
		count(denied(object.union(message, {"agent": {"id": "\u0000"}}))) == 1
	}
}

test_other_tools_and_prompts_are_denied if {
	every message in [message | some message in cases; not message.resource] {
		count(denied(object.union(message, {"tool": "\u0000", "prompt": "\u0000"}))) > 0
	}
}

test_other_definitions_are_denied if {
	every message in [message | some message in cases; message.server.tool.digest] {
		other := object.union(message, {"server": {"tool": {"digest": "\u0000"}}})
		denied(other) == {"tool_definition_changed"}
	}
}
