package kafka

import (
	"errors"
	"fmt"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// keyLen is the length of a key: two decimal digits.
const keyLen = 2

var (
	errTooBig = fmt.Errorf("a container is larger than %d bytes, because of a single RRset", MaxContainer)
	errNoName = errors.New("a container cannot be read, or does not begin with an RRset")
)

// key returns the key of a container, which selects the partition; nil: it has none. A loss states
// why the container cannot be sent.
func (t *transport) key(container []byte) ([]byte, *loss) {
	if len(container) > MaxContainer {
		return nil, &loss{forward.TooBig, errTooBig}
	}
	if !t.keyed {
		return nil, nil
	}
	bucket, err := t.keys.bucket(container)
	if err != nil {
		return nil, &loss{forward.Failed, err}
	}
	return fmt.Appendf(make([]byte, 0, keyLen), "%02d", bucket), nil
}

// A keyReader reads the bucket of containers of RRsets, compressed or not. The zero value is ready
// to use.
type keyReader struct{ reader nmsg.SingleReader }

// bucket returns the bucket of the owner name of the first RRset in a container.
func (k *keyReader) bucket(container []byte) (int, error) {
	if err := k.reader.Open(container); err != nil {
		return 0, errNoName
	}
	m, err := k.reader.Next()
	if err != nil || !m.IsRRset() {
		return 0, errNoName
	}
	d, err := nmsg.DecodeDNSDedupe(m.Data)
	if err != nil || len(d.RRName) == 0 {
		return 0, errNoName
	}
	return nmsg.Bucket(d.RRName), nil
}
