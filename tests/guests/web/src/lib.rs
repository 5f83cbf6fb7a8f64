//! Sends the request in each line through wasi:http, `METHOD URL [NAME=VALUE ...] [< BODY]`, and returns the result.
//! As an operation it has one task, its arguments, which does the same.
#![forbid(unsafe_code)]

use std::error::Error;

use disperse_guest::{Action, Error as TaskError, Failure, Operation, OrFail, Text, Worker, export_both};
use wasip2::{
    http::{
        outgoing_handler,
        types::{Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme},
    },
    io::streams::StreamError,
};

#[derive(Default)]
struct Web;

impl Worker for Web {
    type Input = Text<String>;
    type Output = Text<String>;

    fn handle(&mut self, action: Action<Text<String>>) -> Result<Text<String>, Failure> {
        attempt(&action.input.0)
            .map(Text)
            .map_err(|error| error.to_string())
            .or_permanent()
    }
}

#[derive(Default)]
struct Once(bool);

impl Operation for Once {
    type Task = String;
    type Output = String;

    fn next(&mut self) -> Option<String> {
        let line: Vec<String> = std::env::args().skip(1).collect();
        (!std::mem::replace(&mut self.0, true)).then(|| line.join(" "))
    }

    fn run(line: String) -> Result<String, TaskError> {
        attempt(&line).map_err(|error| TaskError::new(error.to_string()))
    }
}

fn attempt(line: &str) -> Result<String, Box<dyn Error>> {
    let line = &std::env::vars().fold(line.to_owned(), |line, (name, value)| {
        line.replace(&format!("${name}"), &value)
    });
    let (head, body) = line
        .split_once(" < ")
        .map_or((line.as_str(), None), |(head, body)| (head, Some(body)));
    match head.split(' ').collect::<Vec<_>>().as_slice() {
        // Handles that are never dropped.
        ["leak", "fields"] => leak(|| {
            let fields = Fields::new();
            fields.append("x", &[b'x'; 60_000])?;
            Ok(fields)
        }),
        ["leak", "paths"] => leak(|| {
            let request = OutgoingRequest::new(Fields::new());
            let path = format!("/{}", "x".repeat(60_000));
            request.set_path_with_query(Some(&path)).map_err(|()| "no more")?;
            Ok(request)
        }),
        ["leak", "words"] => leak(|| {
            let request = OutgoingRequest::new(Fields::new());
            request
                .set_method(&Method::Other("X".repeat(1 << 20)))
                .map_err(|()| "no more")?;
            Ok(request)
        }),
        ["slow", url, ms] => {
            let options = RequestOptions::new();
            let wait = ms.parse::<u64>()? * 1_000_000;
            options.set_first_byte_timeout(Some(wait)).map_err(|()| "no timeout")?;
            read(send("GET", url, &[], None, Some(options))?)
        }
        [method, url, headers @ ..] => read(send(method, url, headers, body, None)?),
        _ => Err("what?".into()),
    }
}

/// Returns how many could be created.
fn leak<T>(make: impl Fn() -> Result<T, Box<dyn Error>>) -> Result<String, Box<dyn Error>> {
    let mut made = Vec::new();
    while made.len() < 2000 {
        match make() {
            Ok(one) => made.push(one),
            Err(error) => return Ok(format!("{} made, {error}", made.len())),
        }
    }
    Ok("2000 made".to_owned())
}

fn send(
    method: &str,
    url: &str,
    headers: &[&str],
    body: Option<&str>,
    options: Option<RequestOptions>,
) -> Result<IncomingResponse, Box<dyn Error>> {
    let (scheme, rest) = url.split_once("://").ok_or("no URL")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let fields = Fields::new();
    for (name, value) in headers.iter().filter_map(|header| header.split_once('=')) {
        fields.append(name, value.as_bytes())?;
    }
    let request = OutgoingRequest::new(fields);
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request
        .set_method(&Method::Other(method.to_owned()))
        .map_err(|()| "no method")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "no scheme")?;
    request.set_authority(Some(authority)).map_err(|()| "no authority")?;
    request
        .set_path_with_query(Some(&format!("/{path}")))
        .map_err(|()| "no path")?;
    let outgoing = request.body().map_err(|()| "no body")?;
    let future = outgoing_handler::handle(request, options)?;
    if let Some(body) = body {
        // `times N`: this many bytes.
        let bytes = match body.strip_prefix("times ") {
            Some(count) => vec![b'x'; count.parse()?],
            None => body.as_bytes().to_vec(),
        };
        let stream = outgoing.write().map_err(|()| "no stream")?;
        for piece in bytes.chunks(4096) {
            // A server that stops reading reports its reason below.
            if stream.blocking_write_and_flush(piece).is_err() {
                break;
            }
        }
    }
    let finished = OutgoingBody::finish(outgoing, None);
    future.subscribe().block();
    let answer = future.get().ok_or("no answer")?.map_err(|()| "taken before")??;
    finished?;
    Ok(answer)
}

fn read(response: IncomingResponse) -> Result<String, Box<dyn Error>> {
    let mut text = response.status().to_string();
    for (name, value) in response.headers().entries() {
        text += &format!(" {name}={}", String::from_utf8_lossy(&value));
    }
    let body = response.consume().map_err(|()| "no body")?;
    let stream = body.stream().map_err(|()| "no stream")?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(1 << 16) {
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string().into()),
        }
    }
    println!("{text}");
    Ok(format!("{text}\t{}", String::from_utf8_lossy(&bytes)))
}

export_both!(Once, Web);
