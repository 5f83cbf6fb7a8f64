//! The client of the control protocol: sends a request to a run.

use std::{
    io::{self, ErrorKind, Read, Write},
    path::Path,
    time::{Duration, Instant},
};

use disperse_protocol::control::{Answer, ControlResponse, Problem, Query, Reply, Request, RunId, VERSION};

use super::folder::{Folder, connect};

/// How long a run may take to answer, from connecting to the end of the answer. Arbitrary: requests are answered in
/// turn, and the run may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest answer, in bytes. The answers of a run are bounded far below it.
const ANSWER_MAX: usize = 64 << 20;

/// How long to wait for the record of a run that is ending, and how often to look for it.
const ENDING: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The run's own reason.
    #[error("{}", .0.what)]
    Problem(Problem),
    /// No process listens, and there is no record.
    #[error("the run was killed and left no record")]
    Killed,
    #[error("it has ended and left no record")]
    NoRecord,
    #[error("cannot parse the run's answer: it may be of another version of disperse-host")]
    Garbled,
    #[error("it did not answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Sends a request to a run, or to its record if it has ended.
///
/// # Errors
/// It returns a problem, or cannot be reached.
pub fn ask(folder: &Folder, id: &RunId, query: &Query) -> Result<ControlResponse, AskError> {
    let until = Instant::now() + ENDING;
    loop {
        match talk(folder, id, query) {
            Ok(Some(answer)) => {
                return match answer.reply {
                    Reply::Response(response) => Ok(response),
                    Reply::Problem(problem) => Err(AskError::Problem(problem)),
                };
            }
            // The run is over, or just ending.
            Ok(None) => {}
            Err(AskError::Io(error)) if is_gone(error.kind()) => {
                if error.kind() == ErrorKind::ConnectionRefused && folder.record(id)?.is_none() {
                    folder.forget(id);
                    return Err(AskError::Killed);
                }
            }
            Err(error) => return Err(error),
        }
        match folder.record(id)? {
            Some(archive) => return archive.answer(query).map_err(AskError::Problem),
            None if Instant::now() >= until => return Err(AskError::NoRecord),
            None => std::thread::sleep(LOOK),
        }
    }
}

fn is_gone(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionRefused | ErrorKind::NotFound | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

/// Sends one request and returns its answer. None: the run is over and answers no more.
fn talk(folder: &Folder, id: &RunId, query: &Query) -> Result<Option<Answer>, AskError> {
    let request = Request {
        v: VERSION,
        query: query.clone(),
    };
    let mut line = serde_json::to_vec(&request).map_err(io::Error::from)?;
    line.push(b'\n');
    let text = exchange(&folder.socket(id), &line, PATIENCE)?;
    if text.is_empty() {
        return Ok(None);
    }
    let answer: Answer = serde_json::from_slice(&text).map_err(|_| AskError::Garbled)?;
    Ok(Some(answer))
}

/// Writes a line and reads the whole answer, within one deadline.
///
/// # Errors
/// The socket cannot be used, the answer is larger than [`ANSWER_MAX`], or the deadline passed.
fn exchange(socket: &Path, line: &[u8], within: Duration) -> Result<Vec<u8>, AskError> {
    let until = Instant::now() + within;
    // The socket's own timeouts are for each step: an occasional byte would extend them for ever.
    let left = || {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(AskError::Late) } else { Ok(left) }
    };
    let late = |error: io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => AskError::Late,
        _ => AskError::Io(error),
    };
    let mut stream = connect(socket, within).map_err(late)?;
    stream.set_write_timeout(Some(left()?))?;
    // A line is smaller than the buffer of a socket.
    stream.write_all(line).map_err(late)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let (mut text, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        stream.set_read_timeout(Some(left()?))?;
        let read = match stream.read(&mut piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.map_err(late)?,
        };
        text.extend_from_slice(piece.get(..read).unwrap_or_default());
        if text.len() > ANSWER_MAX {
            return Err(AskError::Garbled);
        }
        if read == 0 {
            return Ok(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Asks a server that answers with these bytes.
    fn asked(
        within: Duration,
        answer: impl FnOnce(std::os::unix::net::UnixStream) + Send + 'static,
    ) -> Result<Vec<u8>, AskError> {
        let temp = tempfile::tempdir().unwrap();
        let socket = temp.path().join("sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || answer(listener.accept().unwrap().0));
        let text = exchange(&socket, b"line\n", within);
        server.join().unwrap();
        text
    }

    #[test]
    fn the_whole_exchange_has_a_deadline() {
        let began = Instant::now();
        let drip = |mut stream: std::os::unix::net::UnixStream| {
            // Never silent for long, and endless until the client hangs up.
            while stream.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        assert!(matches!(asked(Duration::from_millis(200), drip), Err(AskError::Late)));
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn answer_size_is_limited() {
        let flood = |mut stream: std::os::unix::net::UnixStream| while stream.write_all(&[b' '; 1 << 16]).is_ok() {};
        assert!(matches!(asked(PATIENCE, flood), Err(AskError::Garbled)));
        let short = |mut stream: std::os::unix::net::UnixStream| {
            let mut line = String::new();
            stream.read_to_string(&mut line).unwrap();
            stream.write_all(line.as_bytes()).unwrap();
        };
        assert_eq!(asked(PATIENCE, short).unwrap(), b"line\n");
    }
}
