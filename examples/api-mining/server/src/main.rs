//! `catalogue-server PORT [OPTION...]`: a catalogue with quotas on this machine. It prints its address on stdout, and ends when
//! its stdin ends or, if that is a terminal, when it is stopped.
//!
//! | path            | answer                                                                                       |
//! |-----------------|----------------------------------------------------------------------------------------------|
//! | `/items?page=N` | a page of the catalogue, from 1, and the number of the next one; 2 units                     |
//! | `/items/ID`     | one item; 1 unit; some are slow, and some are answered with 503 the first time               |
//! | `/stats`        | the use of each quota, the answers to each token, and how often items were fetched; no token |
//!
//! | option        | meaning                                                            |
//! |---------------|--------------------------------------------------------------------|
//! | `--pages N`   | how many pages there are, of 25 items each; 40 unless given        |
//! | `--limit N`   | how many units an account may use in a window; 50 unless given     |
//! | `--window T`  | how long a window is, as in `10s` or `500ms`; 10s unless given     |
//! | `--no-headers`| answers do not tell what is left of the quota                      |
#![forbid(unsafe_code)]

mod answer;
mod catalogue;
mod quota;
mod state;

use std::{
    env,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
    net::{TcpListener, TcpStream},
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use answer::Answer;
use state::{Options, Server};

/// How many bytes of a request are read, and how long the server waits for it.
const HEAD_BYTES_MAX: u64 = 64 << 10;
const WAIT: Duration = Duration::from_secs(10);

/// The most pages, so that each item has a number, and the longest window, a day.
const PAGES_MAX: u32 = 1_000_000;
const WINDOW_MS_MAX: u64 = 24 * 60 * 60 * 1000;

const USAGE: &str = "usage: catalogue-server PORT [--pages N] [--limit N] [--window T] [--no-headers]";

fn main() -> io::Result<ExitCode> {
    let Some((port, options)) = typed(env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    // Connections are accepted from here on.
    println!("http://{}", listener.local_addr()?);
    io::stdout().flush()?;
    let server = Arc::new(Server::new(options));
    let serving = thread::spawn(move || serve(&listener, &server));
    if io::stdin().is_terminal() {
        // In the background a read from the terminal would stop the process.
        drop(serving.join());
    } else {
        io::copy(&mut io::stdin(), &mut io::sink())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the port and the options; none if they are invalid.
fn typed(mut words: impl Iterator<Item = String>) -> Option<(u16, Options)> {
    let port = words.next()?.parse().ok()?;
    let mut options = Options::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--pages" => options.pages = words.next()?.parse().ok().filter(|pages| *pages <= PAGES_MAX)?,
            "--limit" => options.limit = words.next()?.parse().ok()?,
            "--window" => {
                options.window_ms = time(&words.next()?).filter(|window| (1..=WINDOW_MS_MAX).contains(window))?
            }
            "--no-headers" => options.headers = false,
            _ => return None,
        }
    }
    Some((port, options))
}

/// Parses `10s` or `500ms` as ms.
fn time(text: &str) -> Option<u64> {
    let (digits, unit_ms) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s')?, 1000),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit_ms)
}

fn serve(listener: &TcpListener, server: &Arc<Server>) -> ! {
    loop {
        if let Ok((stream, _)) = listener.accept() {
            let server = server.clone();
            // A connection that ends early needs no answer.
            thread::spawn(move || converse(stream, &server));
        }
    }
}

/// Reads one request and writes its answer.
fn converse(mut stream: TcpStream, server: &Server) -> io::Result<()> {
    stream.set_read_timeout(Some(WAIT))?;
    let mut lines = BufReader::new(&stream).take(HEAD_BYTES_MAX).lines();
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
    let mut words = request.split(' ');
    let answer = match (words.next(), words.next()) {
        (Some("GET"), Some(path)) => server.answer(path, token.as_deref()),
        _ => Answer::new("405 Method Not Allowed", r#"{"error":"only GET"}"#),
    };
    thread::sleep(answer.delay);
    answer.write(&mut stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<(u16, Options)> {
        typed(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_parsed() {
        let (port, options) = of("0 --limit 7 --window 500ms --no-headers").unwrap();
        assert_eq!((port, options.limit, options.window_ms), (0, 7, 500));
        assert!(!options.headers && options.pages == Options::default().pages);
        assert_eq!(time("10s"), Some(10_000));
    }

    #[test]
    fn invalid_options_are_errors() {
        for line in [
            "",
            "port",
            "0 --limit",
            "0 --window 0s",
            "0 --pages 1000001",
            "0 --window 3",
            "0 --colour",
        ] {
            assert!(of(line).is_none(), "{line}");
        }
    }
}
