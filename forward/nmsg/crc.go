package nmsg

import (
	"hash/crc32"
	"math/bits"
)

// checksum is CRC-32C. MakeTable hands out the package's own table for it, which
// lets the processor do the work.
func checksum(b []byte) uint32 {
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
}

// wireCRC turns a CRC into the number that NMSG carries: the reference library
// puts it into network order and then writes that as an integer of the host.
func wireCRC(crc uint32) uint32 { return bits.ReverseBytes32(crc) }
