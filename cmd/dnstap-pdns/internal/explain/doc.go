// Package explain shows what a configuration lets leave and what it keeps: of all that
// was read, what was dropped and why, what each scrub rule changed, and whether anything
// that must not leave is in the octets that did.
//
// An Explainer stands beside lanes, as their transform.Trace, and behind sinks, as
// their forward.Observer. It keeps counts and a few examples, however much passes by. Its
// Report is for people, as text, and for programs, as JSON; either is printable ASCII,
// whatever was in the messages. Both hold what scrubbing takes out.
//
// It judges nothing: what is found in what left is told by package canary alone. It knows
// no socket, file or flag.
package explain
