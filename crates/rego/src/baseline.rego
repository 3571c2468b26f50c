# What an allow-list need not mention: opening a session, keeping it alive, and asking for lists and for word of their
# changes. The entries of a list, and the resources that `subscriptions/listen` names, are decided one by one. `deny`,
# `violations` and `decision` are not softened by it. A package `mcp.baseline` among the policies replaces this one.
package mcp.baseline

import rego.v1

allow if {
	input.stage in {"request", "response"}
	input.method in {
		"initialize",
		"server/discover",
		"ping",
		"notifications/initialized",
		"notifications/cancelled",
		"notifications/progress",
		"tools/list",
		"resources/list",
		"resources/templates/list",
		"prompts/list",
		"subscriptions/listen",
	}
}

# A connection is opened before anything is known of it; its first message is decided on its own.
allow if input.stage == "connect"

allow if {
	input.stage == "server_request"
	input.method in {
		"ping",
		"notifications/cancelled",
		"notifications/message",
		"notifications/progress",
		"notifications/prompts/list_changed",
		"notifications/resources/list_changed",
		"notifications/subscriptions/acknowledged",
		"notifications/tools/list_changed",
	}
}
