//! The other side: asks a run.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use super::{
    folder::Folder,
    id::RunId,
    protocol::{Answer, Problem, Query, Reply, Request, Said, VERSION},
};

/// How long a run may take to answer. Chosen freely: it answers in its turn, and it may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest answer, in bytes. What runs say is bounded far below it.
const ANSWER_MAX: u64 = 64 << 20;

/// How long is waited for the last word of a run that is ending, and how often is looked.
const ENDING: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// The run says why.
    #[error("{}", .0.what)]
    Problem(Problem),
    /// Nobody listens, and it left no word.
    #[error("the run was killed, and nothing is kept of it")]
    Killed,
    #[error("what is kept of the run cannot be understood: it may be of another version of disperse-host")]
    Unreadable,
    #[error("what was answered cannot be understood: the run may be of another version of disperse-host")]
    Garbled,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Asks a run, or if it has ended what is kept of it.
///
/// # Errors
/// It has no answer, or cannot be reached.
pub(crate) fn ask(folder: &Folder, id: &RunId, query: &Query) -> Result<Said, AskError> {
    let until = Instant::now() + ENDING;
    loop {
        match talk(folder, id, query) {
            Ok(Some(answer)) => {
                return match answer.reply {
                    Reply::Said(said) => Ok(said),
                    Reply::Problem(problem) => Err(AskError::Problem(problem)),
                };
            }
            // It is over, or just ending.
            Ok(None) => {}
            Err(AskError::Io(error)) if is_gone(error.kind()) => {
                if error.kind() == ErrorKind::ConnectionRefused && folder.kept(id)?.is_none() {
                    folder.forget(id);
                    return Err(AskError::Killed);
                }
            }
            Err(error) => return Err(error),
        }
        match folder.kept(id)? {
            Some(kept) => return kept.answer(query).map_err(AskError::Problem),
            None if Instant::now() >= until => return Err(AskError::Unreadable),
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

/// One question and its answer. None: the run is over and says nothing more.
fn talk(folder: &Folder, id: &RunId, query: &Query) -> Result<Option<Answer>, AskError> {
    let mut stream = UnixStream::connect(folder.socket(id))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = Request {
        v: VERSION,
        query: query.clone(),
    };
    let mut line = serde_json::to_vec(&request).map_err(io::Error::from)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut text = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut text)?;
    if text.is_empty() {
        return Ok(None);
    }
    let answer: Answer = serde_json::from_slice(&text).map_err(|_| AskError::Garbled)?;
    Ok(Some(answer))
}
