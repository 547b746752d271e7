// Ringprobe captures the packets between the resolver and its servers on interfaces until
// SIGTERM. It prints a line for each packet that it reads, and at its end how long it captured and
// how much CPU time it used. It runs as a user with or without CAP_NET_RAW.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
)

const lanes = 2

func main() {
	if err := capture(os.Args[1:]); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func capture(interfaces []string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	c, err := ring.Open(ring.Config{
		Interfaces: interfaces, Lanes: lanes, Size: 1 << 20, Promiscuous: true,
		Filter: ring.Filter{Resolvers: []netip.Prefix{netip.MustParsePrefix("192.0.2.53/32")}},
	}, slog.New(slog.NewTextHandler(os.Stdout, nil)))
	if err != nil {
		return err
	}
	if err := c.Attach(); err != nil {
		return err
	}
	var readers sync.WaitGroup
	var packets atomic.Int64
	for lane := range lanes {
		readers.Go(func() {
			var p ring.Packet
			for r := c.Reader(lane); r.Wait(); {
				for r.Next(&p) {
					fmt.Println("packet", packets.Add(1))
				}
			}
		})
	}
	began := time.Now()
	fmt.Println("uid", os.Getuid(), "captures")
	if err := c.Run(ctx); err != nil {
		return err
	}
	readers.Wait()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return err
	}
	fmt.Println("packets", packets.Load())
	fmt.Println("elapsed", time.Since(began).Milliseconds())
	fmt.Println("used", (time.Duration(used.Utime.Nano()) + time.Duration(used.Stime.Nano())).Milliseconds())
	return c.Close()
}
