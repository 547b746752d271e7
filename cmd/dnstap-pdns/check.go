package main

import (
	"context"
	"fmt"
)

func check(_ context.Context, args []string, std stdio) error {
	fs := newFlags("check", "[-c FILE]", std)
	path := fs.String("c", "", configUsage)
	if err := parseAlone(fs, args); err != nil {
		return err
	}
	file, err := loadConfig(*path, std)
	if err != nil {
		return err
	}
	if err := file.Write(std.out); err != nil {
		return fmt.Errorf("printing the configuration: %w", err)
	}
	return nil
}
