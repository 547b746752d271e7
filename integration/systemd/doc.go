// Package systemd runs the units of the module under systemd as the first process of a machine:
// a Debian in a container of systemd-nspawn, with Unbound and BIND, that is connected to the
// closed DNS world of package lab. It types the steps of the documentation, and installs the .deb.
//
// It needs root, Linux, debootstrap and systemd-nspawn, and fails if one is missing. It keeps
// the installed Debian for the next run in cacheDir, and removes everything else.
package systemd
