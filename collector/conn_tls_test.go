package collector

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs/certstest"
)

// A tlsSession is a session over TLS, with the client's end.
type tlsSession struct {
	*session
	client *tls.Conn
}

// inTLS runs test in a synctest bubble, with a session whose client has sent nothing yet.
func inTLS(t *testing.T, test func(t *testing.T, s tlsSession)) {
	t.Helper()
	ca := certstest.NewCA(t, "CA")
	creds, err := certs.Load(certstest.NewFolder(t, ca, nil).Files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := tlsSession{session: newSessionWith(t, creds)}
		s.client = tls.Client(s.peer, certstest.ClientConfig(t, ca))
		test(t, s)
	})
}

// sendTLS sends over TLS. It first performs the handshake if necessary.
func (s tlsSession) sendTLS(t *testing.T, b []byte) {
	t.Helper()
	if _, err := s.client.Write(b); err != nil {
		t.Fatal(err)
	}
}

// discardOutput reads and discards what the sensor sends.
func (s tlsSession) discardOutput() { go io.Copy(io.Discard, s.client) }

func TestSilentPeerInTheTLSHandshake(t *testing.T) {
	inTLS(t, func(t *testing.T, s tlsSession) {
		s.send(t, []byte{0x16, 3, 1})
		s.expect(t, neverBegan, 5*time.Second, "no START in time")
		if s.lane.isClosed() {
			t.Error("a lane was opened for it")
		}
	})
}

func TestPeerThatReadsNothingOfTheTLSHandshake(t *testing.T) {
	inTLS(t, func(t *testing.T, s tlsSession) {
		hello := firstFlight(t, func(c *tls.Conn) { c.Handshake() })
		s.send(t, hello)
		s.expect(t, neverBegan, 5*time.Second, "no START in time")
	})
}

// firstFlight returns what a TLS client sends before the first response.
func firstFlight(t *testing.T, speak func(*tls.Conn)) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() {
		speak(tls.Client(ours, &tls.Config{InsecureSkipVerify: true}))
		ours.Close()
	}()
	b := make([]byte, 1<<14)
	n, err := theirs.Read(b)
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestBothHandshakesShareTheTimeout(t *testing.T) {
	inTLS(t, func(t *testing.T, s tlsSession) {
		time.Sleep(3 * time.Second)
		if err := s.client.Handshake(); err != nil {
			t.Fatal(err)
		}
		s.discardOutput()
		s.expect(t, neverBegan, 5*time.Second, "no START in time")
	})
}

func TestQuietTLSConnectionIsKept(t *testing.T) {
	inTLS(t, func(t *testing.T, s tlsSession) {
		s.sendTLS(t, start)
		s.discardOutput()
		time.Sleep(24 * time.Hour)
		s.sendTLS(t, join(sampleFrame(), stop))
		s.expect(t, ended, 24*time.Hour, "by=STOP")
		s.expectCounts(t, 1, 0)
	})
}

func TestStopInTheTLSHandshake(t *testing.T) {
	inTLS(t, func(t *testing.T, s tlsSession) {
		s.send(t, []byte{0x16, 3, 1})
		s.stop()
		s.expect(t, ended, 0, "")
		if strings.Contains(s.log.String(), "WARN") {
			t.Errorf("a warning: %s", s.log.String())
		}
	})
}

func TestStopReadsPendingDataOverTLS(t *testing.T) {
	for name, tt := range map[string]struct {
		listens bool
		took    time.Duration
	}{
		"peer that reads":         {true, drainIdle},
		"peer that reads nothing": {false, drainIdle + finishTime}, // not the 5 s of crypto/tls
	} {
		t.Run(name, func(t *testing.T) {
			inTLS(t, func(t *testing.T, s tlsSession) {
				s.sendTLS(t, join(start, sampleFrame()))
				if tt.listens {
					s.discardOutput()
				}
				synctest.Wait()
				s.stop()
				synctest.Wait() // the read that waited has failed
				s.sendTLS(t, sampleFrame())
				s.sendTLS(t, sampleFrame()[:50]) // cut by our end: not an error of the peer
				s.expect(t, ended, tt.took, "by=us")
				s.expectCounts(t, 2, 0)
			})
		})
	}
}

func TestPeerThatReadsNothingOverTLS(t *testing.T) {
	inTLS(t, func(t *testing.T, s tlsSession) {
		s.sendTLS(t, controlBytes(framestream.CONTROL_READY, ours))
		if _, err := io.ReadFull(s.client, make([]byte, 42)); err != nil {
			t.Fatal(err)
		}
		s.sendTLS(t, join(start, sampleFrame(), stop))
		s.expect(t, ended, 2*finishTime, "FINISH not sent") // and the same for close_notify
		s.expectCounts(t, 1, 0)
	})
}

// A holdingWriter keeps what a TLS client writes while hold is set, instead of sending it.
type holdingWriter struct {
	net.Conn
	hold bool
	held []byte
}

func (w *holdingWriter) Write(b []byte) (int, error) {
	if w.hold {
		w.held = append(w.held, b...)
		return len(b), nil
	}
	return w.Conn.Write(b)
}

// Up to TLS 1.2, crypto/tls looks for an alert after data, and returns both the data and its
// error if the alert is incomplete.
func TestStopWithinAnAlert(t *testing.T) {
	inTLS(t, func(t *testing.T, s tlsSession) {
		w := &holdingWriter{Conn: s.peer}
		s.client = tls.Client(w, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
		s.sendTLS(t, start)
		synctest.Wait()
		w.hold = true
		s.sendTLS(t, join(sampleFrame(), sampleFrame()[:50]))
		data := len(w.held)
		s.client.CloseWrite()
		if len(w.held) == data {
			t.Fatal("no alert was written")
		}
		s.peer.SetWriteDeadline(time.Time{}) // CloseWrite ended all writes
		s.send(t, w.held[:data+3])
		synctest.Wait()
		s.stop()
		s.expect(t, ended, drainIdle+finishTime, "by=us")
		s.expectCounts(t, 1, 0)
	})
}

// A peer that requests new keys and does not read the answer cannot delay the end. crypto/tls
// writes that answer during a read.
func TestKeyUpdateFromAPeerThatReadsNothing(t *testing.T) {
	inTLS(t, func(t *testing.T, s tlsSession) {
		var keys bytes.Buffer
		s.client = tls.Client(s.peer, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: &keys, MinVersion: tls.VersionTLS13})
		s.sendTLS(t, join(start, sampleFrame()))
		if suite := s.client.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
			t.Fatalf("this machine prefers %s", tls.CipherSuiteName(suite))
		}
		s.send(t, keyUpdate(t, clientSecret(t, keys.String()), 1))
		synctest.Wait()
		s.stop()
		s.expect(t, ended, drainIdle+finishTime, "by=us")
		s.expectCounts(t, 1, 0)
	})
}

// clientSecret finds client_application_traffic_secret_0 in a key log.
func clientSecret(t *testing.T, keys string) []byte {
	t.Helper()
	for line := range strings.Lines(keys) {
		if f := strings.Fields(line); f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(f[2])
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
	}
	t.Fatalf("no client secret in the key log:\n%s", keys)
	return nil
}

// keyUpdate returns a TLS 1.3 client's record that requests new keys of the server too (RFC 8446,
// sections 4.6.3 and 5.2). It follows seq records of data.
func keyUpdate(t *testing.T, secret []byte, seq uint64) []byte {
	t.Helper()
	block, err := aes.NewCipher(expandLabel(t, secret, "key", 16))
	if err != nil {
		t.Fatal(err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	nonce := expandLabel(t, secret, "iv", 12)
	nonce[11] ^= byte(seq)
	inner := []byte{24, 0, 0, 1, 1, 22} // key_update, 1 byte: update_requested; then the record's type, handshake
	header := []byte{23, 3, 3, 0, byte(len(inner) + seal.Overhead())}
	return seal.Seal(header, nonce, inner, header)
}

// expandLabel is HKDF-Expand-Label without a context (RFC 8446, section 7.1).
func expandLabel(t *testing.T, secret []byte, label string, length int) []byte {
	t.Helper()
	label = "tls13 " + label
	info := string([]byte{0, byte(length), byte(len(label))}) + label + "\x00"
	key, err := hkdf.Expand(sha256.New, secret, info, length)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
