//! A WASI program that knows nothing of Disperse and runs the command in its arguments.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    process::exit,
};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let Err(error) = run(&args) {
        eprintln!("{error}");
        exit(1);
    }
}

fn run(args: &[&str]) -> io::Result<()> {
    match args {
        ["args", args @ ..] => println!("{}", args.join("|")),
        ["name"] => println!("{}", std::env::args().next().unwrap_or_default()),
        ["stdin"] => println!("[{}]", io::read_to_string(io::stdin())?),
        ["cat", path] => io::stdout().write_all(&fs::read(path)?)?,
        ["print", text] => print!("{text}"),
        ["bytes"] => io::stdout().write_all(b"\xff\x00\n")?,
        ["status", status, text] => {
            print!("{text}");
            exit(status.parse().unwrap_or(99));
        }
        ["copy", from, to] => fs::write(to, fs::read(from)?)?,
        ["list", path] => println!("{}", list(path)?),
        ["variable", name] => println!("{}", std::env::var(name).unwrap_or_default()),
        ["variables"] => std::env::vars().for_each(|(name, value)| println!("{name}={value}")),
        // Requests more memory and handles the failure.
        ["grow", mib] => {
            let bytes = mib.parse::<usize>().unwrap_or_default() << 20;
            let mut taken = Vec::<u8>::new();
            let done = taken.try_reserve_exact(bytes);
            std::hint::black_box(&mut taken);
            if done.is_err() {
                exit(7);
            }
        }
        ["spin", mib] => {
            let bytes = vec![1_u8; mib.parse::<usize>().unwrap_or_default() << 20];
            loop {
                std::hint::black_box(&bytes);
            }
        }
        ["time", path] => {
            fs::write(path, "x")?;
            println!(
                "{:?}",
                fs::metadata(path)?.modified()?.duration_since(std::time::UNIX_EPOCH)
            );
        }
        ["files", path] => files(path)?,
        ["attack", what] => println!("{}", attack(what)?),
        _ => exit(98),
    }
    Ok(())
}

fn list(path: &str) -> io::Result<String> {
    let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names.join(" "))
}

/// The usual operations on files, below a folder.
fn files(path: &str) -> io::Result<()> {
    use std::io::{Seek, SeekFrom};
    let at = |name: &str| format!("{path}/{name}");
    fs::create_dir_all(at("a/b"))?;
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(at("a/b/c"))?;
    file.write_all(b"hello world")?;
    file.seek(SeekFrom::Start(6))?;
    file.write_all(b"W")?;
    file.set_len(8)?;
    file.seek(SeekFrom::Start(0))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    File::options().append(true).open(at("a/b/c"))?.write_all(b"!")?;
    fs::hard_link(at("a/b/c"), at("d"))?;
    fs::rename(at("a/b"), at("e"))?;
    let meta = fs::metadata(at("e/c"))?;
    println!("{text} {} {} {}", fs::read_to_string(at("d"))?, meta.len(), list(path)?);
    let kinds = [File::create_new(at("d")), File::open(at("x")), File::create(at("a"))];
    println!("{:?}", kinds.map(|done| done.err().map(|error| error.kind())));
    // 55 is ENOTEMPTY.
    println!(
        "{:?}",
        fs::remove_dir(at("e")).err().and_then(|error| error.raw_os_error())
    );
    fs::remove_file(at("d"))?;
    fs::remove_dir_all(at("e"))?;
    fs::remove_dir(at("a"))?;
    println!("[{}]", list(path)?);
    Ok(())
}

/// Uses up one resource of the scratch folder, and returns how much that was.
fn attack(what: &str) -> io::Result<u64> {
    let piece = [1; 1 << 16];
    let mut count = 0;
    match what {
        "bytes" => {
            let mut file = File::create("/tmp/a")?;
            while file.write_all(&piece).is_ok() {
                count += piece.len() as u64;
            }
        }
        // Written from the end, and far beyond it.
        "sparse" => {
            let file = File::create("/tmp/a")?;
            for shift in (0..63).rev() {
                if file.set_len(1 << shift).is_ok() {
                    return Ok(1 << shift);
                }
            }
        }
        "files" => {
            while File::create(format!("/tmp/{count}")).is_ok() {
                count += 1;
            }
        }
        "folders" => {
            while fs::create_dir(format!("/tmp/{count}")).is_ok() {
                count += 1;
            }
        }
        "links" => {
            fs::write("/tmp/a", "x")?;
            while fs::hard_link("/tmp/a", format!("/tmp/{count}")).is_ok() {
                count += 1;
            }
        }
        // As deep as paths allow, then moved as a whole into a folder, again and again.
        "deep" => {
            while fs::create_dir("/tmp/new").is_ok() {
                if count > 0 {
                    fs::rename("/tmp/top", "/tmp/new/top")?;
                }
                fs::rename("/tmp/new", "/tmp/top")?;
                count += 1;
            }
        }
        // Removed while it is open: it still counts.
        "open" => {
            let mut open = Vec::new();
            while let Ok(mut file) = File::create("/tmp/a") {
                fs::remove_file("/tmp/a")?;
                if file.write_all(&piece).is_err() {
                    break;
                }
                count += piece.len() as u64;
                open.push(file);
            }
        }
        // Freed and used again.
        "again" => {
            for _ in 0..1000 {
                fs::write("/tmp/a", piece)?;
                fs::remove_file("/tmp/a")?;
                count += piece.len() as u64;
            }
        }
        "out" => {
            fs::write("/tmp/a", "x")?;
            fs::create_dir("/tmp/d")?;
            for path in ["../a", "/tmp/../a", "/tmp/d/../../a", "/a/../../etc/passwd"] {
                count += u64::from(File::open(path).is_ok());
            }
            for path in ["/data/a", "/data/../a"] {
                count += u64::from(fs::rename("/tmp/a", path).is_ok());
                count += u64::from(fs::hard_link("/tmp/a", path).is_ok());
            }
            count += u64::from(fs::rename("/data/kept", "/tmp/kept").is_ok());
            count += u64::from(fs::hard_link("/data/kept", "/tmp/kept").is_ok());
        }
        _ => exit(97),
    }
    Ok(count)
}
