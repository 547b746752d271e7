package compose

import (
	"fmt"
	"os/exec"
	"strconv"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// A world is the lab's, made the gateway of the project's network: whatever a
// container asks, the world answers or nobody does.
type world struct {
	*lab.World
	holder *lab.Process // which the namespace is told by
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := lab.NewWorld(t)
	return &world{w, w.Start(t, "holder", exec.Command("sleep", "infinity"))}
}

// plug connects it to the network, which Compose has just made. Docker thinks that
// the gateway is this machine.
func (w *world) plug(t *testing.T) {
	t.Helper()
	const outside, inside = "pdnstest1", "up0"
	try("", "ip", "link", "del", outside) // of the network before
	feed(t, fmt.Sprintf(`
link add %[1]s type veth peer name %[2]s netns %[3]s
link set %[1]s master %[4]s up
addr del %[5]s/25 dev %[4]s
addr del %[6]s/64 dev %[4]s
addr add %[7]s/25 dev %[4]s
`, outside, inside, strconv.Itoa(w.holder.PID()), bridge, gateway4, gateway6, host4), "ip", "-batch", "-")
	w.IP(t, fmt.Sprintf(`
addr add %[2]s/25 dev %[1]s
addr add %[3]s/64 dev %[1]s nodad
link set %[1]s up
`, inside, gateway4, gateway6))
}
