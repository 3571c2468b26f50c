package mcp.prompts_resources_test

import data.mcp.policy
import rego.v1

read(uri, access) := {violation.rule |
	some violation in policy.violations with input as {"method": "resources/read", "resource": uri}
		with data.resource_access as access
	startswith(violation.rule, "resource_")
}

get(prompt, access) := {violation.rule |
	some violation in policy.violations with input as {"method": "prompts/get", "prompt": prompt}
		with data.prompt_access as access
	startswith(violation.rule, "prompt_")
}

blocked := {"blocked": ["file:*/.env", "*secret*"]}

allowed := {"allowed": ["file:///srv/*", "db:users"]}

test_blocked_resources if {
	read("file:///srv/.env", blocked) == {"resource_blocked"}
	read("FILE:///srv/.ENV", blocked) == {"resource_blocked"}
	read("x:Secrets", blocked) == {"resource_blocked"}
	read("file:///srv/a", blocked) == set()
}

test_allowed_resources if {
	read("file:///srv/a/b", allowed) == set()
	read("db:users", allowed) == set()
	read("db:users2", allowed) == {"resource_not_allowed"}
	read("FILE:///srv/a", allowed) == {"resource_not_allowed"}
}

test_blocked_wins_over_allowed if {
	read("file:///srv/.env", object.union(blocked, allowed)) == {"resource_blocked"}
}

test_more_than_one_reading if {
	every uri in [
		"file:///srv/../etc/passwd", "file:///srv/..", "file:///srv/%2e%2E/etc", "file:///srv/.%2e/x", "file:///srv/a%2fb",
		`file:///srv/a\b`, "file:///srv/%2561", "file:///srv/a\u0000b", "file:///srv/a%00", "file:///srv/a b",
	] {
		read(uri, allowed) == {"resource_not_canonical"}
		read(uri, blocked) == {"resource_not_canonical"}
	}
}

test_prompts if {
	get("admin_reset", {"blocked": ["admin_*"]}) == {"prompt_blocked"}
	get("Admin_reset", {"blocked": ["admin_*"]}) == {"prompt_blocked"}
	get("review", {"blocked": ["admin_*"]}) == set()
	get("review_code", {"allowed": ["review_*"]}) == set()
	get("other", {"allowed": ["review_*"]}) == {"prompt_not_allowed"}
}

test_other_methods_are_not_concerned if {
	count(policy.violations) == 0 with input as {"method": "ping"}
		with data.resource_access as allowed
		with data.prompt_access as {"allowed": ["review_*"]}
}

test_they_are_off if {
	read("file:///srv/../.env", {}) == set()
	get("admin_reset", {}) == set()
}
