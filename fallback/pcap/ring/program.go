package ring

import (
	"errors"

	"golang.org/x/net/bpf"
)

// A label is a place in a program, known by those that jump there before it is.
type label int

// next is the place behind a jump.
const next label = 0

// A program is classic BPF (linux/filter.h) in the making. Conditional jumps reach
// no further than 255 instructions; those that must are given long ones to lead to.
type program struct {
	code   []instruction
	places []int // of each label: the instruction that it is before
}

// An instruction is one of bpf's, or a jump to labels.
type instruction struct {
	plain   bpf.Instruction
	test    bpf.JumpTest
	val     uint32
	yes, no label
	always  bool // to yes, without a test

	farYes, farNo bool // lead there by a long jump
}

// maxInstructions is BPF_MAXINSNS (linux/bpf_common.h).
const maxInstructions = 4096

var errTooLong = errors.New("program too long")

func newProgram() *program { return &program{places: []int{-1}} }

func (p *program) label() label {
	p.places = append(p.places, -1)
	return label(len(p.places) - 1)
}

// place puts a label before what comes next.
func (p *program) place(l label) { p.places[l] = len(p.code) }

func (p *program) do(all ...bpf.Instruction) {
	for _, i := range all {
		p.code = append(p.code, instruction{plain: i})
	}
}

func (p *program) jump(to label) {
	p.code = append(p.code, instruction{always: true, yes: to})
}

// ifEqual compares the register A.
func (p *program) ifEqual(val uint32, yes, no label) {
	p.code = append(p.code, instruction{test: bpf.JumpEqual, val: val, yes: yes, no: no})
}

// ifAnyBit tests bits of the register A.
func (p *program) ifAnyBit(bits uint32, yes, no label) {
	p.code = append(p.code, instruction{test: bpf.JumpBitsSet, val: bits, yes: yes, no: no})
}

// assemble resolves the labels.
func (p *program) assemble() ([]bpf.Instruction, error) {
	at := p.layOut()
	if at[len(p.code)] > maxInstructions {
		return nil, errTooLong
	}
	var out []bpf.Instruction
	for i, c := range p.code {
		yes, no := p.target(c.yes, i, at), p.target(c.no, i, at)
		switch {
		case c.plain != nil:
			out = append(out, c.plain)
		case c.always:
			out = append(out, bpf.Jump{Skip: uint32(yes - at[i] - 1)})
		default:
			out = append(out, c.conditional(at[i], yes, no)...)
		}
	}
	return out, nil
}

// conditional is the jump at a place, with the long ones that it needs behind it.
func (c *instruction) conditional(at, yes, no int) []bpf.Instruction {
	j := bpf.JumpIf{Cond: c.test, Val: c.val}
	var long []bpf.Instruction
	skip := func(far bool, to int) uint8 {
		if !far {
			return uint8(to - at - 1)
		}
		long = append(long, bpf.Jump{Skip: uint32(to - at - 1 - len(long) - 1)})
		return uint8(len(long) - 1)
	}
	j.SkipTrue = skip(c.farYes, yes)
	j.SkipFalse = skip(c.farNo, no)
	return append([]bpf.Instruction{j}, long...)
}

// layOut finds each instruction's place, and which jumps must be long: each of
// those moves what is behind it, until none is added.
func (p *program) layOut() []int {
	at := make([]int, len(p.code)+1)
	for grown := true; grown; {
		grown = false
		for i := range p.code {
			at[i+1] = at[i] + p.code[i].width()
		}
		for i := range p.code {
			c := &p.code[i]
			if c.plain != nil || c.always {
				continue
			}
			far := func(l label) bool { return p.target(l, i, at)-at[i]-1 > 255 }
			if !c.farYes && far(c.yes) {
				c.farYes, grown = true, true
			}
			if !c.farNo && far(c.no) {
				c.farNo, grown = true, true
			}
		}
	}
	return at
}

func (c *instruction) width() int {
	w := 1
	if c.farYes {
		w++
	}
	if c.farNo {
		w++
	}
	return w
}

func (p *program) target(l label, from int, at []int) int {
	if l == next {
		return at[from+1]
	}
	return at[p.places[l]]
}
