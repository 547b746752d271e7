package conf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// longestSecret is the size, in bytes, of what file() reads at most.
const longestSecret = mib

// mark marks what functions return, so that HCL keeps it out of its messages.
type mark struct{}

// functions returns what an expression may call; dir is where file names start.
func functions(dir string) map[string]function.Function {
	return map[string]function.Function{
		"env": secretOf("NAME", func(name string) (string, error) {
			v, ok := os.LookupEnv(name)
			if !ok {
				return "", errors.New("it is not set in the environment")
			}
			return v, nil
		}),
		"file": secretOf("PATH", func(path string) (string, error) {
			b, err := readFile(inFolder(dir, path), longestSecret)
			if err != nil {
				return "", errors.New(Escape(err.Error())) // which names the file
			}
			return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
		}),
	}
}

func secretOf(parameter string, value func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: parameter, Type: cty.String, AllowMarked: true}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			argument, marks := args[0].Unmark()
			v, err := value(argument.AsString())
			if err != nil && len(marks) > 0 {
				err = errors.New("what a function gives here, and is not shown, is not taken")
			}
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			return cty.StringVal(v).Mark(mark{}), nil
		},
	})
}

// inFolder returns path, from dir on if it is relative.
func inFolder(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// readFile reads a regular file of at most limit bytes; a pipe or a device could
// hold up a reload or never end.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return b, nil
}
