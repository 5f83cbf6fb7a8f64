//! A server for guests to talk to.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
};

/// A small HTTP server. It records each request, head and body, and answers by path.
pub(crate) struct Server {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer`: maps the whole request to the whole response.
    pub(crate) fn new(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(answer);
        std::thread::spawn({
            let asked = asked.clone();
            move || {
                for stream in listener.incoming().flatten() {
                    let (asked, answer) = (asked.clone(), answer.clone());
                    std::thread::spawn(move || {
                        if let Some(request) = read(&stream) {
                            asked.lock().unwrap().push(request.clone());
                            // A client that wants no more closes the connection.
                            let _ = (&stream).write_all(answer(&request).as_bytes());
                        }
                    });
                }
            }
        });
        Self { address, asked }
    }

    /// Answers with the request's path, headers and body.
    pub(crate) fn echo() -> Self {
        Self::new(ok)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// One request, to the end of its body.
fn read(mut stream: &TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
        match stream.read(&mut piece) {
            Ok(count @ 1..) => bytes.extend_from_slice(&piece[..count]),
            _ => return None,
        }
    }
}

pub(crate) fn response(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}")
}

pub(crate) fn ok(body: &str) -> String {
    response("200 OK", "", body)
}

pub(crate) fn redirect(status: &str, to: &str) -> String {
    response(status, &format!("Location: {to}\r\n"), "")
}

/// A server that accepts connections and never answers, and tells whether the first one was closed. It answers `/asked` when
/// another request has arrived, and `/closed` when the client has closed that one.
pub(crate) fn patient() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let state = Arc::new((Mutex::new((false, false)), Condvar::new()));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = state.clone();
            std::thread::spawn(move || {
                let (seen, changed) = &*state;
                let Some(request) = read(&stream) else { return };
                let wanted: fn(&mut (bool, bool)) -> bool = match request.split(' ').nth(1) {
                    Some("/asked") => |seen| !seen.0,
                    Some("/closed") => |seen| !seen.1,
                    _ => {
                        seen.lock().unwrap().0 = true;
                        changed.notify_all();
                        // The client sends nothing more, so that this ends when the connection does.
                        let _ = (&stream).read(&mut [0]);
                        seen.lock().unwrap().1 = true;
                        changed.notify_all();
                        return;
                    }
                };
                drop(changed.wait_while(seen.lock().unwrap(), wanted));
                let _ = (&stream).write_all(ok("seen").as_bytes());
            });
        }
    });
    format!("http://{address}")
}
