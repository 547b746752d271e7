package service

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"
)

// unitFolders are the folders in which systemd looks for units, the first with priority. It
// reads drop-ins from all of them.
var unitFolders = []string{"etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system"}

// Units contain what the units of the sensor provide on this machine. The zero value means
// that no unit is installed.
type Units struct {
	User     string   // that runs the sensor; empty: root
	Groups   []string // of the user, in addition to that of its name
	Sockets  []string // addresses at which systemd listens for the sensor
	Folders  []string // that systemd makes for the user before the sensor starts
	Writable []string // other folders that the sensor may write to
	ReadOnly bool     // the sensor may write only to Folders and Writable
	Captures bool     // the user may capture packets
}

// Installed returns what the units dnstap-pdns.service and dnstap-pdns.socket below root
// provide. root is "/" except in tests.
func Installed(root string) (Units, error) {
	service, err := readUnit(root, "dnstap-pdns.service")
	if err != nil || service == nil {
		return Units{}, err
	}
	socket, err := readUnit(root, "dnstap-pdns.socket")
	if err != nil {
		return Units{}, err
	}
	u := Units{
		User:     service.last("User"),
		Groups:   append(service.words("SupplementaryGroups"), service.words("Group")...),
		Sockets:  socket.words("ListenStream"),
		Writable: service.words("ReadWritePaths"),
		ReadOnly: service.last("ProtectSystem") == "strict",
		Captures: slices.Contains(service.words("AmbientCapabilities"), "CAP_NET_RAW"),
	}
	for setting, parent := range map[string]string{"StateDirectory": "/var/lib", "CacheDirectory": "/var/cache", "LogsDirectory": "/var/log", "RuntimeDirectory": "/run"} {
		for _, name := range service.words(setting) {
			u.Folders = append(u.Folders, filepath.Join(parent, name))
		}
	}
	slices.Sort(u.Folders)
	return u, nil
}

// Controls reports whether the service manager runs this process to control the running
// sensor, as ExecReload= does.
func Controls() bool { return os.Getenv("MAINPID") != "" }

// settings are the settings of a unit, with those of its drop-ins.
type settings []*unit.UnitOption

// readUnit returns the settings of a unit, nil if it is not installed or is masked.
func readUnit(root, name string) (settings, error) {
	var all settings
	var dropIns []string
	found := false
	for _, folder := range unitFolders {
		path := filepath.Join(root, folder, name)
		more, err := filepath.Glob(path + ".d/*.conf")
		if err != nil {
			return nil, err
		}
		dropIns = append(dropIns, more...)
		if _, err := os.Stat(path); found || err != nil {
			continue
		}
		found = true
		if all, err = readOptions(path); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(dropIns, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	for _, path := range dropIns {
		more, err := readOptions(path)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

func readOptions(path string) (settings, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := unit.DeserializeOptions(f)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return all, nil
}

// last returns the value of a setting that has one value.
func (s settings) last(name string) (value string) {
	for _, o := range s {
		if o.Name == name {
			value = o.Value
		}
	}
	return value
}

// words returns the values of a setting that is a list. An empty value removes those before.
func (s settings) words(name string) (all []string) {
	for _, o := range s {
		if o.Name != name {
			continue
		}
		if o.Value == "" {
			all = nil
		}
		all = append(all, strings.Fields(o.Value)...)
	}
	return all
}
