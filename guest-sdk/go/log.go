package disperse

// Debug writes a line for debugging to the host's log. The log of the standard library goes there too, as Info.
func Debug(format string, values ...any) { write(0, format, values) }

// Info writes a line about normal operation.
func Info(format string, values ...any) { write(1, format, values) }

// Warning writes a line about an unexpected condition that was handled.
func Warning(format string, values ...any) { write(2, format, values) }

// Error writes a line about a failure.
func Error(format string, values ...any) { write(3, format, values) }

func trimNewline(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		return line[:n-1]
	}
	return line
}
