package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
)

// A namespace is a network namespace. It ends with the process that holds it.
type namespace struct {
	ctx    context.Context
	holder *receiver
}

// The two ends of a virtual line: packets sent on span arrive at tap.
const line = `
ip link add span type veth peer name tap
ip link set span mtu 9000 up
ip link set tap mtu 9000 up
`

// tapSource is the configuration of a sensor that captures at the end of line that is named tap.
var tapSource = fmt.Sprintf(`
source "pcap" "bench" {
  interface   = "tap"
  resolvers   = ["%s", "%s"]
  promiscuous = true
}
admin {
  listen = ""
}
`, workload.Resolver4, workload.Resolver6)

// newNamespace makes a namespace, in which the loopback interface is up, and runs a shell script in it.
func newNamespace(ctx context.Context, setup string) (*namespace, error) {
	if err := require("unshare", "nsenter", "ip"); err != nil {
		return nil, err
	}
	n := &namespace{ctx, newReceiver(ctx, "unshare", "--net", "sh", "-c", "set -e\nip link set lo up\n"+setup+"\necho ready\nexec sleep infinity")}
	stdout, err := n.holder.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var stderr lockedBuffer
	n.holder.cmd.Stderr = &stderr
	if err := n.holder.cmd.Start(); err != nil {
		return nil, err
	}
	if text, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		n.end()
		return nil, fmt.Errorf("set up a network namespace: %w\n%s%s", err, text, stderr.String())
	}
	return n, nil
}

// command returns a command that runs in the namespace. The kernel kills it when this process ends.
func (n *namespace) command(args ...string) *exec.Cmd {
	enter := []string{"-t", fmt.Sprint(n.holder.cmd.Process.Pid), "-n", "--"}
	cmd := exec.CommandContext(n.ctx, "nsenter", append(enter, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// awaitCapture returns when a packet socket of the namespace receives the packets of an interface.
func (n *namespace) awaitCapture() error {
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		sockets, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/packet", n.holder.cmd.Process.Pid))
		if err != nil {
			return err
		}
		for socket := range strings.Lines(string(sockets)) {
			// sk RefCnt Type Proto Iface R Rmem User Inode: R is 1 if it receives.
			if f := strings.Fields(socket); f[4] != "0" && f[5] == "1" {
				return nil
			}
		}
	}
	return fmt.Errorf("no packet socket receives within %v", startTime)
}

// received returns the packets that an interface of the namespace has received.
func (n *namespace) received(name string) (packets int64, err error) {
	interfaces, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", n.holder.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(submatch(`\b`+name+`:\s*\d+\s+(\d+)`, string(interfaces)), 10, 64)
}

func (n *namespace) end() { n.holder.stop() }

// packages are the Debian packages of programs whose package has another name.
var packages = map[string]string{"fstrm_capture": "fstrm-bin", "ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux"}

// require returns an error with the Debian package of a program that is not installed.
func require(programs ...string) error {
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			name := program
			if p, ok := packages[program]; ok {
				name = p
			}
			return fmt.Errorf("%w: apt-get install %s", err, name)
		}
	}
	return nil
}
