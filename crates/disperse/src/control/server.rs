//! The server of the control protocol: takes requests, has the driver answer them, and never delays it.
//!
//! The driver only sees whole, parsed requests. Reading, writing and waiting for slow clients happen here, for a few
//! clients at once and one request at a time, in a separate thread: a client learns that the run is busy even while
//! guests hold all threads of the run.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::{Duration, Instant},
};

use disperse_protocol::control::{Answer, Archive, Problem, Reply, Request, RunId, VERSION, Version};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    runtime::{Builder, Runtime},
    sync::{Mutex, mpsc::UnboundedSender, oneshot},
    task::JoinSet,
    time::timeout,
};

use super::folder::{Folder, State, at_address};
use disperse_protocol::inbox::{Control, Notice};

/// The most clients served at once; more wait in the backlog. Arbitrary: one is usual.
const CLIENTS_MAX: usize = 8;

/// The longest request line, in bytes. A request is a few words.
const REQUEST_MAX: u64 = 4 << 10;

/// How long a client may take to send a request, and to read the answer. Arbitrary: a client does both at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait for the driver's answer, requests of other clients included: less than a client waits. Arbitrary:
/// it answers within milliseconds unless its threads are held.
const ANSWER: Duration = Duration::from_secs(10);

/// The pause after a request, at least, and as a multiple of the time of its answer: endless requests cost the driver
/// at most a twentieth of its time.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_TIMES: u32 = 20;
/// The longest pause: a slow answer mostly waited for its turn.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The listening socket of a run. Dropping it closes it.
pub struct Server {
    folder: Folder,
    id: RunId,
    /// Dropping it ends the thread.
    _open: oneshot::Sender<()>,
}

impl Server {
    /// Starts to listen and to pass requests on.
    ///
    /// # Errors
    /// There is no folder for the socket, or the socket cannot be made.
    pub fn start(id: &RunId, to_driver: UnboundedSender<Notice>) -> io::Result<Self> {
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

    /// Writes the record of an ended run, and stops listening.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn end(self, archive: &Archive) -> io::Result<()> {
        self.folder.write_record(&self.id, archive)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.folder.forget(&self.id);
    }
}

/// A runtime that a task of another runtime may drop, as when its thread cannot be started: tokio panics there, since
/// dropping a runtime waits for its threads.
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
            // The process has too many open files, or the like.
            tokio::time::sleep(PATIENCE).await;
            continue;
        };
        // The folder is private already; this holds also if its mode was changed.
        let is_ours = |peer: tokio::net::unix::UCred| peer.uid() == us || peer.uid() == 0;
        if stream.peer_cred().is_ok_and(is_ours) {
            clients.spawn(client(stream, to_driver.clone(), turn.clone()));
        }
    }
}

/// Serves one client. A run that is over does not answer: the client reads its record then.
async fn client(stream: UnixStream, to_driver: UnboundedSender<Notice>, turn: Arc<Mutex<()>>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader.take(REQUEST_MAX + 1));
    let mut line = Vec::new();
    let read = timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await;
    let reply = match read {
        Err(_) => Reply::Problem(Problem::new(format!("no request within {} s", PATIENCE.as_secs()))),
        Ok(Err(_)) => return,
        Ok(Ok(_)) => match parse(&line) {
            Err(problem) => Reply::Problem(problem),
            Ok(request) => match timeout(ANSWER, put(request, &to_driver, turn)).await {
                Ok(Some(reply)) => reply,
                Ok(None) => return,
                Err(_) => Reply::Problem(Problem::new(format!(
                    "the run did not answer within {} s: its threads are busy; it carries the request out once they are free",
                    ANSWER.as_secs()
                ))),
            },
        },
    };
    // Plain data always serializes.
    let mut text = serde_json::to_vec(&Answer { v: VERSION, reply }).unwrap_or_default();
    text.push(b'\n');
    let _ = timeout(PATIENCE, async {
        writer.write_all(&text).await?;
        writer.shutdown().await?;
        // Closing a socket with unread bytes would discard the answer.
        let mut rest = reader.into_inner().into_inner();
        let mut scrap = [0; 4096];
        while rest.read(&mut scrap).await? > 0 {}
        io::Result::Ok(())
    })
    .await;
}

/// Has the driver answer, after the pause. None: the run is over.
async fn put(request: Request, to_driver: &UnboundedSender<Notice>, turn: Arc<Mutex<()>>) -> Option<Reply> {
    let turn = turn.lock_owned().await;
    let (reply, answer) = oneshot::channel();
    let began = Instant::now();
    to_driver
        .send(Notice::Control(Control::Query(request.query, reply)))
        .ok()?;
    let answer = answer.await.ok()?;
    let pause = (began.elapsed() * PAUSE_TIMES).clamp(PAUSE_MIN, PAUSE_MAX);
    // The client need not wait for the pause.
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
        return Err(Problem::new(format!("a request has at most {REQUEST_MAX} bytes")));
    }
    let garbled = |error| Problem::new(format!("invalid request: {error}"));
    let Version { v } = serde_json::from_slice(line).map_err(garbled)?;
    if v != VERSION {
        return Err(Problem::new(format!(
            "this run uses protocol version {VERSION}, and the request has version {v}"
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
    fn invalid_request_is_answered_by_a_problem() {
        let what = |line: &[u8]| parse(line).unwrap_err().what;
        assert!(what(b"").starts_with("invalid request"));
        assert!(what(b"\xff\xfe").starts_with("invalid request"));
        assert!(what(b"{\"v\":2}").starts_with("invalid request"));
        assert!(what(b"{\"v\":2,\"ask\":\"shoot\"}").contains("unknown variant"));
        assert!(what(b"{\"v\":9,\"ask\":\"run\"}").contains("version 9"));
        assert!(what(&[b' '; 5000]).contains("4096 bytes"));
        assert!(parse(b"{\"v\":2,\"ask\":\"drain\",\"worker\":null}\n").is_ok());
        assert!(parse(b"{\"v\":2,\"ask\":\"drain\"}").is_ok());
    }
}
