package ring

import (
	"sync/atomic"
	"unsafe"
)

// offStatus is where a block's header holds whose the block is (struct
// tpacket_block_desc, linux/if_packet.h).
const offStatus = 8

// status says whose a block is. The kernel writes what is in the block before it
// writes this word, from another processor: reading it must be atomic, and come
// first, for which Go has no way but a pointer.
//
// The pointer is good as long as the block's memory is mapped: the word lies within
// the block, which its index checks, and is aligned, for blocks begin at pages.
func status(block []byte) *uint32 {
	return (*uint32)(unsafe.Pointer(&block[offStatus : offStatus+4 : offStatus+4][0]))
}

// isOurs reports whether the kernel has handed a block over.
func isOurs(block []byte) bool { return atomic.LoadUint32(status(block))&statusUser != 0 }

// giveBack lets the kernel fill a block again.
func giveBack(block []byte) { atomic.StoreUint32(status(block), 0) }

const statusUser = 1 // TP_STATUS_USER
