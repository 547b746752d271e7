// Package packages checks what make packages builds, without installing it: that the same source
// gives the same files, what the .rpm contains and does, the manual pages and AppArmor snippets,
// and the build for arm64, which it runs under qemu-user. Package systemd installs the .deb.
//
// It needs root, Linux and Debian's rpm, cpio, mandoc, apparmor and qemu-user-static, and fails if
// one is missing.
package packages
