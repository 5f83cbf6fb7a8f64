//! HTTPS, with servers whose certificates are made here.

use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    http::{CANARY, hidden},
    server::ok,
    support::{Ended, Folder, Texts, host, probe, web},
};

/// An HTTPS server that answers with the request's headers. Its certificate is self-signed.
struct Secure {
    url: String,
    /// The certificate, as text.
    pem: String,
    /// The lines and headers of the requests that the server could decrypt.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Secure {
    /// `name`: the host name in its certificate. `protocols`: its protocols, the preferred one first.
    fn new(name: &str, protocols: &[&str]) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let pem = made.cert.pem();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        std::thread::spawn({
            let asked = asked.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let listener = TcpListener::from_std(listener).unwrap();
                    while let Ok((stream, _)) = listener.accept().await {
                        // A client that does not trust it closes the connection.
                        if let Ok(stream) = acceptor.accept(stream).await {
                            tokio::spawn(serve(stream, asked.clone()));
                        }
                    }
                });
            }
        });
        Self { url, pem, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TlsStream<TcpStream>, asked: Arc<Mutex<Vec<String>>>) {
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            asked.lock().unwrap().push(format!("{request:?}"));
            let response = http::Response::new(());
            let mut body = respond.send_response(response, false).unwrap();
            body.send_data(format!("h2 {CANARY}").into(), true).unwrap();
        }
        return;
    }
    let mut bytes = vec![0; 4096];
    let mut count = 0;
    while !bytes[..count].ends_with(b"\r\n\r\n") {
        match stream.read(&mut bytes[count..]).await {
            Ok(more @ 1..) => count += more,
            _ => return,
        }
    }
    asked
        .lock()
        .unwrap()
        .push(String::from_utf8_lossy(&bytes[..count]).into_owned());
    let answer = ok(&format!("h1 {CANARY}"));
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Runs one line on a guest, on a machine that trusts these certificates.
fn try_line(guest: &str, line: &str, trusted: &str, server: &Secure) -> Ended {
    let folder = Folder::new();
    let secret = format!("TOKEN=file:{}", folder.file("token", CANARY));
    let flags = ["--http", &server.url, "--secret", &secret, "-vv"];
    let args = ["map", guest, "--workers", "1", "--attempts", "1"];
    let ended = host(args.iter().chain(&flags))
        .env("SSL_CERT_FILE", folder.file("roots.pem", trusted))
        .env("SSL_CERT_DIR", folder.path("none"))
        .input(format!("{line}\n"))
        .run();
    hidden(&ended);
    ended
}

#[test]
fn https_server_is_reached_with_http_1_and_http_2() {
    for (protocols, says) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "h1"), (&[], "h1")] {
        let server = Secure::new("127.0.0.1", protocols);
        for (guest, word) in [(probe(), "get"), (web(), "GET")] {
            let line = format!("{word} {}/ X-Token=$TOKEN", server.url);
            let ended = try_line(&guest, &line, &server.pem, &server).exits(0);
            let out = ended.out();
            assert!(out.contains(&format!("{says} disperse-secret-")), "{protocols:?} {out}");
        }
        // A secret without a server is sent to encrypted servers.
        let asked = server.asked();
        assert_eq!(asked.len(), 2, "{asked:?}");
        assert!(asked.iter().all(|asked| asked.contains(CANARY)), "{asked:?}");
    }
}

#[test]
fn server_with_a_wrong_certificate_receives_nothing() {
    let texts = Texts::new("server_with_a_wrong_certificate_receives_nothing");
    let server = Secure::new("127.0.0.1", &[]);
    let named_otherwise = Secure::new("127.0.0.2", &[]);
    let other = Secure::new("127.0.0.1", &[]);
    for (server, trusted) in [(&server, &other.pem), (&named_otherwise, &named_otherwise.pem)] {
        let line = format!("get {}/ X-Token=$TOKEN", server.url);
        try_line(&probe(), &line, trusted, server).exits(1).stderr_to(&texts);
        let line = format!("GET {}/ X-Token=$TOKEN", server.url);
        try_line(&web(), &line, trusted, server).exits(1).stderr_to(&texts);
        assert!(server.asked().is_empty(), "{:?}", server.asked());
    }
    texts.match_snapshot();
}
