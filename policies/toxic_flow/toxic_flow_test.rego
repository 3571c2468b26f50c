package mcp.toxic_flow_test

import data.mcp.policy
import rego.v1

settings := {
	"enabled": true,
	"legs": {
		"private_data": ["lookup_*", "file:*"],
		"untrusted_content": ["read_mail", "fetch"],
		"egress": ["send_mail", "fetch"],
	},
}

message(subject, taints) := object.union(
	{"stage": "request", "session": {"taints": taints}},
	subject,
)

denied(subject, taints) if {
	some violation in policy.violations with input as message(subject, taints) with data.toxic_flow as settings
	violation.rule == "toxic_flow"
}

taints(subject, before) := {obligation.label |
	some obligation in policy.obligations with input as message(subject, before) with data.toxic_flow as settings
	obligation.action == "taint"
}

private := {"method": "tools/call", "tool": "lookup_customer"}

content := {"method": "tools/call", "tool": "read_mail"}

way_out := {"method": "tools/call", "tool": "SEND_MAIL"}

test_each_leg_leaves_its_mark if {
	taints(private, []) == {"private_data"}
	taints(content, []) == {"untrusted_content"}
	taints(way_out, []) == {"egress"}
	taints({"method": "tools/call", "tool": "fetch"}, []) == {"egress", "untrusted_content"}
	taints({"method": "resources/read", "resource": "file:///x"}, []) == {"private_data"}
	taints({"method": "tools/call", "tool": "echo"}, []) == set()
}

test_any_two_pass if {
	every pair in [
		[private, ["untrusted_content"]], [private, ["egress"]], [content, ["private_data"]], [content, ["egress"]],
		[way_out, ["private_data"]], [way_out, ["untrusted_content"]], [private, ["private_data", "egress"]],
		[way_out, ["egress", "untrusted_content"]], [content, []],
	] {
		not denied(pair[0], pair[1])
	}
}

test_the_third_is_denied_in_any_order if {
	every pair in [
		[private, ["untrusted_content", "egress"]], [content, ["private_data", "egress"]],
		[way_out, ["private_data", "untrusted_content"]],
		[{"method": "tools/call", "tool": "fetch"}, ["private_data"]],
		[{"method": "resources/read", "resource": "file:///x"}, ["untrusted_content", "egress", "other"]],
	] {
		denied(pair[0], pair[1])
		taints(pair[0], pair[1]) == set()
	}
}

test_what_touches_nothing_passes if {
	every subject in [{"method": "tools/call", "tool": "echo"}, {"method": "ping"}] {
		not denied(subject, ["private_data", "untrusted_content", "egress"])
	}
}

test_only_requests_leave_marks if {
	taints(object.union(private, {"stage": "list"}), []) == set()
}

test_it_is_off if {
	marks := {obligation |
		some obligation in policy.obligations with input as message(private, [])
			with data.toxic_flow as object.remove(settings, ["enabled"])
	}
	marks == set()
}
