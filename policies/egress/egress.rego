# Addresses in arguments lead to allowed hosts only.
#
# Addresses are looked for in the JSON text of the arguments, so that none is too deep to be found; `\\.` stands for an
# escaped character there. Where readers of addresses disagree about which host is meant, the address is denied.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("host `%s` is not among those that agents may reach", [host]),
	"rule": "egress_host_not_allowed",
	"severity": "high",
	"owasp": "MCP10",
	"remedy": "use an address of an allowed host, or ask the operator to allow this one",
} if {
	data.egress.enabled
	host := egress_hosts[_]
	not egress_allowed(host)
}

# White space, quotes and backslashes before an `@`: some see the host behind it, some the one in front.
violations contains {
	"msg": "an address in the arguments can be read in more than one way",
	"rule": "egress_address_ambiguous",
	"severity": "high",
	"owasp": "MCP10",
	"remedy": "write the address without user, white space and backslashes",
} if {
	data.egress.enabled
	text := egress_texts[_]
	regex.match(
		"(?i)((https?|wss?|ftps?):(/|\\\\\\\\)*|[a-z][a-z0-9+.-]*://)([^/?#\"\\\\]|\\\\.)*([\\s<>'`]|\\\\.)([^/?#\"\\\\]|\\\\.)*@",
		text,
	)
}

# A text that is an address: what is cut out of it by one reader (tabs, line ends) is the end of it to another.
violations contains {
	"msg": "an address in the arguments can be read in more than one way",
	"rule": "egress_address_ambiguous",
	"severity": "high",
	"owasp": "MCP10",
	"remedy": "write the address without user, white space and backslashes",
} if {
	data.egress.enabled
	text := egress_texts[_]
	regex.match(`(?i)"(\s|\\[tnr])*((https?|wss?|ftps?):(/|\\\\)*|[a-z][a-z0-9+.-]*://)[^/?#"\\]*\\`, text)
}

# An argument that is an address by its name must be one.
violations contains {
	"msg": sprintf("argument `%s` is no plain address", [name]),
	"rule": "egress_address_malformed",
	"severity": "medium",
	"owasp": "MCP10",
	"remedy": "write it as `https://host/path` or as the name of a host",
} if {
	data.egress.enabled
	value := input.arguments[name]
	lower(name) == lower(data.egress.arguments[_])
	not egress_plain(value)
}

egress_texts contains text if {
	arguments := input.arguments
	text := json.marshal(arguments)
}

# With an address `http:`, a server reads a resource from elsewhere.
egress_texts contains text if {
	resource := input.resource
	text := json.marshal(resource)
}

# From the scheme to the end of the host: what a space, a backslash or one of `<>` ends, or `/`, `?`, `#`.
egress_authorities contains authority if {
	found := regex.find_n(`(?i)((https?|wss?|ftps?):(/|\\\\)*|[a-z][a-z0-9+.-]*://)[^/?#"\\\s<>]+`, egress_texts[_], -1)
	address := found[_]
	authority := regex.replace(address, `(?i)^[a-z][a-z0-9+.-]*:(/|\\)*`, "")
}

egress_authorities contains authority if {
	value := input.arguments[name]
	lower(name) == lower(data.egress.arguments[_])
	egress_plain(value)
	authority := regex.replace(regex.replace(value, `(?i)^([a-z][a-z0-9+.-]*:)?//`, ""), `[/?#].*$`, "")
}

# Without user, port, final dot and the punctuation of a sentence.
egress_hosts contains host if {
	authority := egress_authorities[_]
	host := lower(regex.replace(regex.replace(authority, `^.*@`, ""), `(\.?:[0-9]*)?[.,;:!?)']*$`, ""))
}

# A name or a number, with a port; no user. Names in other scripts are written in their `xn--` form.
egress_plain(value) if {
	regex.match(`(?i)^(([a-z][a-z0-9+.-]*:)?//)?([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]+)?([/?#][^\x00-\x20\\]*)?$`, value)
}

egress_allowed(host) if {
	not contains(host, "*")
	data.egress.hosts[host]
}

# `*.example.com` stands for every name below, but not for `example.com`.
egress_allowed(host) if {
	regex.match(`^[a-z0-9_.-]+$`, host)
	labels := split(host, ".")
	labels[place]
	place > 0
	parent := concat(".", array.slice(labels, place, count(labels)))
	data.egress.hosts[concat("", ["*.", parent])]
}
