# Files may be written in a folder `drafts` only; everything else passes.
package mcp.policy

allow := true

deny contains reason if {
	input.method == "tools/call"
	input.tool == "write_file"
	path := input.arguments.path
	not regex.match(`/drafts/[^/]+$`, path)
	reason := sprintf("%s is not in drafts", [path])
}
