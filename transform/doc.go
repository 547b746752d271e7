// Package transform turns DNS messages between a resolver and the servers it
// asks into passive DNS records: it pairs responses with their queries, keeps
// what is outward only, scrubs what could tell about a person or the
// organisation, and accounts for every message under exactly one reason.
//
// One Pairer serves one lane, that is one stream of messages whose order means
// something. It runs in the caller's goroutine, on the messages' own times, and
// borrows its input for the length of a call. The package knows no socket, file,
// wall clock, goroutine or lock; nor does it know where messages come from or
// where records go.
package transform
