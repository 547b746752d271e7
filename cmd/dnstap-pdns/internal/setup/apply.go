package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// An Applier performs plans.
type Applier struct {
	Out io.Writer
	Now time.Time // backups are named after it

	// Ask asks the operator for permission; nil: everything is permitted.
	Ask func(question string) (bool, error)

	// Run runs a command.
	Run func(ctx context.Context, args []string) error
}

// A change is a file as it is and as it will be.
type change struct {
	File
	path     string // Path without symbolic links
	old, new string
	exists   bool
	backup   string // path of the backup; empty: there is none
}

// Apply writes the files of the plan and checks them, and then runs its commands. If a check
// fails, it restores all files and runs no command.
func (a *Applier) Apply(ctx context.Context, p Plan) error {
	changes, err := prepare(p)
	if err != nil {
		return err
	}
	changed := map[Subject]bool{}
	var written []*change
	for _, c := range changes {
		ok, err := a.permitted(c)
		if err == nil && ok {
			changed[c.For] = true
			written = append(written, c)
			err = a.write(c)
		}
		if err != nil {
			return errors.Join(err, a.restore(written))
		}
	}
	for _, step := range p {
		if step.Check == nil {
			continue
		}
		if err := a.run(ctx, step.Check); err != nil {
			return errors.Join(err, a.restore(written))
		}
	}
	for _, step := range p {
		for _, c := range step.Commands {
			args := c.Args
			if c.If && !changed[c.For] {
				args = c.Else
			}
			if args == nil {
				continue
			}
			err := a.run(ctx, args)
			if err != nil && c.Twice {
				err = a.run(ctx, args)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// prepare reads all files before the first one is written.
func prepare(p Plan) (all []*change, err error) {
	for _, step := range p {
		for _, f := range step.Files {
			c := &change{File: f, path: f.Path, new: f.Text}
			if real, err := filepath.EvalSymlinks(f.Path); err == nil {
				c.path = real
			}
			old, err := os.ReadFile(c.path)
			c.old, c.exists = string(old), err == nil
			if err != nil && (f.Edit != nil || !errors.Is(err, fs.ErrNotExist)) {
				return nil, fmt.Errorf("reading a file to change: %w", err)
			}
			if f.Edit != nil {
				if c.new, err = f.Edit.apply(c.old); err != nil {
					return nil, fmt.Errorf("%s: %w", f.Path, err)
				}
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// permitted reports whether to write the file. It shows what will be written.
func (a *Applier) permitted(c *change) (bool, error) {
	path := conf.Escape(c.Path)
	if c.exists && c.old == c.new {
		fmt.Fprintf(a.Out, "%s is up to date.\n", path)
		return false, nil
	}
	if a.Ask == nil {
		return true, nil
	}
	question := fmt.Sprintf("Write %s?", path)
	switch {
	case c.Edit != nil:
		question = fmt.Sprintf("Add this line to %s?", path)
		fmt.Fprintf(a.Out, "\n%s\n\n", c.Edit.Line)
	default:
		if c.exists {
			question = fmt.Sprintf("Replace %s? A backup remains.", path)
		}
		fmt.Fprintf(a.Out, "\n%s\n", c.new)
	}
	ok, err := a.Ask(question)
	if err == nil && !ok {
		fmt.Fprintf(a.Out, "%s was not written.\n", path)
	}
	return ok, err
}

// write writes a file completely or not at all, and keeps a backup of the file that it replaces.
func (a *Applier) write(c *change) error {
	if c.exists {
		c.backup = c.path + "." + a.Now.UTC().Format("20060102T150405")
		if err := os.Link(c.path, c.backup); err != nil {
			c.backup = ""
			return fmt.Errorf("making a backup: %w", err)
		}
	}
	if err := Replace(c.path, c.new); err != nil {
		return err
	}
	note := ""
	if c.backup != "" {
		note = "; backup: " + conf.Escape(c.backup)
	}
	fmt.Fprintf(a.Out, "%s was written%s.\n", conf.Escape(c.Path), note)
	return nil
}

// Replace writes a file completely or not at all. It keeps the owner and mode of a file that it
// replaces, and makes missing folders.
func Replace(path, text string) error {
	failed := func(err error) error { return fmt.Errorf("writing %s: %w", path, err) }
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return failed(err)
	}
	temp, err := os.CreateTemp(dir, ".init")
	if err != nil {
		return failed(err)
	}
	defer os.Remove(temp.Name())
	mode := fs.FileMode(0o644) // programs that run as other users read it
	var old unix.Stat_t
	if unix.Stat(path, &old) == nil {
		mode = fs.FileMode(old.Mode).Perm()
		err = temp.Chown(int(old.Uid), int(old.Gid))
	}
	_, writeErr := temp.WriteString(text)
	if err := errors.Join(err, writeErr, temp.Chmod(mode), temp.Sync(), temp.Close()); err != nil {
		return failed(err)
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return failed(err)
	}
	return nil
}

// restore undoes write.
func (a *Applier) restore(all []*change) error {
	var errs []error
	for _, c := range all {
		undone, err := "removed", error(nil)
		if c.backup != "" {
			undone, err = "restored", os.Rename(c.backup, c.path)
		} else if !c.exists {
			err = os.Remove(c.path)
		}
		switch {
		case err == nil:
			fmt.Fprintf(a.Out, "%s was %s.\n", conf.Escape(c.Path), undone)
		case !errors.Is(err, fs.ErrNotExist):
			errs = append(errs, fmt.Errorf("restoring a file: %w", err))
		}
	}
	return errors.Join(errs...)
}

// run shows and runs a command.
func (a *Applier) run(ctx context.Context, args []string) error {
	line := strings.TrimSuffix(shellLine(args), "\n")
	fmt.Fprintf(a.Out, "+ %s\n", line)
	if err := a.Run(ctx, args); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	return nil
}
