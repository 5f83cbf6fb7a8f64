//! The run's side: takes questions, has the driver answer them, and never lets anybody hold it up.
//!
//! The driver meets nothing of a client but its question, whole and understood. Reading, writing and waiting for those who do
//! neither are done here, a few clients at once and one question at a time, in a thread of its own: a client is told that the
//! run is busy also while guests hold all threads of the run.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    runtime::{Builder, Runtime},
    sync::{Mutex, mpsc::UnboundedSender, oneshot},
    task::JoinSet,
    time::timeout,
};

use super::{
    folder::{Folder, State, at_address},
    id::RunId,
    kept::Archive,
    protocol::{Answer, Problem, Reply, Request, VERSION, Version},
};
use crate::inbox::{Control, Notice};

/// How many clients are talked to at once; more wait to be let in. Arbitrary: one is usual.
const CLIENTS_MAX: usize = 8;

/// The longest line that is read, in bytes. A question is a few words.
const REQUEST_MAX: u64 = 4 << 10;

/// How long is waited for a client to ask, and for it to take the answer. Arbitrary: a client writes and reads at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long is waited for the driver's answer, turns of other clients included: less than a client waits. Arbitrary: it
/// answers within milliseconds unless its threads are held.
const ANSWER: Duration = Duration::from_secs(10);

/// How long the driver is left alone after a question, at least, and as a multiple of how long it took to be answered: so that
/// who asks without end costs it a twentieth of its time.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_TIMES: u32 = 20;
/// And at most, because what took long is mostly waiting for its turn.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A run's open ear. Dropping it closes it.
pub(crate) struct Server {
    folder: Folder,
    id: RunId,
    /// Dropped, it ends the thread.
    _open: oneshot::Sender<()>,
}

impl Server {
    /// Listens, and passes on what is asked.
    ///
    /// # Errors
    /// There is no folder to listen in, or it cannot be listened in.
    pub(crate) fn start(id: &RunId, to_driver: UnboundedSender<Notice>) -> io::Result<Self> {
        let folder = Folder::make()?;
        for run in folder.runs()?.iter().filter(|run| run.state == State::Killed) {
            folder.forget(&run.id);
        }
        let (unfinished, socket) = (folder.unfinished(id), folder.socket(id));
        let runtime = Apart(Some(Builder::new_current_thread().enable_all().build()?));
        let within = runtime.0.as_ref().map(Runtime::enter);
        let listener = at_address(&unfinished, UnixListener::bind)?;
        drop(within);
        std::fs::set_permissions(&unfinished, PermissionsExt::from_mode(0o600))?;
        std::fs::rename(unfinished, socket)?;
        let (open, closed) = oneshot::channel();
        std::thread::Builder::new().name("control".into()).spawn(move || {
            let served = async {
                tokio::select! {
                    _ = closed => {}
                    () = serve(listener, to_driver) => {}
                }
            };
            if let Some(runtime) = &runtime.0 {
                runtime.block_on(served);
            }
        })?;
        Ok(Self {
            folder,
            id: id.clone(),
            _open: open,
        })
    }

    /// Keeps what there is to say of a run that has ended, and listens no more.
    ///
    /// # Errors
    /// It cannot be kept.
    pub(crate) fn end(self, kept: &Archive) -> io::Result<()> {
        self.folder.keep(&self.id, kept)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.folder.forget(&self.id);
    }
}

/// A runtime that may be dropped by a task of another one, as where there is no thread for it: tokio panics at that, since the drop
/// of a runtime waits for its threads.
struct Apart(Option<Runtime>);

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(listener: UnixListener, to_driver: UnboundedSender<Notice>) {
    let us = rustix::process::geteuid().as_raw();
    let turn = Arc::new(Mutex::new(()));
    let mut clients = JoinSet::new();
    loop {
        while clients.len() >= CLIENTS_MAX {
            clients.join_next().await;
        }
        while clients.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // The process has too many files open, or the like.
            tokio::time::sleep(PATIENCE).await;
            continue;
        };
        // The folder is closed to others already; this holds also where somebody opened it.
        let is_ours = |peer: tokio::net::unix::UCred| peer.uid() == us || peer.uid() == 0;
        if stream.peer_cred().is_ok_and(is_ours) {
            clients.spawn(client(stream, to_driver.clone(), turn.clone()));
        }
    }
}

/// Talks to one client. A run that is over says nothing: its last word is in the file then.
async fn client(stream: UnixStream, to_driver: UnboundedSender<Notice>, turn: Arc<Mutex<()>>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader.take(REQUEST_MAX + 1));
    let mut line = Vec::new();
    let read = timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await;
    let reply = match read {
        Err(_) => Reply::Problem(Problem::new(format!(
            "nothing was asked within {} s",
            PATIENCE.as_secs()
        ))),
        Ok(Err(_)) => return,
        Ok(Ok(_)) => match parse(&line) {
            Err(problem) => Reply::Problem(problem),
            Ok(request) => match timeout(ANSWER, put(request, &to_driver, turn)).await {
                Ok(Some(reply)) => reply,
                Ok(None) => return,
                Err(_) => Reply::Problem(Problem::new(format!(
                    "the run did not answer within {} s: its threads are busy; what was asked is done when it can be",
                    ANSWER.as_secs()
                ))),
            },
        },
    };
    // Plain data turns into JSON.
    let mut text = serde_json::to_vec(&Answer { v: VERSION, reply }).unwrap_or_default();
    text.push(b'\n');
    let _ = timeout(PATIENCE, async {
        writer.write_all(&text).await?;
        writer.shutdown().await?;
        // What is left unread when a socket is closed would have the answer thrown away with it.
        let mut rest = reader.into_inner().into_inner();
        let mut scrap = [0; 4096];
        while rest.read(&mut scrap).await? > 0 {}
        io::Result::Ok(())
    })
    .await;
}

/// Has the driver answer, when it has been left alone long enough. None: the run is over.
async fn put(request: Request, to_driver: &UnboundedSender<Notice>, turn: Arc<Mutex<()>>) -> Option<Reply> {
    let turn = turn.lock_owned().await;
    let (reply, answer) = oneshot::channel();
    let began = Instant::now();
    to_driver
        .send(Notice::Control(Control::Query(request.query, reply)))
        .ok()?;
    let answer = answer.await.ok()?;
    let pause = (began.elapsed() * PAUSE_TIMES).clamp(PAUSE_MIN, PAUSE_MAX);
    // Whoever asked need not wait for that.
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        drop(turn);
    });
    Some(match *answer {
        Ok(response) => Reply::Response(response),
        Err(problem) => Reply::Problem(problem),
    })
}

fn parse(line: &[u8]) -> Result<Request, Problem> {
    if line.len() as u64 > REQUEST_MAX {
        return Err(Problem::new(format!("a question has at most {REQUEST_MAX} bytes")));
    }
    let garbled = |error| Problem::new(format!("this is no question: {error}"));
    let Version { v } = serde_json::from_slice(line).map_err(garbled)?;
    if v != VERSION {
        return Err(Problem::new(format!(
            "this run speaks version {VERSION}, and was asked in version {v}"
        ))
        .hint("use the disperse-host that the run was started with"));
    }
    serde_json::from_slice(line).map_err(garbled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn runtime_of_a_server_that_does_not_start_can_be_dropped_in_a_run() {
        drop(Apart(Some(Builder::new_current_thread().enable_all().build().unwrap())));
    }

    #[test]
    fn what_is_no_question_is_said_to_be_none() {
        let what = |line: &[u8]| parse(line).unwrap_err().what;
        assert!(what(b"").starts_with("this is no question"));
        assert!(what(b"\xff\xfe").starts_with("this is no question"));
        assert!(what(b"{\"v\":2}").starts_with("this is no question"));
        assert!(what(b"{\"v\":2,\"ask\":\"shoot\"}").contains("unknown variant"));
        assert!(what(b"{\"v\":9,\"ask\":\"run\"}").contains("version 9"));
        assert!(what(&[b' '; 5000]).contains("4096 bytes"));
        assert!(parse(b"{\"v\":2,\"ask\":\"drain\",\"worker\":null}\n").is_ok());
        assert!(parse(b"{\"v\":2,\"ask\":\"drain\"}").is_ok());
    }
}
