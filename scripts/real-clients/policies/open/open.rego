# Everything passes: for tests that look at what the gateway carries.
package mcp.policy

allow := true
