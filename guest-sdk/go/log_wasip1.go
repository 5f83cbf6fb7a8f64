package disperse

import (
	"fmt"
	"log"

	"disperse/internal/common"
	host "disperse/internal/imports/disperse_guest_log"
)

type logWriter struct{}

func (logWriter) Write(line []byte) (int, error) {
	host.Write(host.Level_Info, common.Valid(string(trimNewline(line))))
	return len(line), nil
}

func init() {
	log.SetFlags(0)
	log.SetOutput(logWriter{})
}

func write(level uint8, format string, values []any) {
	host.Write(level, common.Valid(fmt.Sprintf(format, values...)))
}
