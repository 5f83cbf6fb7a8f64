//! HTTP within its grants, and secrets that stay hidden.

use std::{sync::Arc, time::Duration};

use crate::{
    server::{Server, ok, patient, redirect, response},
    support::{Ended, Folder, Texts, abandon, host, probe, wasm},
};

/// Runs the probe on these lines with these flags, one worker and one attempt for each.
fn try_lines(lines: &str, flags: &[&str]) -> Ended {
    let probe = probe();
    let args = ["map", &probe, "--workers", "1", "--attempts", "1"];
    host(args.iter().chain(flags)).input(format!("{lines}\n")).run()
}

#[test]
fn granted_request_is_sent_and_its_whole_response_arrives() {
    let server = Server::new(|request| match request.split(' ').nth(1) {
        Some("/teapot?a=b") => response("418 Teapot", "X-Kind: brown\r\nX-Kind: round\r\n", "short and stout"),
        _ => ok(request.rsplit("\r\n").next().unwrap()),
    });
    let grant = server.url("");
    let lines = format!(
        "whole {} X-Mine=yes\npost {} body",
        server.url("/teapot?a=b#f"),
        server.url("/post")
    );
    let ended = try_lines(&lines, &["--http", &grant]).exits(0);
    let out = ended.out();
    assert!(out.starts_with("418 "), "{out}");
    for part in [
        r#"("x-kind", "brown")"#,
        r#"("x-kind", "round")"#,
        "short and stout",
        "200 body",
    ] {
        assert!(out.contains(part), "{part} is not in {out}");
    }
    let asked = server.asked();
    assert!(asked[0].starts_with("GET /teapot?a=b HTTP/1.1\r\n"), "{asked:?}");
    assert!(asked[0].to_lowercase().contains("x-mine: yes"), "{asked:?}");
    assert!(
        asked[0].to_lowercase().contains("user-agent: disperse-host/"),
        "{asked:?}"
    );
    assert!(asked[1].starts_with("POST /post HTTP/1.1\r\n"), "{asked:?}");
}

#[test]
fn request_without_a_grant_is_denied_and_reaches_no_server() {
    let texts = Texts::new("request_without_a_grant_is_denied_and_reaches_no_server");
    let server = Server::echo();
    let other = server.address.replace("127.0.0.1", "localhost");
    let grants = [format!("GET {}", server.url("/v1/")), format!("http://{other}")];
    for line in [
        format!("post {} x", server.url("/v1/a")),
        format!("get {}", server.url("/v2")),
        format!("get {}", server.url("/v10")),
        format!("get {}", server.url("/v1/../v2")),
        format!("get {}", server.url("/v1/%2e%2e%2fv2")),
        format!("get https://{}/v1/", server.address),
        "get http://127.0.0.1:1/v1/".to_owned(),
        // Granted by name, but its address is not public.
        format!("get http://{other}/v1/"),
    ] {
        let flags = ["--http", &grants[0], "--http", &grants[1]];
        try_lines(&line, &flags).exits(1).prints("").stderr_to(&texts);
    }
    let asked = server.asked();
    assert!(asked.is_empty(), "{asked:?}");
    let line = format!("get {} Host=a.com", server.url("/v1/"));
    try_lines(&line, &["--http", &grants[0]]).exits(1).stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn manifest_grants_equal_flag_grants() {
    let server = Server::echo();
    let folder = Folder::new();
    let text = format!(
        "[[pool]]\nname = \"p\"\ncomponent = \"{}\"\nworkers = 1\nhttp = [\"GET {}\"]\n\
         secrets = {{ TOKEN = {{ file = \"token\", as = \"basic\", hosts = [\"{}\"] }} }}\n",
        probe(),
        server.url("/a"),
        server.url("/a/b"),
    );
    folder.file("token", "user:canary-7261\n");
    let manifest = folder.file("disperse.toml", text);
    let lines = format!(
        "get {} Authorization=Basic_$TOKEN\nget {} X=$TOKEN\n",
        server.url("/a/b"),
        server.url("/a/c")
    );
    let ended = host(["map", &manifest, "--trust-manifest", "--attempts", "1"])
        .input(lines)
        .run()
        .exits(1);
    ended.stderr_is("manifest_grants_equal_flag_grants");
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].contains("Basic_dXNlcjpjYW5hcnktNzI2MQ=="), "{asked:?}");
}

#[test]
fn redirect_is_followed_only_within_the_grant() {
    let texts = Texts::new("redirect_is_followed_only_within_the_grant");
    let outside = Server::echo();
    let away = outside.url("/caught");
    let server = Server::new(move |request| match request.split(' ').nth(1).unwrap() {
        "/near" => redirect("302 Found", "/end"),
        "/far" => redirect("307 Temporary Redirect", &away),
        "/loop" => redirect("302 Found", "/loop"),
        "/post" => redirect("303 See Other", "/end"),
        _ => ok(&format!("the end of {}", request.lines().next().unwrap())),
    });
    let grant = server.url("");
    let near = format!("get {}\npost {} x", server.url("/near"), server.url("/post"));
    let end = "200 the end of GET /end HTTP/1.1\n";
    try_lines(&near, &["--http", &grant]).exits(0).prints(&end.repeat(2));
    try_lines(&format!("get {}", server.url("/far")), &["--http", &grant])
        .exits(1)
        .stderr_to(&texts);
    assert!(outside.asked().is_empty());
    try_lines(&format!("get {}", server.url("/loop")), &["--http", &grant])
        .exits(1)
        .stderr_to(&texts);
    texts.match_snapshot();
}

#[test]
fn responses_have_limits_in_size_and_time() {
    let texts = Texts::new("responses_have_limits_in_size_and_time");
    let server = Server::new(|request| match request.split(' ').nth(1).unwrap() {
        "/large" => ok(&"x".repeat(70_000)),
        // The response states no length, so the limit is hit while reading.
        "/endless" => format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(70_000)),
        "/headers" => response("200 OK", &format!("X: {}\r\n", "x".repeat(70_000)), ""),
        _ => {
            std::thread::sleep(Duration::from_secs(30));
            ok("late")
        }
    });
    let grant = server.url("");
    let flags = ["--http", &grant, "--result-size", "64KiB"];
    for path in ["/large", "/endless"] {
        try_lines(&format!("get {}", server.url(path)), &flags)
            .exits(1)
            .stderr_to(&texts);
    }
    try_lines(&format!("get {}", server.url("/headers")), &flags)
        .exits(1)
        .stderr_to(&texts);
    try_lines(&format!("slow {} 50", server.url("/slow")), &flags)
        .exits(1)
        .stderr_to(&texts);
    // The attempt ends also when the request has no limit of its own.
    try_lines(
        &format!("get {}", server.url("/slow")),
        &["--http", &grant, "--timeout", "200ms"],
    )
    .exits(1);
    texts.match_snapshot();
}

pub(crate) const CANARY: &str = "canary/5f3c 91+e7";

/// Checks that no form of the canary is in the output.
#[track_caller]
pub(crate) fn hidden(ended: &Ended) {
    for form in ["5f3c", "91+e7", "91%2Be7", "91%2be7"] {
        assert!(!ended.out().contains(form), "stdout shows the secret:\n{}", ended.out());
        assert!(
            !ended.stderr.contains(form),
            "stderr shows the secret:\n{}",
            ended.stderr
        );
    }
}

#[test]
fn secret_reaches_only_the_server() {
    // The server returns it in a header and in the body, as sent and decoded.
    let server = Server::new(|request| {
        let headers = format!("X-Echo: <{CANARY}>\r\nSet-Cookie: t={CANARY}\r\n");
        response("200 OK", &headers, &format!("{request} {CANARY}{CANARY}"))
    });
    let folder = Folder::new();
    let file = folder.file("token", format!("{CANARY}\n"));
    let secret = format!("TOKEN=file:{file}");
    let grant = server.url("");
    let lines = format!(
        "whole {}?key=$TOKEN&x=y Authorization=$TOKEN X-Two=$TOKEN,$TOKEN\nenv\nread $TOKEN",
        server.url("/")
    );
    for format in ["text", "json"] {
        let ended = try_lines(
            &lines,
            &["--http", &grant, "--secret", &secret, "-vv", "--format", format],
        )
        .exits(1);
        hidden(&ended);
        assert!(ended.out().contains("disperse-secret-"), "{}", ended.out());
    }
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    for request in asked {
        assert!(
            request.starts_with("GET /?key=canary%2F5f3c%2091%2Be7&x=y HTTP/1.1"),
            "{request}"
        );
        let lower = request.to_lowercase();
        assert!(lower.contains(&format!("\r\nauthorization: {CANARY}\r\n")), "{request}");
        assert!(
            lower.contains(&format!("\r\nx-two: {CANARY},{CANARY}\r\n")),
            "{request}"
        );
        assert!(!request.contains("disperse-secret-"), "{request}");
    }
}

#[test]
fn secret_is_sent_only_to_its_server() {
    let texts = Texts::new("secret_is_sent_only_to_its_server");
    let other = Server::echo();
    let away = other.url("/caught");
    let server = Server::new(move |request| match request.split(' ').nth(1).unwrap() {
        "/away" => redirect("307 Temporary Redirect", &away),
        // The server may try to pass the secret on in a redirect.
        "/carry" => redirect("302 Found", &format!("{away}?stolen={CANARY}")),
        "/carry-encoded" => redirect("302 Found", &format!("{away}?stolen=canary%2F5f3c%2091%2Be7")),
        _ => ok("here"),
    });
    let folder = Folder::new();
    folder.file("token", CANARY);
    let text = format!(
        "[[pool]]\nname = \"p\"\ncomponent = \"{}\"\nworkers = 1\nhttp = [\"{}\", \"{}\"]\n\
         [[pool.worker]]\nname = \"w\"\nsecrets = {{ TOKEN = {{ file = \"token\", hosts = [\"{}\"] }} }}\n",
        probe(),
        server.url(""),
        other.url(""),
        server.url(""),
    )
    .replace("workers = 1\n", "");
    let manifest = folder.file("disperse.toml", text);
    let try_line = |line: String| {
        let args = ["map", &manifest, "--trust-manifest", "--attempts", "1", "-vv"];
        let ended = host(args).input(format!("{line}\n")).run();
        hidden(&ended);
        ended
    };
    try_line(format!("get {} X=$TOKEN", other.url("/")))
        .exits(1)
        .stderr_to(&texts);
    try_line(format!("get {}?$TOKEN", other.url("/")))
        .exits(1)
        .stderr_to(&texts);
    assert!(other.asked().is_empty());
    // The header is not sent on.
    try_line(format!("get {} X=$TOKEN Authorization=mine Y=z", server.url("/away"))).exits(0);
    let asked = other.asked();
    assert_eq!(asked.len(), 1);
    let lower = asked[0].to_lowercase();
    assert!(lower.contains("\r\ny: z"), "{lower}");
    for gone in ["\r\nx:", "authorization", "canary", "disperse-secret-"] {
        assert!(!lower.contains(gone), "{gone} went along: {lower}");
    }
    try_line(format!("get {} X=$TOKEN", server.url("/carry-encoded")))
        .exits(1)
        .stderr_to(&texts);
    try_line(format!("get {} X=$TOKEN", server.url("/carry")))
        .exits(1)
        .stderr_to(&texts);
    assert_eq!(other.asked().len(), 1, "{:?}", other.asked());
    texts.match_snapshot();
}

#[test]
fn an_async_worker_has_many_requests_open_at_once() {
    // The server answers none before all requests have arrived.
    let together = Arc::new(std::sync::Barrier::new(20));
    let server = Server::new(move |request| {
        together.wait();
        ok(request.split(' ').nth(1).unwrap())
    });
    let urls: Vec<String> = (10..30).map(|n| server.url(&format!("/{n}"))).collect();
    let wanted: String = urls.iter().map(|url| format!("200       3 {url}\n")).collect();
    let grant = server.url("");
    host(["map", &wasm("fetch"), "--http", &grant, "--workers", "1"])
        .input(format!("{}\n", urls.join(" ")))
        .run()
        .exits(0)
        .prints(&wanted);
    host(["map", &wasm("fetch"), "--workers", "1"])
        .input(format!("{}\n", urls.join(" ")))
        .run()
        .exits(1)
        .stderr_is("an_async_worker_has_many_requests_open_at_once");
}

#[test]
fn dropped_future_cancels_its_request() {
    let server = patient();
    let line = format!("{server}/ {server}/asked {server}/closed\n");
    host([
        "map",
        &abandon(),
        "--http",
        &server,
        "--workers",
        "1",
        "--attempts",
        "1",
    ])
    .input(line)
    .run()
    .exits(0)
    .prints("false seen\n");
}

#[test]
fn secret_can_come_from_the_environment() {
    let server = Server::new(|_| ok(CANARY));
    let grant = server.url("");
    let flags = ["--http", &grant, "--secret", "TOKEN=env:CANARY_OF_TEST", "-vv"];
    let probe = probe();
    let args = ["map", &probe, "--workers", "1", "--attempts", "1"];
    let ended = host(args.iter().chain(&flags))
        .env("CANARY_OF_TEST", CANARY)
        .input(format!("whole {} X=$TOKEN\nenv\n", server.url("/")))
        .run()
        .exits(0);
    hidden(&ended);
    let out = ended.out();
    // The guest does not see the variable that it came from.
    assert!(
        out.contains("TOKEN=disperse-secret-") && !out.contains("CANARY_OF_TEST"),
        "{out}"
    );
    let asked = server.asked();
    assert!(
        asked[0].to_lowercase().contains(&format!("\r\nx: {CANARY}\r\n")),
        "{asked:?}"
    );
}

#[test]
fn address_that_never_answers_is_cut_off_by_the_attempt_timeout() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    // Further connections are not accepted while these wait.
    let _runtime = runtime.enter();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let _waiting: Vec<_> = (0..4)
        .map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)))
        .collect();
    let grant = format!("http://{address}");
    let began = std::time::Instant::now();
    try_lines(&format!("slow {grant}/ 300"), &["--http", &grant])
        .exits(1)
        .stderr_is("address_that_never_answers_is_cut_off_by_the_attempt_timeout");
    try_lines(&format!("get {grant}/"), &["--http", &grant, "--timeout", "300ms"]).exits(1);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn invalid_flag_is_a_usage_error_and_shows_no_secret() {
    let texts = Texts::new("invalid_flag_is_a_usage_error_and_shows_no_secret");
    let folder = Folder::new();
    let empty = folder.file("empty", "\n");
    let two = folder.file("two", "canary\n\n");
    for (flag, value) in [
        ("--http", "a.com"),
        ("--http", "get http://a.com"),
        ("--http", "http://u:p@a.com"),
        ("--secret", "TOKEN=canary"),
        ("--secret", "TOKEN=env:NO_SUCH_VARIABLE_HERE"),
        ("--secret", "TOKEN=file:/no/such/file"),
        ("--secret", &format!("TOKEN=file:{empty}")),
        ("--secret", &format!("TOKEN=file:{two}")),
        ("--secret", "A-B=env:PATH"),
    ] {
        let ended = try_lines("env", &[flag, value]).exits(2).prints("").stderr_to(&texts);
        assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    }
    try_lines("env", &["--env", "TOKEN=x", "--secret", &format!("TOKEN=file:{two}x")]).exits(2);
    texts.match_snapshot();
}
