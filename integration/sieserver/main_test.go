package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/websocket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a server until the test ends, and returns its address and the lines that it prints.
func start(t *testing.T, args ...string) (address string, lines *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, args, w)
		w.CloseWithError(errors.Join(io.EOF, err))
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		go io.Copy(io.Discard, r)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	lines = bufio.NewScanner(r)
	lines.Scan()
	return strings.TrimPrefix(lines.Text(), "listening "), lines
}

func dial(t *testing.T, address, key string) (*websocket.Conn, error) {
	t.Helper()
	c, err := websocket.NewConfig("ws://"+address+"/session/test", "http://sensor.example")
	if err != nil {
		t.Fatal(err)
	}
	c.Header.Set("X-API-Key", key)
	return websocket.DialConfig(c)
}

func TestContainersAreStored(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	address, lines := start(t, "-api-key", "right", "-out", out, "-drop-every", "3")
	if _, err := dial(t, address, "wrong"); err == nil {
		t.Fatal("a wrong key is accepted")
	}
	ws, err := dial(t, address, "right")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"\x08\x01\x10\x01", "\x08\x01\x10\x00\x1a\x05\x22\x03one", "\x08\x01\x10\x00\x1a\x05\x22\x03two", "\x08\x01\x10\x00\x1a\x05\x22\x03bad"} {
		websocket.Message.Send(ws, []byte(m))
	}
	var got []string
	for len(got) < 4 && lines.Scan() {
		got = append(got, lines.Text())
	}
	ws.Close()
	want := "open 1, container 1 3 bytes, container 1 3 bytes, closed 1 dropped"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("got %q, want %q", text, want)
	}
	if b, err := os.ReadFile(out); err != nil || string(b) != "onetwo" {
		t.Errorf("got %q, %v", b, err)
	}
}
