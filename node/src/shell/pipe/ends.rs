//! Ends: what a pipe is opened from, and the thread that writes to it.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Where a pipe leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::shell) enum PipeAddress {
    /// The process's own standard input and output.
    Standard,
    /// A device or named pipe that is read and written.
    Path(PathBuf),
    /// A command of the shell, spoken to over its standard input and output.
    Command(String),
}

/// An open pipe.
pub(super) struct Ends {
    pub reader: Box<dyn Read>,
    pub writer: Writer,
    /// Ends with the contact.
    pub child: Option<Guard>,
}

/// Kills a command when its contact is over; what it started itself sees its input end.
pub(super) struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It has ended already in most cases.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl PipeAddress {
    /// Opens the pipe and starts the thread that writes to it.
    pub(super) fn open(&self) -> Result<Ends, String> {
        let failed = |error: io::Error| format!("cannot open {self}: {error}");
        Ok(match self {
            Self::Standard => Ends {
                reader: Box::new(io::stdin()),
                writer: Writer::start(Box::new(io::stdout())),
                child: None,
            },
            Self::Path(path) => {
                let kind = std::fs::metadata(path).map_err(failed)?.file_type();
                if kind.is_file() || kind.is_dir() {
                    return Err(format!(
                        "{self} is a file or folder, which a greeting would overwrite; name a device or a named pipe"
                    ));
                }
                let writing = OpenOptions::new().read(true).write(true).open(path);
                let reading = File::open(path).map_err(failed)?;
                Ends {
                    reader: Box::new(reading),
                    writer: Writer::start(Box::new(writing.map_err(failed)?)),
                    child: None,
                }
            }
            Self::Command(command) => {
                let mut child = Command::new("sh")
                    .args(["-c", command])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .map_err(failed)?;
                let reader = child.stdout.take().ok_or("a command without output")?;
                let writer = child.stdin.take().ok_or("a command without input")?;
                Ends {
                    reader: Box::new(reader),
                    writer: Writer::start(Box::new(writer)),
                    child: Some(Guard(child)),
                }
            }
        })
    }
}

impl fmt::Display for PipeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => f.write_str("-"),
            Self::Path(path) => path.display().fmt(f),
            Self::Command(command) => write!(f, "`{command}`"),
        }
    }
}

impl FromStr for PipeAddress {
    type Err = String;

    /// `-`, a path, or `exec:COMMAND`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("exec:")) {
            ("-", _) => Ok(Self::Standard),
            ("" | "exec:", _) => Err("give -, a path or exec:COMMAND".to_owned()),
            (_, Some(command)) => Ok(Self::Command(command.to_owned())),
            (path, None) => Ok(Self::Path(path.into())),
        }
    }
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Queue {
    chunks: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Said again while nothing else was.
    hello: Option<(Duration, String)>,
    closed: bool,
}

/// The way to the thread that writes.
#[derive(Debug, Clone, Default)]
pub(super) struct Writer(Arc<(Mutex<Queue>, Condvar)>);

impl Writer {
    fn start(out: Box<dyn Write + Send>) -> Self {
        let writer = Self::default();
        let queue = writer.clone();
        std::thread::spawn(move || queue.write_all(out));
        writer
    }

    fn with<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut queue);
        self.0.1.notify_one();
        result
    }

    /// Says a line at once and again every `span`, until something else is said.
    pub fn say_every(&self, span: Duration, line: String) {
        self.with(|queue| {
            queue.push(line.clone().into_bytes());
            queue.hello = Some((span, line));
        });
    }

    /// Says something once.
    pub fn say_once(&self, bytes: Vec<u8>) {
        self.with(|queue| {
            queue.hello = None;
            queue.push(bytes);
        });
    }

    /// Queues bytes; false when more than `bytes_max` would wait, or the pipe is closed.
    pub fn queue(&self, bytes: Vec<u8>, bytes_max: usize) -> bool {
        self.with(|queue| {
            let fits = !queue.closed && queue.bytes + bytes.len() <= bytes_max;
            if fits {
                queue.push(bytes);
            }
            fits
        })
    }

    /// Ends the thread once what waits is written.
    pub fn close(&self) {
        self.with(|queue| queue.closed = true);
    }

    fn write_all(self, mut out: Box<dyn Write + Send>) {
        while let Some(bytes) = self.next_chunk() {
            if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
                // The reader of the pipe finds out as well, and begins anew.
                return self.close();
            }
        }
    }

    /// What to write next; none when the pipe is closed and nothing waits.
    fn next_chunk(&self) -> Option<Vec<u8>> {
        let (queue, changed) = &*self.0;
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(chunk) = queue.chunks.pop_front() {
                queue.bytes -= chunk.len();
                return Some(chunk);
            }
            if queue.closed {
                return None;
            }
            let Some((span, line)) = queue.hello.clone() else {
                queue = changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let waited = changed.wait_timeout(queue, span);
            let (next, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            queue = next;
            if timeout.timed_out() && queue.hello.is_some() {
                return Some(line.into_bytes());
            }
        }
    }
}

impl Queue {
    fn push(&mut self, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        self.chunks.push_back(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_three_kinds_of_pipe() {
        let parse = |text: &str| text.parse::<PipeAddress>();
        assert_eq!(parse("-"), Ok(PipeAddress::Standard));
        assert_eq!(parse("/dev/ttyUSB0"), Ok(PipeAddress::Path("/dev/ttyUSB0".into())));
        assert_eq!(parse("exec:ssh far"), Ok(PipeAddress::Command("ssh far".to_owned())));
        assert!(parse("").is_err() && parse("exec:").is_err());
    }

    #[test]
    fn speaks_to_a_command_that_ends_with_its_input() {
        let mut ends = PipeAddress::Command("cat".to_owned()).open().unwrap();
        ends.writer.say_once(b"over and back".to_vec());
        let mut bytes = [0; 13];
        ends.reader.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"over and back");
        ends.writer.close();
        assert_eq!(ends.reader.read(&mut bytes).unwrap(), 0);
        drop(ends.child);
    }

    #[test]
    fn bounds_what_waits() {
        let writer = Writer::default();
        assert!(writer.queue(vec![0; 60], 100));
        assert!(!writer.queue(vec![0; 41], 100));
        assert!(writer.queue(vec![0; 40], 100));
        writer.close();
        assert!(!writer.queue(vec![], 100));
        assert_eq!(writer.next_chunk().map(|chunk| chunk.len()), Some(60));
        assert_eq!(writer.next_chunk().map(|chunk| chunk.len()), Some(40));
        assert_eq!(writer.next_chunk(), None);
    }

    #[test]
    fn says_hello_again_until_it_says_something_else() {
        let writer = Writer::default();
        writer.say_every(Duration::from_millis(1), "hello".to_owned());
        for _ in 0..3 {
            assert_eq!(writer.next_chunk().as_deref(), Some(&b"hello"[..]));
        }
        writer.say_once(b"proof".to_vec());
        assert_eq!(writer.next_chunk().as_deref(), Some(&b"proof"[..]));
        writer.close();
        assert_eq!(writer.next_chunk(), None);
    }

    #[test]
    fn a_file_is_no_pipe_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        std::fs::write(&path, b"precious").unwrap();
        for path in [folder.path(), &path] {
            let Err(error) = PipeAddress::Path(path.into()).open() else { panic!("no pipe") };
            assert!(error.contains("name a device or a named pipe"), "{error}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn names_the_pipe_that_does_not_open() {
        let path = PipeAddress::Path("/nonexistent/tty".into());
        let Err(error) = path.open() else { panic!("it is not there") };
        assert!(error.starts_with("cannot open /nonexistent/tty: "), "{error}");
    }
}
