//! Names and the addresses behind them. What goes over the wire is tested from outside, in `tests/http.rs`.

use std::{io, net::IpAddr};

use futures::future::BoxFuture;

use super::{client::Resolver, *};

/// Every name is this.
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
        1000,
        Budget::new(1 << 20),
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
        body: Bytes::new(),
    }
}

async fn problem(access: &Access, request: Request) -> Problem {
    match access.fetch(request, Duration::from_secs(20)).await {
        Ok(response) => panic!("an answer: {}", response.status),
        Err(problem) => problem,
    }
}

#[tokio::test]
async fn a_granted_name_does_not_lead_to_an_address_that_is_not_public() {
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
            // What is granted by address is not granted by name.
            &format!("http://127.0.0.1:{port}"),
        ];
        let access = access(&rules, addresses);
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://name.example:{port}/");
            let problem = problem(&access, request(&url, &[])).await;
            let denied = matches!(&problem, Problem::Denied(why) if why.contains("name.example"));
            assert!(denied, "{addresses:?} {problem:?}");
        }
    }
    assert!(listener.accept().is_err(), "somebody has connected");
}

#[tokio::test]
async fn a_request_that_would_write_what_is_the_hosts_to_write_is_invalid() {
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
    let long = "a".repeat(HEADERS_MAX + 1);
    let problem = problem(&access, request("http://127.0.0.1/", &[("X", &long)])).await;
    assert!(matches!(problem, Problem::Invalid(_)), "{problem:?}");
}

#[test]
fn bodies_that_are_open_at_once_are_counted() {
    let access = access(&[], &[]);
    assert!(matches!(access.hold(1001), Err(Problem::Oversize(_))));
    let mut held: Vec<Held> = (0..8).map(|_| access.hold(1000).map_err(|_| ()).unwrap()).collect();
    assert!(matches!(access.hold(1), Err(Problem::Oversize(_))));
    held.pop();
    assert!(access.hold(1).is_ok());
}
