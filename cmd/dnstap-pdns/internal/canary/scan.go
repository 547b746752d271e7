package canary

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// The scanners of this file find addresses in text. Each reads its text once.

// isAlnum reports whether c is an ASCII letter or digit.
func isAlnum(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }

// isHexDigit reports whether c is a hexadecimal digit in either case.
func isHexDigit(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// hexValue returns the value of a hexadecimal digit.
func hexValue(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// runEnd returns the end of the run of octets from offset from on for which is returns true.
func runEnd(b []byte, from int, is func(byte) bool) int {
	for from < len(b) && is(b[from]) {
		from++
	}
	return from
}

// octet reads a decimal number; ok is false if it is above 255.
func octet(digits []byte) (v byte, ok bool) {
	n := 0
	for _, c := range digits {
		if n = n*10 + int(c-'0'); n > 255 {
			return 0, false
		}
	}
	return byte(n), len(digits) > 0
}

// scanQuads finds four decimal numbers that the same dot, hyphen or underscore separates.
func scanQuads(b []byte, found func([4]byte)) {
	var quad [4]byte
	inRow := 0        // numbers of the current row, which one separator separates
	by := byte(0)     // that separator
	end := len(b) + 2 // of the previous number
	for i := 0; i < len(b); i++ {
		if !isDigit(b[i]) {
			continue
		}
		from := i
		i = runEnd(b, i, isDigit)
		v, ok := octet(b[from:i])
		copy(quad[:], quad[1:])
		quad[3] = v
		between := byte(0)
		if from == end+1 {
			between = b[end]
		}
		end = i
		switch {
		case !ok:
			inRow = 0
		case inRow == 0 || between != '.' && between != '-' && between != '_':
			inRow = 1
		case inRow > 1 && between != by:
			inRow, by = 2, between
		default:
			inRow, by = inRow+1, between
		}
		if inRow >= len(quad) {
			found(quad)
		}
	}
}

// backwards returns an IPv4 address with its octets in reverse order.
func backwards(a [4]byte) [4]byte { return [4]byte{a[3], a[2], a[1], a[0]} }

// A groupRow is the groups of an IPv6 address that were read so far.
type groupRow struct {
	groups [groups]uint16 // the latest eight, the newest last
	n      int            // groups in the row, which may be more than eight
}

func (r *groupRow) add(v uint16) {
	copy(r.groups[:], r.groups[1:])
	r.groups[groups-1] = v
	r.n++
}

// scanColons finds IPv6 addresses in every spelling of RFC 4291, section 2.2.
func scanColons(b []byte, found func(a [16]byte, end int)) { scanGroups(b, ':', found) }

// scanGroups finds IPv6 addresses whose groups are separated by a colon or another separator. An
// address may begin and end at any group of a longer row; end is the offset after it. "::"
// alone does not count. With another separator, which may be doubled for other reasons, an
// address must have three groups or more and no dotted quad.
func scanGroups(b []byte, by byte, found func(a [16]byte, end int)) {
	var head, tail groupRow // before and after the latest double separator
	gap := false            // there was a double separator
	least := 1
	if by != ':' {
		least = 3
	}
	emit := func(tail groupRow, end int) {
		switch {
		case tail.n >= groups:
			found(address(nil, tail.groups[:]), end)
			return
		case !gap:
			return
		}
		after := tail.groups[groups-tail.n:]
		for n := 0; n <= min(head.n, groups-1-tail.n); n++ {
			if n+tail.n >= least {
				found(address(head.groups[groups-n:], after), end)
			}
		}
	}
	for i := 0; i < len(b); {
		end := runEnd(b, i, isHexDigit)
		switch separators := runEnd(b, end, func(c byte) bool { return c == by }) - end; {
		case end == i && separators < 2, end-i > 4: // no group, or a longer number
			head, tail, gap = groupRow{}, groupRow{}, false
			i = max(end, i+1)
		case end == i:
			head, tail, gap = tail, groupRow{}, true
			emit(tail, end+2)
			if separators > 2 { // the last two may begin an address
				head = groupRow{}
			}
			i = end + separators
		default:
			if quad, size, ok := quadAt(b[i:]); ok && by == ':' {
				last := tail
				last.add(binary.BigEndian.Uint16(quad[:2]))
				last.add(binary.BigEndian.Uint16(quad[2:]))
				emit(last, i+size)
			}
			tail.add(group(b[i:end]))
			emit(tail, end)
			i = end
			switch separators {
			case 0:
				head, tail, gap = groupRow{}, groupRow{}, false
			case 1:
				i++
			}
		}
	}
}

// group returns the value of up to four hexadecimal digits.
func group(digits []byte) (v uint16) {
	for _, c := range digits {
		v = v<<4 | uint16(hexValue(c))
	}
	return v
}

// address returns the IPv6 address of these groups, with zeros in the gap between before and
// after.
func address(before, after []uint16) (a [16]byte) {
	for i, v := range before {
		binary.BigEndian.PutUint16(a[2*i:], v)
	}
	for i, v := range after {
		binary.BigEndian.PutUint16(a[2*(groups-len(after)+i):], v)
	}
	return a
}

// quadAt reads four decimal numbers with dots.
func quadAt(b []byte) (quad [4]byte, size int, ok bool) {
	for i := range quad {
		end := runEnd(b, size, isDigit)
		if quad[i], ok = octet(b[size:end]); !ok || i < 3 && (end == len(b) || b[end] != '.') {
			return quad, 0, false
		}
		size = end + 1
	}
	return quad, size - 1, true
}

// scanHex finds eight or 32 hexadecimal digits that are not part of a longer run of ASCII
// letters and digits.
func scanHex(b []byte, found4 func([4]byte), found16 func([16]byte)) {
	for i := 0; i < len(b); i++ {
		if !isAlnum(b[i]) {
			continue
		}
		from := i
		i = runEnd(b, i, isAlnum)
		if n := i - from; n != 8 && n != 32 || runEnd(b, from, isHexDigit) != i || isALabel(b[:from]) {
			continue
		}
		var a [16]byte
		for at := from; at < i; at++ {
			a[(at-from)/2] = a[(at-from)/2]<<4 | hexValue(b[at])
		}
		if i-from == 8 {
			found4([4]byte(a[:4]))
		} else {
			found16(a)
		}
	}
}

// isALabel reports whether text ends in the prefix of A-labels (RFC 5890). What follows encodes
// letters of another script and contains no address.
func isALabel(before []byte) bool {
	return len(before) >= 4 && strings.EqualFold(string(before[len(before)-4:]), "xn--")
}

// longestDecimal is the number of digits of the largest IPv6 address as one decimal number.
const longestDecimal = 39

// scanDecimal finds addresses that are written as one decimal number.
func scanDecimal(b []byte, found4 func([4]byte), found16 func([16]byte)) {
	word := 0 // start of the letters and digits at i
	for i := 0; i < len(b); {
		if !isDigit(b[i]) {
			i++
			if !isAlnum(b[i-1]) {
				word = i
			}
			continue
		}
		from := runEnd(b, i, func(c byte) bool { return c == '0' })
		i = runEnd(b, from, isDigit)
		if i-from > longestDecimal || isALabel(b[:word]) {
			continue
		}
		high, low, ok := uint128(b[from:i])
		switch {
		case !ok:
		case high == 0 && low < 1<<32:
			found4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(low))))
		default:
			found16([16]byte(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, high), low)))
		}
	}
}

// uint128 reads a decimal number; ok is false if it has more than 128 bits.
func uint128(digits []byte) (high, low uint64, ok bool) {
	for _, c := range digits {
		over, h := bits.Mul64(high, 10)
		carry, l := bits.Mul64(low, 10)
		var c1, c2, c3 uint64
		l, c1 = bits.Add64(l, uint64(c-'0'), 0)
		h, c2 = bits.Add64(h, carry, 0)
		h, c3 = bits.Add64(h, c1, 0)
		if over|c2|c3 != 0 {
			return 0, 0, false
		}
		high, low = h, l
	}
	return high, low, true
}

// scanNibbles finds 32 single hexadecimal digits with dots between them, the last digit first.
func scanNibbles(b []byte, found func([16]byte)) {
	var row nibbleRow
	end := -2 // of the previous word
	for i := 0; i < len(b); i++ {
		if !isAlnum(b[i]) {
			continue
		}
		from := i
		i = runEnd(b, i, isAlnum)
		if from != end+1 || b[end] != '.' {
			row.n = 0
		}
		end = i
		row.add(b[from:i], found)
	}
}

// A nibbleRow is consecutive single hexadecimal digits, the last digit of an address first.
type nibbleRow struct {
	high, low uint64
	n         int
}

// add adds a word, which ends the row if it is not a single hexadecimal digit. It calls found
// with the latest 32 digits.
func (r *nibbleRow) add(word []byte, found func([16]byte)) {
	if len(word) != 1 || !isHexDigit(word[0]) {
		r.n = 0
		return
	}
	r.low = r.low>>4 | r.high<<60
	r.high = r.high>>4 | uint64(hexValue(word[0]))<<60
	if r.n++; r.n >= 32 {
		found([16]byte(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, r.high), r.low)))
	}
}
