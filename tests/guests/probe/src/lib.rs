//! A worker that runs the command in each line, a word and its arguments, and returns its result.
#![deny(unsafe_code)]

use std::cell::Cell;
use std::error::Error;
use std::ffi::{CString, c_char, c_int};
use std::fs;
use std::io::Write;
use std::time::Instant;

use disperse_guest::{Action, Failure, OrFail, Text, Worker, exec, export_worker, http};

thread_local! {
    /// When this instance last ran `since`.
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
}

#[derive(Default)]
struct Probe;

impl Worker for Probe {
    type Input = Text<String>;
    type Output = Text<String>;

    fn handle(&mut self, action: Action<Text<String>>) -> Result<Text<String>, Failure> {
        attempt(&action.input.0)
            .map(Text)
            .map_err(|error| error.to_string())
            .or_permanent()
    }
}

fn attempt(line: &str) -> Result<String, Box<dyn Error>> {
    // `$NAME` in a line stands for the value of a variable.
    let line = &std::env::vars().fold(line.to_owned(), |line, (name, value)| {
        line.replace(&format!("${name}"), &value)
    });
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["env"] => {
            let mut seen: Vec<String> = std::env::vars()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            seen.sort();
            Ok(seen.join(" "))
        }
        // Everything that could differ between two workers: times, random numbers, and the attempt's context.
        ["world"] => {
            let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
            let began = std::time::Instant::now();
            let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
            let attempt = disperse_guest::attempt();
            let known = (attempt.number, attempt.remaining, attempt.worker);
            Ok(format!("{} {random} {:?} {known:?}", unix.as_millis(), began.elapsed()))
        }
        ["name"] => Ok(disperse_guest::attempt().action),
        ["exit"] => std::process::exit(3),
        ["arguments"] => Ok(std::env::args().collect::<Vec<_>>().join(" ")),
        ["read", path] => Ok(fs::read_to_string(path)?),
        ["write", path, text] => {
            fs::write(path, text)?;
            Ok(String::new())
        }
        ["remove", path] => {
            fs::remove_file(path)?;
            Ok(String::new())
        }
        ["rename", from, to] => {
            fs::rename(from, to)?;
            Ok(String::new())
        }
        ["symlink", to, path] => {
            link(to, path)?;
            Ok(String::new())
        }
        ["mkdir", path] => {
            fs::create_dir(path)?;
            Ok(String::new())
        }
        ["append", path, text] => {
            fs::OpenOptions::new()
                .append(true)
                .open(path)?
                .write_all(text.as_bytes())?;
            Ok(String::new())
        }
        // Opened for writing, and nothing written.
        ["touch", path] => {
            fs::OpenOptions::new().write(true).open(path)?;
            Ok(String::new())
        }
        ["date", path] => {
            let file = fs::File::open(path)?;
            file.set_modified(std::time::SystemTime::UNIX_EPOCH)?;
            Ok(String::new())
        }
        // Writes, reads and appends, with more than one call transfers.
        ["fill", path, bytes] => {
            let text: String = ('a'..='z').cycle().take(bytes.parse()?).collect();
            fs::write(path, &text)?;
            fs::OpenOptions::new()
                .append(true)
                .open(path)?
                .write_all(text.as_bytes())?;
            let whole = fs::read_to_string(path)?;
            Ok(format!("{}", whole == text.repeat(2)))
        }
        // Opens and closes a file this many times; returns how often that succeeded.
        ["tries", path, times] => {
            let times: u32 = times.parse()?;
            Ok((0..times).filter(|_| fs::File::open(path).is_ok()).count().to_string())
        }
        ["type", path] => Ok(format!("{:?}", fs::symlink_metadata(path)?.file_type())),
        ["count", path] => Ok(fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?.len().to_string()),
        // Opens this many files and keeps them open; returns how many succeeded and the error of the next one.
        ["opens", path, count] => Ok(held(count.parse()?, || fs::File::open(path))),
        ["lists", path, count] => Ok(held(count.parse()?, || {
            let mut entries = fs::read_dir(path)?;
            entries.next().transpose()?;
            Ok(entries)
        })),
        ["list", path] => {
            let mut names = Vec::new();
            for entry in fs::read_dir(path)? {
                names.push(entry?.file_name().to_string_lossy().into_owned());
            }
            names.sort();
            Ok(names.join(" "))
        }
        ["run", program, arguments @ ..] => {
            let command = arguments
                .iter()
                .fold(exec::command(*program), |command, &argument| command.argument(argument));
            let ended = command.run()?;
            Ok(format!("{:?} {}", ended.code, ended.text().trim_end()))
        }
        ["get", url, headers @ ..] => {
            let request = headers
                .iter()
                .filter_map(|header| header.split_once('='))
                .fold(http::get(*url), |request, (name, value)| request.header(name, value));
            let response = request.fetch()?;
            Ok(format!("{} {}", response.status, response.text()))
        }
        ["post", url, body] => {
            let response = http::post(*url).body(*body).fetch()?;
            Ok(format!("{} {}", response.status, response.text()))
        }
        // Returns the whole response, and writes it to every output that a guest has.
        ["whole", url, headers @ ..] => {
            let request = headers
                .iter()
                .filter_map(|header| header.split_once('='))
                .fold(http::get(*url), |request, (name, value)| request.header(name, value));
            let response = request.fetch()?;
            let text = format!("{} {:?} {}", response.status, response.headers, response.text());
            println!("{line} {text}");
            eprintln!("{line} {text}");
            disperse_guest::warning!("{line} {text}");
            Ok(text)
        }
        ["slow", url, ms] => {
            let timeout = std::time::Duration::from_millis(ms.parse()?);
            let response = http::get(*url).timeout(timeout).fetch()?;
            Ok(response.text())
        }
        // Microseconds since the last `since`; written to stderr, so that it appears at once.
        ["since"] => {
            let now = Instant::now();
            if let Some(last) = LAST.replace(Some(now)) {
                eprintln!("{}", now.duration_since(last).as_micros());
            }
            Ok(String::new())
        }
        // Succeeds, but the first two attempts panic, each at its own location.
        ["stumble"] => match disperse_guest::attempt().number {
            1 => Ok(missing(3).to_string()),
            2 => Ok(unreadable("x").to_string()),
            number => Ok(format!("done at attempt {number}")),
        },
        // Always panics at the same location, with another value each time.
        ["fall"] => {
            let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
            Ok(missing(usize::try_from(random >> 40)?).to_string())
        }
        ["connect", address] => {
            std::net::TcpStream::connect(address)?;
            Ok("connected".to_owned())
        }
        _ => Err("what?".into()),
    }
}

#[inline(never)]
fn missing(index: usize) -> u8 {
    let none: Vec<u8> = Vec::new();
    none[index]
}

#[inline(never)]
fn unreadable(text: &str) -> u32 {
    text.parse().expect("a service answers with numbers")
}

// The function for it in Rust's standard library is not stable.
#[allow(
    unsafe_code,
    reason = "a function of wasi-libc, which reads two texts that end in zero"
)]
unsafe extern "C" {
    fn symlink(to: *const c_char, path: *const c_char) -> c_int;
}

#[allow(unsafe_code, reason = "see above")]
fn link(to: &str, path: &str) -> Result<(), Box<dyn Error>> {
    let (to, path) = (CString::new(to)?, CString::new(path)?);
    // SAFETY: both are C strings that live until it returns.
    match unsafe { symlink(to.as_ptr(), path.as_ptr()) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().into()),
    }
}

/// How many of these can exist at once, up to a limit, and the error of the next one.
fn held<T>(count: usize, mut open: impl FnMut() -> std::io::Result<T>) -> String {
    let mut all = Vec::new();
    while all.len() < count {
        match open() {
            Ok(one) => all.push(one),
            Err(error) => return format!("{} {error}", all.len()),
        }
    }
    all.len().to_string()
}

export_worker!(Probe);
