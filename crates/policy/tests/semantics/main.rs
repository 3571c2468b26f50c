//! The published semantics of Rego (the policy language and policy reference pages of OPA), as cases that both engines
//! must answer alike: what the interpreter says is compared with the table, and what serves with the interpreter.
//!
//! Each file of `cases/` is a list of cases. `rego` is put into package `mcp.policy`, and `gives` is what becomes of
//! a message: `allow`, `deny`, `error` (denied, with an error), or `refused` (the set is not loaded). Where this program
//! differs from OPA, `opa` says what OPA does and why that is not followed. No case was taken from elsewhere.

#[cfg(test)]
mod table;
