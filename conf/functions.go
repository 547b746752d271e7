package conf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
)

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
			v, err := secret.ReadFile(inFolder(dir, path))
			if err != nil {
				return "", errors.New(Escape(err.Error())) // it contains the file name
			}
			return v, nil
		}),
		"credential": secretOf("NAME", credential),
	}
}

// credential returns a credential that the service manager passed to this process.
func credential(name string) (string, error) {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	switch {
	case dir == "":
		return "", errors.New("this process has no credentials: only the service has, by LoadCredential= in its unit")
	case name == "" || name != filepath.Base(name) || name == "." || name == "..":
		return "", errors.New("not the name of a credential")
	}
	path := filepath.Join(dir, name)
	v, err := secret.ReadFile(path)
	// systemd 252 names the folder also to the commands of ExecReload, and shows its content
	// only to the main process, which has the same user.
	if main := os.Getenv("MAINPID"); errors.Is(err, fs.ErrPermission) && main != "" {
		v, err = secret.ReadFile(filepath.Join("/proc", main, "root", path))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("the service has no credential of this name: add LoadCredential=NAME:PATH to its unit, and restart it")
	}
	if err != nil {
		return "", errors.New(Escape(err.Error()))
	}
	return v, nil
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
