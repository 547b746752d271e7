// Package explain reports what a configuration lets leave and what it keeps: what became of
// each message that was read and why, what each scrub rule changed, and whether anything
// that must not leave is in what left.
//
// An Explainer observes lanes as their transform.Trace and sinks as their forward.Observer.
// It keeps counts and a few examples, so its memory is bounded. Its Report is text for
// people or JSON for programs. Both are printable ASCII and contain what scrubbing removes.
//
// It does not judge: package canary searches what left, for what the configuration forbids
// and for the canaries that were given. The package uses no sockets, files or flags.
package explain
