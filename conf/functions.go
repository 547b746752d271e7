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

// longestSecret is the limit of a file that file() reads, in bytes.
const longestSecret = mib

// secretMark is the cty mark of values that functions return. HCL does not show
// marked values in its messages.
type secretMark struct{}

// functions returns the functions of expressions. File names are relative to dir.
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
				return "", errors.New(Escape(err.Error())) // it contains the file name
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
				err = errors.New("the argument is not valid; it is not shown, because a function gives it")
			}
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			return cty.StringVal(v).Mark(secretMark{}), nil
		},
	})
}

// inFolder returns path, or dir/path if path is relative.
func inFolder(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// readFile reads a regular file of at most limit bytes. It refuses pipes and
// devices, which could block a reload or never end.
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
		return nil, fmt.Errorf("%s is not a regular file", path)
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
