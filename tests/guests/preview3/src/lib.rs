//! A WASI 0.3 program that runs the command in its input: a word and its arguments.

use futures::{
    FutureExt,
    future::{join, join_all},
};
use wasip3::{
    cli::{environment, exit, stdin, stdout},
    clocks::monotonic_clock,
    filesystem::{
        preopens,
        types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags},
    },
    http::{
        client,
        types::{Fields, Request, Response, Scheme},
    },
    random::random,
    wit_future, wit_stream,
};

struct Program;

wasip3::cli::command::export!(Program);

impl wasip3::exports::cli::run::Guest for Program {
    async fn run() -> Result<(), ()> {
        let (input, _) = stdin::read_via_stream();
        let input = String::from_utf8(input.collect().await).map_err(|_| ())?;
        let words: Vec<&str> = input.trim_end().split(' ').collect();
        let said = match words.as_slice() {
            ["echo", text @ ..] => text.join(" "),
            ["env"] => environment::get_environment()
                .iter()
                .filter(|(name, _)| name != "DISPERSE_ATTEMPT")
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(" "),
            ["status", code] => {
                exit::exit_with_code(code.parse().map_err(|_| ())?);
                String::new()
            }
            ["fail"] => return Err(()),
            ["trap"] => panic!("as it was told"),
            ["wait", ms] => {
                monotonic_clock::wait_for(number(ms)? * 1_000_000).await;
                "waited".to_owned()
            }
            ["random", bytes] => random::get_random_bytes(number(bytes)?).len().to_string(),
            ["many", count] => {
                let waits = (0..number(count)?).map(|_| monotonic_clock::wait_for(1_000_000));
                join_all(waits).await.len().to_string()
            }
            ["flood"] => loop {
                say(vec![b'x'; 1 << 20]).await;
            },
            ["read", path] => String::from_utf8(read(path).await?).map_err(|_| ())?,
            ["read-for-ever", path] => loop {
                read(path).await?;
            },
            ["append", path, text] => append(path, text).await?,
            ["list"] => {
                let (entries, told) = folder()?.read_directory();
                let mut names: Vec<_> = entries.collect().await.into_iter().map(|entry| entry.name).collect();
                told.await.map_err(|_| ())?;
                names.sort();
                names.join(" ")
            }
            ["get", server, path] => get(server, path).await,
            _ => return Err(()),
        };
        say(said.into_bytes()).await;
        Ok(())
    }
}

fn number(text: &str) -> Result<u64, ()> {
    text.parse().map_err(|_| ())
}

/// Writes this to stdout.
async fn say(bytes: Vec<u8>) {
    let (mut to, from) = wit_stream::new();
    let write = async move {
        to.write_all(bytes).await;
    };
    let _ = join(stdout::write_via_stream(from).into_future(), write.boxed_local()).await;
}

fn folder() -> Result<Descriptor, ()> {
    preopens::get_directories()
        .into_iter()
        .next()
        .map(|(folder, _)| folder)
        .ok_or(())
}

async fn read(path: &str) -> Result<Vec<u8>, ()> {
    let folder = folder()?;
    let opened = folder.open_at(
        PathFlags::empty(),
        path.to_owned(),
        OpenFlags::empty(),
        DescriptorFlags::READ,
    );
    let file = match opened.await {
        Ok(file) => file,
        Err(error) => return Ok(format!("{error:?}").into_bytes()),
    };
    let (bytes, told) = file.read_via_stream(0);
    let bytes = bytes.collect().await;
    told.await.map_err(|_| ())?;
    Ok(bytes)
}

async fn append(path: &str, text: &str) -> Result<String, ()> {
    let folder = folder()?;
    let opened = folder.open_at(
        PathFlags::empty(),
        path.to_owned(),
        OpenFlags::CREATE,
        DescriptorFlags::WRITE,
    );
    let file = match opened.await {
        Ok(file) => file,
        Err(error) => return Ok(format!("{error:?}")),
    };
    let (mut to, from) = wit_stream::new();
    let write = async move {
        to.write_all(text.as_bytes().to_vec()).await;
    };
    let (told, ()) = join(file.append_via_stream(from).into_future(), write.boxed_local()).await;
    told.map_err(|_| ())?;
    Ok(file.stat().await.map_err(|_| ())?.size.to_string())
}

async fn get(server: &str, path: &str) -> String {
    let (no_trailers, trailers) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(Fields::new(), None, trailers, None);
    drop(no_trailers);
    let set = request
        .set_scheme(Some(&Scheme::Http))
        .and_then(|()| request.set_authority(Some(server)))
        .and_then(|()| request.set_path_with_query(Some(path)));
    if set.is_err() {
        return "not set".to_owned();
    }
    let response = match client::send(request).await {
        Ok(response) => response,
        Err(error) => return format!("{error:?}"),
    };
    let status = response.get_status_code();
    let (all_is_well, done) = wit_future::new(|| Ok(()));
    let (body, _trailers) = Response::consume_body(response, done);
    drop(all_is_well);
    format!("{status} {}", String::from_utf8_lossy(&body.collect().await))
}
