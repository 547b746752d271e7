// Package compose runs the Dockerfile and compose.yaml at the root, as they stand,
// on a real engine: with both generations of Docker Compose, a resolver that asks the
// closed DNS world of package lab, and a client in a container of its own. It reads
// the records that come out, after restarts of either side, too.
//
// It needs root, Linux, a Docker engine, docker-compose, and debootstrap where the
// base images are not there, whose place Debian's own packages take. It fails where
// those are missing. What it makes it removes, but for the stand-ins, which it keeps
// for its next run under the name that standin has.
package compose
