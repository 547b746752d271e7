package ring

import (
	"errors"

	"golang.org/x/net/bpf"
)

// A label is a jump target in a program. It may be used before setLabel sets it.
type label int

// next is the label of the instruction after a jump.
const next label = 0

// A program is classic BPF (linux/filter.h) under construction. Conditional jumps reach at
// most 255 instructions; a longer one goes to an unconditional jump that is added.
type program struct {
	code    []instruction
	targets []int // of each label: index in code of the instruction that it precedes
}

// An instruction is a plain instruction of package bpf or a jump to labels.
type instruction struct {
	plain   bpf.Instruction
	test    bpf.JumpTest
	val     uint32
	yes, no label
	always  bool // jump to yes without a test

	farYes, farNo bool // the jump needs an unconditional jump
}

// maxInstructions is BPF_MAXINSNS (linux/bpf_common.h).
const maxInstructions = 4096

var errTooLong = errors.New("program too long")

func newProgram() *program { return &program{targets: []int{-1}} }

func (p *program) label() label {
	p.targets = append(p.targets, -1)
	return label(len(p.targets) - 1)
}

// setLabel puts a label before the next instruction.
func (p *program) setLabel(l label) { p.targets[l] = len(p.code) }

// do appends instructions.
func (p *program) do(all ...bpf.Instruction) {
	for _, i := range all {
		p.code = append(p.code, instruction{plain: i})
	}
}

// jump appends an unconditional jump.
func (p *program) jump(to label) {
	p.code = append(p.code, instruction{always: true, yes: to})
}

// ifEqual appends a jump to yes if register A equals val, else to no.
func (p *program) ifEqual(val uint32, yes, no label) {
	p.code = append(p.code, instruction{test: bpf.JumpEqual, val: val, yes: yes, no: no})
}

// ifAnyBit appends a jump to yes if register A has any of bits, else to no.
func (p *program) ifAnyBit(bits uint32, yes, no label) {
	p.code = append(p.code, instruction{test: bpf.JumpBitsSet, val: bits, yes: yes, no: no})
}

// assemble returns the instructions with resolved labels.
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

// conditional returns c, a conditional jump at offset at, and after it the unconditional jumps
// to targets that are too far for it.
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

// layOut returns the offset of each instruction and marks the jumps that need an
// unconditional one. Each of these moves the later instructions, so it repeats until
// none is added.
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

// width returns the number of BPF instructions for c.
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

// target returns the offset of a label, for a jump in instruction from.
func (p *program) target(l label, from int, at []int) int {
	if l == next {
		return at[from+1]
	}
	return at[p.targets[l]]
}
