package setup

import (
	"bytes"
	"fmt"
	"strings"
)

// Script returns the plan as a shell script.
func (p Plan) Script() string {
	var b bytes.Buffer
	for i, step := range p {
		fmt.Fprintf(&b, "\n# %d. %s\n", i+1, step.Title)
		for _, f := range step.Files {
			b.WriteString(f.shell())
		}
		if step.Check != nil {
			b.WriteString(shellLine(step.Check))
		}
		for _, c := range step.Commands {
			b.WriteString(shellLine(c.Args))
		}
	}
	return b.String()
}

// shell returns the command that writes the file.
func (f File) shell() string {
	if f.Edit != nil {
		return f.Edit.Shell + "\n"
	}
	end := "EOF"
	for strings.Contains(f.Text, end) {
		end += "_"
	}
	return fmt.Sprintf("install -D -m 644 /dev/stdin %s <<'%s'\n%s%[2]s\n", Quote(f.Path), end, f.Text)
}

func shellLine(args []string) string {
	var words []string
	for _, a := range args {
		words = append(words, Quote(a))
	}
	return strings.Join(words, " ") + "\n"
}

// Quote returns a word for a shell.
func Quote(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-=@:,+%"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
