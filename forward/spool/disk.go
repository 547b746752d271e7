package spool

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward/ondisk"
)

// Permissions: only the sensor's user reads a spool.
const (
	dirPerm  = 0o700
	filePerm = 0o600
)

// A disk has the operations whose effect must survive a crash. A test replaces it, to know
// their order.
type disk interface {
	create(path string) (segmentFile, error) // a new file; os.ErrExist if there is one
	read(path string, from int64) (io.ReadCloser, error)
	replace(path string, b []byte) error // the content of a file, whole or not at all
	rename(from, to string) error
	remove(path string) error
	sync(path string) error // a file, or the names in a directory
}

// A segmentFile is a file to which containers are appended.
type segmentFile interface {
	Write(b []byte) (int, error) // at the end
	Truncate(size int64) error
	Sync() error
	Close() error
}

// realDisk is the disk of the operating system.
type realDisk struct{}

func (realDisk) create(path string) (segmentFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, filePerm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (realDisk) read(path string, from int64) (io.ReadCloser, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// newSuffix is that of the file that replace writes first.
const newSuffix = ".new"

func (realDisk) replace(path string, b []byte) error {
	temp := path + newSuffix
	if err := os.WriteFile(temp, b, filePerm); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func (realDisk) rename(from, to string) error { return os.Rename(from, to) }

func (realDisk) remove(path string) error { return os.Remove(path) }

func (realDisk) sync(path string) error { return ondisk.Sync(path) }
