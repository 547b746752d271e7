package conf

import (
	"bytes"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"
	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// environment is the environment of the configurations in testdata. Its values must
// not occur in any output.
var environment = map[string]string{
	"PDNS_TEST_DIR":     "/run/hidden-directory",
	"PDNS_TEST_BASE":    "hidden-directory",
	"PDNS_TEST_NUMBER":  "31",
	"PDNS_TEST_NETWORK": "198.18.0.0/15",
	"PDNS_TEST_NAME":    "hidden-name.example",
	"PDNS_TEST_FLAG":    "false",
	"PDNS_TEST_HIDDEN":  "hidden value",
	"PDNS_TEST_EMPTY":   "",

	"CREDENTIALS_DIRECTORY": "testdata/credentials", // empty
}

func setEnvironment(t testing.TB) {
	for k, v := range environment {
		t.Setenv(k, v)
	}
}

var sameAddresses = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}, secret.Secret{})

func configurations(t testing.TB, folder string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.hcl"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no configurations in testdata/%s: %v", folder, err)
	}
	return paths
}

func messages(t testing.TB, f *File, diags hcl.Diagnostics) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteDiagnostics(&b, f, diags); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// goldenFile returns the name of a configuration's golden file.
func goldenFile(path, suffix string) string {
	return strings.TrimPrefix(strings.TrimSuffix(path, ".hcl"), "testdata/") + suffix
}

// checkHidden fails if a text contains the value of a function. It does not check
// values that may also occur for another reason.
func checkHidden(t *testing.T, shown string) {
	t.Helper()
	for _, v := range []string{"hidden", "top-secret", environment["PDNS_TEST_NETWORK"]} {
		if strings.Contains(shown, v) {
			t.Errorf("it shows %q, which a function returned", v)
		}
	}
}

func mustParse(t *testing.T, src string) *File {
	t.Helper()
	f, diags := Parse("test.hcl", []byte(src))
	if diags.HasErrors() {
		t.Fatal(messages(t, f, diags))
	}
	return f
}

func TestMessagesOfInvalidConfigurations(t *testing.T) {
	setEnvironment(t)
	for _, path := range configurations(t, "invalid") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, diags := Load(path)
			if !diags.HasErrors() {
				t.Error("no errors")
			}
			got := messages(t, f, diags)
			golden.Assert(t, got, goldenFile(path, ".txt"))
			checkHidden(t, got)
		})
	}
}

func TestEffectiveConfigurationLoadsAgain(t *testing.T) {
	setEnvironment(t)
	for _, path := range configurations(t, "valid") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, diags := Load(path)
			if len(diags) > 0 {
				t.Fatal(messages(t, f, diags))
			}
			var b bytes.Buffer
			if err := f.Write(&b); err != nil {
				t.Fatal(err)
			}
			golden.Assert(t, b.String(), goldenFile(path, ".effective"))
			checkHidden(t, b.String())

			again, diags := Parse(path, b.Bytes())
			if len(diags) > 0 {
				t.Fatal(messages(t, again, diags))
			}
			if diff := cmp.Diff(f.Config, again.Config, sameAddresses); diff != "" {
				t.Errorf("(-first +again):\n%s", diff)
			}
			if diff := cmp.Diff(b.String(), string(again.Effective())); diff != "" {
				t.Errorf("printed twice (-first +again):\n%s", diff)
			}
			if _, err := transform.NewPolicy(f.Policy); err != nil {
				t.Errorf("transform refuses the policy: %v", err)
			}
		})
	}
}
