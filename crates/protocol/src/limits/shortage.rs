//! Resources that the machine lacks, derived from system errors.

use std::{fmt, io};

use rustix::io::Errno;

/// A resource that the machine lacks. Neither a guest nor a worker is at fault, and it may be temporary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Address space or memory.
    Memory,
    /// Open files, of this process or of the machine.
    Files,
    /// Threads or processes.
    Threads,
    /// Ports for connections to one server.
    Ports,
}

impl Shortage {
    /// The resource that an error is about, from any call.
    pub fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::NOMEM | Errno::NOBUFS => Some(Self::Memory),
            Errno::MFILE | Errno::NFILE => Some(Self::Files),
            _ => None,
        }
    }

    /// The same for an error from starting a thread or a process.
    pub fn of_start(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::AGAIN => Some(Self::Threads),
            _ => Self::of(error),
        }
    }

    /// The same for an error from opening a connection.
    pub fn of_connection(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::ADDRNOTAVAIL => Some(Self::Ports),
            Errno::AGAIN => Some(Self::Memory),
            _ => Self::of(error),
        }
    }

    /// The same for an error of which only the text is left, such as that of a child process: it contains the system's
    /// number.
    pub fn of_text(text: &str) -> Option<Self> {
        let (_, number) = text.rsplit_once("(os error ")?;
        let (number, _) = number.split_once(')')?;
        Self::of_start(&io::Error::from_raw_os_error(number.parse().ok()?))
    }

    /// How to fix it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Memory => "raise the limit on address space (`ulimit -v`) or on memory, or use fewer workers",
            Self::Files => "raise the limit on open files (`ulimit -n`), or use fewer workers",
            Self::Threads => {
                "raise the limit on processes (`ulimit -u`, or `pids.max` of the control group), or use fewer workers"
            }
            Self::Ports => "use fewer workers, or let the service keep connections open",
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory or address space",
            Self::Files => "open files",
            Self::Threads => "threads or processes",
            Self::Ports => "ports",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortage_is_read_from_the_number_of_an_error() {
        let error = |errno: Errno| io::Error::from(errno);
        assert_eq!(Shortage::of(&error(Errno::NOMEM)), Some(Shortage::Memory));
        assert_eq!(Shortage::of(&error(Errno::MFILE)), Some(Shortage::Files));
        assert_eq!(Shortage::of(&error(Errno::NFILE)), Some(Shortage::Files));
        // A non-blocking call fails in the same way.
        assert_eq!(Shortage::of(&error(Errno::AGAIN)), None);
        assert_eq!(Shortage::of_start(&error(Errno::AGAIN)), Some(Shortage::Threads));
        let text = format!("cannot be started: {}", error(Errno::MFILE));
        assert_eq!(Shortage::of_text(&text), Some(Shortage::Files));
        assert_eq!(Shortage::of_text("cannot be started (os error x)"), None);
        assert_eq!(
            Shortage::of_connection(&error(Errno::ADDRNOTAVAIL)),
            Some(Shortage::Ports)
        );
        assert_eq!(Shortage::of_start(&error(Errno::NOENT)), None);
        assert_eq!(Shortage::of(&io::Error::other("Cannot allocate memory")), None);
    }
}
