package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const goNMSGPackage = "/usr/share/gocode/src/github.com/farsightsec/go-nmsg"

// goNMSG builds testdata/gonmsg, once, against Farsight's library as Debian
// packages it: in GOPATH mode, so that the module does not depend on it.
var goNMSG = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(filepath.Dir(sensorBinary), "gonmsg")
	cmd := exec.Command("go", "build", "-o", binary, ".")
	cmd.Dir = "testdata/gonmsg"
	cmd.Env = append(os.Environ(), "GO111MODULE=off", "GOPATH=/usr/share/gocode", "GOFLAGS=", "GOWORK=off")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		return out.String(), err
	}
	return binary, nil
})

// readByOthers is a record as both readers see it.
type readByOthers struct {
	Sec, Nsec              int64
	ResponseIP, QueryIP    []byte
	Type, Class, Rcode, ID uint32
	Zeroed                 bool
	Packets                int
}

// checkGoNMSG has Farsight's own library read files of dnsqr, and compares.
func checkGoNMSG(t *testing.T, files []string, o output) {
	t.Helper()
	if _, err := os.Stat(goNMSGPackage); err != nil {
		t.Fatalf("%v: apt-get install golang-github-farsightsec-go-nmsg-dev (make test does)", err)
	}
	binary, err := goNMSG()
	if err != nil {
		t.Fatalf("build testdata/gonmsg: %v\n%s", err, binary)
	}
	cmd := exec.CommandContext(t.Context(), binary, files...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("gonmsg: %v\n%s", err, &complaint)
	}
	var got, want []readByOthers
	for d := json.NewDecoder(bytes.NewReader(printed)); d.More(); {
		var r struct {
			readByOthers
			QueryPacket, ReplyPacket [][]byte
		}
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		r.Packets = len(r.QueryPacket) + len(r.ReplyPacket)
		got = append(got, r.readByOthers)
	}
	for _, r := range o.records {
		packets := 0
		if r.Query != nil {
			packets++
		}
		if r.Response != nil {
			packets++
		}
		want = append(want, readByOthers{
			Sec: r.Payload.Time.Unix(), Nsec: int64(r.Payload.Time.Nanosecond()),
			ResponseIP: r.Server.AsSlice(), QueryIP: r.Resolver.AsSlice(),
			Type: uint32(r.Type), Class: uint32(r.Class), Rcode: uint32(r.Rcode), ID: uint32(r.ID),
			Zeroed: r.Zeroed, Packets: packets,
		})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Farsight's library reads otherwise (-nmsgcheck +go-nmsg):\n%s", d)
	}
}
