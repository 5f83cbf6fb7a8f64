//! A worker that tries what each line tells it, a word and its arguments, and answers what came of it.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::error::Error;
use std::fs;
use std::time::Instant;

use disperse_guest::{Action, Failure, OrFail, Text, Worker, exec, export_worker, http};

thread_local! {
    /// When this instance was last asked how long that is ago.
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
    // What a variable holds can be said where it matters.
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
        // All that could differ between two workers: times, luck, and what it knows of itself.
        ["world"] => {
            let luck = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
            let began = std::time::Instant::now();
            let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
            let attempt = disperse_guest::attempt();
            let known = (attempt.number, attempt.remaining, attempt.worker);
            Ok(format!("{} {luck} {:?} {known:?}", unix.as_millis(), began.elapsed()))
        }
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
        // With all that came, said in every way that a guest has.
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
        // How many microseconds ago it was asked so before; said aloud, so that it is heard at once.
        ["since"] => {
            let now = Instant::now();
            if let Some(last) = LAST.replace(Some(now)) {
                eprintln!("{}", now.duration_since(last).as_micros());
            }
            Ok(String::new())
        }
        ["connect", address] => {
            std::net::TcpStream::connect(address)?;
            Ok("connected".to_owned())
        }
        _ => Err("what?".into()),
    }
}

export_worker!(Probe);
