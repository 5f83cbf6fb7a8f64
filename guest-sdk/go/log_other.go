//go:build !wasip1

package disperse

import (
	"fmt"
	"os"
)

func write(level uint8, format string, values []any) {
	names := [...]string{"debug", "info", "warning", "error"}
	fmt.Fprintf(os.Stderr, names[level]+": "+format+"\n", values...)
}
