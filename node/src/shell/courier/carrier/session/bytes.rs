//! The bytes of a session: from its connection to it, within TLS or not, and back.

use std::io::{self, IoSlice};

use longhaul_dtn::tcpcl::{Input, Output};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::Conversation;
use crate::shell::courier::carrier::end::End;

/// Most pieces of one write.
const PIECES_MAX: usize = 64;

impl Conversation {
    /// Queues bytes of the session, or of TLS alone if there are none.
    pub(super) fn transmit(&mut self, bytes: Vec<u8>) {
        match self.wire.seal(bytes) {
            Ok(sealed) if sealed.is_empty() => {}
            Ok(sealed) => {
                self.unwritten_bytes += sealed.len();
                self.unwritten.push_back(sealed);
            }
            Err(error) => self.end = self.end.take().or(Some(End::Broken(error))),
        }
    }

    pub(super) fn start_tls(&mut self) {
        let shared = self.shared.clone();
        let Some(identity) = shared.config.tls.identity() else { return };
        let begun = match self.stream.peer_addr() {
            Ok(other) => {
                self.wire.begin(identity, self.from.is_none(), other.ip()).map_err(End::Insecure)
            }
            Err(error) => Err(End::Broken(error)),
        };
        match begun {
            Ok(()) => self.transmit(Vec::new()),
            Err(end) => self.end = Some(end),
        }
    }

    /// Writes what the connection takes now.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if self.unwritten_bytes == 0 {
            self.wrote_at = Instant::now();
        }
        while !self.unwritten.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.unwritten) {
                let skip = if count == 0 { self.written_of_first } else { 0 };
                *slice = IoSlice::new(&piece[skip..]);
                count += 1;
            }
            match self.stream.try_write_vectored(&slices[..count]) {
                Ok(bytes) => self.wrote(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wrote(&mut self, bytes: usize) {
        self.wrote_at = Instant::now();
        self.written_of_first += bytes;
        while let Some(first) = self.unwritten.front()
            && first.len() <= self.written_of_first
        {
            self.written_of_first -= first.len();
            self.unwritten_bytes -= first.len();
            self.unwritten.pop_front();
        }
    }

    pub(super) fn read(&mut self) -> Result<(), End> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let found = self.stream.try_read(&mut buffer);
        let outcome = match found {
            Ok(0) => {
                self.give(Input::Closed);
                Err(End::Gone)
            }
            Ok(count) if self.wire.is_plain() => {
                self.give(Input::Received(&buffer[..count]));
                Ok(())
            }
            Ok(count) => self.open(&buffer[..count]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(End::Broken(error)),
        };
        self.buffer = buffer;
        outcome
    }

    /// Takes bytes within TLS.
    fn open(&mut self, bytes: &[u8]) -> Result<(), End> {
        let opened = self.wire.open(bytes);
        // Its answers and its alert go out, whatever came.
        self.transmit(Vec::new());
        let opened = opened.map_err(|error| {
            self.give(Input::Closed);
            End::Insecure(error)
        })?;
        if let Some(proof) = opened.proof {
            self.proof = proof;
            self.give(Input::TlsEstablished);
        }
        if !opened.bytes.is_empty() {
            self.give(Input::Received(&opened.bytes));
        }
        if opened.is_over {
            self.give(Input::Closed);
            return Err(End::Gone);
        }
        Ok(())
    }

    /// Writes the last words, then closes with a FIN.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while let Some(output) = self.session.poll() {
            if let Output::Transmit(bytes) = output {
                self.transmit(bytes);
            }
        }
        let last = self.wire.end()?;
        self.unwritten.push_back(last);
        for (at, piece) in std::mem::take(&mut self.unwritten).into_iter().enumerate() {
            let skip = if at == 0 { self.written_of_first } else { 0 };
            self.stream.write_all(&piece[skip..]).await?;
        }
        self.stream.shutdown().await
    }
}
