// Package statement writes what a configuration means for a privacy statement, under the headings
// of RFC 8932 section 6.1: what is collected, removed, dropped and sent, each claim with the
// command that proves it.
//
// A statement may be published, so it counts the names and addresses in the sources and in the
// scrubbing of the configuration, and does not list them. The package reads no file, and does not
// know how the sensor works.
package statement
