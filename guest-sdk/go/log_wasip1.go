package disperse

import (
	"fmt"
	"log"
	"strings"

	host "disperse/internal/imports/disperse_guest_log"
)

type logWriter struct{}

func (logWriter) Write(line []byte) (int, error) {
	host.Write(host.Level_Info, words(string(trimNewline(line))))
	return len(line), nil
}

func init() {
	log.SetFlags(0)
	log.SetOutput(logWriter{})
}

func words(line string) string { return strings.ToValidUTF8(line, "?") }

func write(level uint8, format string, values []any) {
	host.Write(level, words(fmt.Sprintf(format, values...)))
}
