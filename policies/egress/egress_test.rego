package mcp.egress_test

import data.mcp.policy
import rego.v1

settings := {
	"enabled": true,
	"hosts": {
		"api.example.com": true, "closed.example.com": false, "*.example.org": true, "[2001:db8::1]": true,
		"192.0.2.7": true, "xn--bcher-kva.example": true,
	},
	"arguments": ["url", "host"],
}

rules(message, table) := {violation.rule |
	some violation in policy.violations with input as message with data.egress as table
	startswith(violation.rule, "egress_")
}

hosts(text) := hosts if {
	hosts := policy.egress_hosts with input as {"arguments": {"text": text}} with data.egress as settings
}

call(arguments) := rules({"method": "tools/call", "tool": "fetch", "arguments": arguments}, settings)

test_the_host_of_an_address if {
	every text, host in {
		"http://a.example/x": "a.example",
		"HTTPS://A.Example:8443?x": "a.example",
		"http://a.example.": "a.example",
		"http://user:word@a.example/": "a.example",
		"http://a.example@b.example/": "b.example",
		"http://a.example:80@b.example:443#c": "b.example",
		"http://[2001:DB8::1]:80/": "[2001:db8::1]",
		"http:a.example": "a.example",
		"http:///a.example/x": "a.example",
		`http:\\a.example\x`: "a.example",
		"postgres://a.example/db": "a.example",
		"see (https://a.example), and more": "a.example",
		"wss://a.example/http": "a.example",
		"http://2130706433/": "2130706433",
		"http://bücher.example/": "bücher.example",
	} {
		hosts(text) == {host}
	}
	hosts("from http://a.example to ftp://b.example/x") == {"a.example", "b.example"}
	hosts("no address: 10:30, a//b, file:///etc/passwd") == set()
}

test_allowed_hosts if {
	every url in [
		"https://api.example.com/x", "https://API.EXAMPLE.COM.:443/", "http://a.example.org", "http://a.b.example.org/",
		"http://[2001:db8::1]/", "http://192.0.2.7:8080/x?y=http", "https://xn--bcher-kva.example/",
	] {
		call({"text": url}) == set()
		call({"url": url}) == set()
	}
	call({"host": "api.example.com"}) == set()
	call({"host": "api.example.com:443"}) == set()
	call({"n": 7, "deep": [{"er": ["mail me at a@b.example"]}]}) == set()
}

test_other_hosts if {
	every url in [
		"https://evil.example/", "https://api.example.com.evil.example/", "https://api.example.com@evil.example/",
		"https://evilexample.org/", "https://example.org/", "https://closed.example.com/", "http://2130706433/",
		"http://[::1]/", "http://*.example.org/", "http://bücher.example/", "http://api%2eexample.com/",
		"http://evil.example#@api.example.com", "//api.example.com.evil.example/", "gopher://evil.example",
	] {
		count(call({"url": url})) > 0
	}
	call({"text": "see https://evil.example/x."}) == {"egress_host_not_allowed"}
	call({"a": {"b": {"c": {"d": {"e": "https://evil.example"}}}}}) == {"egress_host_not_allowed"}
	call({"headers": {"https://evil.example": 1}}) == {"egress_host_not_allowed"}
	call({"host": "evil.example"}) == {"egress_host_not_allowed"}
}

test_readers_that_disagree if {
	every text in [
		`http://api.example.com\@evil.example`, "http://api.example.com @evil.example", "http://api.example.com\"@evil.example",
		"http://api.example.com<@evil.example", "http://api.example.com'@evil.example", "http://api.example.com\n.evil.example",
		"http://api.example.com\t@evil.example", `https://api.example.com\.evil.example`,
	] {
		"egress_address_ambiguous" in call({"text": text})
	}
	call({"text": "at http://api.example.com\nor write to me"}) == set()
}

test_an_address_by_its_name if {
	every value in ["", "not a host", "http://user@api.example.com/", "git@api.example.com:x", "http://a b/", `http:\\x`, "http:x", 7, null, ["api.example.com"]] {
		"egress_address_malformed" in call({"URL": value})
	}
}

test_resources if {
	rules({"method": "resources/read", "resource": "https://evil.example/x"}, settings) == {"egress_host_not_allowed"}
	rules({"method": "resources/read", "resource": "https://a.example.org/x"}, settings) == set()
	rules({"method": "resources/read", "resource": "file:///x"}, settings) == set()
}

test_it_is_off if {
	rules({"method": "tools/call", "arguments": {"url": "http://evil.example"}}, object.remove(settings, ["enabled"])) == set()
}
