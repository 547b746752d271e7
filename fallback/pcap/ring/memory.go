package ring

import (
	"sync/atomic"
	"unsafe"
)

// offStatus is the offset of the block_status in a block's header (struct
// tpacket_block_desc, linux/if_packet.h).
const offStatus = 8

// status returns a pointer to a block's status word, which contains the owner of the block.
// The kernel writes the block's contents before this word, on another processor. The word
// must therefore be read before the contents and atomically, for which Go needs a pointer.
//
// The pointer is valid while the block's memory is mapped. The word is inside the
// block, which the index expression checks, and is aligned, because blocks begin at pages.
func status(block []byte) *uint32 {
	return (*uint32)(unsafe.Pointer(&block[offStatus : offStatus+4 : offStatus+4][0]))
}

// isOurs reports whether the kernel has handed the block over.
func isOurs(block []byte) bool { return atomic.LoadUint32(status(block))&statusUser != 0 }

// giveBack returns the block to the kernel.
func giveBack(block []byte) { atomic.StoreUint32(status(block), 0) }

const statusUser = 1 // TP_STATUS_USER
