# Paths stay below the folders that `data.filesystem.roots` names.
#
# Paths are compared component by component and never as text: `/srv/files-secret` is not below `/srv/files`. What has
# more than one reading (`..`, encodings, signs that look like `/`) is refused rather than resolved, because a server
# follows links where this rule cannot.
package mcp.policy

import rego.v1

violations contains {
	"msg": sprintf("path `%s` is outside of the folders that agents may use", [path]),
	"rule": "path_outside_roots",
	"severity": "high",
	"owasp": "MCP05",
	"remedy": "use an absolute path below a folder that the operator has opened",
} if {
	data.filesystem.enabled
	path := filesystem_values[_]
	is_string(path)
	not filesystem_ambiguous(path)
	not filesystem_inside(path)
}

violations contains {
	"msg": sprintf("path `%s` can be read in more than one way", [path]),
	"rule": "path_not_canonical",
	"severity": "high",
	"owasp": "MCP05",
	"remedy": "write the path out, without `..`, `~`, variables, encodings and look-alike characters",
} if {
	data.filesystem.enabled
	path := filesystem_values[_]
	filesystem_ambiguous(path)
}

violations contains {
	"msg": "a path is no text",
	"rule": "path_not_text",
	"severity": "medium",
	"owasp": "MCP05",
	"remedy": "send each path as a string",
} if {
	data.filesystem.enabled
	value := filesystem_values[_]
	not is_string(value)
}

violations contains {
	"msg": "arguments nest deeper than paths are looked for",
	"rule": "path_too_deep",
	"severity": "medium",
	"owasp": "MCP05",
	"remedy": "send the paths closer to the top of the arguments",
} if {
	data.filesystem.enabled
	value := input.arguments[_][_][_][_]
	filesystem_nested(value)
}

filesystem_nested(value) if is_object(value)

filesystem_nested(value) if is_array(value)

# Names of arguments that are paths: those of the tool, else those of every tool.
filesystem_names := object.get(data.filesystem.arguments, input.tool, data.filesystem.arguments["*"])

# The objects in which they are looked for.
filesystem_objects contains input.arguments

filesystem_objects contains object if {
	object := input.arguments[_]
}

filesystem_objects contains object if {
	object := input.arguments[_][_]
}

filesystem_objects contains object if {
	object := input.arguments[_][_][_]
}

# Case of a name does not matter, because there are servers to which it does not.
filesystem_named contains value if {
	object := filesystem_objects[_]
	is_object(object)
	value := object[name]
	lower(name) == lower(filesystem_names[_])
}

filesystem_values contains value if {
	value := filesystem_named[_]
	not is_array(value)
}

filesystem_values contains value if {
	list := filesystem_named[_]
	is_array(list)
	value := list[_]
}

# Resources of the file system, as paths. Another host than this one leaves two slashes, which are ambiguous.
filesystem_values contains path if {
	regex.match(`(?i)^\s*file:`, input.resource)
	path := regex.replace(input.resource, `(?i)^file:(//(localhost)?)?/`, "/")
}

# Control and invisible characters, white space at an end.
filesystem_ambiguous(path) if {
	regex.match(`[\x00-\x1F\x7F-\x{9F}\x{200B}-\x{200F}\x{2028}-\x{202E}\x{2060}-\x{206F}\x{FEFF}]|^\s|\s$`, path)
}

# What looks like a dot, a slash or a backslash, and what turns into one.
filesystem_ambiguous(path) if {
	regex.match(`[\x{2024}-\x{2026}\x{2044}\x{2215}\x{2216}\x{29F5}\x{29F8}\x{29F9}\x{FE52}\x{FE68}\x{FF0E}\x{FF0F}\x{FF3C}]`, path)
}

filesystem_ambiguous(path) if regex.match(`(?i)%(00|25|2e|2f|5c|7e|c0|c1|e0|f0|u)`, path)

# Components of nothing but dots and spaces: `..`, and `...` or `.. ` where a server trims them.
filesystem_ambiguous(path) if regex.match(`(^|[/\\])[. ]*\.[. ]*\.[. ]*([/\\]|$)`, path)

# What a shell or a server expands.
filesystem_ambiguous(path) if regex.match("^~|(^|[/\\\\])\\$|\\$[({]|%\\w+%|`", path)

# Addresses, drives without a root, and hosts: `file:x`, `c:x`, `//host/share`.
filesystem_ambiguous(path) if regex.match(`^[A-Za-z][A-Za-z0-9+.-]+:|^[A-Za-z]:([^/\\]|$)|^[/\\]{2}`, path)

filesystem_inside(path) if {
	filesystem_absolute(path)
	filesystem_below(path)
}

# Without a working directory, nothing says where a relative path begins.
filesystem_inside(path) if {
	not filesystem_absolute(path)
	filesystem_below(concat("/", [data.filesystem.working_directory, path]))
}

filesystem_absolute(path) if regex.match(`^([A-Za-z]:)?[/\\]`, path)

filesystem_below(path) if {
	root := filesystem_components(data.filesystem.roots[_])
	array.slice(filesystem_components(path), 0, count(root)) == root
}

filesystem_components(path) := [component |
	components := split(replace(path, "\\", "/"), "/")
	component := components[_]
	component != ""
	component != "."
]
