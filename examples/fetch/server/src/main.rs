//! `server PORT [COMMAND ARGUMENT...]`: a small server on this machine, for as long as a command runs or until it is stopped.
//!
//! | path       | answer                                                                                       |
//! |------------|----------------------------------------------------------------------------------------------|
//! | `/hello`   | a greeting                                                                                   |
//! | `/slow`    | the same after a second                                                                      |
//! | `/flaky`   | 503 every other time, and the first time                                                     |
//! | `/away`    | a redirect to another server                                                                 |
//! | `/private` | a greeting, if the request has the token in the server's variable `TOKEN`                    |

use std::{
    env,
    io::{BufRead, BufReader, Result, Write},
    net::{TcpListener, TcpStream},
    process::{Command, ExitCode},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

/// How many bytes of a request are read, and how long the server waits for it.
const HEAD_LINES_MAX: usize = 100;
const WAIT: Duration = Duration::from_secs(10);

fn main() -> Result<ExitCode> {
    let mut words = env::args().skip(1);
    let Some(port) = words.next().and_then(|port| port.parse::<u16>().ok()) else {
        eprintln!("usage: server PORT [COMMAND ARGUMENT...]");
        return Ok(ExitCode::from(2));
    };
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    // Connections are accepted from here on.
    eprintln!("serving http://{}", listener.local_addr()?);
    match words.next() {
        None => serve(&listener),
        Some(program) => {
            thread::spawn(move || serve(&listener));
            let ended = Command::new(program).args(words).status()?;
            let code = ended.code().and_then(|code| u8::try_from(code).ok());
            Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
        }
    }
}

fn serve(listener: &TcpListener) -> ! {
    loop {
        if let Ok((stream, _)) = listener.accept() {
            // A connection that ends early needs no answer.
            thread::spawn(move || answer(stream));
        }
    }
}

fn answer(mut stream: TcpStream) -> Result<()> {
    static FLAKY: AtomicUsize = AtomicUsize::new(0);
    stream.set_read_timeout(Some(WAIT))?;
    let mut lines = BufReader::new(&stream).lines().take(HEAD_LINES_MAX);
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut token = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let header = line.split_once(": ");
        if let Some((_, value)) = header.filter(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            token = value.strip_prefix("Bearer ").map(str::to_owned);
        }
    }
    let may = token.is_some() && token == env::var("TOKEN").ok();
    let (status, header, body) = match request.split(' ').nth(1) {
        Some("/hello") => ("200 OK", "", "hello\n"),
        Some("/slow") => {
            thread::sleep(Duration::from_secs(1));
            ("200 OK", "", "hello at last\n")
        }
        Some("/flaky") if FLAKY.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
            ("503 Service Unavailable", "", "not now\n")
        }
        Some("/flaky") => ("200 OK", "", "this time\n"),
        Some("/away") => ("302 Found", "Location: http://127.0.0.1:1/\r\n", ""),
        Some("/private") if may => ("200 OK", "", "come in\n"),
        Some("/private") => ("401 Unauthorized", "WWW-Authenticate: Bearer\r\n", "no valid token\n"),
        _ => ("404 Not Found", "", "nothing here\n"),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{header}\r\n{body}"
    )
}
