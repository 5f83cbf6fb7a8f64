//! Counts lines, words and bytes of the input, as `wc` does, and on request the most frequent words. Each task is a
//! chunk of the input, split between words.
#![forbid(unsafe_code)]

mod chunks;
mod counting;

use std::collections::HashMap;
use std::io::{Stdin, stdin};

use chunks::{Chunks, Piece};
use counting::{Counts, Tally, is_space, most_frequent, tally};
use disperse_guest::{
    Action, Bincode, Error, Failure, Operation, Raw, Worker, arguments, error, export_both, output, perform,
};

const USAGE: &str = "\
usage: disperse-host run examples/word-count --input FILE -- [OPTIONS]
  --top N    also the N most frequent words, each with its count";

/// The planner: it splits the input and sums the counts of the chunks.
struct WordCount {
    chunks: Chunks<Stdin>,
    /// How many of the most frequent words to write; or the error in the arguments.
    top: Result<usize, String>,
    total: Counts,
    seen: HashMap<Vec<u8>, u64>,
    /// The error that makes the total invalid.
    trouble: Option<String>,
}

impl Default for WordCount {
    fn default() -> Self {
        Self {
            chunks: Chunks::new(stdin()),
            top: parse(&arguments()),
            total: Counts::default(),
            seen: HashMap::new(),
            trouble: None,
        }
    }
}

impl Operation for WordCount {
    type Task = Raw;
    type Output = Bincode<(Counts, Tally)>;

    fn next(&mut self) -> Option<Raw> {
        if self.top.is_err() || self.trouble.is_some() {
            return None;
        }
        match self.next_chunk() {
            Ok(chunk) => chunk.map(Raw),
            Err(why) => {
                self.trouble = Some(format!("the input cannot be read: {why}"));
                None
            }
        }
    }

    fn run(chunk: Raw) -> Result<Self::Output, Error> {
        // Counting each word costs more than counting all words, so it is a kind of its own.
        let kind = if parse(&arguments())? > 0 { "tally" } else { "count" };
        Ok(perform(kind, chunk)?)
    }

    fn collect(&mut self, _: Raw, outcome: Result<Self::Output, String>) {
        match outcome {
            Ok(Bincode((counts, tally))) => {
                self.total.add(counts);
                for (word, count) in tally {
                    *self.seen.entry(word).or_default() += count;
                }
            }
            Err(why) => {
                error!("a chunk was not counted: {why}");
                self.trouble = Some(format!("a chunk was not counted, so there is no total: {why}"));
            }
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        let top = self.top.clone()?;
        if let Some(trouble) = &self.trouble {
            return Err(trouble.clone());
        }
        let Counts { lines, words, bytes } = self.total;
        let mut text = format!("{lines} {words} {bytes}\n").into_bytes();
        for (word, count) in most_frequent(std::mem::take(&mut self.seen), top) {
            text.extend(format!("{count} ").into_bytes());
            text.extend(word);
            text.push(b'\n');
        }
        output(text);
        Ok(())
    }
}

impl WordCount {
    /// Returns a chunk for a task. A word that is too long for a payload is counted here, together with what follows it.
    fn next_chunk(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut word = match self.chunks.next()? {
            None => return Ok(None),
            Some(Piece::Chunk(chunk)) => return Ok(Some(chunk)),
            Some(Piece::Fragment(fragment)) => fragment,
        };
        let rest = loop {
            match self.chunks.next()? {
                Some(Piece::Fragment(fragment)) => word.extend(fragment),
                Some(Piece::Chunk(chunk)) => break chunk,
                None => break Vec::new(),
            }
        };
        let end = rest.iter().position(|byte| is_space(*byte)).unwrap_or(rest.len());
        let (tail, rest) = rest.split_at(end);
        word.extend_from_slice(tail);
        self.total.add(Counts::of(&word));
        if self.top.as_ref().is_ok_and(|top| *top > 0) {
            *self.seen.entry(word).or_default() += 1;
        }
        // The rest may be empty. An empty chunk counts nothing; none would end the run.
        Ok(Some(rest.to_vec()))
    }
}

/// Parses how many of the most frequent words to write; 0 by default.
fn parse(arguments: &[String]) -> Result<usize, String> {
    let number = |text: &str| {
        text.parse()
            .map_err(|_| format!("--top must be a whole number, not `{text}`\n{USAGE}"))
    };
    match arguments {
        [] => Ok(0),
        [name, value] if name == "--top" => number(value),
        [argument] if argument.starts_with("--top=") => number(argument.trim_start_matches("--top=")),
        [name] if name == "--top" => Err(format!("--top needs a number\n{USAGE}")),
        _ => Err(format!("unknown arguments `{}`\n{USAGE}", arguments.join(" "))),
    }
}

/// Counts one chunk: the kind `count` without the words, `tally` with how often each occurs.
#[derive(Default)]
struct Counter;

impl Worker for Counter {
    type Input = Raw;
    type Output = Bincode<(Counts, Tally)>;

    fn handle(&mut self, action: Action<Raw>) -> Result<Self::Output, Failure> {
        let bytes = &action.input.0;
        match action.kind.as_str() {
            "count" => Ok(Bincode((Counts::of(bytes), Tally::new()))),
            "tally" => Ok(Bincode((Counts::of(bytes), tally(bytes)))),
            kind => Err(Failure::permanent(format!(
                "`{kind}` is no kind of this worker: `count` or `tally`"
            ))),
        }
    }
}

export_both!(WordCount, Counter);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<usize, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_parsed() {
        assert_eq!(parse_line(""), Ok(0));
        assert_eq!(parse_line("--top 5"), Ok(5));
        assert_eq!(parse_line("--top=5"), Ok(5));
        assert!(parse_line("--top").unwrap_err().contains("needs a number"));
        assert!(parse_line("--top x").unwrap_err().contains("not `x`"));
        assert!(parse_line("--tpo 5").unwrap_err().contains("--tpo 5"));
    }

    #[test]
    fn kind_tally_lists_the_words() {
        let mut counter = Counter;
        let mut tallied = |kind: &str| counter.handle(Action::new(kind, Raw(b"a b a".to_vec())));
        assert_eq!(tallied("count").unwrap().0.1, []);
        assert_eq!(tallied("tally").unwrap().0.1, [(b"a".to_vec(), 2), (b"b".to_vec(), 1)]);
        assert!(matches!(tallied("size"), Err(Failure::Permanent(_))));
    }
}
