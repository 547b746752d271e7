package compose

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// replacementPrefix is the prefix of the names under which replacements of base images are kept
// between runs. They have the names of the base images only while a test runs, so that other
// builds do not use them.
const replacementPrefix = "dnstap-pdns-standin/"

const (
	debianImage = "debian:bookworm-slim"
	goImage     = "golang:1.26-bookworm"
)

// baseImages makes sure that the base images exist. It does not replace real ones and asks no
// registry.
func baseImages(t *testing.T) {
	t.Helper()
	for _, base := range []struct {
		name string
		make func(t *testing.T, tag string)
	}{{debianImage, makeDebian}, {goImage, makeGo}} {
		kept := replacementPrefix + base.name
		if id := imageID(base.name); id != "" && id != imageID(kept) {
			continue
		}
		if imageID(kept) == "" {
			base.make(t, kept)
		}
		call(t, "docker", "tag", kept, base.name)
		t.Cleanup(func() { call(t, "docker", "rmi", "--no-prune", base.name) })
	}
}

// imageID returns the ID of an image, or "" if there is no image of that name.
func imageID(name string) string {
	id, err := exec.Command("docker", "image", "inspect", "-f", "{{.Id}}", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// makeDebian makes a Debian image from this machine's package sources.
func makeDebian(t *testing.T, tag string) {
	t.Helper()
	need(t, "debootstrap")
	dir, err := os.MkdirTemp("/var/tmp", "standin") // /tmp may be mounted nodev
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	call(t, "debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", dir)
	for _, setting := range []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/.", "/etc/apt/apt.conf.d/."} {
		if _, err := os.Stat(setting); err == nil {
			call(t, "cp", "-a", setting, filepath.Join(dir, strings.TrimSuffix(setting, ".")))
		}
	}
	packed := filepath.Join(t.TempDir(), "root.tar")
	call(t, "tar", "-C", dir, "-cf", packed, ".")
	call(t, "docker", "import", packed, tag)
}

// makeGo makes an image with this machine's Go, module proxy and certificate authorities.
func makeGo(t *testing.T, tag string) {
	t.Helper()
	dir := t.TempDir()
	goroot := strings.TrimSpace(call(t, "go", "env", "GOROOT"))
	proxy := strings.TrimSpace(call(t, "go", "env", "GOPROXY"))
	call(t, "cp", "-a", goroot, filepath.Join(dir, "go"))
	call(t, "cp", "/etc/ssl/certs/ca-certificates.crt", dir)
	write(t, filepath.Join(dir, "Dockerfile"), `
FROM `+debianImage+`
COPY ca-certificates.crt /etc/ssl/certs/
COPY go /usr/local/go
ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV GOTOOLCHAIN=local GOPROXY=`+proxy+`
`)
	call(t, "docker", "build", "-q", "-t", tag, dir)
}
