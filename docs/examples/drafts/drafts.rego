package mcp.policy

deny contains reason if {
	input.method == "tools/call"
	input.tool == "write_file"
	path := object.get(input.arguments, "path", "nowhere")
	not regex.match(`^drafts/\w[\w.-]*$`, path)
	reason := sprintf("`%v` is outside drafts/, where agents write", [path])
}
