package collector

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

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

// keyUpdate is a TLS 1.3 client's record that asks the other side for new keys too
// (RFC 8446, sections 4.6.3 and 5.2), behind seq records of data.
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
