package integration

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// bothResolvers are those of all files in testdata/captures.
const bothResolvers = firstResolver + "," + secondResolver

// captureFiles are what tcpdump saw of real resolvers.
func captureFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/captures/*.pcap")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d files in testdata/captures: %v", len(files), err)
	}
	return files
}

// ofFiles is what the replay command makes of those files, one after the other.
func ofFiles(t *testing.T) output {
	t.Helper()
	s := newSensor(t, lab.NewNamespace(t))
	s.configure(t, packetSourceOf(bothResolvers, "", "lo")+kept)
	return s.replayed(t, captureFiles(t)...)
}

// stretch makes a line of two interfaces, NAME-in and NAME: what is put in at one end
// comes out at the other, however long it is.
func stretch(t *testing.T, n *lab.Namespace, names ...string) {
	t.Helper()
	for _, name := range names {
		n.IP(t, fmt.Sprintf(`
link add %s type veth peer name %s-in
link set dev %[1]s addrgenmode none mtu 65535 up
link set dev %[1]s-in addrgenmode none mtu 65535 up
`, name, name))
	}
}

// play starts putting files in at an interface, one after the other.
func play(t *testing.T, n *lab.Namespace, program, at string, options []string, files ...string) *lab.Process {
	t.Helper()
	lab.Need(t, program)
	args := slices.Concat([]string{"-q", "-i", at}, options, files)
	return n.Start(t, program, exec.Command(program, args...))
}

// played waits for that to have come to its end.
func played(t *testing.T, all ...*lab.Process) {
	t.Helper()
	for _, p := range all {
		if err := p.Wait(patience); err != nil {
			t.Error(err)
		}
	}
}

var fast = []string{"--topspeed"}

// TestReplayedOnAWireTheRecordsAreThoseOfTheFile has tcpreplay put what tcpdump wrote on a
// line, in every wrapping that packets come in, while the sensor captures at its
// other end. The records are those of the replay command.
func TestReplayedOnAWireTheRecordsAreThoseOfTheFile(t *testing.T) {
	t.Parallel()
	tag := func(id int) []string {
		return []string{"--topspeed", "--enet-vlan=add", fmt.Sprintf("--enet-vlan-tag=%d", id), "--enet-vlan-cfi=0", "--enet-vlan-pri=0"}
	}
	files, once := captureFiles(t), ofFiles(t)
	for name, c := range map[string]struct {
		attributes string
		lanes      int // 0: one
		program    string
		options    []string
		wrap       func([]byte) []byte // each packet of the files; nil: none
		wrapped    bool
	}{
		"plain":                 {program: "tcpreplay", options: fast},
		"plain, looked into":    {program: "tcpreplay", options: fast, attributes: opening},
		"four lanes":            {program: "tcpreplay", options: fast, lanes: 4},
		"VLAN":                  {program: "tcpreplay-edit", options: tag(5)},
		"VLAN, four lanes":      {program: "tcpreplay-edit", options: tag(5), lanes: 4},
		"QinQ":                  {program: "tcpreplay-edit", options: tag(5), wrap: inTag(7)},
		"GRE":                   {program: "tcpreplay", options: fast, wrap: inGRE(0x6558, nil), wrapped: true},
		"ERSPAN I":              {program: "tcpreplay", options: fast, wrap: inGRE(0x88be, nil), wrapped: true},
		"ERSPAN II":             {program: "tcpreplay", options: fast, wrap: inGRE(0x88be, erspan2), wrapped: true},
		"ERSPAN III":            {program: "tcpreplay", options: fast, wrap: inGRE(0x22eb, erspan3), wrapped: true},
		"VXLAN, IPv6":           {program: "tcpreplay", options: fast, wrap: inVXLAN, wrapped: true},
		"VXLAN in a VLAN":       {program: "tcpreplay-edit", options: tag(9), wrap: inVXLAN, wrapped: true},
		"ERSPAN II through GRE": {program: "tcpreplay", options: fast, wrap: func(f []byte) []byte { return inGRE(0x6558, nil)(inGRE(0x88be, erspan2)(f)) }, wrapped: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := lab.NewNamespace(t)
			stretch(t, n, "wire0")
			if c.lanes > 0 {
				c.attributes = fmt.Sprintf("  lanes = %d", c.lanes)
			}
			if c.wrapped {
				c.attributes = opening
			}
			s := startCapture(t, n, max(1, c.lanes), packetSourceOf(bothResolvers, c.attributes, "wire0")+kept+fileSink("first", "dnsqr"))
			var plays []string
			for _, file := range files {
				if c.wrap != nil {
					file = rewrite(t, n.Dir, file, c.wrap)
				}
				plays = append(plays, file)
			}
			played(t, play(t, n, c.program, "wire0-in", c.options, plays...))
			s.stop(t)
			packets := s.packets(t)
			packets.checkNoDrops(t)
			checkSame(t, once, s.written(t, "first"))
			if got := packets.counts["tunnelled"]; (got > 0) != c.wrapped || c.wrapped && got < packets.received {
				t.Errorf("%d packets were found in others, of %d", got, packets.received)
			}
		})
	}
}

// TestKernelsOwnTunnel has the kernel, not the test, put the packets into VXLAN. The
// tunnel is opened if it comes from a configured address and leads to one of the
// interface or a configured one.
func TestKernelsOwnTunnel(t *testing.T) {
	t.Parallel()
	files, once := captureFiles(t), ofFiles(t)
	const from, other = "\n  decapsulate = true\n  decapsulate_from = [\"10.1.1.1\"]\n", "10.1.1.3"
	for name, c := range map[string]struct {
		attributes string
		address    string // of the interface; empty: none
		opens      bool
	}{
		"to the interface":        {from, "10.1.1.2", true},
		"to another address":      {from, other, false},
		"no address":              {from, "", false},
		"to a configured address": {from + `  decapsulate_to = ["10.1.1.2"]`, "", true},
		"not to a configured one": {from + `  decapsulate_to = ["10.1.1.3"]`, "10.1.1.2", false},
		"from another address":    {strings.Replace(from, "10.1.1.1", other, 1), "10.1.1.2", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := lab.NewNamespace(t)
			stretch(t, n, "wire0")
			n.IP(t, `
addr add 10.1.1.1/24 dev wire0-in
neigh add 10.1.1.2 lladdr 02:00:00:00:00:02 dev wire0-in
link add vx0 type vxlan id 77 remote 10.1.1.2 local 10.1.1.1 dstport 4789 dev wire0-in
link set dev vx0 addrgenmode none mtu 65485 up
`)
			if c.address != "" {
				n.IP(t, "addr add "+c.address+"/32 dev wire0")
			}
			s := startCapture(t, n, 1, packetSourceOf(bothResolvers, c.attributes, "wire0")+kept+fileSink("first", "dnsqr"))
			played(t, play(t, n, "tcpreplay", "vx0", fast, files...))
			books := s.stop(t)
			packets := s.packets(t)
			packets.checkNoDrops(t)
			opened, refused := packets.counts["tunnelled"], packets.counts["tunnels_refused"]
			if (opened > 0) != c.opens || (refused > 0) == c.opens {
				t.Errorf("%d packets were found in tunnels, %d tunnels were refused", opened, refused)
			}
			if c.opens {
				checkSame(t, once, s.written(t, "first"))
			} else if books.Read > 0 {
				t.Errorf("%d messages were read from tunnels that are refused", books.Read)
			}
		})
	}
}

// TestAMirrorThatCopiesTwiceDoublesNothing has the kernel show the same packets on two
// interfaces of one source. Each record leaves once, and the copies are duplicates.
func TestAMirrorThatCopiesTwiceDoublesNothing(t *testing.T) {
	t.Parallel()
	files, once := captureFiles(t), ofFiles(t)
	for _, lanes := range []int{1, 4} {
		t.Run(fmt.Sprint(lanes, " lanes"), func(t *testing.T) {
			t.Parallel()
			n := lab.NewNamespace(t)
			stretch(t, n, "wire0", "wire1")
			n.Copy(t, "wire0-in", "egress", "wire1-in")
			s := startCapture(t, n, 2*lanes, packetSourceOf(bothResolvers, fmt.Sprintf("  lanes = %d", lanes), "wire0", "wire1")+kept+fileSink("first", "dnsqr"))
			played(t, play(t, n, "tcpreplay", "wire0-in", fast, files...))
			books := s.stop(t)
			s.packets(t).checkNoDrops(t)
			checkSame(t, once, s.written(t, "first"))
			if got := books.Dropped["duplicate"]; got < 2*uint64(len(once.records)) {
				t.Errorf("%d duplicates of %d records, queries and responses", got, len(once.records))
			}
			t.Logf("%+v", books.account)
		})
	}
}
