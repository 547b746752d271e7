package nmsg

import (
	"fmt"
	"io"
)

// Whole reads a stream as far as it consists of whole containers, and returns how
// many bytes that is: what is good of a file whose writer was cut off. A container
// is whole if all of it can be read, and if it is as a [Container] makes it: no
// fragment, not empty, each payload with its CRC. An error is the stream's own.
func Whole(r io.Reader) (int64, error) {
	in := window{r: r}
	var u unpacker
	for {
		size := whole(&in, &u)
		if in.err != nil && in.err != io.EOF {
			return 0, fmt.Errorf("reading NMSG at offset %d: %w", in.offset, in.err)
		}
		if size == 0 {
			return in.offset, nil
		}
		in.discard(size)
	}
}

// whole is the size of the container that comes next, 0 if it is not whole.
func whole(in *window, u *unpacker) int {
	in.fill(headerLen)
	h, err := parseHeader(in.bytes())
	if err != nil || h.flags&flagFragment != 0 {
		return 0
	}
	size := headerLen + h.length
	if in.fill(size) < size {
		return 0
	}
	if err := u.open(h, in.bytes()[headerLen:size], origin{}); err != nil {
		return 0
	}
	for err == nil {
		_, err = u.payload()
	}
	if err != io.EOF || u.next == 0 || u.next != len(u.crcs) {
		return 0
	}
	return size
}
