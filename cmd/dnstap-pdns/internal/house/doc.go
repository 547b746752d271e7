// Package house holds the code to the rules that its design states and that no
// compiler or linter knows. It has tests only; each says what it asks for, and
// what to do about it.
package house
