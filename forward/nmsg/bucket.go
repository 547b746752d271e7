package nmsg

import "hash/fnv"

// Buckets is the number of hash buckets of owner names. It is part of the wire format of a
// collection: RRsets of all sensors meet in one partition only if all have the same number.
const Buckets = 64

// Bucket returns the bucket, from 0 to Buckets-1, of an owner name in wire form and lowercase.
func Bucket(rrname []byte) int {
	h := fnv.New32a()
	h.Write(rrname)
	return int(h.Sum32() % Buckets)
}
