# Some tools are for working hours. What cannot be told (an unknown time zone) is outside of them.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("tool `%s` may only be used in business hours", [input.tool]),
	"rule": "outside_business_hours",
	"severity": "medium",
	"owasp": "ASI02",
	"remedy": "call again in business hours",
} if {
	data.business_hours.enabled
	business_hours_bind
	not business_hours_open
}

business_hours_bind if glob.match(data.business_hours.tools[_], null, input.tool)

business_hours_now := time.parse_rfc3339_ns(input.context.timestamp)

business_hours_clock := time.format([business_hours_now, data.business_hours.time_zone, "15:04"])

business_hours_day if {
	day := time.weekday([business_hours_now, data.business_hours.time_zone])
	day in data.business_hours.days
}

business_hours_open if {
	business_hours_day
	data.business_hours.from <= business_hours_clock
	business_hours_clock < data.business_hours.to
}

# Hours that pass midnight.
business_hours_open if {
	business_hours_day
	data.business_hours.to < data.business_hours.from
	data.business_hours.from <= business_hours_clock
}

business_hours_open if {
	business_hours_day
	data.business_hours.to < data.business_hours.from
	business_hours_clock < data.business_hours.to
}
