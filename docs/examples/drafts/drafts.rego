package mcp.policy

deny contains reason if {
	input.method == "tools/call"
	input.tool == "write_file"
	not startswith(input.arguments.path, "drafts/")
	reason := sprintf("`%s` is outside drafts/, where agents write", [input.arguments.path])
}
