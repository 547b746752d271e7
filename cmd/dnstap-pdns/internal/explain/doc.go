// Package explain reports what a configuration lets leave and what it keeps: the outcome of each
// message and its reason, what each scrub rule changed, and whether the output contains anything
// that must not leave.
//
// An Explainer observes lanes as their transform.Trace and sinks as their forward.Observer.
// It keeps counts and a few examples, so its memory is bounded. Its Report is text for
// people or JSON for programs. Both are printable ASCII and contain what scrubbing removes.
//
// Package canary searches the output, for items that the configuration forbids and for the
// canaries that were given. Package explain uses no sockets, files or flags.
package explain
