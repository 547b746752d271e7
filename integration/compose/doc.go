// Package compose runs the Dockerfile and compose.yaml of the module on a real engine: with
// both generations of Docker Compose, a resolver that asks the closed DNS world of package lab,
// and a client in a container. It checks the records, also after restarts of either side.
//
// It needs root, Linux, a Docker engine, docker-compose, and debootstrap if the base images are
// missing, which it then replaces with images of Debian's own packages. It fails if those are
// missing. It removes everything that it makes except for these replacement images, which are
// kept for the next run under names that start with replacementPrefix.
package compose
