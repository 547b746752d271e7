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

// bothResolvers lists the resolvers of all files in testdata/captures.
const bothResolvers = firstResolver + "," + secondResolver

// captureFiles returns the files that tcpdump captured at real resolvers.
func captureFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/captures/*.pcap")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d files in testdata/captures: %v", len(files), err)
	}
	return files
}

// replayedCaptures returns the output of the replay command for these files.
func replayedCaptures(t *testing.T) output {
	t.Helper()
	s := newSensor(t, lab.NewNamespace(t))
	s.configure(t, packetSourceOf(bothResolvers, "", "lo")+keepAddress)
	return s.replayed(t, captureFiles(t)...)
}

// makeLink makes pairs of interfaces, NAME-in and NAME: packets sent to one arrive at the other,
// up to 65,535 bytes.
func makeLink(t *testing.T, n *lab.Namespace, names ...string) {
	t.Helper()
	for _, name := range names {
		n.IP(t, fmt.Sprintf(`
link add %s type veth peer name %s-in
link set dev %[1]s addrgenmode none mtu 65535 up
link set dev %[1]s-in addrgenmode none mtu 65535 up
`, name, name))
	}
}

// startReplay starts replaying files to an interface, one after the other.
func startReplay(t *testing.T, n *lab.Namespace, program, at string, options []string, files ...string) *lab.Process {
	t.Helper()
	lab.RequirePrograms(t, program)
	args := slices.Concat([]string{"-q", "-i", at}, options, files)
	return n.Start(t, program, exec.Command(program, args...))
}

// awaitReplays waits for the end of replays.
func awaitReplays(t *testing.T, all ...*lab.Process) {
	t.Helper()
	for _, p := range all {
		if err := p.Wait(waitTime); err != nil {
			t.Error(err)
		}
	}
}

var fast = []string{"--topspeed"}

// TestTcpreplayGivesTheRecordsOfTheFile replays captures to an interface, in every kind of tag
// and tunnel, while the sensor captures. The records are those of the replay command.
func TestTcpreplayGivesTheRecordsOfTheFile(t *testing.T) {
	t.Parallel()
	tag := func(id int) []string {
		return []string{"--topspeed", "--enet-vlan=add", fmt.Sprintf("--enet-vlan-tag=%d", id), "--enet-vlan-cfi=0", "--enet-vlan-pri=0"}
	}
	files, once := captureFiles(t), replayedCaptures(t)
	for name, c := range map[string]struct {
		attributes string
		lanes      int // 0: one
		program    string
		options    []string
		wrap       func([]byte) []byte // changes each packet of the files; nil: no change
		tunnelled  bool
	}{
		"plain":                 {program: "tcpreplay", options: fast},
		"plain, decapsulating":  {program: "tcpreplay", options: fast, attributes: decapsulating},
		"four lanes":            {program: "tcpreplay", options: fast, lanes: 4},
		"VLAN":                  {program: "tcpreplay-edit", options: tag(5)},
		"VLAN, four lanes":      {program: "tcpreplay-edit", options: tag(5), lanes: 4},
		"QinQ":                  {program: "tcpreplay-edit", options: tag(5), wrap: inTag(7)},
		"GRE":                   {program: "tcpreplay", options: fast, wrap: inGRE(0x6558, nil), tunnelled: true},
		"ERSPAN I":              {program: "tcpreplay", options: fast, wrap: inGRE(0x88be, nil), tunnelled: true},
		"ERSPAN II":             {program: "tcpreplay", options: fast, wrap: inGRE(0x88be, erspan2), tunnelled: true},
		"ERSPAN III":            {program: "tcpreplay", options: fast, wrap: inGRE(0x22eb, erspan3), tunnelled: true},
		"MPLS":                  {program: "tcpreplay", options: fast, wrap: inMPLS},
		"MPLS, four lanes":      {program: "tcpreplay", options: fast, wrap: inMPLS, lanes: 4},
		"PPPoE":                 {program: "tcpreplay", options: fast, wrap: inPPPoE},
		"IP in IP":              {program: "tcpreplay", options: fast, wrap: inIP, tunnelled: true},
		"GENEVE":                {program: "tcpreplay", options: fast, wrap: inGENEVE, tunnelled: true},
		"VXLAN, IPv6":           {program: "tcpreplay", options: fast, wrap: inVXLAN, tunnelled: true},
		"VXLAN in a VLAN":       {program: "tcpreplay-edit", options: tag(9), wrap: inVXLAN, tunnelled: true},
		"ERSPAN II through GRE": {program: "tcpreplay", options: fast, wrap: func(f []byte) []byte { return inGRE(0x6558, nil)(inGRE(0x88be, erspan2)(f)) }, tunnelled: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := lab.NewNamespace(t)
			makeLink(t, n, "wire0")
			if c.lanes > 0 {
				c.attributes = fmt.Sprintf("  lanes = %d", c.lanes)
			}
			if c.tunnelled {
				c.attributes = decapsulating
			}
			s := startCapture(t, n, max(1, c.lanes), packetSourceOf(bothResolvers, c.attributes, "wire0")+keepAddress+fileSink("first", "dnsqr"))
			var replays []string
			for _, file := range files {
				if c.wrap != nil {
					file = rewrite(t, n.Dir, file, c.wrap)
				}
				replays = append(replays, file)
			}
			awaitReplays(t, startReplay(t, n, c.program, "wire0-in", c.options, replays...))
			s.stop(t)
			packets := s.packets(t)
			packets.checkNoDrops(t)
			checkSame(t, once, s.written(t, "first"))
			if got := packets.counts["tunnelled"]; (got > 0) != c.tunnelled || c.tunnelled && got < packets.received {
				t.Errorf("%d packets were decapsulated, of %d", got, packets.received)
			}
		})
	}
}

// TestKernelsOwnTunnel has the kernel put the packets into VXLAN. The sensor decapsulates the
// tunnel if its source is configured and its destination is an address of the interface or
// configured.
func TestKernelsOwnTunnel(t *testing.T) {
	t.Parallel()
	files, once := captureFiles(t), replayedCaptures(t)
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
			makeLink(t, n, "wire0")
			n.IP(t, `
addr add 10.1.1.1/24 dev wire0-in
neigh add 10.1.1.2 lladdr 02:00:00:00:00:02 dev wire0-in
link add vx0 type vxlan id 77 remote 10.1.1.2 local 10.1.1.1 dstport 4789 dev wire0-in
link set dev vx0 addrgenmode none mtu 65485 up
`)
			if c.address != "" {
				n.IP(t, "addr add "+c.address+"/32 dev wire0")
			}
			s := startCapture(t, n, 1, packetSourceOf(bothResolvers, c.attributes, "wire0")+keepAddress+fileSink("first", "dnsqr"))
			awaitReplays(t, startReplay(t, n, "tcpreplay", "vx0", fast, files...))
			closing := s.stop(t)
			packets := s.packets(t)
			packets.checkNoDrops(t)
			opened, refused := packets.counts["tunnelled"], packets.counts["tunnels_refused"]
			if (opened > 0) != c.opens || (refused > 0) == c.opens {
				t.Errorf("%d packets were decapsulated, %d tunnels were refused", opened, refused)
			}
			if c.opens {
				checkSame(t, once, s.written(t, "first"))
			} else if closing.Read > 0 {
				t.Errorf("%d messages were read from refused tunnels", closing.Read)
			}
		})
	}
}

// TestMirroredCopiesAreDuplicates has the kernel mirror the same packets to two interfaces of
// one source. Each record leaves once, and the copies are counted as duplicates.
func TestMirroredCopiesAreDuplicates(t *testing.T) {
	t.Parallel()
	files, once := captureFiles(t), replayedCaptures(t)
	for _, lanes := range []int{1, 4} {
		t.Run(fmt.Sprint(lanes, " lanes"), func(t *testing.T) {
			t.Parallel()
			n := lab.NewNamespace(t)
			makeLink(t, n, "wire0", "wire1")
			n.Mirror(t, "wire0-in", "egress", "wire1-in")
			s := startCapture(t, n, 2*lanes, packetSourceOf(bothResolvers, fmt.Sprintf("  lanes = %d", lanes), "wire0", "wire1")+keepAddress+fileSink("first", "dnsqr"))
			awaitReplays(t, startReplay(t, n, "tcpreplay", "wire0-in", fast, files...))
			closing := s.stop(t)
			s.packets(t).checkNoDrops(t)
			checkSame(t, once, s.written(t, "first"))
			if got := closing.Dropped["duplicate"]; got < 2*uint64(len(once.records)) {
				t.Errorf("%d duplicates of %d records, queries and responses", got, len(once.records))
			}
			t.Logf("%+v", closing.account)
		})
	}
}
