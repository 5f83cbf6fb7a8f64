//! Names and their addresses. What is sent over the network is tested from outside, in `tests/http.rs`.

use std::{io, net::IpAddr};

use futures::future::BoxFuture;

use super::{client::Resolver, *};
use disperse_protocol::limits::HEADERS_MAX;

/// Resolves every name to these.
struct Fixed(Vec<IpAddr>);

impl Resolver for Fixed {
    fn resolve(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let addresses = self.0.clone();
        Box::pin(async move { Ok(addresses) })
    }
}

fn access(rules: &[&str], addresses: &[&str]) -> Access {
    let resolver = Fixed(addresses.iter().map(|address| address.parse().unwrap()).collect());
    let grants = Grants {
        http: rules.iter().map(|rule| rule.parse().unwrap()).collect(),
        ..Grants::default()
    };
    Access::new(
        Arc::new(Client::with(Arc::new(resolver))),
        Arc::new(grants),
        Arc::default(),
        &Limits {
            result: 1000,
            ..Limits::WORKER
        },
        disperse_protocol::limits::Shares::new(1 << 20, 2, false).account(u64::MAX, Arc::default()),
        Arc::default(),
        1,
    )
}

fn request(url: &str, headers: &[(&str, &str)]) -> Request {
    Request {
        verb: String::new(),
        url: url.to_owned(),
        headers: headers
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..Request::default()
    }
}

async fn problem(access: &Access, request: Request) -> Problem {
    match access.fetch(request, Duration::from_secs(20)).await {
        Ok(response) => panic!("an answer: {}", response.status),
        Err(problem) => problem,
    }
}

#[tokio::test]
async fn granted_name_reaches_only_public_addresses() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for addresses in [
        &["127.0.0.1"][..],
        &["169.254.169.254"],
        &["::ffff:127.0.0.1"],
        &["::1"],
        &["10.0.0.1"],
        &["fd00::1"],
        // One is enough.
        &["1.1.1.1", "127.0.0.1"],
    ] {
        let rules = [
            &format!("http://name.example:{port}")[..],
            &format!("https://name.example:{port}"),
            &format!("http://*.example:{port}"),
            // A grant by address is not one by name.
            &format!("http://127.0.0.1:{port}"),
        ];
        let access = access(&rules, addresses);
        for server in ["http://name.example", "https://name.example", "http://a.wild.example"] {
            let problem = problem(&access, request(&format!("{server}:{port}/"), &[])).await;
            let denied =
                matches!(&problem, Problem::Denied(why) if why.contains(".example") && why.contains("not a public"));
            assert!(denied, "{addresses:?} {problem:?}");
        }
        assert_eq!(access.denials.take().unwrap().count, 3);
    }
    assert!(listener.accept().is_err(), "a client has connected");
}

#[tokio::test]
async fn wildcard_grants_only_names_below_it() {
    let access = access(&["http://*.name.example"], &["127.0.0.1"]);
    for url in [
        "http://name.example/",
        "http://aname.example/",
        "http://127.0.0.1/",
        "http://[::1]/",
    ] {
        let problem = problem(&access, request(url, &[])).await;
        assert!(
            matches!(&problem, Problem::Denied(why) if why.contains("no grant")),
            "{url} {problem:?}"
        );
    }
    // The rule covers this name, but its address is not public.
    let problem = problem(&access, request("http://b.a.name.example/", &[])).await;
    assert!(
        matches!(&problem, Problem::Denied(why) if why.contains("not a public")),
        "{problem:?}"
    );
}

#[tokio::test]
async fn unresolvable_name_is_reported() {
    struct NoAddress;
    impl Resolver for NoAddress {
        fn resolve(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            Box::pin(async { Err(io::Error::other("none")) })
        }
    }
    let mut access = access(&["http://name.example"], &[]);
    access.client = Arc::new(Client::with(Arc::new(NoAddress)));
    let problem = problem(&access, request("http://name.example/", &[])).await;
    assert!(
        matches!(&problem, Problem::Unreachable(Cause::Name, why) if why.contains("no address is known for `name.example`: none")),
        "{problem:?}"
    );
}

#[tokio::test]
async fn request_with_headers_of_the_host_is_invalid() {
    let access = access(&["http://127.0.0.1"], &[]);
    for (url, headers) in [
        ("127.0.0.1", &[][..]),
        ("ftp://127.0.0.1", &[]),
        ("http://u:p@127.0.0.1/", &[]),
        ("http://127.0.0.1/", &[("Host", "a.com")]),
        ("http://127.0.0.1/", &[("content-LENGTH", "1")]),
        ("http://127.0.0.1/", &[("Transfer-Encoding", "chunked")]),
        ("http://127.0.0.1/", &[("Connection", "close")]),
        ("http://127.0.0.1/", &[("X", "a\r\nHost: b")]),
        ("http://127.0.0.1/", &[("X: a\r\nY", "b")]),
        ("http://127.0.0.1/", &[("", "b")]),
    ] {
        let problem = problem(&access, request(url, headers)).await;
        assert!(matches!(problem, Problem::Invalid(_)), "{url} {headers:?} {problem:?}");
    }
    let connect = Request {
        verb: "CONNECT".to_owned(),
        ..request("http://127.0.0.1/", &[])
    };
    assert!(matches!(problem(&access, connect).await, Problem::Invalid(_)));
    let long = "a".repeat((64 << 10) + 1);
    let problem = problem(&access, request("http://127.0.0.1/", &[("X", &long)])).await;
    assert!(matches!(problem, Problem::Invalid(_)), "{problem:?}");
}

#[test]
fn open_requests_and_answers_are_charged() {
    let access = access(&[], &[]);
    let body = |bytes: usize| Request {
        body: vec![0; bytes].into(),
        ..Request::default()
    };
    assert!(matches!(
        access.hold(&body(1001)),
        Err(Problem::Oversize(Part::Request, _))
    ));
    let mut held: Vec<Held> = (0..8)
        .map(|_| access.hold(&body(1000)).map_err(|_| ()).unwrap())
        .collect();
    assert!(matches!(access.hold(&body(1)), Err(Problem::Oversize(..))));
    let headers = request("", &[("a", "b")]);
    assert!(matches!(access.hold(&headers), Err(Problem::Oversize(..))));
    held.pop();
    assert!(access.hold(&headers).is_ok());
}

/// `HeaderMap` panics above its maximum size.
#[tokio::test]
async fn too_many_headers_are_invalid() {
    let mut access = access(&["http://a.example"], &["93.184.216.34"]);
    access.headers_max = HEADERS_MAX;
    let names: Vec<String> = (0..24_577).map(|number| format!("x{number:x}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let problem = problem(&access, request("http://a.example/", &headers)).await;
    assert!(
        matches!(&problem, Problem::Invalid(why) if why.contains("--header-size")),
        "{problem:?}"
    );
    assert!(access.check(8192, 0).is_ok() && access.check(8193, 0).is_err());
}
