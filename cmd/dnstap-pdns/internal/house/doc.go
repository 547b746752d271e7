// Package house tests the rules of docs/architecture.md that no compiler or linter checks: imports,
// package state, documentation, tests and language. It contains tests only. Each failure
// states the rule and how to comply with it.
package house
