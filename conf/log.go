package conf

import (
	"errors"
	"log/slog"
	"strings"
)

func (s *section) log() Log {
	return Log{
		Level:  readText(s, "level", parseLevel),
		Format: string(readText(s, "format", parseFormat)),
	}
}

func parseLevel(v string) (slog.Level, error) {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if v == strings.ToLower(l.String()) {
			return l, nil
		}
	}
	return 0, errors.New("no such level")
}

// A logFormat is "text" or "json".
type logFormat string

func parseFormat(v string) (logFormat, error) {
	if v != "text" && v != "json" {
		return "", errors.New("no such format")
	}
	return logFormat(v), nil
}
