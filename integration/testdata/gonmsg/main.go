// Command gonmsg prints the payloads of NMSG files as JSON, one a line, as
// Farsight's own Go library reads them. It is built in GOPATH mode against
// Debian's golang-github-farsightsec-go-nmsg-dev, and so is no part of the module.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/farsightsec/go-nmsg"
	"github.com/farsightsec/go-nmsg/nmsg_base"
)

// payload is a dnsqr as the library decodes it.
type payload struct {
	Sec, Nsec                int64
	QueryIP, ResponseIP      []byte
	QueryPort, ResponsePort  uint32
	ID                       uint32
	Name                     []byte
	Type, Class              uint32
	Rcode                    uint32
	QueryPacket, ReplyPacket [][]byte
	Zeroed                   bool
}

func main() {
	out := json.NewEncoder(os.Stdout)
	for _, name := range os.Args[1:] {
		if err := dump(out, name); err != nil {
			fmt.Fprintf(os.Stderr, "gonmsg: %s: %v\n", name, err)
			os.Exit(1)
		}
	}
}

func dump(out *json.Encoder, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	in := nmsg.NewInput(f, 1<<20)
	for {
		p, err := in.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		m, err := p.Message()
		if err != nil {
			return err
		}
		q, ok := m.(*nmsg_base.DnsQR)
		if !ok {
			return fmt.Errorf("a %T, not a dnsqr", m)
		}
		if err := out.Encode(decoded(p, q)); err != nil {
			return err
		}
	}
	if s := in.Stats(); s.LostContainers != 0 || s.PartialContainers != 0 {
		return fmt.Errorf("%d containers lost, %d partial", s.LostContainers, s.PartialContainers)
	}
	return nil
}

func decoded(p *nmsg.NmsgPayload, q *nmsg_base.DnsQR) payload {
	return payload{
		Sec: p.GetTimeSec(), Nsec: int64(p.GetTimeNsec()),
		QueryIP: q.GetQueryIp(), ResponseIP: q.GetResponseIp(),
		QueryPort: q.GetQueryPort(), ResponsePort: q.GetResponsePort(),
		ID: q.GetId(), Name: q.GetQname(), Type: q.GetQtype(), Class: q.GetQclass(), Rcode: q.GetRcode(),
		QueryPacket: q.GetQueryPacket(), ReplyPacket: q.GetResponsePacket(),
		Zeroed: q.GetResolverAddressZeroed(),
	}
}
