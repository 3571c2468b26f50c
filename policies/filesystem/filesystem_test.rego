package mcp.filesystem_test

import data.mcp.policy
import rego.v1

settings := {
	"enabled": true,
	"roots": ["/srv/files", "/tmp/", `C:\data`],
	"arguments": {"*": ["path", "paths", "source"], "make": ["target"], "echo": []},
}

rules(message, table) := {violation.rule |
	some violation in policy.violations with input as message with data.filesystem as table
	startswith(violation.rule, "path_")
}

call(tool, arguments) := {"method": "tools/call", "tool": tool, "arguments": arguments}

of(arguments) := rules(call("read_file", arguments), settings)

at(path) := of({"path": path})

test_below_a_root if {
	every path in [
		"/srv/files", "/srv/files/", "/srv/files/a.txt", "/srv/files/a/b c/d.txt", "/srv//files///a",
		"/srv/./files/./a", "/tmp/x", "/srv/files/.hidden", "/srv/files/a..b", "/srv/files/a:b", `C:\data\x`,
		"C:/data/x", "/srv/files/ü/日本", "/srv/files/100%", "/srv/files/a$b",
	] {
		at(path) == set()
	}
}

test_outside_of_the_roots if {
	every path in [
		"/", "/srv", "/srv/", "/srv/file", "/srv/files-secret/x", "/srv/files.old", "/etc/passwd", "/SRV/FILES/a",
		"/x/srv/files/a", `C:\Windows\x`, "D:/data/x", "a.txt", "srv/files/a", "./a", "", ".", `\etc\passwd`,
	] {
		at(path) == {"path_outside_roots"}
	}
}

test_more_than_one_reading if {
	every path in [
		"/srv/files/../x", "..", "../x", "/srv/files/..", `/srv/files\..\x`, "/srv/files/...", "/srv/files/.. /x",
		"/srv/files/. ./x", "/srv/files/%2e%2e/x", "/srv/files/%2E./x", "/srv/files/..%2fx", "/srv/files/a%5cb",
		"/srv/files/%252e", "/srv/files/a%00.txt", "/srv/files/%c0%ae", "/srv/files/%u002e", "~/x", "~root/x",
		"$HOME/x", "/srv/files/$HOME", "/srv/files/a${IFS}b", "/srv/files/$(id)", "%APPDATA%/x", "/srv/files/`id`",
		"file:///srv/files/a", "http://host/srv/files", "c:windows", "//srv/files/a", `\\host\share`, "/srv/files/a\u0000b",
		"/srv/files/a\nb", "/srv/files/a\u200bb", "/srv/files/\u202egpj", "/srv/files/\uff0e\uff0e/x",
		"/srv/files/\u2025/x", "/srv/files\uff0fx", "/srv/files/\u2215x", "/srv/files\uff3cx", " /srv/files/a",
		"/srv/files/a ", "/srv/files/a\u00a0",
	] {
		at(path) == {"path_not_canonical"}
	}
}

test_relative_paths_need_a_beginning if {
	at("a.txt") == {"path_outside_roots"}
	begun := object.union(settings, {"working_directory": "/srv/files"})
	rules(call("read_file", {"path": "a.txt"}), begun) == set()
	rules(call("read_file", {"path": ""}), begun) == set()
	rules(call("read_file", {"path": "../a.txt"}), begun) == {"path_not_canonical"}
	outside := object.union(settings, {"working_directory": "/home/me"})
	rules(call("read_file", {"path": "a.txt"}), outside) == {"path_outside_roots"}
}

test_everything_is_below_the_root_of_all if {
	whole := object.union(settings, {"roots": ["/"]})
	rules(call("read_file", {"path": "/etc/passwd"}), whole) == set()
	rules(call("read_file", {"path": "/etc/../x"}), whole) == {"path_not_canonical"}
}

test_without_roots_nothing_is_open if {
	rules(call("read_file", {"path": "/srv/files/a"}), object.remove(settings, ["roots"])) == {"path_outside_roots"}
}

test_where_paths_stand if {
	every arguments in [
		{"PATH": "/etc/passwd"}, {"paths": ["/tmp/a", "/etc/passwd"]}, {"source": "/etc/passwd"},
		{"options": {"path": "/etc/passwd"}}, {"edits": [{"path": "/etc/passwd"}]},
		{"a": {"b": {"c": {"path": "/etc/passwd"}}}},
	] {
		of(arguments) == {"path_outside_roots"}
	}
	of({"text": "/etc/passwd", "other": ["/etc/passwd"], "n": 1}) == set()
}

test_deeper_than_is_looked if {
	of({"a": {"b": {"c": {"d": {"path": "/tmp/x"}}}}}) == {"path_too_deep"}
	of({"a": [[[[{"path": "/tmp/x"}]]]]}) == {"path_too_deep"}
	of({"a": {"b": {"c": {"d": 1}}}}) == set()
}

test_a_path_is_a_text if {
	of({"path": 7}) == {"path_not_text"}
	of({"path": {"path": "/tmp/x"}}) == {"path_not_text"}
	of({"paths": ["/tmp/x", null]}) == {"path_not_text"}
	of({"paths": []}) == set()
}

test_names_of_a_tool if {
	rules(call("make", {"target": "/etc/passwd", "path": "/etc/passwd"}), settings) == {"path_outside_roots"}
	rules(call("make", {"target": "/tmp/x", "path": "/etc/passwd"}), settings) == set()
	rules(call("echo", {"path": "/etc/passwd"}), settings) == set()
}

resource(uri) := rules({"method": "resources/read", "resource": uri}, settings)

test_resources_of_the_file_system if {
	every uri in ["file:///srv/files/a", "file:/srv/files/a", "file://localhost/tmp/x", "FILE:///tmp/x", "https://host/etc", "db:x"] {
		resource(uri) == set()
	}
	every uri in ["file:///etc/passwd", "file:/etc/passwd", "file:///srv/%66iles/a"] {
		resource(uri) == {"path_outside_roots"}
	}
	every uri in ["file://host/srv/files/a", "file:///srv/files/../x", "file:///srv/files/%2e%2e/x", "file:a", " file:///tmp/x"] {
		resource(uri) == {"path_not_canonical"}
	}
}

test_it_is_off if {
	rules(call("read_file", {"path": "/etc/passwd"}), object.remove(settings, ["enabled"])) == set()
	count(policy.violations) == 0 with input as {
		"method": "tools/call",
		"tool": "read_file",
		"arguments": {"path": "/etc/passwd"},
		"agent": {"id": "alice", "capabilities": ["*"]},
		"session": {"request_count": 1},
	}
}
