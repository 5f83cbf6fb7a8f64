use std::io::Read;

fn main() {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).expect("text");
    match input.as_str() {
        "bad" => {
            eprintln!("cannot shout `bad`");
            std::process::exit(65);
        }
        "abort" => panic!("giving up"),
        _ => print!("{}", input.to_uppercase()),
    }
}
