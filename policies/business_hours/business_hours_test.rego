package mcp.business_hours_test

import data.mcp.policy
import rego.v1

days := {
	"enabled": true,
	"tools": ["deploy_*"],
	"time_zone": "Europe/Berlin",
	"from": "09:00",
	"to": "17:00",
	"days": ["Monday", "Friday"],
}

nights := object.union(days, {"time_zone": "UTC", "from": "22:00", "to": "06:00"})

closed(tool, time, table) if {
	some violation in policy.violations with input as {"method": "tools/call", "tool": tool, "context": {"timestamp": time}}
		with data.business_hours as table
	violation.rule == "outside_business_hours"
}

# 2025-11-21 is a Friday, and Berlin is one hour ahead of UTC; in July it is two.
test_in_the_zone if {
	not closed("deploy_web", "2025-11-21T08:00:00Z", days)
	not closed("deploy_web", "2025-11-21T15:59:59.999Z", days)
	not closed("deploy_web", "2025-07-18T07:00:00Z", days)
}

test_outside if {
	closed("deploy_web", "2025-11-21T07:59:59Z", days)
	closed("deploy_web", "2025-11-21T16:00:00Z", days)
	closed("deploy_web", "2025-11-20T10:00:00Z", days)
}

test_past_midnight if {
	not closed("deploy_web", "2025-11-21T22:00:00Z", nights)
	not closed("deploy_web", "2025-11-21T05:59:00Z", nights)
	closed("deploy_web", "2025-11-21T12:00:00Z", nights)
	closed("deploy_web", "2025-11-22T01:00:00Z", nights)
}

test_what_cannot_be_told_is_outside if {
	closed("deploy_web", "2025-11-21T10:00:00Z", object.union(days, {"time_zone": "Middle/Earth"}))
	closed("deploy_web", "yesterday", days)
	closed("deploy_web", "2025-11-21T10:00:00Z", object.remove(days, ["days"]))
}

test_other_tools if not closed("echo", "2025-11-20T00:00:00Z", days)

test_it_is_off if not closed("deploy_web", "2025-11-20T00:00:00Z", object.remove(days, ["enabled"]))
