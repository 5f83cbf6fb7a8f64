//! wasi:http follows the rules of the host's own `http`.

use std::time::Duration;

use crate::{
    http::{CANARY, hidden},
    server::{Server, ok, redirect, response},
    support::{Ended, Folder, Texts, host, web},
};

fn try_lines(lines: &str, flags: &[&str]) -> Ended {
    let web = web();
    let args = ["map", &web, "--workers", "1", "--attempts", "1"];
    host(args.iter().chain(flags)).input(format!("{lines}\n")).run()
}

#[test]
fn granted_request_is_sent_and_its_whole_response_arrives() {
    let server = Server::new(|request| {
        let body = request.rsplit("\r\n").next().unwrap();
        response("418 Teapot", "X-Kind: brown\r\n", &format!("<{body}>"))
    });
    let url = server.url("/pot?a=b");
    // More than the buffered pieces hold.
    let lines = format!("GET {url} X-Mine=yes\nPOST {url} Content-Length=4 < body\nPOST {url} < times 100000");
    let ended = try_lines(&lines, &["--http", &server.url("")]).exits(0);
    let out: Vec<&str> = ended.out().lines().collect();
    assert!(
        out[0].starts_with("418 ") && out[0].contains(" x-kind=brown"),
        "{out:?}"
    );
    assert!(out[0].ends_with("\t<>") && out[1].ends_with("\t<body>"), "{out:?}");
    assert!(
        out[2].ends_with(&format!("\t<{}>", "x".repeat(100_000))),
        "{}",
        out[2].len()
    );
    let asked = server.asked();
    assert!(asked[0].starts_with("GET /pot?a=b HTTP/1.1\r\n"), "{asked:?}");
    let lower = asked[0].to_lowercase();
    assert!(lower.contains("x-mine: yes\r\n"), "{asked:?}");
    assert!(lower.contains(&format!("host: {}\r\n", server.address)), "{asked:?}");
    assert!(asked[1].starts_with("POST /pot?a=b HTTP/1.1\r\n"), "{asked:?}");
}

#[test]
fn request_without_a_grant_is_denied_and_reaches_no_server() {
    let texts = Texts::new("request_without_a_grant_is_denied_and_reaches_no_server");
    let server = Server::echo();
    let named = format!("http://{}", server.address.replace("127.0.0.1", "localhost"));
    let grant = format!("GET {}", server.url("/v1"));
    for (line, says) in [
        (format!("GET {}", server.url("/v2")), "HttpRequestDenied"),
        (format!("GET {}", server.url("/v1/../v2")), "HttpRequestDenied"),
        (format!("POST {} < x", server.url("/v1")), "HttpRequestDenied"),
        // Granted by name, but its address is not public.
        (format!("GET {named}/"), "HttpRequestDenied"),
        (format!("GET http://u:p@{}/v1", server.address), "user in it"),
        (format!("CONNECT {}", server.url("/v1")), "invalid method"),
        (format!("GET {} Host=a.com", server.url("/v1")), "Forbidden"),
        (format!("GET {} TE=trailers", server.url("/v1")), "Forbidden"),
        (
            format!("GET {} Transfer-Encoding=chunked", server.url("/v1")),
            "Forbidden",
        ),
    ] {
        let flags = ["--http", &grant, "--http", &named];
        try_lines(&line, &flags).exits(1).prints("").stderr_to(&texts);
        try_lines(&line, &[]).exits(1).prints("");
        if says == "HttpRequestDenied" {
            // The guest sees only that; the operator's log has the details.
            try_lines(&line, &flags).stderr_to(&texts);
        }
    }
    assert!(server.asked().is_empty(), "{:?}", server.asked());
    // No server listens there, and no such name exists.
    try_lines("GET http://127.0.0.1:1/", &["--http", "http://127.0.0.1:1"])
        .exits(1)
        .stderr_to(&texts);
    try_lines("GET http://a.invalid/", &["--http", "http://a.invalid"])
        .exits(1)
        .stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn redirect_is_returned_to_the_guest_unchanged() {
    let server = Server::new(|_| redirect("302 Found", "http://127.0.0.1:1/caught"));
    let ended = try_lines(&format!("GET {}", server.url("/")), &["--http", &server.url("")]).exits(0);
    let out = ended.out();
    assert!(
        out.starts_with("302 ") && out.contains("location=http://127.0.0.1:1/caught"),
        "{out}"
    );
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn secret_reaches_only_the_server() {
    let server = Server::new(|request| {
        let headers = format!("X-Echo: <{CANARY}>\r\nLocation: http://127.0.0.1:1/?stolen={CANARY}\r\n");
        response("302 Found", &headers, &format!("{request} {CANARY}"))
    });
    let other = Server::echo();
    let folder = Folder::new();
    let token = folder.file("token", CANARY);
    let text = format!(
        "[[pool]]\nname = \"p\"\ncomponent = \"{}\"\nworkers = 1\nhttp = [\"{}\", \"{}\"]\n\
         secrets = {{ TOKEN = {{ file = \"{token}\", hosts = [\"{}\"] }} }}\n",
        web(),
        server.url(""),
        other.url(""),
        server.url(""),
    );
    let manifest = folder.file("disperse.toml", text);
    let lines = format!(
        "GET {}?key=$TOKEN Authorization=$TOKEN\nGET {} X=$TOKEN\nGET {}?$TOKEN",
        server.url("/"),
        other.url("/"),
        other.url("/"),
    );
    for format in ["text", "json"] {
        let args = [
            "map",
            &manifest,
            "--trust-manifest",
            "--attempts",
            "1",
            "-vv",
            "--format",
            format,
        ];
        let ended = host(args).input(format!("{lines}\n")).run().exits(1);
        hidden(&ended);
        assert!(ended.out().contains("stolen=disperse-secret-"), "{}", ended.out());
    }
    assert!(other.asked().is_empty(), "{:?}", other.asked());
    for request in server.asked() {
        assert!(
            request.starts_with("GET /?key=canary%2F5f3c%2091%2Be7 HTTP/1.1"),
            "{request}"
        );
        let lower = request.to_lowercase();
        assert!(lower.contains(&format!("\r\nauthorization: {CANARY}\r\n")), "{request}");
        assert!(!request.contains("disperse-secret-"), "{request}");
    }
}

#[test]
fn requests_and_answers_have_limits_in_size_and_time() {
    let texts = Texts::new("requests_and_answers_have_limits_in_size_and_time");
    let server = Server::new(|request| match request.split(' ').nth(1).unwrap() {
        "/large" => ok(&"x".repeat(70_000)),
        "/headers" => response("200 OK", &format!("X: {}\r\n", "x".repeat(70_000)), ""),
        "/slow" => {
            std::thread::sleep(Duration::from_secs(30));
            ok("late")
        }
        _ => ok("taken"),
    });
    let grant = server.url("");
    let flags = ["--http", &grant, "--result-size", "64KiB"];
    for line in [
        format!("GET {}", server.url("/large")),
        format!("GET {}", server.url("/headers")),
        format!("POST {} < times 70000", server.url("/")),
        // A stated length is enforced.
        format!("POST {} Content-Length=9 < body", server.url("/")),
        format!("slow {} 50", server.url("/slow")),
    ] {
        try_lines(&line, &flags).exits(1).stderr_to(&texts);
    }
    let flags = ["--http", &grant, "--timeout", "300ms"];
    try_lines(&format!("GET {}", server.url("/slow")), &flags).exits(1);
    texts.match_snapshot();
}

#[test]
fn leaked_handles_are_bounded() {
    for (line, says) in [
        ("leak fields", "HeaderError::Forbidden"),
        ("leak paths", "no more"),
        ("leak words", "0 made, no more"),
    ] {
        let ended = try_lines(line, &[]).exits(0);
        let out = ended.out();
        let made: u64 = out.split(' ').next().unwrap().parse().unwrap();
        assert!(made < 400 && out.contains(says), "{out}");
    }
}

#[test]
fn task_has_no_wasi_http() {
    let server = Server::echo();
    let url = server.url("/");
    host(["run", &web(), "--http", &server.url(""), "--", "GET", &url])
        .run()
        .exits(1)
        .prints("")
        .stderr_is("task_has_no_wasi_http");
    assert!(server.asked().is_empty());
}

#[test]
fn inspect_reports_wasi_http() {
    let ended = host(["inspect", &web()]).run().exits(0);
    let out = ended.out();
    assert!(out.contains("wasi:http/outgoing-handler@"), "{out}");
    assert!(!out.contains("not provided"), "{out}");
    assert_eq!(out.matches("--http  requests to servers").count(), 1, "{out}");
}
