package lab

import (
	"os/exec"
	"testing"
)

// packages names the Debian package of each program.
var packages = map[string]string{
	"ip":              "iproute2",
	"tc":              "iproute2",
	"ethtool":         "ethtool",
	"tcpdump":         "tcpdump",
	"tcpreplay":       "tcpreplay",
	"setcap":          "libcap2-bin",
	"setpriv":         "util-linux",
	"mkfs.ext4":       "e2fsprogs",
	"mount":           "mount",
	"nsd":             "nsd",
	"unbound":         "unbound",
	"unbound-control": "unbound",
	"named":           "bind9",
	"rndc":            "bind9",
	"pdns_recursor":   "pdns-recursor",
	"rec_control":     "pdns-recursor",
	"kresd":           "knot-resolver",
	"fstrm_capture":   "fstrm-bin",
	"fstrm_dump":      "fstrm-bin",
	"fstrm_replay":    "fstrm-bin",
	"promtool":        "prometheus",
	"chromium":        "chromium",
	"kcat":            "kcat",
}

// RequirePrograms fails the test unless the programs are installed. It does not skip, because a skipped
// test looks passed.
func RequirePrograms(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%s is not installed: apt-get install %s (make test does)", name, packages[name])
		}
	}
}
